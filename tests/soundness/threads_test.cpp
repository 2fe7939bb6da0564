// Wakes from other threads against parks: none may be lost.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/machine.hpp"
#include "support/scale.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

// A soak run multiplies the numbers below: PARKRING_TEST_SCALE=10 makes 10^7 wakes.
int amount(int full) {
  const char* factor = std::getenv("PARKRING_TEST_SCALE");
  return scaled(full) * (factor == nullptr ? 1 : std::max(1, std::atoi(factor)));
}

// Case 41: floods of wakes, some of a sleeping runtime, most of a running one.
TEST(Wakes, every_one_of_a_flood_from_several_threads_is_delivered) {
  PARKRING_NEEDS_REAL("threads");
  const int each = amount(500'000);
  constexpr int senders = 2;
  pr::runtime rt;
  std::vector<std::thread> threads;
  long got = 0;
  auto asleep = rt.spawn(pr::sleep_for(1h));
  for (int t = 0; t < senders; ++t)
    threads.emplace_back([&, remote = rt.remote(), t] {
      std::uint32_t random = static_cast<std::uint32_t>(t) + 1;
      for (int i = 0; i < each; ++i) {
        const bool accepted = remote.post([&] {
          if (++got == long{senders} * each) asleep.abort();
        });
        if (!accepted) std::abort();
        random = random * 1664525u + 1013904223u;
        if (random >> 22 == 0) std::this_thread::yield();
      }
    });
  rt.run([&]() -> pr::task<> { EXPECT_THROW(co_await asleep, pr::task_aborted); });
  for (auto& t : threads) t.join();
  EXPECT_EQ(got, long{senders} * each);
}

// Case 41: each wake meets a thread that is going to sleep; losing one would hang the test.
TEST(Wakes, a_ball_between_two_runtimes_never_gets_lost) {
  PARKRING_NEEDS_REAL("threads");
  const int rounds = amount(30'000);
  struct side {
    pr::runtime rt;
    pr::join_handle<void> asleep = rt.spawn(pr::sleep_for(1h));
  };
  std::atomic<side*> there{nullptr};
  side here;
  std::atomic<int> hits{0};
  struct ball {
    std::atomic<int>& hits;
    int rounds;
    pr::remote to, from;
    pr::join_handle<void>*to_sleep, *from_sleep;
    void operator()() {  // on the side `to`
      if (++hits >= rounds) {
        to_sleep->abort();
        if (hits == rounds) (void)from.post(ball{hits, rounds, from, to, from_sleep, to_sleep});
        return;
      }
      (void)from.post(ball{hits, rounds, from, to, from_sleep, to_sleep});
    }
  };
  const auto sleep_until_aborted = [](side& s) {
    s.rt.run(
        [](pr::join_handle<void>& h) -> pr::task<> { EXPECT_THROW(co_await h, pr::task_aborted); },
        std::ref(s.asleep));
  };
  std::thread other([&] {
    side mine;
    there = &mine;
    sleep_until_aborted(mine);
  });
  while (there == nullptr) std::this_thread::yield();
  side& far = *there;
  (void)far.rt.remote().post(
      ball{hits, rounds, far.rt.remote(), here.rt.remote(), &far.asleep, &here.asleep});
  sleep_until_aborted(here);
  other.join();
  EXPECT_EQ(hits, rounds + 1);
}

// Case 41 with 33: posts race with the runtime's end; each is either run or refused.
TEST(Wakes, posts_that_race_with_the_end_are_run_or_refused) {
  PARKRING_NEEDS_REAL("threads");
  const int rounds = scaled(200);
  for (int round = 0; round < rounds; ++round) {
    std::atomic<long> run{0}, accepted{0}, destroyed{0}, made{0};
    std::atomic<bool> stop{false};
    struct counted {
      std::atomic<long>* ends;
      explicit counted(std::atomic<long>* e) : ends(e) {}
      counted(counted&& o) noexcept : ends(std::exchange(o.ends, nullptr)) {}
      ~counted() {
        if (ends != nullptr) ++*ends;
      }
    };
    std::thread other;
    {
      pr::runtime rt;
      other = std::thread([&, remote = rt.remote()] {
        for (int i = 0; i < 500 && !stop; ++i) {
          ++made;
          if (remote.post([&run, c = counted(&destroyed)] { ++run; })) ++accepted;
        }
      });
      rt.run([]() -> pr::task<> { co_await pr::yield(); });
    }
    stop = round % 2 == 0;
    other.join();
    EXPECT_EQ(run, accepted);
    EXPECT_EQ(destroyed, made);
  }
}

// Case 33: what is posted at the end may spawn, and what it spawns is aborted.
TEST(Wakes, a_post_that_spawns_may_come_at_the_end) {
  PARKRING_NEEDS_REAL("threads");
  const int rounds = scaled(200);
  for (int round = 0; round < rounds; ++round) {
    auto alive = std::make_shared<int>(0);
    std::atomic<bool> stop{false};
    std::thread other;
    {
      pr::runtime rt;
      other = std::thread([&stop, alive, remote = rt.remote()] {
        const auto body = [](std::shared_ptr<int>) -> pr::task<> { co_await pr::sleep_for(1h); };
        for (int i = 0; i < 500 && !stop; ++i)
          if (!remote.post([body, alive] { pr::spawn(body, alive).detach(); })) break;
      });
      rt.run([]() -> pr::task<> { co_await pr::yield(); });
    }
    stop = true;
    other.join();
    EXPECT_EQ(alive.use_count(), 1);
  }
}

// Case 41: the pool of blocking threads wakes its runtime, which is parked.
TEST(Wakes, results_of_blocking_calls_always_arrive) {
  PARKRING_NEEDS_REAL("threads");
  const int calls = scaled(20'000);
  pr::runtime rt({.blocking_threads = 4});
  long sum = 0;
  rt.run([](int n, long& total) -> pr::task<> {
    pr::task_group group;
    for (int lane = 0; lane < 4; ++lane)
      group.spawn(
          [](int count, long& s) -> pr::task<> {
            for (int i = 0; i < count; ++i) s += co_await pr::blocking([] { return 1; });
          },
          n / 4, std::ref(total));
    co_await group.join();
  }(calls, sum));
  EXPECT_EQ(sum, calls / 4 * 4);
}

// Handles, files and buffers that are dropped on other threads while their runtime runs.
TEST(Wakes, handles_dropped_on_another_thread_abort_their_tasks) {
  PARKRING_NEEDS_REAL("threads");
  const int rounds = scaled(2'000);
  pr::runtime rt;
  auto asleep = rt.spawn(pr::sleep_for(1h));
  std::vector<pr::join_handle<void>> sleeping;
  for (int i = 0; i < rounds; ++i) sleeping.push_back(rt.spawn(pr::sleep_for(1h)));
  std::thread other([&, handles = std::move(sleeping), remote = rt.remote()]() mutable {
    for (auto& h : handles) h.abort();
    handles.clear();
    (void)remote.post([&] { asleep.abort(); });
  });
  rt.run([&]() -> pr::task<> { EXPECT_THROW(co_await asleep, pr::task_aborted); });
  other.join();
  EXPECT_EQ(rt.counters().tasks, 0u);
}

// A task that has ended keeps its result, and the task that spawned it, as long as there is a
// handle. Threads drop the handles of both at once, when no runtime is left to order them, or while
// it ends.
TEST(Wakes, handles_dropped_by_several_threads_around_the_end_free_each_task_once) {
  PARKRING_NEEDS_REAL("threads");
  using token = std::shared_ptr<int>;
  using handles = std::vector<pr::join_handle<token>>;
  struct family {
    static pr::task<token> member(int depth, token t, handles& all) {
      if (depth != 0) {
        for (int i = 0; i < 3; ++i) all.push_back(pr::spawn(&member, depth - 1, t, std::ref(all)));
        // Half of them end before their children do, or are aborted; the others see them end.
        for (int i = 0; i < 8; ++i) co_await pr::yield();
        if (depth % 2 == 0) co_await pr::sleep_for(1h);
      }
      co_return t;
    }
  };
  constexpr std::size_t threads = 4;
  const auto mine = std::make_shared<int>(1);
  const int rounds = under_tsan ? 100 : scaled(200);
  for (int round = 0; round < rounds; ++round) {
    handles all;
    std::atomic<std::size_t> ready{0};
    std::vector<std::thread> droppers;
    const auto begin_to_drop = [&] {
      for (std::size_t t = 0; t < threads; ++t)
        droppers.emplace_back([&, t] {
          ++ready;
          while (ready != threads) std::this_thread::yield();
          for (std::size_t i = t; i < all.size(); i += threads) {
            const pr::join_handle<token> last = std::move(all[i]);
          }
        });
    };
    const bool meanwhile = round % 2 == 0;
    {
      pr::runtime rt;
      all.push_back(rt.spawn(&family::member, 4, mine, std::ref(all)));
      rt.run(
          [](int n) -> pr::task<> {
            while (n-- > 0) co_await pr::yield();
          },
          2 + round / 2 % 32);
      if (meanwhile) {
        begin_to_drop();
        while (ready != threads) std::this_thread::yield();
      }
    }
    if (!meanwhile) begin_to_drop();
    for (auto& t : droppers) t.join();
    ASSERT_EQ(mine.use_count(), 1) << "a result was not freed, or freed twice";
  }
}

}  // namespace
