#include <parkring/runtime.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <parkring/blocking.hpp>
#include <parkring/buffer.hpp>
#include <parkring/link.hpp>
#include <parkring/nop.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int many = 2'000;
#else
constexpr int many = 20'000;
#endif

task<int> number(int n) { co_return n; }

TEST(Runtime, runs_tasks_callables_and_other_awaitables) {
  runtime rt;
  EXPECT_EQ(rt.run(number(1)), 1);
  EXPECT_EQ(rt.run(number, 2), 2);
  EXPECT_EQ(
      rt.run([](std::unique_ptr<int> p) -> task<int> { co_return *p; }, std::make_unique<int>(3)),
      3);
  rt.run(nop());
  rt.run(sleep_for(1us));
}

TEST(Runtime, throws_what_the_task_throws_and_can_be_used_again) {
  runtime rt;
  EXPECT_THROW(rt.run([]() -> task<> {
    throw std::logic_error("x");
    co_return;
  }),
               std::logic_error);
  EXPECT_EQ(rt.run(number(4)), 4);
}

TEST(Runtime, other_tasks_stay_and_go_on_with_the_next_run) {
  runtime rt;
  int steps = 0;
  auto h = rt.spawn([&]() -> task<int> {
    for (; steps < 100; ++steps) co_await nop();
    co_return steps;
  });
  EXPECT_EQ(steps, 0) << "it runs during run";
  rt.run([]() -> task<> {
    co_await nop();
    co_await nop();
  });
  EXPECT_GT(steps, 0);
  EXPECT_LT(steps, 100);
  EXPECT_FALSE(h.done());
  EXPECT_EQ(rt.run([&]() -> task<int> { co_return co_await h; }), 100);
}

TEST(Runtime, its_end_destroys_every_task_wherever_it_is) {
  auto held = std::make_shared<int>(1);
  const auto frames = detail::frames_out();
  {
    runtime rt;
    auto wait = [](std::shared_ptr<int>) -> task<> { co_await sleep_for(1h); };
    auto spin = [](std::shared_ptr<int>) -> task<> {
      for (;;) co_await yield();
    };
    auto ask = [](std::shared_ptr<int>) -> task<> {
      for (;;) co_await nop();
    };
    rt.run([&]() -> task<> {
      spawn(wait, held).detach();
      spawn(spin, held).detach();
      spawn(ask, held).detach();
      for (int i = 0; i < 3; ++i) co_await yield();
      spawn(wait, held).detach();  // never begun
    });
    EXPECT_EQ(held.use_count(), 5);
    EXPECT_EQ(rt.counters().tasks, 4U);
  }
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(detail::frames_out(), frames);
}

TEST(Runtime, tasks_spawned_by_destructors_at_its_end_are_destroyed_at_once) {
  auto held = std::make_shared<int>(1);
  {
    runtime rt;
    struct spawner {
      std::shared_ptr<int> p;
      explicit spawner(std::shared_ptr<int> q) : p(std::move(q)) {}
      ~spawner() {
        spawn([](std::shared_ptr<int>) -> task<> { co_return; }, p).detach();
      }
    };
    rt.run([&]() -> task<> {
      spawn([&]() -> task<> {
        spawner s(held);
        co_await sleep_for(1h);
      }).detach();
      co_await yield();
    });
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Runtime, post_runs_functions_in_order_from_any_thread) {
  runtime rt;
  std::vector<int> seen;
  const auto here = std::this_thread::get_id();
  rt.run([&]() -> task<> {
    std::thread other([remote = rt.remote(), &seen, here] {
      for (int i = 0; i < many; ++i)
        EXPECT_TRUE(remote.post([i, &seen, here] {
          if (std::this_thread::get_id() == here) seen.push_back(i);
        }));
    });
    while (seen.size() != static_cast<std::size_t>(many)) co_await sleep_for(100us);
    other.join();
  });
  for (int i = 0; i < many; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], i);
}

TEST(Runtime, a_post_wakes_a_runtime_that_sleeps) {
  runtime rt;
  bool posted = false;
  rt.run([&]() -> task<> {
    std::optional<join_handle<void>> sleeper;
    sleeper.emplace(spawn([]() -> task<> { co_await sleep_for(1h); }));
    std::thread other([&] {
      std::this_thread::sleep_for(2ms);
      rt.post([&] {
        posted = true;
        sleeper->abort();
      });
    });
    try {
      co_await *sleeper;
    } catch (const task_aborted&) {
    }
    other.join();
  });
  EXPECT_TRUE(posted);
  EXPECT_LE(rt.counters().wakes, 1U);
}

TEST(Runtime, a_post_may_start_a_task) {
  runtime rt;
  int value = 0;
  rt.run([&]() -> task<> {
    std::thread([&] {
      rt.post([&] {
        spawn([&]() -> task<> {
          co_await nop();
          value = 5;
        }).detach();
      });
    }).join();
    while (value == 0) co_await yield();
  });
  EXPECT_EQ(value, 5);
}

