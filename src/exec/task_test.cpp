#include <parkring/task.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/this_task.hpp>

namespace parkring {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int many = 50'000;
#else
constexpr int many = 1'000'000;
#endif

task<int> number(int n) { co_return n; }
task<int> number_later(int n) {
  co_await nop();
  co_return n;
}

TEST(Task, gives_its_value_at_once_or_later) {
  EXPECT_EQ(run(number(7)), 7);
  EXPECT_EQ(run(number_later(8)), 8);
}

TEST(Task, gives_move_only_values) {
  auto make = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
  auto pass = [&]() -> task<std::unique_ptr<int>> {
    auto p = co_await make();
    co_await nop();
    co_return p;
  };
  EXPECT_EQ(*run(pass()), 5);
}

TEST(Task, gives_references) {
  int value = 1;
  auto reference = [&]() -> task<int&> { co_return value; };
  auto user = [&]() -> task<int&> {
    int& r = co_await reference();
    r = 2;
    co_return r;
  };
  EXPECT_EQ(&run(user()), &value);
  EXPECT_EQ(value, 2);
}

TEST(Task, gives_values_without_a_default_constructor_and_converts) {
  struct strict {
    explicit strict(int v) : value(v) {}
    int value;
  };
  auto make = []() -> task<strict> { co_return strict(3); };
  EXPECT_EQ(run(make()).value, 3);
  auto text = []() -> task<std::string> { co_return "text"; };
  EXPECT_EQ(run(text()), "text");
}

TEST(Task, passes_exceptions_through_every_level) {
  auto thrower = [](bool later) -> task<int> {
    if (later) co_await nop();
    throw std::runtime_error("deep");
    co_return 0;
  };
  auto middle = [&](bool later) -> task<int> { co_return co_await thrower(later) + 1; };
  for (const bool later : {false, true}) {
    auto outer = [&]() -> task<std::string> {
      try {
        co_await middle(later);
      } catch (const std::runtime_error& e) {
        co_return e.what();
      }
      co_return "nothing";
    };
    EXPECT_EQ(run(outer()), "deep");
    EXPECT_THROW(run(middle(later)), std::runtime_error);
  }
  auto nothing = []() -> task<> {
    throw 42;
    co_return;
  };
  EXPECT_THROW(run(nothing()), int);
}

TEST(Task, does_nothing_until_it_is_awaited) {
  bool started = false;
  auto make = [&](std::shared_ptr<int>) -> task<> {
    started = true;
    co_return;
  };
  auto kept = std::make_shared<int>(1);
  {
    auto t = make(kept);
    EXPECT_EQ(kept.use_count(), 2);
    EXPECT_FALSE(started);
    task<> moved = std::move(t);
    EXPECT_FALSE(static_cast<bool>(t));  // NOLINT: a moved-from task is empty
    EXPECT_TRUE(static_cast<bool>(moved));
  }
  EXPECT_EQ(kept.use_count(), 1);
  EXPECT_FALSE(started);
}

TEST(Task, a_frame_ends_before_its_awaiter_goes_on) {
  auto kept = std::make_shared<int>(1);
  auto child = [](std::shared_ptr<int> p) -> task<int> {
    co_await yield();
    co_return *p;
  };
  auto parent = [&]() -> task<long> {
    co_await child(kept);
    co_return kept.use_count();
  };
  EXPECT_EQ(run(parent()), 1);
}

TEST(Task, assigning_over_a_task_destroys_the_old_one) {
  auto kept = std::make_shared<int>(1);
  auto make = [](std::shared_ptr<int>) -> task<> { co_return; };
  auto t = make(kept);
  t = make(nullptr);
  EXPECT_EQ(kept.use_count(), 1);
  auto& self = t;
  t = std::move(self);
  EXPECT_TRUE(static_cast<bool>(t));
}

TEST(Task, a_million_ready_awaits_need_constant_stack) {
  auto loop = []() -> task<long> {
    long sum = 0;
    for (int i = 0; i < many; ++i) sum += co_await number(1);
    co_return sum;
  };
  EXPECT_EQ(run(loop()), many);
}

TEST(Task, a_deep_chain_of_awaits_needs_constant_stack) {
  struct deep {
    static task<int> down(int n) {
      if (n == 0) {
        co_await nop();
        co_return 0;
      }
      const int below = co_await down(n - 1);
      co_return below + 1;
    }
  };
  constexpr int depth = many / 20;
  EXPECT_EQ(run(deep::down(depth)), depth);
}

TEST(Task, leaves_no_frame_behind) {
  const auto before = detail::frames_out();
  auto failing = []() -> task<> {
    co_await nop();
    throw 1;
  };
  EXPECT_THROW(run(failing()), int);
  EXPECT_EQ(run(number_later(1)), 1);
  EXPECT_EQ(detail::frames_out(), before);
}

}  // namespace
}  // namespace parkring
