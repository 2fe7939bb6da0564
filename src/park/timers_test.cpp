#include "park/timers.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>

namespace parkring::park {
namespace {

struct timer : detail::timer_node {
  timer(std::uint64_t how_long, bool is_date) {
    ns = how_long;
    dated = is_date;
  }
};
timer lasting(std::uint64_t wait_ns) { return {wait_ns, false}; }
timer until(std::uint64_t deadline_ns) { return {deadline_ns, true}; }

constexpr std::uint64_t ms = 1'000'000;

TEST(Timers, a_while_counts_from_its_dating) {
  for (const std::uint64_t wait : {std::uint64_t{1}, ms / 3, ms, 7 * ms, 3600 * 1000 * ms}) {
    timers all(0);
    timer t = lasting(wait);
    all.arm(t);
    const std::uint64_t now = 50 * ms + 123;
    all.date(now);
    EXPECT_TRUE(t.dated);
    EXPECT_GE(t.ns, now + wait);
    EXPECT_LE(t.ns, now + wait + (wait >= ms ? std::uint64_t{1} << 19 : wait / 4 + 1));
    detail::waiter_list ready;
    all.fire(t.ns - 1, ready);
    EXPECT_TRUE(ready.empty());
    all.fire(t.ns + timer_wheel::tick_ns, ready);
    EXPECT_EQ(ready.pop_front(), &t);
    EXPECT_TRUE(all.empty());
  }
}

TEST(Timers, what_is_not_dated_does_not_let_the_thread_sleep) {
  timers all(5 * ms);
  EXPECT_EQ(all.next_deadline(), timer_wheel::never);
  timer t = lasting(100 * ms);
  all.arm(t);
  EXPECT_FALSE(all.empty());
  EXPECT_LE(all.next_deadline(), 5 * ms);
  all.date(5 * ms);
  EXPECT_GT(all.next_deadline(), 5 * ms);
  all.cancel(t);
  EXPECT_TRUE(all.empty());
}

TEST(Timers, firing_dates_first_so_a_wait_for_nothing_is_over_at_once) {
  timers all(ms);
  timer none = lasting(0);
  timer some = lasting(1);
  all.arm(none);
  all.arm(some);
  detail::waiter_list ready;
  all.fire(2 * ms, ready);
  EXPECT_EQ(ready.pop_front(), &none);
  EXPECT_TRUE(ready.empty());
  all.fire(3 * ms, ready);
  EXPECT_EQ(ready.pop_front(), &some);
}

TEST(Timers, a_cancel_finds_its_timer_on_every_list) {
  timers all(0);
  detail::waiter_list ready;
  timer undated = lasting(ms), alone = lasting(ms), shared = lasting(5 * ms), fired = lasting(ms);
  timer exact = until(5 * ms + 1), overdue = until(0);
  all.arm(fired);
  all.fire(0, ready);
  all.fire(3 * ms, ready);
  ASSERT_EQ(ready.front(), &fired);
  all.arm(shared);
  all.date(3 * ms);
  all.arm(exact);
  all.arm(overdue);
  all.arm(undated);
  for (timer* t : {&fired, &shared, &exact, &overdue, &undated, &alone}) {
    all.cancel(*t);
    EXPECT_FALSE(t->linked());
  }
  EXPECT_TRUE(ready.empty());
  EXPECT_TRUE(all.empty());
  EXPECT_EQ(all.next_deadline(), timer_wheel::never);
}

TEST(Timers, an_undated_one_that_leaves_changes_no_wheel) {
  // Its `ns`, read as a deadline, would name the slot of the other.
  timers all(0);
  timer armed = until(3 * ms);
  timer undated = lasting(3 * ms);
  all.arm(armed);
  const std::uint64_t next = all.next_deadline();
  all.arm(undated);
  all.cancel(undated);
  EXPECT_EQ(all.next_deadline(), next);
  all.cancel(armed);
}

TEST(Timers, waits_of_one_length_end_together) {
  timers all(0);
  std::deque<timer> waits;
  for (std::uint64_t i = 0; i < 40; ++i) {
    all.arm(waits.emplace_back(5 * ms, false));
    all.date(i * 10'000);
  }
  EXPECT_EQ(waits.front().ns % (std::uint64_t{1} << 19), 0U);
  EXPECT_LE(waits.back().ns - waits.front().ns, std::uint64_t{1} << 19);
  for (timer& t : waits) all.cancel(t);
}

TEST(Timers, for_ever_does_not_overflow) {
  const std::uint64_t now = std::uint64_t{1} << 62;
  timers all(now);
  timer t = lasting(INT64_MAX);
  all.arm(t);
  all.date(now);
  EXPECT_GT(t.ns, static_cast<std::uint64_t>(INT64_MAX));
  all.cancel(t);
}

TEST(TimersDeathTest, arming_twice_aborts_with_advice) {
  timers all(0);
  timer t = lasting(ms);
  all.arm(t);
  EXPECT_DEATH(all.arm(t), "armed already");
  all.cancel(t);
}

}  // namespace
}  // namespace parkring::park
