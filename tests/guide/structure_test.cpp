// What the guides about structure and streams quote beside the examples.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace std::chrono_literals;

namespace {

// ---- 11-structure ----

pr::task<> collect_garbage(int& rounds) {
  for (;;) {
    const bool slept = co_await pr::sleep_for(1s, pr::stoppable);
    if (!slept) break;
    ++rounds;
  }
  ++rounds;  // once more, and then it ends by itself
}

TEST(GuideStructure, a_task_is_asked_to_stop) {
  auto body = []() -> pr::task<> {
    int rounds = 0;
    auto collector = pr::spawn(collect_garbage, std::ref(rounds));
    co_await pr::yield();
    collector.request_stop();
    co_await std::move(collector);
    EXPECT_EQ(rounds, 1);
  };
  pr::run(body());
}

TEST(GuideStructure, work_is_ended_by_whichever_comes_first) {
  auto body = []() -> pr::task<> {
    auto server = pr::spawn([]() -> pr::task<bool> {
      auto accept = [] { return pr::sleep_for(1h); };
      auto next = co_await pr::race(accept(), pr::stopped());
      co_return next.index == 1;
    });
    co_await pr::yield();
    server.request_stop();
    EXPECT_TRUE(co_await std::move(server));
  };
  pr::run(body());
}

TEST(GuideStructure, a_stop_source_asks_from_any_thread) {
  std::thread other;
  auto body = [&other]() -> pr::task<> {
    std::stop_source source;
    other = std::thread([source]() mutable { source.request_stop(); });
    co_await pr::with_stop_token(source.get_token(), pr::stopped());
  };
  pr::run(body());
  other.join();
}

pr::task<std::string> look_up(std::string key) {
  co_await pr::sleep_for(1h);
  co_return key;
}
pr::task<std::string> answer() {
  pr::spawn(look_up, "a detached helper").detach();
  auto first = pr::spawn(look_up, "first");
  co_return co_await std::move(first);
}

TEST(GuideStructure, a_deadline_bounds_all_that_is_spawned) {
  auto body = []() -> pr::task<> {
    std::optional<std::string> text = co_await pr::with_timeout(1ms, answer());
    EXPECT_FALSE(text);  // and neither helper is left
  };
  pr::run(body());
}

const pr::task_local<std::string> user;

TEST(GuideStructure, a_value_goes_with_the_task) {
  auto body = []() -> pr::task<> {
    auto greet = []() -> pr::task<std::string> { co_return "hello " + *user.get(); };
    auto child = [greet]() -> pr::task<std::string> { co_return co_await pr::spawn(greet()); };
    const std::string text = co_await user.with("ada", child());
    EXPECT_EQ(text, "hello ada");
    EXPECT_EQ(user.get(), nullptr);
  };
  pr::run(body());
}

pr::task<int> commit(bool& durable) {
  co_await pr::sleep_for(5ms);
  durable = true;
  co_return 1;
}

TEST(GuideStructure, a_shield_lets_a_commit_finish) {
  auto body = []() -> pr::task<> {
    bool durable = false;
    std::optional<int> n = co_await pr::timeout(1ms, pr::shield(commit(durable)));
    EXPECT_FALSE(n);
    EXPECT_FALSE(durable);
    while (!durable) co_await pr::sleep_for(1ms);
  };
  pr::run(body());
}

// ---- 12-streams-of-values ----

pr::generator<int> ticks(std::chrono::milliseconds period) {
  pr::interval every(period);
  for (int n = 0;; ++n) {
    co_await every.tick();
    co_yield n;
  }
}

TEST(GuideStreams, a_generator_is_asked_for_its_values) {
  auto body = []() -> pr::task<> {
    auto clock = ticks(1ms);
    while (auto n = co_await clock.next()) {
      if (*n == 3) break;
    }
  };
  pr::run(body());
}

TEST(GuideStreams, a_dropped_next_loses_nothing) {
  auto body = []() -> pr::task<> {
    auto clock = ticks(5ms);
    std::optional<std::optional<int>> first;
    while (!first) first = co_await pr::timeout(1ms, clock.next());
    EXPECT_EQ(**first, 0);  // however often it was asked
  };
  pr::run(body());
}

TEST(GuideStreams, buffered_runs_several_at_once) {
  auto body = []() -> pr::task<> {
    auto square = [](int n) -> pr::task<int> {
      co_await pr::sleep_for(1ms);
      co_return n* n;
    };
    auto squares = ticks(1ms) | pr::map(square) | pr::buffered(8) | pr::take(3);
    int sum = 0;
    while (auto n = co_await squares.next()) sum += *n;
    EXPECT_EQ(sum, 0 + 1 + 4);
  };
  pr::run(body());
}

TEST(GuideStreams, a_late_value_is_told) {
  auto body = []() -> pr::task<> {
    auto hurried = ticks(1h) | pr::timeout(1ms);
    auto n = co_await hurried.next();
    EXPECT_TRUE(n.has_value() && !n->has_value());  // late, and still waited for
  };
  pr::run(body());
}

struct countdown {  // anything with such a `next` is a stream
  int left;
  pr::task<std::optional<int>> next() {
    co_await pr::yield();
    co_return left == 0 ? std::nullopt : std::optional(left--);
  }
};

TEST(GuideStreams, anything_with_a_next_is_a_stream) {
  auto body = []() -> pr::task<> {
    const std::vector<int> values = co_await (countdown{3} | pr::collect());
    EXPECT_EQ(values.size(), 3u);
  };
  pr::run(body());
}

}  // namespace
