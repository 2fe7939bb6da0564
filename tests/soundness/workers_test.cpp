// The cases about threads, with a runtime of several workers.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/scale.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

constexpr pr::fs::open_options in_the_ring{.access = pr::fs::access::read_write,
                                           .inline_first = pr::fs::inline_mode::never};

int times(int n) {
  const char* const factor = std::getenv("PARKRING_TEST_SCALE");
  return scaled(n) * (factor != nullptr ? std::max(1, std::atoi(factor)) : 1);
}

// ---- dropped at every point; the runtime has one worker then ----

pr::task<int> number_after(int n, std::chrono::microseconds d) {
  co_await pr::sleep_for(d);
  co_return n;
}

TEST(DroppedWorkers, waits_for_remote_tasks_leave_nothing) {
  EXPECT_GT(drop_everywhere([]() -> pr::task<> {
              auto slow = pr::spawn_anywhere(number_after, 7, 50us);
              EXPECT_EQ(co_await slow, 7);
              auto ended = pr::spawn_anywhere(number_after, 8, 50us);
              co_await ended.ended();
              EXPECT_EQ(co_await std::move(ended), 8);
              auto aborted = pr::spawn_anywhere(number_after, 9, 1h);
              co_await pr::yield_anywhere();
              aborted.abort();
              co_await aborted.ended();
              auto never = pr::spawn_anywhere(number_after, 9, 1h);
              EXPECT_FALSE((co_await pr::timeout(50us, std::move(never))).has_value());
            }),
            20u);
}

// ---- case 9: cancelled twice, after completion, from another thread ----

TEST(Workers, a_task_is_aborted_twice_after_its_end_and_from_anywhere) {
  PARKRING_NEEDS_REAL("threads");
  pr::runtime rt({.workers = 3});
  for (int i = 0; i < times(500); ++i) {
    auto h = rt.spawn_anywhere(number_after, i, i % 2 == 0 ? 1us : 24h);
    std::thread other([&] {
      h.request_stop();
      h.abort();
    });
    h.abort();
    h.request_stop();
    other.join();
    h.blocking_ended();
    h.abort();
    EXPECT_TRUE(h.done());
  }
  EXPECT_EQ(rt.counters().tasks, 0u);
}

// ---- case 24: a buffer that comes back on another thread, after its ring, after its runtime ----

TEST(Workers, a_buffer_goes_from_worker_to_worker_and_outlives_them) {
  PARKRING_NEEDS_REAL("threads");
  scratch dir;
  const auto path = dir.file("data", std::string(4096, 'x'));
  pr::buffer last;
  {
    pr::runtime rt({.workers = 3});
    const auto body = [&]() -> pr::task<pr::buffer> {
      auto f = std::make_shared<pr::fs::file>(co_await pr::fs::open(path, in_the_ring));
      pr::buffer b(4096);
      for (int i = 0; i < 100; ++i) {
        auto read = [](std::shared_ptr<pr::fs::file> of, pr::buffer into) -> pr::task<pr::buffer> {
          EXPECT_EQ(co_await of->read_at(into, 0), 4096u);
          co_return into;
        };
        b = co_await pr::spawn_anywhere(read, f, std::move(b));
        EXPECT_EQ(b.bytes()[17], std::byte{'x'});
      }
      co_return b;
    };
    last = rt.run(body);
  }
  EXPECT_EQ(last.bytes()[4095], std::byte{'x'});
}

