#include <parkring/timeout.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>

#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

task<int> number(int n) { co_return n; }
task<int> waits(std::shared_ptr<int>) {
  co_await sleep_for(1h);
  co_return 0;
}
// Keeps the thread busy until `t`.
void burn_until(clock::time_point t) {
  while (clock::now() < t) {
  }
}

TEST(Timeout, gives_the_value_when_it_comes_in_time) {
  auto body = []() -> task<> {
    auto at_once = co_await timeout(1h, number(3));
    EXPECT_EQ(at_once, std::optional(3));
    auto later = co_await timeout(1h, []() -> task<int> {
      co_await nop();
      co_return 4;
    }());
    EXPECT_EQ(later, std::optional(4));
    const bool in_time = co_await timeout(1h, nop());
    EXPECT_TRUE(in_time);
  };
  run(body());
}

TEST(Timeout, gives_nothing_when_time_is_up_and_the_rest_is_gone_by_then) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    const auto start = clock::now();
    auto n = co_await timeout(2ms, waits(held));
    EXPECT_FALSE(n.has_value());
    EXPECT_GE(clock::now() - start, 2ms);
    EXPECT_EQ(held.use_count(), 1);
    const bool in_time = co_await timeout(1ms, sleep_for(1h));
    EXPECT_FALSE(in_time);
  };
  run(body());
}

TEST(Timeout, takes_a_point_in_time) {
  auto body = []() -> task<> {
    const auto t = clock::now() + 1ms;
    const bool in_time = co_await timeout_at(t, sleep_for(1h));
    EXPECT_FALSE(in_time);
    EXPECT_GE(clock::now(), t);
  };
  run(body());
}

TEST(Timeout, a_deadline_in_the_past_still_delivers_what_is_ready) {
  auto body = []() -> task<> {
    auto n = co_await timeout(-1s, number(5));
    EXPECT_EQ(n, std::optional(5));
    auto none = co_await timeout(0s, waits(nullptr));
    EXPECT_FALSE(none.has_value());
  };
  run(body());
}

TEST(Timeout, a_duration_beyond_the_clock_means_for_ever) {
  auto body = []() -> task<> {
    const bool in_time = co_await timeout(std::chrono::hours::max(), nop());
    EXPECT_TRUE(in_time);
  };
  run(body());
}

TEST(Timeout, a_result_that_is_there_together_with_the_deadline_is_delivered) {
  // Both the request and the timer are done when the loop next looks: the result must win.
  runtime rt;
  if (rt.reader() == completion_reader::reader_thread)
    GTEST_SKIP() << "a result that another thread has to hand over need not be there by then";
  auto body = []() -> task<> {
    for (int i = 0; i < 20; ++i) {
      auto late = spawn([]() -> task<> {
        co_await yield();
        burn_until(clock::now() + 300us);
      });
      const bool in_time = co_await timeout(100us, nop());
      EXPECT_TRUE(in_time);
      co_await late;
    }
  };
  rt.run(body());
}

TEST(Timeout, what_the_awaited_throws_is_thrown) {
  auto body = []() -> task<> {
    co_await timeout(1h, []() -> task<int> {
      co_await nop();
      throw std::runtime_error("inside");
      co_return 0;
    }());
  };
  EXPECT_THROW(run(body()), std::runtime_error);
}

TEST(Timeout, gives_move_only_values) {
  auto body = []() -> task<int> {
    auto p = co_await timeout(
        1h, []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(6); }());
    co_return **p;
  };
  EXPECT_EQ(run(body()), 6);
}

TEST(Timeout, dropping_it_drops_what_it_awaits_and_its_timer) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto h = spawn([](std::shared_ptr<int> p) -> task<> { co_await timeout(1h, waits(p)); }, held);
    co_await yield();
    h.abort();
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

TEST(Timeout, nested_timeouts_end_by_the_nearer_one) {
  auto body = []() -> task<> {
    auto outer = co_await timeout(1h, timeout(1ms, waits(nullptr)));
    EXPECT_TRUE(outer.has_value());
    EXPECT_FALSE(outer->has_value());
    auto inner = co_await timeout(1ms, timeout(1h, waits(nullptr)));
    EXPECT_FALSE(inner.has_value());
  };
  run(body());
}

TEST(Timeout, a_task_may_be_joined_under_a_timeout_and_again_later) {
  auto body = []() -> task<> {
    auto h = spawn([]() -> task<int> {
      co_await sleep_for(3ms);
      co_return 11;
    });
    auto hurried =
        co_await timeout(100us, [](join_handle<int>& t) -> task<int> { co_return co_await t; }(h));
    EXPECT_FALSE(hurried.has_value());
    const int n = co_await h;
    EXPECT_EQ(n, 11);
  };
  run(body());
}

}  // namespace
}  // namespace parkring
