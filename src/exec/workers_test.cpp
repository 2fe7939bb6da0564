#include <parkring/spawn_anywhere.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <parkring/blocking.hpp>
#include <parkring/deadline.hpp>
#include <parkring/event.hpp>
#include <parkring/race.hpp>
#include <parkring/runtime.hpp>
#include <parkring/stop.hpp>
#include <parkring/sync/channel.hpp>
#include <parkring/sync/mutex.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>
#include <parkring/when_all.hpp>

#include "support/scale.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

// Counts those that live, on whatever thread.
struct counted {
  explicit counted(std::atomic<int>& n) noexcept : live(&n) { ++*live; }
  counted(counted&& other) noexcept : live(other.live) { ++*live; }
  counted(const counted& other) noexcept : live(other.live) { ++*live; }
  ~counted() { --*live; }
  std::atomic<int>* live;
};

task<int> twice(int n) { co_return 2 * n; }
task<> sleeps_for_ever(counted) { co_await sleep_for(24h); }
task<> fails() {
  co_await yield();
  throw std::runtime_error("as it was told to");
}

class Workers : public ::testing::TestWithParam<unsigned> {
 protected:
  [[nodiscard]] static runtime_options with(unsigned n) {
    runtime_options o;
    o.workers = n;
    o.entries = 32;
    return o;
  }
  runtime rt{with(GetParam())};
};

INSTANTIATE_TEST_SUITE_P(, Workers, ::testing::Values(1U, 2U, 4U),
                         [](const auto& of) { return std::to_string(of.param); });

TEST_P(Workers, there_are_as_many_as_asked_for) {
  EXPECT_EQ(rt.workers(), GetParam());
  EXPECT_EQ(rt.run([]() -> task<unsigned> { co_return this_task::worker(); }), 0u);
}

TEST_P(Workers, a_task_gives_its_result) {
  const int n = rt.run([]() -> task<int> { co_return co_await spawn_anywhere(twice, 21); });
  EXPECT_EQ(n, 42);
}

TEST_P(Workers, a_task_gives_what_can_only_be_moved) {
  auto p = rt.run([]() -> task<std::unique_ptr<int>> {
    auto h =
        spawn_anywhere([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); });
    co_return co_await std::move(h);
  });
  EXPECT_EQ(*p, 7);
}

TEST_P(Workers, an_awaitable_will_do) {
  rt.run([]() -> task<> {
    auto h = spawn_anywhere([] { return sleep_for(1ms); });
    co_await h;
  });
}

TEST_P(Workers, what_a_task_throws_is_thrown_where_it_is_awaited) {
  EXPECT_THROW(rt.run([]() -> task<> { co_await spawn_anywhere(fails); }), std::runtime_error);
}

TEST_P(Workers, a_call_that_throws_has_failed) {
  const auto body = []() -> task<> {
    auto h = spawn_anywhere([]() -> task<int> { throw std::logic_error("at once"); });
    (void)co_await h;
  };
  EXPECT_THROW(rt.run(body), std::logic_error);
}

TEST_P(Workers, a_detached_task_goes_on_and_its_failure_is_told) {
  event done;
  const auto body = [&]() -> task<> {
    spawn_anywhere(
        [](event& e) -> task<> {
          co_await sleep_for(1ms);
          e.set();
        },
        std::ref(done))
        .detach();
    co_await done.wait();
    auto failing = spawn_anywhere(fails);
    co_await failing.ended();
    EXPECT_TRUE(failing.done());
    ::testing::internal::CaptureStderr();
    failing.detach();
    EXPECT_NE(::testing::internal::GetCapturedStderr().find("as it was told to"),
              std::string::npos);
  };
  rt.run(body);
}

TEST_P(Workers, from_another_thread) {
  event stop;
  std::thread other([&] {
    auto h = rt.spawn_anywhere(twice, 4);
    EXPECT_EQ(h.blocking_join(), 8);
    stop.set();
  });
  rt.run(stop.wait());
  other.join();
}

TEST_P(Workers, a_dropped_handle_aborts) {
  std::atomic<int> live{0};
  const auto body = [&]() -> task<> {
    {
      auto h = spawn_anywhere(sleeps_for_ever, counted(live));
      co_await sleep_for(1ms);
      EXPECT_GE(live.load(), 1);
    }
    while (live.load() != 0) co_await sleep_for(1ms);
  };
  rt.run(body);
  EXPECT_EQ(live.load(), 0);
}

