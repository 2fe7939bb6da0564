#include <parkring/sync/latch.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/sync/barrier.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>

namespace parkring {
namespace {

TEST(Latch, lets_all_go_when_it_is_counted_down) {
  run([]() -> task<> {
    latch l(3);
    int gone = 0;
    task_group g;
    for (int i = 0; i < 2; ++i)
      g.spawn([&]() -> task<> {
        co_await l.arrive_and_wait();
        ++gone;
      });
    co_await yield();
    EXPECT_FALSE(l.try_wait());
    EXPECT_EQ(gone, 0);
    l.count_down();
    EXPECT_TRUE(l.try_wait());
    co_await l.wait();
    co_await g.join();
    EXPECT_EQ(gone, 2);
  }());
}

TEST(Latch, may_go_before_those_it_has_woken) {
  run([]() -> task<> {
    auto l = std::make_unique<latch>(1);
    latch& there = *l;
    auto goes_on = spawn([&]() -> task<> { co_await there.wait(); });
    auto dropped = spawn([&]() -> task<> { co_await there.wait(); });
    co_await yield();
    l->count_down();
    l.reset();
    dropped.abort();
    co_await std::move(goes_on);
  }());
}

TEST(Latch, who_waits_for_one_that_is_gone_can_be_dropped) {
  run([]() -> task<> {
    auto l = std::make_unique<latch>(1);
    latch& there = *l;
    auto waits = spawn([&]() -> task<> { co_await there.wait(); });
    co_await yield();
    l.reset();
    co_await yield();
    waits.abort();
  }());
}

TEST(Barrier, phases_follow_each_other) {
  std::string order;
  auto body = [&]() -> task<> {
    barrier b(3);
    task_group g;
    for (const char name : {'a', 'b', 'c'})
      g.spawn(
          [&](char n) -> task<> {
            for (int phase = 0; phase < 3; ++phase) {
              order += n;
              co_await b.arrive_and_wait();
            }
          },
          name);
    co_await g.join();
    EXPECT_EQ(b.phase(), 3u);
  };
  run(body());
  ASSERT_EQ(order.size(), 9u);
  for (std::size_t i = 0; i < 9; i += 3)
    EXPECT_EQ(std::string(order, i, 3).find_first_not_of("abc"), std::string::npos);
  for (std::size_t i = 0; i < 9; i += 3) {
    std::string phase(order, i, 3);
    std::sort(phase.begin(), phase.end());
    EXPECT_EQ(phase, "abc") << "everybody once in each phase";
  }
}

TEST(Barrier, one_that_leaves_is_not_waited_for_any_more) {
  run([]() -> task<> {
    barrier b(3);
    int passed = 0;
    task_group g;
    for (int i = 0; i < 2; ++i)
      g.spawn([&]() -> task<> {
        co_await b.arrive_and_wait();
        co_await b.arrive_and_wait();
        ++passed;
      });
    co_await yield();
    EXPECT_EQ(b.phase(), 0u);
    b.arrive_and_drop();
    co_await g.join();
    EXPECT_EQ(passed, 2);
    EXPECT_EQ(b.phase(), 2u);
  }());
}

TEST(Barrier, a_task_that_is_dropped_has_arrived) {
  run([]() -> task<> {
    barrier b(2);
    auto dropped = spawn([&]() -> task<> { co_await b.arrive_and_wait(); });
    co_await yield();
    dropped.abort();
    co_await b.arrive_and_wait();
    EXPECT_EQ(b.phase(), 1u);
  }());
}

}  // namespace
}  // namespace parkring
