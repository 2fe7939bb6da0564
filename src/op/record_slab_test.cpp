#include "op/record_slab.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <vector>

namespace parkring::op {
namespace {

using detail::record;
using detail::record_state;

TEST(RecordSlab, records_are_distinct_aligned_and_prepared) {
  record_slab slab(10'000);
  std::set<record*> out;
  for (int i = 0; i < 1000; ++i) {
    record* r = slab.acquire();
    ASSERT_NE(r, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(r) % 64, 0U);  // user_data uses the low bits
    EXPECT_EQ(r->state, record_state::prepared);
    EXPECT_FALSE(r->linked());
    EXPECT_TRUE(out.insert(r).second);
  }
  EXPECT_EQ(slab.live(), 1000U);
  for (record* r : out) slab.release(*r);
  EXPECT_EQ(slab.live(), 0U);
}

TEST(RecordSlab, never_gives_out_more_than_its_limit) {
  for (const std::size_t limit :
       {std::size_t{1}, std::size_t{3}, std::size_t{64}, std::size_t{65}, std::size_t{300}}) {
    record_slab slab(limit);
    std::vector<record*> out;
    while (record* r = slab.acquire()) out.push_back(r);
    EXPECT_EQ(out.size(), limit);
    EXPECT_EQ(slab.limit(), limit);
    slab.release(*out.back());
    EXPECT_EQ(slab.acquire(), out.back());
    EXPECT_EQ(slab.acquire(), nullptr);
    for (record* r : out) slab.release(*r);
  }
}

TEST(RecordSlab, the_record_released_last_is_used_next) {
  record_slab slab(100);
  record* a = slab.acquire();
  record* b = slab.acquire();
  slab.release(*a);
  slab.release(*b);
  EXPECT_EQ(slab.acquire(), b);
  EXPECT_EQ(slab.acquire(), a);
  slab.release(*a);
  slab.release(*b);
}

TEST(RecordSlab, addresses_stay_while_it_grows) {
  record_slab slab(5000);
  record* first = slab.acquire();
  first->cancel_wanted = detail::cancel_wish::once;
  std::vector<record*> more;
  for (int i = 0; i < 3000; ++i) more.push_back(slab.acquire());
  EXPECT_EQ(first->cancel_wanted, detail::cancel_wish::once);
  std::set<record*> seen;
  slab.for_each_live([&](record& r) { seen.insert(&r); });
  EXPECT_EQ(seen.size(), 3001U);
  EXPECT_TRUE(seen.contains(first));
  slab.release(*first);
  for (record* r : more) slab.release(*r);
}

TEST(RecordSlab, for_each_live_leaves_out_what_is_free) {
  record_slab slab(10);
  record* a = slab.acquire();
  record* b = slab.acquire();
  record* c = slab.acquire();
  slab.release(*b);
  std::set<record*> seen;
  slab.for_each_live([&](record& r) { seen.insert(&r); });
  EXPECT_EQ(seen, (std::set<record*>{a, c}));
  slab.release(*a);
  slab.release(*c);
}

}  // namespace
}  // namespace parkring::op
