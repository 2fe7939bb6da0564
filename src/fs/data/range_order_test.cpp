#include "fs/data/range_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace parkring::fs {
namespace {

// Long enough to be sorted by digits, with numbers below `bound`.
std::vector<ranged_item> items_below(std::uint64_t bound, std::uint32_t files, std::size_t n) {
  std::mt19937_64 draw(n + bound);
  std::vector<ranged_item> items;
  for (std::uint32_t i = 0; i < n; ++i)
    items.push_back({draw() % bound, draw() % 100, static_cast<std::uint32_t>(draw() % files), i});
  return items;
}

void expect_sorted_as_by_comparing(std::vector<ranged_item> items) {
  auto expected = items;
  std::sort(expected.begin(), expected.end(), [](const auto& a, const auto& b) {
    if (a.file != b.file) return a.file < b.file;
    return a.offset != b.offset ? a.offset < b.offset : a.index < b.index;
  });
  std::vector<ranged_item> scratch;
  sort_ranges(items, scratch);
  ASSERT_EQ(items.size(), expected.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    ASSERT_EQ(items[i].index, expected[i].index) << i;
    ASSERT_EQ(items[i].offset, expected[i].offset) << i;
    ASSERT_EQ(items[i].length, expected[i].length) << i;
  }
}

TEST(RangeOrder, is_that_of_a_comparing_sort) {
  for (const std::size_t n : {0u, 1u, 2u, 511u, 512u, 3000u}) {
    SCOPED_TRACE(n);
    expect_sorted_as_by_comparing(items_below(1u << 20, 1, n));
    expect_sorted_as_by_comparing(items_below(50, 1, n));  // many equal ones
    expect_sorted_as_by_comparing(items_below(~0ull, 3000, n));
    expect_sorted_as_by_comparing(items_below(1ull << 40, 7, n));
  }
}

TEST(RangeOrder, of_a_sorted_list_is_the_list) {
  auto items = items_below(1u << 20, 2, 2000);
  std::vector<ranged_item> scratch;
  sort_ranges(items, scratch);
  const std::size_t needed = scratch.size();
  scratch.clear();
  sort_ranges(items, scratch);
  EXPECT_EQ(needed, 2000U);
  EXPECT_TRUE(scratch.empty()) << "nothing was moved";
}

}  // namespace
}  // namespace parkring::fs
