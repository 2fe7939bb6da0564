// Primitives between runtimes on several threads, and threads without one. Each test counts what
// must come out, whatever the interleaving.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/sync.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

#include "support/scale.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

// A runtime on a thread of its own that runs `fn`, several at once.
template <class Fn>
void on_threads(unsigned n, Fn fn) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < n; ++i) threads.emplace_back([&fn, i] { run(fn(i)); });
  for (auto& t : threads) t.join();
}

TEST(SyncThreads, a_mutex_excludes_across_runtimes_and_threads) {
  mutex m;
  long counter = 0;  // guarded by nothing else: the thread sanitizer looks
  constexpr int rounds = 2'000;
  std::thread plain([&] {
    for (int i = 0; i < rounds; ++i) {
      const auto held = m.blocking_lock();
      ++counter;
    }
  });
  on_threads(2, [&](unsigned) -> task<> {
    task_group g;
    for (int t = 0; t < 4; ++t)
      g.spawn([&]() -> task<> {
        for (int i = 0; i < rounds; ++i) {
          const auto held = co_await m.lock();
          ++counter;
          if (i % 64 == 0) co_await yield();
        }
      });
    co_await g.join();
  });
  plain.join();
  EXPECT_EQ(counter, 9L * rounds);
}

TEST(SyncThreads, permits_are_neither_lost_nor_doubled_under_timeouts_and_aborts) {
  semaphore s(2);
  std::atomic<int> inside{0};
  std::atomic<bool> too_many{false};
  on_threads(3, [&](unsigned seed) -> task<> {
    const auto body = [&](unsigned round) -> task<> {
      auto permit = co_await timeout(std::chrono::microseconds(round * 7 % 300), s.acquire());
      if (!permit) co_return;
      const struct counted {  // also when it is dropped
        std::atomic<int>& n;
        explicit counted(std::atomic<int>& of) : n(of) { ++n; }
        ~counted() { --n; }
      } here(inside);
      if (inside.load() > 2) too_many = true;
      if (round % 3 != 0) co_await yield();
    };
    for (unsigned i = 0; i < 1'500; ++i) {
      auto kept = spawn(body, i + seed);
      auto aborted = spawn(body, i * 31 + seed);
      co_await yield();
      aborted.abort();
      co_await std::move(kept);
    }
  });
  EXPECT_EQ(s.available(), 2u);
  EXPECT_FALSE(too_many);
}

