#include <parkring/sync/mutex.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/sync/condition.hpp>
#include <parkring/sync/once.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>

namespace parkring {
namespace {

TEST(Mutex, is_held_over_awaits_by_one_at_a_time) {
  run([]() -> task<> {
    mutex m;
    int inside = 0;
    task_group g;
    for (int i = 0; i < 20; ++i)
      g.spawn([&]() -> task<> {
        const auto held = co_await m.lock();
        EXPECT_EQ(++inside, 1);
        EXPECT_FALSE(m.try_lock().has_value());
        co_await yield();
        --inside;
      });
    co_await g.join();
    EXPECT_TRUE(m.try_lock().has_value());
  }());
}

TEST(Mutex, a_guard_moves_and_can_let_go_early) {
  run([]() -> task<> {
    mutex m;
    auto held = co_await m.lock();
    EXPECT_EQ(held.mutex(), &m);
    auto moved = std::move(held);
    EXPECT_FALSE(held.owns_lock());
    EXPECT_TRUE(moved.owns_lock());
    moved.unlock();
    moved.unlock();  // has no effect
    EXPECT_TRUE(m.try_lock().has_value());
  }());
}

TEST(Mutex, a_lock_handed_to_a_dropped_task_passes_on) {
  run([]() -> task<> {
    mutex m;
    auto held = co_await m.lock();
    auto dropped = spawn([&]() -> task<> { (void)co_await m.lock(); });
    bool got_it = false;
    auto next = spawn([&]() -> task<> {
      (void)co_await m.lock();
      got_it = true;
    });
    co_await yield();
    held.unlock();
    dropped.abort();
    co_await std::move(next);
    EXPECT_TRUE(got_it);
  }());
}

TEST(SharedMutex, readers_share_and_a_writer_is_alone_and_not_overtaken) {
  std::string order;
  auto body = [&]() -> task<> {
    shared_mutex m;
    auto reader = co_await m.lock_shared();
    EXPECT_TRUE(m.try_lock_shared().has_value());
    EXPECT_FALSE(m.try_lock().has_value());
    task_group g;
    g.spawn([&]() -> task<> {
      const auto held = co_await m.lock();
      order += 'w';
      EXPECT_FALSE(m.try_lock_shared().has_value());
      co_await yield();
      order += 'W';
    });
    for (int i = 0; i < 2; ++i)
      g.spawn([&]() -> task<> {
        const auto held = co_await m.lock_shared();
        order += 'r';
        co_await yield();
        order += 'R';
      });
    co_await yield();
    EXPECT_FALSE(m.try_lock_shared().has_value()) << "a writer waits";
    reader.unlock();
    co_await g.join();
    EXPECT_TRUE(m.try_lock().has_value());
  };
  run(body());
  EXPECT_EQ(order, "wWrrRR");
}

TEST(Condition, waits_until_what_the_mutex_guards_is_as_it_should_be) {
  run([]() -> task<> {
    mutex m;
    condition changed;
    int value = 0;
    auto waits = spawn([&]() -> task<> {
      auto held = co_await m.lock();
      co_await changed.wait(held, [&] { return value == 3; });
      EXPECT_TRUE(held.owns_lock());
      EXPECT_FALSE(m.try_lock().has_value());
    });
    for (int i = 1; i <= 3; ++i) {
      co_await yield();
      {
        const auto held = co_await m.lock();
        value = i;
      }
      changed.notify_one();
    }
    co_await std::move(waits);
  }());
}

TEST(Condition, a_notification_of_a_dropped_task_wakes_the_next) {
  run([]() -> task<> {
    mutex m;
    condition c;
    int woken = 0;
    const auto body = [&]() -> task<> {
      auto held = co_await m.lock();
      co_await c.wait(held);
      ++woken;
    };
    auto first = spawn(body);
    auto second = spawn(body);
    for (int i = 0; i < 4; ++i) co_await yield();
    c.notify_one();
    first.abort();
    co_await std::move(second);
    EXPECT_EQ(woken, 1);
    auto third = spawn(body), fourth = spawn(body);
    for (int i = 0; i < 4; ++i) co_await yield();
    c.notify_all();
    co_await std::move(third);
    co_await std::move(fourth);
    EXPECT_EQ(woken, 3);
    EXPECT_TRUE(m.try_lock().has_value());
  }());
}

TEST(Condition, one_that_is_dropped_while_it_waits_for_the_mutex_passes_its_turn_on) {
  run([]() -> task<> {
    mutex m;
    condition c;
    int woken = 0;
    const auto body = [&]() -> task<> {
      auto held = co_await m.lock();
      co_await c.wait(held);
      ++woken;
    };
    auto first = spawn(body);
    auto second = spawn(body);
    for (int i = 0; i < 4; ++i) co_await yield();
    auto held = co_await m.lock();
    c.notify_one();
    for (int i = 0; i < 4; ++i) co_await yield();  // the first one waits for the mutex now
    first.abort();
    held.unlock();
    co_await std::move(second);
    EXPECT_EQ(woken, 1);
  }());
}

TEST(Once, runs_the_first_that_succeeds_and_others_wait_for_it) {
  run([]() -> task<> {
    once o;
    int calls = 0;
    const auto call = [&]() -> task<> {
      ++calls;
      co_await yield();
    };
    task_group g;
    for (int i = 0; i < 5; ++i)
      g.spawn([&]() -> task<> {
        co_await o.call(call);
        EXPECT_TRUE(o.done());
      });
    co_await yield();
    EXPECT_FALSE(o.done());
    co_await g.join();
    EXPECT_EQ(calls, 1);
  }());
}

TEST(Once, what_throws_or_is_dropped_has_not_run) {
  run([]() -> task<> {
    once o;
    const auto throws = []() -> task<> {
      throw std::runtime_error("on purpose");
      co_return;
    };
    EXPECT_FALSE(o.done());
    bool thrown = false;
    try {
      co_await o.call(throws);
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    auto dropped = spawn([&]() -> task<> {
      const auto endless = []() -> task<> {
        for (;;) co_await yield();
      };
      co_await o.call(endless);
    });
    co_await yield();
    dropped.abort();
    bool ran = false;
    co_await o.call([&] { ran = true; });
    EXPECT_TRUE(ran);
    EXPECT_TRUE(o.done());
  }());
}

}  // namespace
}  // namespace parkring
