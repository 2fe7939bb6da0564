#include <parkring/generator.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_local.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

generator<int> count(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
}
generator<int> count_slowly(int n) {
  for (int i = 0; i < n; ++i) {
    co_await nop();
    co_yield i;
    co_await yield();
  }
}
generator<int> for_ever(std::shared_ptr<int>) {
  for (int i = 0;; ++i) {
    co_await sleep_for(i == 1 ? std::chrono::nanoseconds(1h) : 0ns);
    co_yield i;
  }
}

task<std::vector<int>> all(generator<int> g) {
  std::vector<int> values;
  while (auto v = co_await g.next()) values.push_back(*v);
  EXPECT_FALSE(co_await g.next()) << "and so it stays";
  co_return values;
}

TEST(Generator, gives_its_values_in_order_and_then_nothing) {
  EXPECT_EQ(run(all(count(3))), (std::vector{0, 1, 2}));
  EXPECT_EQ(run(all(count_slowly(4))), (std::vector{0, 1, 2, 3}));
  EXPECT_EQ(run(all(count(0))), std::vector<int>());
}

TEST(Generator, does_nothing_before_it_is_asked_and_nothing_between_two_values) {
  auto body = []() -> task<> {
    int at = 0;
    auto g = [](int& n) -> generator<int> {
      n = 1;
      co_yield 1;
      n = 2;
      co_yield 2;
      n = 3;
    }(at);
    co_await yield();
    EXPECT_EQ(at, 0);
    EXPECT_EQ(co_await g.next(), 1);
    co_await nop();
    EXPECT_EQ(at, 1);
    EXPECT_EQ(co_await g.next(), 2);
    EXPECT_EQ(at, 2);
    EXPECT_FALSE(co_await g.next());
    EXPECT_EQ(at, 3);
  };
  run(body());
}

TEST(Generator, yields_what_can_only_be_moved_and_copies_what_has_a_name) {
  auto body = []() -> task<> {
    auto pointers = []() -> generator<std::unique_ptr<int>> {
      auto kept = std::make_unique<int>(1);
      co_yield std::move(kept);
      EXPECT_EQ(kept, nullptr);
      co_yield std::make_unique<int>(2);
    }();
    EXPECT_EQ(**co_await pointers.next(), 1);
    EXPECT_EQ(**co_await pointers.next(), 2);
    EXPECT_FALSE(co_await pointers.next());
    auto words = []() -> generator<std::string> {
      std::string kept(100, 'a');
      co_yield kept;
      EXPECT_EQ(kept, std::string(100, 'a'));
      co_yield "made from something else, and long enough to be on the heap";
    }();
    EXPECT_EQ(co_await words.next(), std::string(100, 'a'));
    EXPECT_EQ((co_await words.next())->substr(0, 4), "made");
    EXPECT_FALSE(co_await words.next());
  };
  run(body());
}

TEST(Generator, what_it_throws_is_thrown_once_and_ends_it) {
  auto body = []() -> task<> {
    auto g = []() -> generator<int> {
      co_yield 1;
      co_await nop();
      throw std::runtime_error("inside");
    }();
    EXPECT_EQ(co_await g.next(), 1);
    try {
      (void)co_await g.next();
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "inside");
    }
    EXPECT_FALSE(co_await g.next());
  };
  run(body());
}

TEST(Generator, a_dropped_next_leaves_its_value_to_the_next_one) {
  auto body = []() -> task<> {
    bool go_on = false;
    auto g = [](bool& gone) -> generator<int> {
      while (!gone) co_await yield();
      co_yield 7;
      co_yield 8;
    }(go_on);
    EXPECT_FALSE(co_await timeout(100us, g.next()));
    EXPECT_FALSE(co_await timeout(100us, g.next()));
    go_on = true;
    for (int i = 0; i < 5; ++i) co_await yield();  // it reaches its yield with nobody there
    EXPECT_EQ(co_await g.next(), 7);
    EXPECT_EQ(co_await g.next(), 8);
  };
  run(body());
}

TEST(Generator, goes_with_all_that_it_has_wherever_it_is) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    { auto never_asked = for_ever(held); }
    EXPECT_EQ(held.use_count(), 1);
    {
      auto at_a_yield = for_ever(held);
      EXPECT_EQ(co_await at_a_yield.next(), 0);
    }
    EXPECT_EQ(held.use_count(), 1);
    {
      auto waiting = for_ever(held);
      EXPECT_EQ(co_await waiting.next(), 0);
      EXPECT_FALSE(co_await timeout(100us, waiting.next()));
    }
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