TEST(SyncThreads, every_value_of_a_channel_arrives_once) {
  constexpr int senders = 3, each = 5'000;
  auto [tx, rx] = channel<int>(16);
  std::atomic<long> sum{0};
  std::atomic<int> count{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([from = rx, &sum, &count]() mutable {
      run([](channel_receiver<int> in, std::atomic<long>& s, std::atomic<int>& n) -> task<> {
        while (auto v = co_await in.receive()) {
          s += *v;
          ++n;
        }
      }(std::move(from), sum, count));
    });
  threads.emplace_back([from = rx, &sum, &count] {
    while (auto v = from.blocking_receive()) {
      sum += *v;
      ++count;
    }
  });
  for (int t = 0; t < senders - 1; ++t)
    threads.emplace_back([to = tx]() mutable {
      run([](channel_sender<int> out) -> task<> {
        for (int i = 1; i <= each; ++i) co_await out.send(i);
      }(std::move(to)));
    });
  threads.emplace_back([to = tx] {
    for (int i = 1; i <= each; ++i) to.blocking_send(i);
  });
  tx = {};
  rx = {};
  for (auto& t : threads) t.join();
  EXPECT_EQ(count.load(), senders * each);
  EXPECT_EQ(sum.load(), senders * (each * (each + 1L) / 2));
}

TEST(SyncThreads, receivers_that_are_dropped_all_the_time_lose_nothing) {
  constexpr int values = 20'000;
  auto [tx, rx] = unbounded_channel<int>();
  std::thread sends([to = std::move(tx)] {
    for (int i = 0; i < values; ++i) to.send(i);
  });
  std::vector<int> got;
  run([](channel_receiver<int> from, std::vector<int>& into) -> task<> {
    for (bool open = true; open;) {
      const auto receive = [&]() -> task<> {
        for (int i = 0; i < 5 && open; ++i) {
          auto v = co_await from.receive();
          open = v.has_value();
          if (v) into.push_back(*v);
        }
      };
      auto t = spawn(receive);
      co_await yield();
      t.abort();  // in the middle of whatever it does
    }
  }(std::move(rx), got));
  sends.join();
  std::vector<int> expected(values);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(got, expected);
}

TEST(SyncThreads, an_event_wakes_tasks_of_other_runtimes_and_blocked_threads) {
  for (int round = 0; round < 50; ++round) {
    event e;
    latch done(3);
    std::thread blocked([&] {
      e.blocking_wait();
      done.count_down();
    });
    std::thread runs([&] {
      run([](event& on, latch& l) -> task<> {
        task_group g;
        for (int i = 0; i < 2; ++i)
          g.spawn(
              [](event& on_, latch& l_) -> task<> {
                co_await on_.wait();
                l_.count_down();
              },
              std::ref(on), std::ref(l));
        co_await g.join();
      }(e, done));
    });
    e.set();
    done.blocking_wait();
    blocked.join();
    runs.join();
  }
}

TEST(SyncThreads, a_barrier_keeps_runtimes_in_step) {
  constexpr unsigned n = 3, phases = 300;
  barrier b(n);
  std::vector<std::atomic<unsigned>> at(n);
  std::atomic<bool> apart{false};
  on_threads(n, [&](unsigned self) -> task<> {
    for (unsigned phase = 1; phase <= phases; ++phase) {
      at[self] = phase;
      co_await b.arrive_and_wait();
      for (const auto& other : at)
        if (other < phase) apart = true;
      co_await b.arrive_and_wait();
    }
  });
  EXPECT_FALSE(apart);
  EXPECT_EQ(b.phase(), 2u * phases);
}

TEST(SyncThreads, watch_and_broadcast_reach_other_runtimes) {
  auto [wtx, wrx] = watch<int>(0);
  auto [btx, brx] = broadcast<int>(1'024);
  long sum = 0;
  int last = -1;
  std::thread reads([&, w = wrx, b = brx]() mutable {
    run([](watch_receiver<int> watched, broadcast_receiver<int> all, long& s, int& l) -> task<> {
      while (co_await watched.changed()) {
        const int now = watched.get();
        EXPECT_GE(now, l);
        l = now;
      }
      while (auto v = co_await all.receive()) s += *v;
      EXPECT_EQ(all.missed(), 0u);
    }(std::move(w), std::move(b), sum, last));
  });
  for (int i = 1; i <= 1'000; ++i) {
    wtx.send(i);
    btx.send(i);
  }
  wtx = {};
  btx = {};
  reads.join();
  EXPECT_EQ(last, 1'000);
  EXPECT_EQ(sum, 500'500);
}

TEST(SyncThreads, a_runtime_that_ends_leaves_no_waiter_behind) {
  semaphore s(0);
  for (int i = 0; i < 20; ++i) {
    std::thread brief([&] {
      runtime rt;
      auto waits =
          rt.spawn([](semaphore& of) -> task<> { (void)co_await of.acquire(); }, std::ref(s));
      rt.run(yield());
    });
    if (i % 2 == 0) s.release();  // while it waits, or ends, or is gone
    brief.join();
  }
  EXPECT_EQ(s.available(), 10u);
}

TEST(SyncThreads, what_wakes_a_task_may_be_destroyed_by_it_at_once) {
  auto [tx, rx] = channel<latch*>(1);
  auto [ptx, prx] = channel<semaphore*>(1);
  std::thread wakes([latches = std::move(rx), semaphores = std::move(prx)] {
    while (auto l = latches.blocking_receive()) (*l)->count_down();
    while (auto s = semaphores.blocking_receive()) (*s)->release(2);
  });
  run([](channel_sender<latch*> to, channel_sender<semaphore*> then) -> task<> {
    for (int i = 0; i < 3'000; ++i) {
      latch l(1);
      co_await to.send(&l);
      co_await l.wait();
    }
    to = {};
    for (int i = 0; i < 3'000; ++i) {
      semaphore s(0);
      co_await then.send(&s);
      (co_await s.acquire(2)).forget();
    }
  }(std::move(tx), std::move(ptx)));
  wakes.join();
}

TEST(SyncThreads, permits_taken_in_numbers_stay_as_many) {
  semaphore s(6);
  on_threads(3, [&](unsigned seed) -> task<> {
    for (unsigned i = 0; i < 3'000; ++i) {
      const auto some = co_await s.acquire(1 + (i + seed) % 5);
      if (i % 4 == 0) co_await yield();
    }
  });
  EXPECT_EQ(s.available(), 6u);
}

}  // namespace
}  // namespace parkring