TEST(Workers, a_buffer_that_a_dropped_read_still_has_is_let_go_elsewhere) {
  PARKRING_NEEDS_REAL("threads");
  scratch dir;
  const auto path = dir.file("data", std::string(4096, 'x'));
  pr::runtime rt({.workers = 3});
  for (int i = 0; i < times(300); ++i) {
    const auto body = [&]() -> pr::task<> {
      auto f = std::make_shared<pr::fs::file>(co_await pr::fs::open(path, in_the_ring));
      std::vector<pr::remote_handle<void>> all;
      for (int k = 0; k < 6; ++k) {
        auto read = [](std::shared_ptr<pr::fs::file> of) -> pr::task<> {
          auto b = std::make_shared<pr::buffer>(4096);
          for (;;) (void)co_await of->read_at(*b, 0);
        };
        all.push_back(pr::spawn_anywhere(read, f));
      }
      co_await pr::yield();
      all.clear();  // they end later, with their requests and buffers
    };
    rt.run(body);
  }
  for (int i = 0; i < 2'000 && rt.counters().tasks + rt.counters().orphans != 0; ++i)
    rt.run(pr::sleep_for(1ms));
  const auto c = rt.counters();
  EXPECT_EQ(c.tasks, 0u);
  EXPECT_EQ(c.orphans, 0u);
  EXPECT_EQ(c.buffers, 0u);
}

// ---- case 31: files and buffers that outlive the runtime, or end on another thread ----

TEST(Workers, files_outlive_the_runtime_and_end_on_any_thread) {
  PARKRING_NEEDS_REAL("threads");
  scratch dir;
  const auto path = dir.file("data", std::string(4096, 'x'));
  const int before = open_descriptors();
  std::vector<pr::fs::file> kept;
  {
    pr::runtime rt({.workers = 2});
    const auto open = [&] { return pr::fs::open(path, in_the_ring); };
    for (int i = 0; i < 10; ++i) kept.push_back(rt.spawn_anywhere(open).blocking_join());
    std::thread other([some = std::move(kept.back())]() mutable { some = {}; });
    kept.pop_back();
    other.join();
  }
  kept.clear();
  EXPECT_LE(open_descriptors_once_below(before), before);
}

// ---- case 32: a runtime inside a task of a worker, and one destroyed there ----

TEST(Workers, a_runtime_may_run_inside_a_task_of_a_worker) {
  PARKRING_NEEDS_REAL("threads");
  pr::runtime rt({.workers = 2});
  const auto nested = []() -> pr::task<int> {
    pr::runtime inner({.workers = 2});
    const int n = inner.run(
        []() -> pr::task<int> { co_return co_await pr::spawn_anywhere(number_after, 4, 10us); });
    co_await pr::yield();
    co_return n;
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rt.spawn_anywhere(nested).blocking_join(), 4);
}

void destroy_inside() {
  auto rt = std::make_unique<pr::runtime>(pr::runtime_options{.workers = 2});
  rt->run([&]() -> pr::task<> {
    rt.reset();
    co_return;
  });
}
TEST(WorkersDeathTest, a_runtime_is_not_destroyed_inside_one_of_its_tasks) {
  PARKRING_NEEDS_REAL("threads");
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(destroy_inside(), "from inside one of its tasks");
}

// ---- case 33: wakes, aborts and drops after death ----

TEST(Workers, handles_and_events_are_used_after_the_end) {
  PARKRING_NEEDS_REAL("threads");
  auto gate = std::make_shared<pr::event>();
  std::vector<pr::remote_handle<void>> handles;
  {
    pr::runtime rt({.workers = 3});
    for (int i = 0; i < 50; ++i)
      handles.push_back(rt.spawn_anywhere(
          [](std::shared_ptr<pr::event> e) -> pr::task<> { co_await e->wait(); }, gate));
  }
  gate->set();
  for (auto& h : handles) {
    h.abort();
    h.request_stop();
    EXPECT_TRUE(h.done());
    EXPECT_THROW(h.blocking_join(), pr::task_aborted);
  }
  handles.erase(handles.begin() + 25, handles.end());
}

// Handles that are dropped while the runtime ends: each task ends once.
TEST(Workers, handles_are_dropped_around_the_end) {
  PARKRING_NEEDS_REAL("threads");
  for (int round = 0; round < times(100); ++round) {
    std::atomic<int> live{0};
    struct counting {
      std::atomic<int>& n;
      explicit counting(std::atomic<int>& c) : n(c) { ++n; }
      ~counting() { --n; }
    };
    std::vector<pr::remote_handle<void>> handles;
    std::thread other;
    {
      pr::runtime rt({.workers = 3});
      for (int i = 0; i < 40; ++i) {
        auto alive = std::make_shared<counting>(live);
        handles.push_back(rt.spawn_anywhere(
            [](std::shared_ptr<counting>, int n) -> pr::task<> {
              if (n % 3 == 0) co_return;
              co_await pr::sleep_for(n % 2 == 0 ? 10us : 24h);
            },
            std::move(alive), i));
      }
      other = std::thread([&] { handles.clear(); });
    }
    other.join();
    EXPECT_EQ(live.load(), 0);
  }
}

// ---- case 41: no wake of a worker is lost ----

TEST(Workers, work_from_several_threads_always_finds_a_worker) {
  PARKRING_NEEDS_REAL("threads");
  pr::runtime rt({.workers = 3});
  const int n = times(40'000);
  std::atomic<int> runs{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < n; ++i) {
        auto h = rt.spawn_anywhere([&runs]() -> pr::task<> {
          runs.fetch_add(1, std::memory_order_relaxed);
          co_return;
        });
        // Now and then all have gone to sleep before the next one.
        if (i % 64 == t) h.blocking_ended();
        h.detach();
      }
    });
  for (auto& t : threads) t.join();
  while (runs != 2 * n) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(runs.load(), 2 * n);
}

TEST(Workers, a_ball_between_workers_never_gets_lost) {
  PARKRING_NEEDS_REAL("threads");
  pr::runtime rt({.workers = 3});
  const int n = times(20'000);
  std::vector<pr::remote_handle<void>> all;
  for (int pair = 0; pair < 3; ++pair) {
    auto there = pr::channel<int>(1);
    auto back = pr::channel<int>(1);
    all.push_back(rt.spawn_anywhere(
        [](pr::channel_sender<int> to, pr::channel_receiver<int> from, int rounds) -> pr::task<> {
          for (int i = 0; i < rounds; ++i) {
            co_await to.send(i);
            const std::optional<int> v = co_await from.receive();
            EXPECT_EQ(v, i + 1);
            if (i % 1'000 == 0) co_await pr::sleep_for(100us);  // all sleep
          }
        },
        std::move(there.sender), std::move(back.receiver), n));
    all.push_back(rt.spawn_anywhere(
        [](pr::channel_sender<int> to, pr::channel_receiver<int> from) -> pr::task<> {
          for (;;) {
            const std::optional<int> v = co_await from.receive();
            if (!v) co_return;
            co_await to.send(*v + 1);
          }
        },
        std::move(back.sender), std::move(there.receiver)));
  }
  for (auto& h : all) h.blocking_join();
}

TEST(Workers, a_child_process_lets_everything_be) {
  PARKRING_NEEDS_REAL("threads");
  pr::runtime rt({.workers = 2});
  auto h = rt.spawn_anywhere(number_after, 3, 24h);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    h.abort();
    { auto dropped = std::move(h); }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  h.abort();
  h.blocking_ended();
}

}  // namespace