TEST(Runtime, a_post_after_its_end_is_refused_and_the_function_destroyed) {
  auto held = std::make_shared<int>(1);
  std::optional<remote> r;
  {
    runtime rt;
    r.emplace(rt.remote());
    rt.run(nop());
  }
  EXPECT_FALSE(r->post([held] { FAIL(); }));
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Runtime, what_was_posted_and_accepted_is_run_even_at_the_end) {
  int ran = 0;
  {
    runtime rt;
    rt.run(nop());
    rt.post([&] { ++ran; });
  }
  EXPECT_EQ(ran, 1);
}

TEST(Runtime, counts_what_it_does) {
  runtime rt;
  rt.run(nop());  // what a runtime does once is done now
  const auto before = rt.counters();
  rt.run([]() -> task<> {
    for (int i = 0; i < 10; ++i) co_await nop();
  });
  const auto after = rt.counters();
  EXPECT_EQ(after.submissions - before.submissions, 10U);
  EXPECT_GE(after.completions - before.completions, 10U);
  EXPECT_GE(after.enters - before.enters, 10U);
  EXPECT_GE(after.turns - before.turns, 10U);
  EXPECT_EQ(after.operations, 0U);
  EXPECT_EQ(after.orphans, 0U);
  EXPECT_EQ(after.tasks, 0U);
}

TEST(Runtime, says_what_serves_it_and_why) {
  runtime rt;
  EXPECT_TRUE(rt.kernel() == "linux" || rt.kernel() == "threads") << rt.kernel();
  EXPECT_FALSE(rt.kernel_reason().empty());
}

TEST(Runtime, counts_the_buffers_that_are_out) {
  runtime rt;
  rt.run([&]() -> task<> {
    EXPECT_EQ(rt.counters().buffers, 0U);
    buffer a(1000), b(5000);
    EXPECT_EQ(rt.counters().buffers, 2U);
    co_return;
  });
  EXPECT_EQ(rt.counters().buffers, 0U);
}

TEST(Runtime, small_queues_and_few_records_only_slow_it_down) {
  for (const unsigned entries : {1U, 2U}) {
    runtime rt({.entries = entries, .max_operations = 3});
    int done = 0;
    rt.run([&]() -> task<> {
      task_group g;
      for (int i = 0; i < 200; ++i)
        g.spawn([&]() -> task<> {
          for (int k = 0; k < 3; ++k) co_await nop();
          ++done;
        });
      co_await g.join();
    });
    EXPECT_EQ(done, 200);
    EXPECT_GT(rt.counters().starvations, 0U);
    EXPECT_EQ(rt.counters().operations, 0U);
  }
}

TEST(Runtime, two_runtimes_of_one_thread_do_not_mix) {
  runtime a, b;
  int from_a = 0;
  auto h = a.spawn([&]() -> task<> {
    for (;; co_await nop()) ++from_a;
  });
  b.run(nop());
  EXPECT_EQ(from_a, 0);
  a.run(nop());
  EXPECT_GT(from_a, 0);
}

TEST(Runtime, many_runtimes_come_and_go_without_leaving_descriptors) {
  const auto lowest_free = [] {
    const int fd = ::dup(0);
    ::close(fd);
    return fd;
  };
  run(number(1));
  const int before = lowest_free();
  for (int i = 0; i < 40; ++i) EXPECT_EQ(run(number(i)), i);
  EXPECT_EQ(lowest_free(), before);
}

TEST(Runtime, frames_are_recycled) {
  runtime rt;
  const auto out = detail::frames_out();
  rt.run([&]() -> task<> {
    for (int i = 0; i < 100; ++i) {
      auto h = spawn(number(i));
      co_await h;
    }
  });
  EXPECT_EQ(detail::frames_out(), out);
}

TEST(Runtime, options_beyond_all_bounds_mean_the_bound) {
  using std::chrono::milliseconds;
  for (const auto patience : {milliseconds::max(), milliseconds::min(), milliseconds(-1)}) {
    runtime rt({.max_operations = SIZE_MAX, .shutdown_patience = patience});
    auto asleep = rt.spawn(blocking([] {}));
    rt.run([]() -> task<> {
      co_await nop();
      co_await link(nop(), nop());
    });
    EXPECT_EQ(rt.counters().operations, 0U);
    const auto idle = rt.spawn(sleep_for(1h));
  }  // an overflow would end at once what has patience, or wait where there is none
}

TEST(Runtime, a_run_gives_the_reference_that_its_task_gives) {
  runtime rt;
  int value = 1;
  auto give = [&]() -> task<int&> { co_return value; };
  EXPECT_EQ(&rt.run(give()), &value);
  EXPECT_EQ(&rt.run(give), &value) << "made by a function as well";
}

}  // namespace
}  // namespace parkring
