#include <parkring/blocking.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

// Holds back a call until the test lets it go.
struct gate {
  std::atomic<bool> open{false};
  std::atomic<int> inside{0};
  void pass() {
    ++inside;
    while (!open) std::this_thread::sleep_for(100us);
  }
};

TEST(Blocking, runs_on_another_thread_and_gives_the_value) {
  const auto here = std::this_thread::get_id();
  auto body = [&]() -> task<> {
    const auto there = co_await blocking([] { return std::this_thread::get_id(); });
    EXPECT_NE(there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
    auto p = co_await blocking([] { return std::make_unique<int>(3); });
    EXPECT_EQ(*p, 3);
    int called = 0;
    co_await blocking([&] { ++called; });
    EXPECT_EQ(called, 1);
    int value = 0;
    int& r = co_await blocking([&]() -> int& { return value; });
    EXPECT_EQ(&r, &value);
  };
  run(body());
}

TEST(Blocking, takes_a_move_only_function) {
  auto body = []() -> task<int> {
    auto fn = [p = std::make_unique<int>(8)] { return *p; };
    co_return co_await blocking(std::move(fn));
  };
  EXPECT_EQ(run(body()), 8);
}

TEST(Blocking, what_the_function_throws_is_thrown_in_the_task) {
  auto body = []() -> task<> {
    co_await blocking([]() -> int { throw std::runtime_error("blocked"); });
  };
  EXPECT_THROW(run(body()), std::runtime_error);
}

TEST(Blocking, never_runs_more_calls_at_once_than_allowed_and_runs_them_all) {
  runtime rt({.blocking_threads = 2});
  std::atomic<int> now{0}, most{0}, done{0};
  rt.run([&]() -> task<> {
    task_group g;
    for (int i = 0; i < 40; ++i)
      g.spawn([&]() -> task<> {
        co_await blocking([&] {
          const int n = ++now;
          int seen = most;
          while (seen < n && !most.compare_exchange_weak(seen, n)) {
          }
          std::this_thread::sleep_for(200us);
          --now;
          ++done;
        });
      });
    co_await g.join();
  });
  EXPECT_EQ(done, 40);
  EXPECT_GE(most, 1);
  EXPECT_LE(most, 2);
}

TEST(Blocking, the_runtime_goes_on_meanwhile) {
  gate g;
  auto body = [&]() -> task<> {
    auto h = spawn([&]() -> task<> { co_await blocking([&] { g.pass(); }); });
    while (g.inside == 0) co_await yield();
    co_await sleep_for(1ms);
    EXPECT_FALSE(h.done());
    g.open = true;
    co_await h;
  };
  run(body());
}

TEST(Blocking, a_dropped_call_that_has_not_begun_is_not_run) {
  runtime rt({.blocking_threads = 1});
  gate g;
  std::atomic<bool> ran{false};
  rt.run([&]() -> task<> {
    auto first = spawn([&]() -> task<> { co_await blocking([&] { g.pass(); }); });
    while (g.inside == 0) co_await yield();
    auto second = spawn([&]() -> task<> { co_await blocking([&] { ran = true; }); });
    co_await yield();
    second.abort();
    g.open = true;
    co_await first;
    co_await blocking([] {});  // comes behind the dropped one
  });
  EXPECT_FALSE(ran);
}

TEST(Blocking, the_result_of_a_dropped_call_is_destroyed_on_the_runtimes_thread) {
  struct tell {
    std::thread::id* where;
    explicit tell(std::thread::id* w) : where(w) {}
    tell(tell&& other) noexcept : where(std::exchange(other.where, nullptr)) {}
    ~tell() {
      if (where != nullptr) *where = std::this_thread::get_id();
    }
  };
  gate g;
  std::thread::id destroyed_on;
  auto body = [&]() -> task<> {
    auto h = spawn([&]() -> task<> {
      auto t = co_await blocking([&] {
        g.pass();
        return tell(&destroyed_on);
      });
      (void)t;
    });
    while (g.inside == 0) co_await yield();
    h.abort();
    EXPECT_TRUE(h.done()) << "the drop does not wait";
    g.open = true;
    while (destroyed_on == std::thread::id()) co_await sleep_for(200us);
    EXPECT_EQ(destroyed_on, std::this_thread::get_id());
  };
  run(body());
}

TEST(Blocking, a_runtime_ends_although_a_call_is_under_way) {
  auto held = std::make_shared<std::atomic<bool>>(false);
  {
    runtime rt;
    rt.run([&]() -> task<> {
      std::atomic<bool> inside{false};
      spawn([&, h = held]() -> task<> {
        auto fn = [&inside, h] {
          inside = true;
          std::this_thread::sleep_for(2ms);
          *h = true;
        };
        co_await blocking(std::move(fn));
      }).detach();
      while (!inside) co_await yield();
    });
  }
  EXPECT_TRUE(*held) << "the destructor waited for it";
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Blocking, a_call_may_end_long_after_its_runtime) {
  auto go = std::make_shared<std::atomic<bool>>(false);
  std::weak_ptr<std::atomic<bool>> watch = go;
  {
    runtime rt({.shutdown_patience = 1ms});
    rt.run([&]() -> task<> {
      auto inside = std::make_shared<std::atomic<bool>>(false);
      spawn([inside, go]() -> task<> {
        auto fn = [inside, go] {
          *inside = true;
          while (!*go) std::this_thread::sleep_for(100us);
        };
        co_await blocking(std::move(fn));
      }).detach();
      while (!*inside) co_await yield();
    });
  }
  go->store(true);
  go.reset();
  while (!watch.expired()) std::this_thread::sleep_for(100us);
}

TEST(Blocking, a_call_wakes_its_runtime_although_every_record_is_in_use) {
  runtime rt({.max_operations = 1});
  rt.run([]() -> task<> {
    // A sleeping runtime hears of other threads by a request of its own.
    auto n = co_await timeout(10s, blocking([] {
                                std::this_thread::sleep_for(2ms);
                                return 4;
                              }));
    EXPECT_EQ(n, std::optional(4));
  });
}

}  // namespace
}  // namespace parkring
