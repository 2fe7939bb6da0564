#include <parkring/event.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>

#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/timeout.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

TEST(Event, lets_all_who_wait_go_in_the_order_in_which_they_came) {
  std::string order;
  auto body = [&]() -> task<> {
    event e;
    task_group g;
    for (const char c : {'a', 'b', 'c'})
      g.spawn(
          [&](char name) -> task<> {
            co_await e.wait();
            order += name;
          },
          c);
    for (int i = 0; i < 3; ++i) co_await yield();
    EXPECT_EQ(order, "");
    e.set();
    EXPECT_EQ(order, "") << "set resumes nobody itself";
    co_await g.join();
  };
  run(body());
  EXPECT_EQ(order, "abc");
}

TEST(Event, a_wait_that_comes_late_does_not_wait) {
  auto body = []() -> task<> {
    event e;
    EXPECT_FALSE(e.is_set());
    e.set();
    EXPECT_TRUE(e.is_set());
    for (int i = 0; i < 1000; ++i) co_await e.wait();  // more than the budget
  };
  run(body());
}

TEST(Event, a_reset_makes_later_waits_wait_and_leaves_earlier_ones_go) {
  auto body = []() -> task<> {
    event e;
    bool gone = false;
    auto first = spawn([&]() -> task<> {
      co_await e.wait();
      gone = true;
    });
    co_await yield();
    e.set();
    e.reset();
    EXPECT_FALSE(co_await timeout(1ms, e.wait()));
    co_await std::move(first);
    EXPECT_TRUE(gone);
  };
  run(body());
}

TEST(Event, who_is_dropped_no_longer_waits) {
  auto body = []() -> task<> {
    event e;
    bool first_gone = false, second_gone = false;
    auto wait = [&e](bool& gone) -> task<> {
      co_await e.wait();
      gone = true;
    };
    auto first = spawn(wait, std::ref(first_gone));
    auto second = spawn(wait, std::ref(second_gone));
    co_await yield();
    first.abort();
    e.set();
    co_await std::move(second);
    EXPECT_TRUE(second_gone);
    EXPECT_FALSE(first_gone);
  };
  run(body());
}

TEST(Event, who_was_let_go_and_is_dropped_before_its_turn_does_not_go_on) {
  auto body = []() -> task<> {
    event e;
    bool gone = false;
    auto waiting = spawn([&]() -> task<> {
      co_await e.wait();
      gone = true;
    });
    co_await yield();
    e.set();
    waiting.abort();
    for (int i = 0; i < 3; ++i) co_await yield();
    EXPECT_FALSE(gone);
  };
  run(body());
}

TEST(Event, a_timeout_ends_a_wait_and_a_set_event_beats_it) {
  auto body = []() -> task<> {
    event e;
    EXPECT_FALSE(co_await timeout(1ms, e.wait()));
    auto setter = spawn([&]() -> task<> {
      co_await yield();
      e.set();
    });
    EXPECT_TRUE(co_await timeout(1h, e.wait()));
    co_await std::move(setter);
    EXPECT_TRUE(co_await timeout(0ms, e.wait()));
  };
  run(body());
}

TEST(Event, may_go_while_a_task_waits_that_is_dropped_later) {
  auto body = []() -> task<> {
    auto e = std::make_unique<event>();
    auto waiting = spawn([](event& of) -> task<> { co_await of.wait(); }, std::ref(*e));
    co_await yield();
    e.reset();
    e = nullptr;
    co_await yield();
    EXPECT_FALSE(waiting.done());
  };
  run(body());
}

}  // namespace
}  // namespace parkring
