#include "row.hpp"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

namespace lab {
namespace {

TEST(Rows, no_two_have_the_same_name) {
  std::set<std::string_view> names;
  for (const row& one : all_rows()) EXPECT_TRUE(names.insert(one.name).second) << one.name;
}

TEST(Rows, every_read_row_has_an_extent_and_depths_of_at_least_one) {
  for (const row& one : all_rows()) {
    const bool reads = one.kind == work::read || one.kind == work::read_2w ||
                       one.kind == work::cq_reader || one.kind == work::read_many ||
                       one.kind == work::read_sequential || one.kind == work::io_front ||
                       one.kind == work::io_beside || one.kind == work::io_scan;
    EXPECT_EQ(reads, one.part != extent::none) << one.name;
    EXPECT_GE(one.depth, 1U) << one.name;
  }
}

TEST(Rows, a_full_name_selects_one_and_a_group_selects_its_depths) {
  ASSERT_EQ(select_rows({"nop/32"}).size(), 1U);
  EXPECT_EQ(select_rows({"nop/32"})[0].depth, 32U);
  EXPECT_EQ(select_rows({"read-cached"}).size(), 3U);
  EXPECT_EQ(select_rows({}).size(), all_rows().size());
}

TEST(Rows, a_row_named_twice_is_run_once) { EXPECT_EQ(select_rows({"nop/1", "nop"}).size(), 2U); }

TEST(Rows, an_unknown_row_is_named_in_the_error) {
  try {
    (void)select_rows({"nop", "nosuch"});
    FAIL() << "no error";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("nosuch"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("read-cached/32"), std::string::npos);
  }
}

}  // namespace
}  // namespace lab