TEST_P(Workers, an_aborted_one_is_gone_when_it_has_ended) {
  std::atomic<int> live{0};
  const auto body = [&]() -> task<> {
    for (int i = 0; i < 100; ++i) {
      auto h = spawn_anywhere(sleeps_for_ever, counted(live));
      if (i % 3 != 0) co_await yield();
      if (i % 3 == 2) co_await sleep_for(100us);
      h.abort();
      h.abort();
      co_await h.ended();
      EXPECT_EQ(live.load(), 0);
      EXPECT_TRUE(h.done());
      try {
        co_await h;
        ADD_FAILURE() << "it was aborted";
      } catch (const task_aborted&) {
      }
    }
  };
  rt.run(body);
}

TEST_P(Workers, a_task_may_abort_itself) {
  const auto body = []() -> task<> {
    auto shared = std::make_shared<std::optional<remote_handle<void>>>();
    auto ready = std::make_shared<event>();
    *shared = spawn_anywhere(
        [](std::shared_ptr<std::optional<remote_handle<void>>> me,
           std::shared_ptr<event> go) -> task<> {
          co_await go->wait();
          (*me)->abort();
          co_await sleep_for(24h);
        },
        shared, ready);
    ready->set();
    co_await (*shared)->ended();
  };
  rt.run(body);
}

TEST_P(Workers, a_stop_request_arrives) {
  const auto body = []() -> task<> {
    for (int i = 0; i < 50; ++i) {
      auto h = spawn_anywhere([]() -> task<int> {
        co_await stopped();
        co_return 5;
      });
      if (i % 2 == 0) co_await sleep_for(100us);
      h.request_stop();
      h.request_stop();
      EXPECT_EQ(co_await h, 5);
    }
  };
  rt.run(body);
}

