#include "kernel/sim/descriptors.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "base/descriptor.hpp"
#include "kernel/sim/event_counter.hpp"
#include "kernel/sim/worlds.hpp"

namespace parkring::kernel::sim {
namespace {

open_object something(census& all) { return {ref<endpoint>(make_event_counter(all)), {}, -1}; }

TEST(Descriptors, the_lowest_free_number_is_given) {
  census all;
  {
    descriptors table;
    const int a = table.add(something(all)), b = table.add(something(all));
    EXPECT_EQ(b, a + 1);
    EXPECT_GE(a, first_descriptor);
    EXPECT_EQ(table.close(a), 0);
    EXPECT_EQ(table.close(a), -EBADF);
    EXPECT_EQ(table.add(something(all)), a);
    EXPECT_EQ(table.open(), 2U);
  }
  EXPECT_EQ(all.endpoints, 0U);
}

TEST(Descriptors, a_duplicate_keeps_what_it_refers_to) {
  census all;
  descriptors table;
  const int a = table.add(something(all));
  const int b = table.duplicate(a);
  table.close(a);
  EXPECT_NE(table.find(b), nullptr);
  EXPECT_EQ(all.endpoints, 1U);
  EXPECT_EQ(table.duplicate(a), -EBADF);
}

TEST(Descriptors, numbers_of_an_earlier_life_are_never_given_again) {
  census all;
  descriptors table;
  const int before = table.add(something(all));
  table.forget_all();
  EXPECT_EQ(all.endpoints, 0U);
  const int after = table.add(something(all));
  EXPECT_NE(after, before);
  EXPECT_EQ(base::close_descriptor(before), -EBADF);
  EXPECT_NE(table.find(after), nullptr);
}

TEST(Descriptors, a_number_leads_to_its_own_machine) {
  census all;
  descriptors one, other;
  const int a = one.add(something(all)), b = other.add(something(all));
  EXPECT_NE(a, b);
  EXPECT_EQ(other.find(a), nullptr);
  EXPECT_EQ(base::close_descriptor(a), 0);
  EXPECT_EQ(one.open(), 0U);
  EXPECT_EQ(other.open(), 1U);
}

TEST(Descriptors, a_handle_that_outlives_its_machine_never_reaches_a_later_one) {
  census all;
  int kept = -1;
  {
    descriptors gone;
    kept = gone.add(something(all));
  }
  for (int i = 0; i < 50'000; ++i) {  // more than there are places
    descriptors later;
    const int fd = later.add(something(all));
    ASSERT_NE(fd, kept);
    later.forget_all();
    if (i % 2 == 0) {  // others are never closed
      EXPECT_EQ(base::close_descriptor(fd), -EBADF);
    }
  }
  EXPECT_EQ(base::close_descriptor(kept), -EBADF);
}

}  // namespace
}  // namespace parkring::kernel::sim
