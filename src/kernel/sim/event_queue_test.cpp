#include "kernel/sim/event_queue.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kernel/sim/random.hpp"

namespace parkring::kernel::sim {
namespace {

std::vector<int> happened;

struct numbered : event {
  int number;
  explicit numbered(int n)
      : event([](event& e) noexcept { happened.push_back(static_cast<numbered&>(e).number); }),
        number(n) {}
};

TEST(EventQueue, events_happen_by_time_and_then_in_the_order_of_scheduling) {
  happened.clear();
  event_queue q(100);
  numbered a(1), b(2), c(3), d(4);
  q.schedule(a, 50);
  q.schedule(b, 10);
  q.schedule(c, 50);
  q.schedule(d, 10);
  while (!q.empty()) q.run_next();
  EXPECT_EQ(happened, (std::vector{2, 4, 1, 3}));
  EXPECT_EQ(q.now_ns(), 150U);
}

TEST(EventQueue, an_event_that_ends_or_is_unscheduled_never_happens) {
  happened.clear();
  event_queue q(0);
  numbered a(1), b(2);
  q.schedule(a, 5);
  {
    numbered gone(9);
    q.schedule(gone, 1);
  }
  q.schedule(b, 3);
  b.unschedule();
  EXPECT_FALSE(b.scheduled());
  while (!q.empty()) q.run_next();
  EXPECT_EQ(happened, std::vector{1});
}

TEST(EventQueue, many_events_come_out_sorted_whatever_is_taken_away) {
  happened.clear();
  random r(7);
  event_queue q(0);
  std::vector<std::unique_ptr<numbered>> all;
  for (int i = 0; i < 1000; ++i) {
    all.push_back(std::make_unique<numbered>(i));
    q.schedule(*all.back(), r.below(50));
  }
  for (int i = 0; i < 300; ++i) all[r.below(all.size())]->unschedule();
  std::uint64_t last = 0;
  std::size_t left = q.size();
  while (!q.empty()) {
    q.run_next();
    EXPECT_GE(q.now_ns(), last);
    last = q.now_ns();
    --left;
  }
  EXPECT_EQ(left, 0U);
  for (std::size_t i = 1; i < happened.size(); ++i) {
    const auto& before = *all[static_cast<std::size_t>(happened[i - 1])];
    const auto& after = *all[static_cast<std::size_t>(happened[i])];
    EXPECT_TRUE(before.due_ns() < after.due_ns() ||
                (before.due_ns() == after.due_ns() && before.number < after.number));
  }
}

TEST(Random, the_same_seed_gives_the_same_numbers_and_another_gives_others) {
  random a(1), b(1), c(2);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const auto x = a.next();
    EXPECT_EQ(x, b.next());
    differs |= x != c.next();
  }
  EXPECT_TRUE(differs);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(a.below(10), 10U);
  EXPECT_FALSE(a.chance(0));
  EXPECT_TRUE(a.chance(1));
}

}  // namespace
}  // namespace parkring::kernel::sim
