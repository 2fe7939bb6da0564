#include <parkring/time.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

void burn_until(clock::time_point t) {
  while (clock::now() < t) {
  }
}

TEST(Sleep, never_ends_early) {
  auto body = []() -> task<> {
    for (const auto d : {1ns, 999ns, 16'000ns, 100'000ns, 1'000'000ns}) {
      const auto start = clock::now();
      co_await sleep_for(d);
      EXPECT_GE(clock::now() - start, d);
      const auto until = clock::now() + d;
      co_await sleep_until(until);
      EXPECT_GE(clock::now(), until);
    }
  };
  run(body());
}

TEST(Sleep, of_nothing_or_less_gives_the_others_their_turn) {
  auto body = []() -> task<> {
    for (const auto d : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
      bool other = false;
      auto h = spawn([&]() -> task<> {
        other = true;
        co_return;
      });
      co_await sleep_for(d);
      EXPECT_TRUE(other);
      co_await h;
    }
    co_await sleep_until(clock::time_point::min());
  };
  run(body());
}

TEST(Sleep, for_ever_is_far_away_and_not_in_the_past) {
  auto body = []() -> task<> {
    auto a = spawn([]() -> task<> { co_await sleep_for(std::chrono::hours::max()); });
    auto b = spawn([]() -> task<> { co_await sleep_for(std::chrono::duration<double>(1e30)); });
    auto c = spawn([]() -> task<> { co_await sleep_until(clock::time_point::max()); });
    co_await sleep_for(200us);
    EXPECT_FALSE(a.done());
    EXPECT_FALSE(b.done());
    EXPECT_FALSE(c.done());
  };
  run(body());
}

TEST(Sleep, sleepers_wake_in_the_order_of_their_deadlines) {
  std::vector<int> order;
  auto body = [&]() -> task<> {
    const auto start = clock::now() + 1ms;
    std::vector<int> delays(50);
    for (int i = 0; i < 50; ++i) delays[static_cast<std::size_t>(i)] = i;
    std::shuffle(delays.begin(), delays.end(), std::mt19937(7));
    task_group g;
    for (const int d : delays)
      g.spawn(
          [&, start](int n) -> task<> {
            co_await sleep_until(start + n * 40us);  // more than a tick apart
            order.push_back(n);
          },
          d);
    co_await g.join();
  };
  run(body());
  ASSERT_EQ(order.size(), 50U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Sleep, a_dropped_sleep_takes_its_timer_along) {
  runtime rt;
  rt.run([]() -> task<> {
    for (int i = 0; i < 100; ++i) {
      auto h = spawn([]() -> task<> { co_await sleep_for(1h); });
      co_await yield();
    }
    // One dropped between its firing and its turn.
    auto h = spawn([]() -> task<> { co_await sleep_for(0ns); });
    co_await sleep_for(0ns);
    h.abort();
  });
  EXPECT_EQ(rt.counters().tasks, 0U);
}

TEST(Sleep, many_sleepers_all_wake) {
  int woken = 0;
  auto body = [&]() -> task<> {
    task_group g;
    for (int i = 0; i < 2000; ++i)
      g.spawn(
          [&](int n) -> task<> {
            co_await sleep_for(std::chrono::microseconds(n % 997));
            ++woken;
          },
          i);
    co_await g.join();
  };
  run(body());
  EXPECT_EQ(woken, 2000);
}

TEST(Interval, ticks_lie_on_a_grid_that_work_does_not_shift) {
  auto body = []() -> task<> {
    const auto start = clock::now();
    interval every(1ms);
    for (int i = 1; i <= 5; ++i) {
      co_await every.tick();
      EXPECT_GE(clock::now() - start, i * 1ms);
    }
  };
  run(body());
}

TEST(Interval, ticks_that_passed_meanwhile_are_skipped_and_counted) {
  auto body = []() -> task<> {
    const auto before = clock::now();
    interval every(2ms);
    const auto after = clock::now();
    co_await every.tick();
    EXPECT_EQ(every.missed(), 0U);
    burn_until(after + 11ms);  // the ticks at 4, 6, 8 and 10 pass
    co_await every.tick();     // one of them is given late, at once
    EXPECT_GE(every.missed(), 3U);
    const auto missed = every.missed();
    co_await every.tick();
    // The next one is on the grid again: ticks given, those missed and this one.
    EXPECT_GE(clock::now() - before, (2 + missed + 1) * 2ms);
  };
  run(body());
}

TEST(Interval, a_dropped_tick_counts_as_taken) {
  auto body = []() -> task<> {
    const auto before = clock::now();
    interval every(1ms);
    { [[maybe_unused]] auto dropped = every.tick(); }
    co_await every.tick();
    EXPECT_GE(clock::now() - before, 2ms);
  };
  run(body());
}

}  // namespace
}  // namespace parkring
