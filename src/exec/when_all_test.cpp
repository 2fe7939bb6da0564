#include <parkring/when_all.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

task<int> after_turns(int n, int value) {
  for (int i = 0; i < n; ++i) co_await yield();
  co_return value;
}
task<> fails_after(int n) {
  for (int i = 0; i < n; ++i) co_await yield();
  throw std::runtime_error("after " + std::to_string(n));
}
task<int> waits(std::shared_ptr<int>) {
  co_await sleep_for(1h);
  co_return 0;
}

TEST(WhenAll, gives_all_values_in_the_order_of_the_arguments) {
  auto body = []() -> task<> {
    auto [a, b, c] = co_await when_all(after_turns(3, 1), after_turns(0, 2), after_turns(1, 3));
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, 2);
    EXPECT_EQ(c, 3);
  };
  run(body());
}

TEST(WhenAll, mixes_types_void_move_only_and_references) {
  int value = 5;
  auto body = [&]() -> task<> {
    auto pointer = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(4); };
    auto reference = [&]() -> task<int&> { co_return value; };
    auto [none, p, r, n] = co_await when_all(nop(), pointer(), reference(), yield());
    static_assert(std::is_same_v<decltype(none), std::monostate>);
    static_assert(std::is_same_v<decltype(n), std::monostate>);
    EXPECT_EQ(*p, 4);
    EXPECT_EQ(&r, &value);
  };
  run(body());
}

TEST(WhenAll, the_parts_run_beside_each_other) {
  std::string order;
  auto part = [&](char c) -> task<> {
    for (int i = 0; i < 3; ++i) {
      order += c;
      co_await yield();
    }
  };
  auto body = [&]() -> task<> { co_await when_all(part('a'), part('b')); };
  run(body());
  EXPECT_EQ(order, "ababab");
}

TEST(WhenAll, the_first_failure_is_thrown_and_the_others_are_gone_by_then) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<std::string> {
    try {
      co_await when_all(waits(held), fails_after(3), fails_after(2), waits(held));
    } catch (const std::runtime_error& e) {
      EXPECT_EQ(held.use_count(), 1);
      co_return e.what();
    }
    co_return "nothing";
  };
  EXPECT_EQ(run(body()), "after 2");
}

TEST(WhenAll, two_failures_in_one_turn_give_one_exception) {
  auto body = []() -> task<> { co_await when_all(fails_after(1), fails_after(1)); };
  EXPECT_THROW(run(body()), std::runtime_error);
}

TEST(WhenAll, of_a_vector_gives_a_vector_in_order) {
  auto body = []() -> task<std::vector<int>> {
    std::vector<task<int>> parts;
    for (int i = 0; i < 20; ++i) parts.push_back(after_turns(20 - i, i));
    co_return co_await when_all(std::move(parts));
  };
  const auto values = run(body());
  ASSERT_EQ(values.size(), 20U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], i);
}

TEST(WhenAll, of_a_vector_of_void_and_of_nothing_at_all) {
  auto body = []() -> task<> {
    std::vector<task<>> none;
    co_await when_all(std::move(none));
    std::vector<task<int>> no_values;
    auto values = co_await when_all(std::move(no_values));
    EXPECT_TRUE(values.empty());
    co_await when_all();
    auto noop = []() -> task<> { co_await nop(); };
    std::vector<task<>> some;
    some.push_back(noop());
    some.push_back(noop());
    co_await when_all(std::move(some));
  };
  run(body());
}

TEST(WhenAll, of_a_vector_drops_the_others_when_one_fails) {
  auto held = std::make_shared<int>(1);
  auto failing = [](std::shared_ptr<int>) -> task<int> {
    co_await nop();
    throw std::logic_error("x");
    co_return 1;
  };
  auto body = [&]() -> task<> {
    std::vector<task<int>> parts;
    parts.push_back(waits(held));
    parts.push_back(failing(held));
    parts.push_back(waits(held));
    bool caught = false;
    try {
      co_await when_all(std::move(parts));
    } catch (const std::logic_error&) {
      caught = true;
      EXPECT_EQ(held.use_count(), 1);
    }
    EXPECT_TRUE(caught);
  };
  run(body());
}

TEST(WhenAll, of_a_range_gives_a_vector_in_order) {
  auto body = []() -> task<> {
    const auto make = [](int n) { return after_turns(5 - n, n); };
    const auto values = co_await when_all(std::views::iota(0, 4) | std::views::transform(make));
    EXPECT_TRUE(std::ranges::equal(values, std::views::iota(0, 4)));
    const auto sleeps = [](int) { return sleep_for(1us); };
    co_await when_all(std::views::iota(0, 3) | std::views::transform(sleeps));
    std::list<task<int>> some;
    some.push_back(after_turns(2, 5));
    some.push_back(after_turns(1, 6));
    const auto two = co_await when_all(std::move(some));
    EXPECT_TRUE(std::ranges::equal(two, std::views::iota(5, 7)));
    co_await when_all(std::list<task<>>());
  };
  run(body());
}

TEST(WhenAll, of_a_range_that_throws_while_it_is_read_begins_nothing) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    const auto make = [&](int n) {
      if (n == 2) throw std::logic_error("no such part");
      return waits(held);
    };
    EXPECT_THROW((void)when_all(std::views::iota(0, 4) | std::views::transform(make)),
                 std::logic_error);
    EXPECT_EQ(held.use_count(), 1);
    co_return;
  };
  run(body());
}

TEST(WhenAll, dropping_it_drops_every_part) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto both = [](std::shared_ptr<int> p) -> task<> { co_await when_all(waits(p), waits(p)); };
    auto started = spawn(both, held);
    auto unstarted = spawn(both, held);
    co_await yield();
    started.abort();
    co_await yield();
    unstarted.abort();
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

TEST(WhenAll, an_operation_that_was_never_awaited_is_just_dropped) {
  auto held = std::make_shared<int>(1);
  {
    [[maybe_unused]] auto all = when_all(waits(held), waits(held));
    EXPECT_EQ(held.use_count(), 3);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(WhenAll, nests) {
  auto body = []() -> task<int> {
    auto pair = [](int n) -> task<int> {
      auto [a, b] = co_await when_all(after_turns(n, n), after_turns(1, 1));
      co_return a + b;
    };
    auto [a, b] = co_await when_all(pair(2), pair(3));
    co_return a + b;
  };
  EXPECT_EQ(run(body()), 7);
}

}  // namespace
}  // namespace parkring