TEST(Generator, may_be_asked_by_one_task_after_another_that_has_ended) {
  auto body = []() -> task<> {
    auto g = count_slowly(100);
    auto ask = [](generator<int>& of) -> task<int> { co_return (co_await of.next()).value_or(-1); };
    for (int i = 0; i < 50; ++i) {
      auto h = spawn(ask, std::ref(g));
      EXPECT_EQ(co_await std::move(h), i);
    }
    auto dropped = spawn(ask, std::ref(g));
    co_await yield();
    dropped.abort();  // while the generator is under way
    for (int i = 0; i < 3; ++i) co_await nop();
    EXPECT_EQ(co_await g.next(), 50);
  };
  run(body());
}

TEST(Generator, one_that_is_destroyed_under_a_waiter_says_so) {
  auto body = []() -> task<> {
    auto g = std::make_unique<generator<int>>(for_ever(nullptr));
    EXPECT_EQ(co_await g->next(), 0);
    auto waiter =
        spawn([](generator<int>& of) -> task<> { (void)co_await of.next(); }, std::ref(*g));
    co_await yield();
    g = nullptr;
    EXPECT_THROW(co_await std::move(waiter), task_aborted);
  };
  run(body());
}

TEST(Generator, one_may_end_the_task_that_asks_it) {
  auto body = []() -> task<> {
    std::optional<join_handle<void>> consumer;
    consumer = spawn(
        [](std::optional<join_handle<void>>& self) -> task<> {
          auto g = [](std::optional<join_handle<void>>& asker) -> generator<int> {
            asker->abort();
            co_yield 1;
          }(self);
          (void)co_await g.next();
          co_await yield();
          ADD_FAILURE() << "it was aborted";
        },
        std::ref(consumer));
    EXPECT_THROW(co_await *consumer, task_aborted);
  };
  run(body());
}

TEST(Generator, nests) {
  static constexpr auto tree = [](auto self, int depth) -> generator<int> {
    if (depth == 0) co_return;
    auto below = self(self, depth - 1);
    while (auto v = co_await below.next()) co_yield *v;
    co_yield depth;
  };
  EXPECT_EQ(run(all(tree(tree, 5))), (std::vector{1, 2, 3, 4, 5}));
}

TEST(Generator, a_million_values_need_little_stack_and_let_others_run) {
  auto body = []() -> task<> {
    int turns = 0;
    auto other = spawn(
        [](int& n) -> task<> {
          for (;;) {
            ++n;
            co_await yield();
          }
        },
        std::ref(turns));
    auto g = count(1'000'000);
    long sum = 0;
    while (auto v = co_await g.next()) sum += *v;
    EXPECT_EQ(sum, 499'999'500'000);
    EXPECT_GT(turns, 1000);
  };
  run(body());
}

TEST(Generator, may_outlive_its_runtime_and_go_on_another_thread) {
  auto held = std::make_shared<int>(1);
  std::optional<generator<int>> outside(for_ever(held));
  {
    runtime rt;
    rt.run([](generator<int>& g) -> task<> { (void)co_await g.next(); }, std::ref(*outside));
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1) << "the runtime's end ends it";
  std::thread([&] { outside.reset(); }).join();

  runtime rt;
  outside.emplace(for_ever(held));
  rt.run([](generator<int>& g) -> task<> { (void)co_await g.next(); }, std::ref(*outside));
  std::thread([&] { outside.reset(); }).join();
  rt.run(yield());
  rt.run(yield());
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Generator, has_the_task_local_values_of_who_asked_first) {
  auto body = []() -> task<> {
    const task_local<int> level;
    auto g = [](const task_local<int>& of) -> generator<int> {
      for (;;) co_yield *of.get();
    }(level);
    auto ask = [](generator<int>& of) -> task<int> { co_return *co_await of.next(); };
    EXPECT_EQ(co_await level.with(1, ask(g)), 1);
    EXPECT_EQ(co_await level.with(2, ask(g)), 1);
  };
  run(body());
}

}  // namespace
}  // namespace parkring
