// In simulated worlds: time is virtual there, and what is asserted about it is exact.
#include <parkring/fs/io_scheduler.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include <parkring/sim/world.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

namespace parkring::fs {
namespace {

using namespace std::chrono_literals;

/// Makes requests of a class one after the other, each of which takes `d`.
task<> keep_busy(io_scheduler s, io_class as, std::size_t bytes, std::chrono::nanoseconds d) {
  for (;;) {
    const auto permit = co_await s.acquire(as, bytes);
    co_await sleep_for(d);
  }
}

struct load {
  io_class as;
  std::size_t bytes;
  int tasks = 4;
};
/// What the classes got in `time`, from requests of a millisecond.
std::vector<io_class_counters> shared(io_scheduler s, std::vector<load> loads,
                                      std::chrono::milliseconds time) {
  sim::world w(1);
  return w.run([&]() -> task<std::vector<io_class_counters>> {
    task_group group;
    for (const load& l : loads)
      for (int i = 0; i < l.tasks; ++i) group.spawn(keep_busy, s, l.as, l.bytes, 1ms);
    co_await sleep_for(time);
    std::vector<io_class_counters> result;
    for (const load& l : loads) {
      result.push_back(s.counters(l.as));
      EXPECT_GE(result.back().in_flight + result.back().waiting, 1u);
    }
    group.abort_all();
    for (const load& l : loads) {
      EXPECT_EQ(s.counters(l.as).in_flight, 0u);
      EXPECT_EQ(s.counters(l.as).waiting, 0u);
    }
    co_return result;
  });
}

TEST(IoScheduler, classes_that_wait_share_by_their_shares) {
  io_scheduler s({.foreground{.shares = 3}, .sync{.shares = 1}, .queue_depth = 1});
  const auto got = shared(s, {{io_class::foreground, 4096, 4}, {io_class::sync, 4096, 4}}, 2'000ms);
  EXPECT_NEAR(static_cast<double>(got[0].operations) / static_cast<double>(got[1].operations), 3.0,
              0.02);
  EXPECT_GT(got[0].operations + got[1].operations, 1'800u) << "the device was left idle";
}

TEST(IoScheduler, shares_are_of_bytes_and_4_KiB_for_each_request) {
  io_scheduler s({.foreground{.shares = 1}, .sync{.shares = 1}, .queue_depth = 2});
  const auto got =
      shared(s, {{io_class::foreground, 28 << 10, 4}, {io_class::sync, 4096, 4}}, 1'000ms);
  EXPECT_NEAR(static_cast<double>(got[1].operations) / static_cast<double>(got[0].operations), 4.0,
              0.1);
}

TEST(IoScheduler, a_class_alone_has_all_whatever_its_shares) {
  io_scheduler s({.foreground{.shares = 1'000}, .background{.shares = 1}, .queue_depth = 4});
  const auto got = shared(s, {{io_class::background, 1 << 20, 8}}, 1'000ms);
  EXPECT_GT(got[0].operations, 3'600u);
  EXPECT_EQ(got[0].in_flight, 4u);
  EXPECT_EQ(got[0].waiting, 4u);
}

TEST(IoScheduler, no_class_starves) {
  io_scheduler s({.foreground{.shares = 100}, .background{.shares = 1}, .queue_depth = 1});
  const auto got = shared(
      s,
      {{io_class::foreground, 4096, 8}, {io_class::background, 4096, 1}, {io_class::sync, 4096, 1}},
      3'000ms);
  EXPECT_GT(got[1].operations, 10u);
  EXPECT_GT(got[2].operations, 10u);
}

TEST(IoScheduler, limits_of_operations_and_bytes_are_kept) {
  io_scheduler s({.foreground{.operations_per_second = 100},
                  .sync{.bytes_per_second = 1'000'000},
                  .queue_depth = 8});
  const auto got =
      shared(s, {{io_class::foreground, 4096, 4}, {io_class::sync, 50'000, 4}}, 2'000ms);
  // What a bucket holds at most is there once, and one request may overdraw it.
  EXPECT_LE(got[0].operations, 200u + 2 + 1);
  EXPECT_GE(got[0].operations, 190u);
  EXPECT_LE(got[1].bytes, 2'000'000u + 20'000 + 50'000);
  EXPECT_GE(got[1].bytes, 1'900'000u);
}

TEST(IoScheduler, who_waits_for_a_limit_is_woken_when_it_is_time) {
  sim::world w(1);
  const auto took = w.run([]() -> task<std::chrono::nanoseconds> {
    io_scheduler s({.foreground{.operations_per_second = 10}});
    const auto start = now();
    for (int i = 0; i < 6; ++i) {
      auto permit = co_await s.acquire(io_class::foreground, 1);
      permit.release();
    }
    co_return now() - start;
  });
  EXPECT_GE(took, 500ms);
  EXPECT_LE(took, 501ms);
}

TEST(IoScheduler, whoever_leaves_gives_place_and_tokens_back) {
  sim::world w(1);
  w.run([]() -> task<> {
    io_scheduler s({.foreground{.bytes_per_second = 1'000}, .queue_depth = 1});
    auto held = co_await s.acquire(io_class::foreground, 0);
    auto take = [](io_scheduler of, std::size_t n) -> task<io_permit> {
      co_return co_await of.acquire(io_class::foreground, n);
    };
    auto first = spawn(take, s, 1'000'000), second = spawn(take, s, 1);
    co_await yield();
    EXPECT_EQ(s.counters(io_class::foreground).waiting, 2u);
    held.release();  // grants to the first, which has not resumed yet
    EXPECT_EQ(s.counters(io_class::foreground).bytes, 1'000'000u);
    first.abort();
    EXPECT_EQ(s.counters(io_class::foreground).bytes, 1u) << "the second has its turn";
    auto got = co_await std::move(second);
    EXPECT_EQ(s.counters(io_class::foreground).in_flight, 1u);
    got.release();
    EXPECT_EQ(s.counters(io_class::foreground).in_flight, 0u);
    (void)co_await s.acquire(io_class::foreground, 1);
  });
}

TEST(IoScheduler, what_is_dropped_in_flight_has_its_turn_until_it_ends) {
  sim::world w(1);
  w.run([]() -> task<> {
    io_scheduler s({.queue_depth = 1});
    auto running = spawn(s.run(io_class::background, sleep_for(10ms), 4096));
    auto never = spawn(s.run(io_class::background, sleep_for(10ms), 4096));
    co_await sleep_for(1ms);
    running.abort();
    never.abort();
    EXPECT_EQ(s.counters(io_class::background).in_flight, 1u);
    EXPECT_EQ(s.counters(io_class::background).waiting, 0u);
    const auto start = now();
    co_await s.run(io_class::foreground, sleep_for(1ms), 4096);
    EXPECT_GE(now() - start, 9ms);
    EXPECT_EQ(s.counters(io_class::background).operations, 1u);
  });
}

// A device on which every request of the background costs the others time.
task<> on_device(io_scheduler s, std::chrono::nanoseconds alone) {
  const auto others = s.counters(io_class::background).in_flight;
  co_await sleep_for(alone * (1 + others));
}

TEST(IoScheduler, the_background_leaves_the_foreground_its_latency_and_takes_the_rest) {
  sim::world w(1);
  w.run([]() -> task<> {
    io_scheduler s({.queue_depth = 16});
    task_group scan;
    for (int i = 0; i < 16; ++i)
      scan.spawn(
          [](io_scheduler of) -> task<> {
            for (;;) {
              const auto permit = co_await of.acquire(io_class::background, 128 << 10);
              co_await sleep_for(400us);
            }
          },
          s);
    co_await sleep_for(50ms);
    EXPECT_EQ(s.counters(io_class::background).in_flight, 16u) << "it has the device to itself";
    std::vector<std::chrono::nanoseconds> took;
    for (int i = 0; i < 3'000; ++i) {
      const auto start = now();
      {
        const auto permit = co_await s.acquire(io_class::foreground, 4096);
        co_await on_device(s, 100us);
      }
      if (i >= 1'000) took.push_back(now() - start);
      co_await sleep_for(1ms);
    }
    std::sort(took.begin(), took.end());
    EXPECT_LE(took[took.size() * 98 / 100], 250us)
        << "alone it takes 100 to 125, as sleeps are rounded";
    const auto before = s.counters(io_class::background).operations;
    co_await sleep_for(300ms);
    EXPECT_EQ(s.background_window(), UINT64_MAX);
    const auto in_300_ms = s.counters(io_class::background).operations - before;
    EXPECT_GE(in_300_ms, 16u * 300 * 1'000 / 400 / 2) << "nobody is in the foreground";
    scan.abort_all();
  });
}

// Nothing but the timer of who is first can let it through: no request ends, and none comes.
TEST(IoScheduler, after_idle_after_the_background_has_the_device_although_nothing_else_happens) {
  sim::world w(1);
  w.run([]() -> task<> {
    io_scheduler s({.latency_target = 1h, .idle_after = 30ms});
    const auto start = now();
    (void)co_await s.acquire(io_class::foreground, 4096);
    const auto held = co_await s.acquire(io_class::background, 64 << 10);
    EXPECT_EQ(now(), start) << "the window has room for one";
    auto second = spawn(s.acquire(io_class::background, 64 << 10));
    auto third = spawn(s.acquire(io_class::background, 1 << 20));
    co_await sleep_until(start + 29ms);
    EXPECT_FALSE(second.done());
    EXPECT_EQ(s.counters(io_class::background).in_flight, 1u);
    EXPECT_EQ(s.background_window(), 64u << 10);
    const auto two = co_await std::move(second);
    EXPECT_GE(now(), start + 30ms);
    EXPECT_LE(now(), start + 31ms);
    const auto three = co_await std::move(third);
    EXPECT_LE(now(), start + 31ms) << "both, and at once";
    EXPECT_EQ(s.counters(io_class::background).in_flight, 3u);
    EXPECT_EQ(s.background_window(), UINT64_MAX);
  });
}

TEST(IoScheduler, idle_after_begins_anew_with_every_foreground_and_not_while_one_is_there) {
  sim::world w(1);
  w.run([]() -> task<> {
    io_scheduler s({.latency_target = 1h, .idle_after = 30ms});
    auto front = co_await s.acquire(io_class::foreground, 4096);
    const auto held = co_await s.acquire(io_class::background, 64 << 10);
    auto second = spawn(s.acquire(io_class::background, 64 << 10));
    co_await sleep_for(100ms);
    EXPECT_FALSE(second.done()) << "one is there";
    front.release();
    co_await sleep_for(20ms);
    (void)co_await s.acquire(io_class::foreground, 4096);
    const auto last = now();
    co_await sleep_for(20ms);
    EXPECT_FALSE(second.done()) << "another came meanwhile";
    const auto two = co_await std::move(second);
    EXPECT_GE(now(), last + 30ms);
    EXPECT_LE(now(), last + 31ms);
  });
}

TEST(IoScheduler, whoever_is_first_and_leaves_hands_the_timer_on) {
  sim::world w(1);
  w.run([]() -> task<> {
    io_scheduler s({.latency_target = 1h, .idle_after = 30ms});
    (void)co_await s.acquire(io_class::foreground, 4096);
    const auto held = co_await s.acquire(io_class::background, 64 << 10);
    auto first = spawn(s.acquire(io_class::background, 64 << 10));
    auto second = spawn(s.acquire(io_class::background, 64 << 10));
    co_await sleep_for(10ms);
    first.abort();
    const auto two = co_await std::move(second);
    EXPECT_EQ(s.counters(io_class::background).in_flight, 2u);
  });
}

// However late the foreground is, and however much of it there is.
TEST(IoScheduler, the_background_goes_on_beside_a_foreground_that_is_always_late) {
  for (const auto target : {1ns, 0ns}) {  // looks at the foreground alone are among what holds it
    io_scheduler s({.queue_depth = 8, .latency_target = target});
    const auto got =
        shared(s, {{io_class::foreground, 4096, 6}, {io_class::background, 1 << 20, 2}}, 3'000ms);
    EXPECT_GE(got[1].operations, 3'000u / 17);
    EXPECT_GE(got[0].operations, 6u * 2'800) << "which has all it asks for";
  }
}

TEST(IoScheduler, a_small_request_does_not_end_the_pause_after_a_large_one) {
  sim::world w(1);
  w.run([]() -> task<> {
    io_scheduler s({.latency_target = 1h});
    const auto front = co_await s.acquire(io_class::foreground, 4096);
    const auto begin = now();
    for (int i = 0; i < 2; ++i) {
      {
        const auto large = co_await s.acquire(io_class::background, 1 << 20);
        co_await sleep_for(1ms);
      }
      static_cast<void>(co_await s.acquire(io_class::background, 4096));
    }
    EXPECT_GE(now() - begin, 17ms);
  });
}

}  // namespace
}  // namespace parkring::fs
