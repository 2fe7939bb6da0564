#include <parkring/sync/semaphore.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/timeout.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

task<> take_and_note(semaphore& s, std::size_t n, std::string& order, char name) {
  const auto permit = co_await s.acquire(n);
  order += name;
}

TEST(Semaphore, permits_go_back_with_their_object) {
  run([]() -> task<> {
    semaphore s(2);
    {
      auto one = co_await s.acquire();
      auto other = std::move(one);
      EXPECT_EQ(one.count(), 0u);
      EXPECT_EQ(other.count(), 1u);
      EXPECT_EQ(s.available(), 1u);
      EXPECT_FALSE(s.try_acquire(2).has_value());
      other = co_await s.acquire();  // gives the first one back
      EXPECT_EQ(s.available(), 1u);
    }
    EXPECT_EQ(s.available(), 2u);
    (co_await s.acquire()).forget();
    EXPECT_EQ(s.available(), 1u);
    s.release(3);
    EXPECT_EQ(s.available(), 4u);
  }());
}

TEST(Semaphore, who_came_first_gets_it_first_also_when_it_wants_more) {
  std::string order;
  auto body = [&]() -> task<> {
    semaphore s(0);
    task_group g;
    g.spawn(take_and_note, std::ref(s), 3u, std::ref(order), 'a');
    g.spawn(take_and_note, std::ref(s), 1u, std::ref(order), 'b');
    co_await yield();
    s.release(1);
    EXPECT_FALSE(s.try_acquire().has_value()) << "somebody waits for it";
    co_await yield();
    EXPECT_EQ(order, "");
    s.release(2);
    co_await g.join();
    EXPECT_EQ(s.available(), 3u);
  };
  run(body());
  EXPECT_EQ(order, "ab");
}

TEST(Semaphore, one_that_is_dropped_in_front_lets_those_behind_it_go_on) {
  std::string order;
  auto body = [&]() -> task<> {
    semaphore s(1);
    auto large = spawn(take_and_note, std::ref(s), 5u, std::ref(order), 'a');
    auto small = spawn(take_and_note, std::ref(s), 1u, std::ref(order), 'b');
    co_await yield();
    EXPECT_EQ(order, "");
    large.abort();
    co_await std::move(small);
  };
  run(body());
  EXPECT_EQ(order, "b");
}

TEST(Semaphore, a_permit_handed_to_a_dropped_task_passes_on) {
  std::string order;
  auto body = [&]() -> task<> {
    semaphore s(0);
    auto first = spawn(take_and_note, std::ref(s), 1u, std::ref(order), 'a');
    auto second = spawn(take_and_note, std::ref(s), 1u, std::ref(order), 'b');
    co_await yield();
    s.release();  // it is the first one's now, which has not run yet
    first.abort();
    co_await std::move(second);
    EXPECT_EQ(s.available(), 1u);
  };
  run(body());
  EXPECT_EQ(order, "b");
}

TEST(Semaphore, a_timeout_leaves_the_queue_and_a_late_one_keeps_what_it_got) {
  run([]() -> task<> {
    semaphore s(0);
    EXPECT_FALSE((co_await timeout(1ms, s.acquire())).has_value());
    s.release();
    EXPECT_TRUE((co_await timeout(1ms, s.acquire())).has_value());
    EXPECT_EQ(s.available(), 1u);
    // Granted and timed out in one turn: the permit is not lost either way.
    auto both =
        spawn([&]() -> task<bool> { co_return (co_await timeout(1ms, s.acquire(2))).has_value(); });
    co_await yield();
    std::this_thread::sleep_for(3ms);
    s.release();
    EXPECT_TRUE(co_await std::move(both)) << "a result that was produced is not thrown away";
    EXPECT_EQ(s.available(), 2u);
  }());
}

TEST(Semaphore, a_task_that_never_waits_lets_others_run_all_the_same) {
  run([]() -> task<> {
    semaphore s(1);
    bool other_ran = false;
    auto other = spawn([&]() -> task<> {
      other_ran = true;
      co_return;
    });
    for (int i = 0; i < 1'000; ++i) (void)co_await s.acquire();  // more than the budget
    EXPECT_TRUE(other_ran);
  }());
}

}  // namespace
}  // namespace parkring