TEST_P(Workers, all_of_many_run_once) {
  const int n = testing::scaled(100'000);
  std::atomic<int> runs{0};
  const auto body = [&]() -> task<> {
    std::vector<remote_handle<void>> handles;
    for (int i = 0; i < n; ++i)
      handles.push_back(spawn_anywhere(
          [](std::atomic<int>& r) -> task<> {
            r.fetch_add(1, std::memory_order_relaxed);
            co_return;
          },
          std::ref(runs)));
    for (auto& h : handles) co_await h;
  };
  rt.run(body);
  EXPECT_EQ(runs.load(), n);
}

task<int> tree(int depth) {
  if (depth == 0) co_return 1;
  auto left = spawn_anywhere(tree, depth - 1);
  auto right = spawn_anywhere(tree, depth - 1);
  const int l = co_await left;
  co_return l + co_await right;
}

TEST_P(Workers, a_tree_of_tasks) { EXPECT_EQ(rt.run(tree(10)), 1024); }

TEST_P(Workers, values_go_through_channels_between_them) {
  constexpr int producers = 4, each = 500;
  const auto body = []() -> task<long> {
    auto [to, from] = channel<int>(8);
    auto sum = std::make_shared<std::atomic<long>>(0);
    std::vector<remote_handle<void>> makers, takers;
    for (int p = 0; p < producers; ++p)
      makers.push_back(spawn_anywhere(
          [](channel_sender<int> out) -> task<> {
            for (int i = 1; i <= each; ++i) co_await out.send(i);
          },
          to));
    to = {};
    for (int p = 0; p < 3; ++p)
      takers.push_back(spawn_anywhere(
          [](channel_receiver<int> in, std::shared_ptr<std::atomic<long>> into) -> task<> {
            for (;;) {
              const std::optional<int> v = co_await in.receive();
              if (!v) co_return;
              into->fetch_add(*v);
            }
          },
          from, sum));
    for (auto& m : makers) co_await m;
    for (auto& t : takers) co_await t;
    co_return sum->load();
  };
  EXPECT_EQ(rt.run(body), long{producers} * each * (each + 1) / 2);
}

TEST_P(Workers, a_mutex_excludes) {
  const auto body = []() -> task<long> {
    struct state {
      mutex m;
      long n = 0;
    };
    auto s = std::make_shared<state>();
    std::vector<remote_handle<void>> all;
    for (int i = 0; i < 8; ++i)
      all.push_back(spawn_anywhere(
          [](std::shared_ptr<state> of) -> task<> {
            for (int k = 0; k < 200; ++k) {
              auto guard = co_await of->m.lock();
              ++of->n;
              if (k % 16 == 0) co_await yield();
            }
          },
          s));
    for (auto& h : all) co_await h;
    co_return s->n;
  };
  EXPECT_EQ(rt.run(body), 1'600);
}

TEST_P(Workers, a_task_has_timers_children_and_blocking_calls) {
  const auto body = []() -> task<int> {
    co_return co_await spawn_anywhere([]() -> task<int> {
      task_group group;
      int sum = 0;
      for (int i = 0; i < 10; ++i)
        group.spawn(
            [](int& s) -> task<> {
              co_await sleep_for(1ms);
              ++s;
            },
            std::ref(sum));
      co_await group.join();
      auto call = [] { return 5; };
      sum += co_await blocking(call);
      co_return sum;
    });
  };
  EXPECT_EQ(rt.run(body), 15);
}

TEST_P(Workers, an_end_of_the_runtime_ends_all) {
  std::atomic<int> live{0};
  std::vector<remote_handle<void>> handles;
  {
    runtime other(with(GetParam()));
    const auto body = [&]() -> task<> {
      for (int i = 0; i < 200; ++i) {
        handles.push_back(spawn_anywhere(sleeps_for_ever, counted(live)));
        if (i % 50 == 0) co_await yield();
      }
    };
    other.run(body);
    for (int i = 0; i < 50; ++i)
      handles.push_back(other.spawn_anywhere(sleeps_for_ever, counted(live)));
  }
  EXPECT_EQ(live.load(), 0);
  for (auto& h : handles) EXPECT_TRUE(h.done());
  EXPECT_THROW(handles.front().blocking_join(), task_aborted);
}

TEST_P(Workers, handles_are_dropped_by_other_threads) {
  std::atomic<int> live{0};
  const int rounds = testing::scaled(2'000);
  auto [to_drop, dropped] = channel<remote_handle<void>>(64);
  std::array<std::thread, 2> droppers;
  for (auto& t : droppers)
    t = std::thread([from = dropped] {
      for (;;) {
        std::optional<remote_handle<void>> h = from.blocking_receive();
        if (!h) return;
      }
    });
  auto body = [&, to = std::move(to_drop)]() mutable -> task<> {
    for (int i = 0; i < rounds; ++i) {
      auto h = spawn_anywhere(
          [](counted c, int n) -> task<> {
            for (int k = 0; k < n % 5; ++k) co_await yield_anywhere();
            if (n % 3 == 0) co_await sleeps_for_ever(std::move(c));
          },
          counted(live), i);
      co_await to.send(std::move(h));
    }
    to = {};
    while (live.load() != 0) co_await sleep_for(1ms);
  };
  rt.run(std::move(body));  // with the sender
  for (auto& t : droppers) t.join();
  EXPECT_EQ(live.load(), 0);
}

TEST_P(Workers, a_yield_anywhere_is_a_yield_at_least) {
  const auto body = []() -> task<int> {
    std::vector<remote_handle<int>> all;
    for (int i = 0; i < 8; ++i)
      all.push_back(spawn_anywhere([]() -> task<int> {
        int n = 0;
        for (; n < 1'000; ++n) co_await yield_anywhere();
        co_return n;
      }));
    int sum = 0;
    for (auto& h : all) sum += co_await h;
    co_return sum;
  };
  EXPECT_EQ(rt.run(body), 8'000);
}

// ---- with two, what one cannot ----

TEST(ManyWorkers, run_at_the_same_time) {
  runtime rt({.workers = 2});
  const auto body = []() -> task<std::set<std::thread::id>> {
    auto both = std::make_shared<std::latch>(2);
    const auto wait = [](std::shared_ptr<std::latch> l) -> task<std::thread::id> {
      l->arrive_and_wait();  // blocks its worker until the other has come
      co_return std::this_thread::get_id();
    };
    auto a = spawn_anywhere(wait, both);
    auto b = spawn_anywhere(wait, both);
    std::set<std::thread::id> ids;
    ids.insert(co_await a);
    ids.insert(co_await b);
    co_return ids;
  };
  for (int i = 0; i < 20; ++i) EXPECT_EQ(rt.run(body).size(), 2u);
}

TEST(ManyWorkers, work_while_nobody_runs_the_first) {
  runtime rt({.workers = 2});
  auto h = rt.spawn_anywhere([]() -> task<unsigned> {
    co_await sleep_for(1ms);
    co_return this_task::worker();
  });
  EXPECT_EQ(h.blocking_join(), 1u);
}

TEST(ManyWorkers, what_is_left_when_run_returns_is_taken_by_others) {
  runtime rt({.workers = 2});
  auto handles = rt.run([]() -> task<std::vector<remote_handle<int>>> {
    std::vector<remote_handle<int>> made;
    for (int i = 0; i < 1'000; ++i) made.push_back(spawn_anywhere(twice, i));
    co_return made;
  });
  for (int i = 0; i < 1'000; ++i)
    EXPECT_EQ(handles[static_cast<std::size_t>(i)].blocking_join(), 2 * i);
}

// Keeps its worker's thread until told, or for a moment.
task<void> holds_its_worker(std::atomic<bool>& moved) {
  const auto end = std::chrono::steady_clock::now() + 10ms;
  while (!moved.load(std::memory_order_relaxed) && std::chrono::steady_clock::now() < end) {
  }
  co_return;
}

// Moves when the holder runs first on the worker that both are on: the other worker is idle then.
task<bool> gets_about(std::atomic<bool>& moved) {
  const unsigned first = this_task::worker();
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (std::chrono::steady_clock::now() < end) {
    auto holder = spawn_anywhere(holds_its_worker, std::ref(moved));
    co_await yield_anywhere();
    moved.store(this_task::worker() != first, std::memory_order_relaxed);
    co_await holder;
    if (moved.load(std::memory_order_relaxed)) co_return true;
  }
  co_return false;
}

TEST(ManyWorkers, a_task_moves_at_yield_anywhere) {
  runtime rt({.workers = 3});
  std::atomic<bool> moved = false;
  EXPECT_TRUE(rt.spawn_anywhere(gets_about, std::ref(moved)).blocking_join());
  EXPECT_GE(rt.counters().moves, 1u);
}

TEST(ManyWorkers, a_task_with_ties_stays) {
  runtime rt({.workers = 2});
  const auto stays = [](auto tie) {
    return [tie]() -> task<bool> {
      [[maybe_unused]] auto tied = tie();
      const unsigned first = this_task::worker();
      bool same = true;
      for (int i = 0; i < 2'000; ++i) {
        co_await yield_anywhere();
        same = same && this_task::worker() == first;
      }
      co_return same;
    };
  };
  const auto nothing = []() -> task<> { co_await sleep_for(24h); };
  EXPECT_TRUE(rt.spawn_anywhere(stays([nothing] { return spawn(nothing); })).blocking_join());
  EXPECT_TRUE(rt.spawn_anywhere(stays([] { return this_task::stop_token(); })).blocking_join());
  // Within a combinator others wait for the same task.
  EXPECT_TRUE(rt.spawn_anywhere([stays]() -> task<bool> {
                  auto body = stays([] { return 0; });
                  auto second = stays([] { return 1; });
                  const auto [a, b] = co_await when_all(body(), second());
                  co_return a&& b;
                }).blocking_join());
  EXPECT_TRUE(rt.spawn_anywhere([stays]() -> task<bool> {
                  auto body = stays([] { return 0; });
                  const std::optional<bool> r = co_await timeout(1h, body());
                  co_return r.value_or(false);
                }).blocking_join());
}

TEST(ManyWorkers, counters_and_dumps_tell_of_all) {
  runtime rt({.workers = 3});
  std::atomic<int> begun{0};
  std::vector<remote_handle<void>> handles;
  for (int i = 0; i < 10; ++i)
    handles.push_back(rt.spawn_anywhere(
        [](std::atomic<int>& n) -> task<> {
          ++n;
          co_await sleep_for(24h);
        },
        std::ref(begun)));
  while (begun != 10) std::this_thread::yield();
  const runtime_counters c = rt.counters();
  EXPECT_EQ(c.tasks, 10u);
  EXPECT_GE(c.injections, 1u);
  const runtime_dump d = rt.dump();
  ASSERT_EQ(d.tasks.size(), 10u);
  EXPECT_EQ(d.tasks.back().number, 10u);
  EXPECT_NE(to_string(d).find("sleep"), std::string::npos);
}

TEST(ManyWorkers, runtimes_come_and_go) {
  for (int i = 0; i < 20; ++i) {
    runtime rt({.workers = 3});
    std::vector<remote_handle<int>> handles;
    for (int k = 0; k < i; ++k) handles.push_back(rt.spawn_anywhere(twice, k));
    if (i % 2 == 0)
      for (auto& h : handles) (void)h.blocking_ended();
  }
}

}  // namespace
}  // namespace parkring
