#include <parkring/task_group.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

task<> turns(int n) {
  for (int i = 0; i < n; ++i) co_await yield();
}
task<int> waits(std::shared_ptr<int>) {
  co_await sleep_for(1h);
  co_return 0;
}

TEST(TaskGroup, join_waits_for_all) {
  int finished = 0;
  auto body = [&]() -> task<> {
    task_group g;
    co_await g.join();  // of nothing
    for (int i = 0; i < 20; ++i)
      g.spawn(
          [&](int n) -> task<int> {
            co_await turns(n % 5);
            ++finished;
            co_return n;
          },
          i);
    EXPECT_EQ(g.size(), 20U);
    co_await g.join();
    EXPECT_EQ(g.size(), 0U);
    EXPECT_EQ(finished, 20);
    g.spawn(turns(2));  // usable again
    co_await g.join();
  };
  run(body());
}

TEST(TaskGroup, join_waits_for_those_spawned_meanwhile) {
  int finished = 0;
  auto body = [&]() -> task<> {
    task_group g;
    struct tree {
      static task<> grow(task_group& group, int depth, int& count) {
        if (depth > 0) {
          group.spawn(grow, std::ref(group), depth - 1, std::ref(count));
          group.spawn(grow, std::ref(group), depth - 1, std::ref(count));
        }
        co_await yield();
        ++count;
      }
    };
    g.spawn(tree::grow, std::ref(g), 5, std::ref(finished));
    co_await g.join();
  };
  run(body());
  EXPECT_EQ(finished, 63);
}

TEST(TaskGroup, the_first_error_aborts_the_rest_and_is_thrown) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<std::string> {
    task_group g;
    for (int i = 0; i < 5; ++i) g.spawn(waits(held));
    g.spawn([]() -> task<> {
      co_await turns(2);
      throw std::runtime_error("first");
    });
    g.spawn([]() -> task<int> {
      co_await turns(3);
      throw std::runtime_error("second");
      co_return 1;
    });
    std::string what;
    try {
      co_await g.join();
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    EXPECT_EQ(g.size(), 0U);
    EXPECT_EQ(held.use_count(), 1);
    bool ran = false;
    g.spawn([&]() -> task<> {
      ran = true;
      co_return;
    });
    co_await g.join();
    EXPECT_TRUE(ran) << "after an error the group can be used again";
    co_return what;
  };
  EXPECT_EQ(run(body()), "first");
}

TEST(TaskGroup, an_error_before_the_join_is_thrown_by_the_join) {
  auto body = []() -> task<> {
    task_group g;
    g.spawn([]() -> task<int> {
      throw 7;
      co_return 1;
    });
    co_await turns(3);
    co_await g.join();
  };
  EXPECT_THROW(run(body()), int);
}

TEST(TaskGroup, its_destructor_aborts_what_still_runs) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    {
      task_group g;
      g.spawn(waits(held));
      g.spawn(waits(held));
      co_await yield();
      g.spawn(waits(held));
    }
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

TEST(TaskGroup, abort_all_wakes_the_joiner_and_leaves_nothing) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    task_group g;
    g.spawn(waits(held));
    g.spawn(waits(held));
    auto aborter = spawn(
        [](task_group& group) -> task<> {
          co_await turns(3);
          group.abort_all();
          group.abort_all();
        },
        std::ref(g));
    co_await g.join();
    EXPECT_EQ(g.size(), 0U);
    EXPECT_EQ(held.use_count(), 1);
    co_await aborter;
  };
  run(body());
}

TEST(TaskGroup, a_member_may_abort_its_own_group) {
  auto held = std::make_shared<int>(1);
  bool went_on = false;
  auto body = [&]() -> task<> {
    task_group g;
    g.spawn(waits(held));
    g.spawn(
        [&](std::shared_ptr<int>) -> task<> {
          g.abort_all();
          EXPECT_EQ(g.size(), 0U);
          co_await yield();
          went_on = true;
        },
        held);
    co_await g.join();
    co_await turns(2);
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
  EXPECT_FALSE(went_on);
}

TEST(TaskGroup, a_member_may_destroy_its_own_group) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto g = std::make_unique<task_group>();
    g->spawn(waits(held));
    g->spawn(
        [&](std::shared_ptr<int>) -> task<> {
          g.reset();
          co_await yield();
        },
        held);
    co_await turns(3);
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

TEST(TaskGroup, destroying_it_tells_the_joiner) {
  auto body = []() -> task<> {
    auto g = std::make_unique<task_group>();
    g->spawn(waits(nullptr));
    auto joiner = spawn(
        [](task_group& group) -> task<bool> {
          try {
            co_await group.join();
          } catch (const task_aborted&) {
            co_return true;
          }
          co_return false;
        },
        std::ref(*g));
    co_await turns(2);
    g.reset();
    const bool told = co_await joiner;
    EXPECT_TRUE(told);
  };
  run(body());
}

TEST(TaskGroup, the_drop_of_a_join_leaves_the_members_running) {
  int finished = 0;
  auto body = [&]() -> task<> {
    task_group g;
    g.spawn([&]() -> task<> {
      co_await turns(5);
      ++finished;
    });
    {
      auto joiner = spawn([](task_group& group) -> task<> { co_await group.join(); }, std::ref(g));
      co_await turns(2);
    }
    EXPECT_EQ(g.size(), 1U);
    co_await g.join();
  };
  run(body());
  EXPECT_EQ(finished, 1);
}

TEST(TaskGroup, a_group_dropped_with_an_unheard_error_is_silent) {
  auto body = []() -> task<> {
    task_group g;
    g.spawn([]() -> task<> {
      throw 1;
      co_return;
    });
    co_await turns(2);
  };
  run(body());
}

TEST(TaskGroup, ending_the_task_that_owns_it_ends_the_members) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto owner = spawn(
        [](std::shared_ptr<int> p) -> task<> {
          task_group g;
          g.spawn(waits(p));
          g.spawn(waits(p));
          co_await g.join();
        },
        held);
    co_await turns(3);
    EXPECT_GT(held.use_count(), 2);
    owner.abort();
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

}  // namespace
}  // namespace parkring
