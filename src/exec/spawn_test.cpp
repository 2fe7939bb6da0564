#include <parkring/spawn.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

// Waits for ever; says when it is destroyed.
task<int> waits(std::shared_ptr<int> held) {
  co_await sleep_for(1h);
  co_return *held;
}
task<> turns(int n) {
  for (int i = 0; i < n; ++i) co_await yield();
}

class Spawn : public ::testing::Test {
 protected:
  // What every test must leave behind: nothing.
  void SetUp() override { frames_ = detail::frames_out(); }
  void TearDown() override { EXPECT_EQ(detail::frames_out(), frames_); }
  std::ptrdiff_t frames_ = 0;
};

TEST_F(Spawn, a_joined_task_gives_its_value) {
  auto body = []() -> task<> {
    auto number = spawn([](int a, int b) -> task<int> { co_return a + b; }, 1, 2);
    auto owner = spawn(
        [](std::unique_ptr<int> p) -> task<std::unique_ptr<int>> {
          co_await nop();
          co_return p;
        },
        std::make_unique<int>(4));
    auto nothing = spawn(turns(2));
    auto p = co_await owner;
    EXPECT_EQ(*p, 4);
    co_await std::move(nothing);
    const int n = co_await number;
    EXPECT_EQ(n, 3);
  };
  run(body());
}

TEST_F(Spawn, a_task_may_give_a_reference) {
  int value = 1;
  auto body = [&]() -> task<> {
    auto h = spawn([](int& v) -> task<int&> { co_return v; }, std::ref(value));
    int& r = co_await h;
    EXPECT_EQ(&r, &value);
  };
  run(body());
}

TEST_F(Spawn, it_runs_beside_its_parent_not_inside_spawn) {
  std::string order;
  auto body = [&]() -> task<> {
    auto child = [&](char c) -> task<> {
      order += c;
      co_await yield();
      order += c;
    };
    auto a = spawn(child, 'a');
    auto b = spawn(child, 'b');
    order += '-';
    co_await a;
    co_await b;
  };
  run(body());
  EXPECT_EQ(order, "-abab");
}

TEST_F(Spawn, callable_and_arguments_live_as_long_as_the_task) {
  auto captured = std::make_shared<int>(1), argument = std::make_shared<int>(2);
  auto body = [&]() -> task<> {
    std::optional<join_handle<int>> h;
    {
      auto fn = [captured](std::shared_ptr<int> a) -> task<int> {
        co_await yield();
        co_return *captured + *a;
      };
      h.emplace(spawn(std::move(fn), argument));
    }
    EXPECT_EQ(captured.use_count(), 2);
    const int sum = co_await *h;
    EXPECT_EQ(sum, 3);
    EXPECT_EQ(captured.use_count(), 1);
    EXPECT_EQ(argument.use_count(), 1);
  };
  run(body());
}

TEST_F(Spawn, what_a_task_throws_is_thrown_where_it_is_joined) {
  auto body = []() -> task<> {
    auto h = spawn([]() -> task<int> {
      co_await nop();
      throw std::runtime_error("inside");
      co_return 0;
    });
    bool caught = false;
    try {
      co_await h;
    } catch (const std::runtime_error& e) {
      caught = std::string(e.what()) == "inside";
    }
    EXPECT_TRUE(caught);
  };
  run(body());
}

TEST_F(Spawn, a_dropped_handle_aborts_at_once) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    {
      auto waiting = spawn(waits(held));
      auto unstarted = spawn(waits(held));
      co_await yield();
      EXPECT_EQ(held.use_count(), 3);
    }
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

task<bool> join_is_aborted(join_handle<int>& h) {
  try {
    co_await h;
  } catch (const task_aborted&) {
    co_return true;
  }
  co_return false;
}

TEST_F(Spawn, aborting_an_unstarted_a_ready_and_a_waiting_task_leaves_nothing_of_it) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto waiting = spawn(waits(held));
    auto ready = spawn(
        [](std::shared_ptr<int> p) -> task<int> {
          for (;;) co_await yield();
          co_return *p;
        },
        held);
    co_await yield();
    auto unstarted = spawn(waits(held));
    EXPECT_GT(held.use_count(), 3);
    for (auto* h : {&waiting, &ready, &unstarted}) {
      EXPECT_FALSE(h->done());
      h->abort();
      EXPECT_TRUE(h->done());
      h->abort();  // twice is harmless
      const bool aborted = co_await join_is_aborted(*h);
      EXPECT_TRUE(aborted);
    }
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

TEST_F(Spawn, aborting_a_done_task_keeps_its_result) {
  auto body = []() -> task<> {
    auto h = spawn([]() -> task<int> { co_return 9; });
    co_await turns(2);
    EXPECT_TRUE(h.done());
    h.abort();
    const int n = co_await h;
    EXPECT_EQ(n, 9);
  };
  run(body());
}

TEST_F(Spawn, an_abort_wakes_the_one_that_joins) {
  auto body = []() -> task<> {
    auto h = spawn(waits(std::make_shared<int>(1)));
    auto joiner = spawn(
        [](join_handle<int>& target) -> task<bool> { co_return co_await join_is_aborted(target); },
        std::ref(h));
    co_await turns(2);
    h.abort();
    const bool aborted = co_await joiner;
    EXPECT_TRUE(aborted);
  };
  run(body());
}

TEST_F(Spawn, a_task_that_aborts_itself_ends_at_its_next_suspension) {
  auto held = std::make_shared<int>(1);
  bool before = false, after = false;
  auto body = [&]() -> task<> {
    std::optional<join_handle<int>> self;
    self.emplace(spawn(
        [&](std::shared_ptr<int>) -> task<int> {
          self->abort();
          before = true;  // still runs
          co_await yield();
          after = true;
          co_return 0;
        },
        held));
    const bool aborted = co_await join_is_aborted(*self);
    EXPECT_TRUE(aborted);
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
  EXPECT_TRUE(before);
  EXPECT_FALSE(after);
}

TEST_F(Spawn, a_task_that_aborts_itself_and_returns_without_suspending_is_done) {
  auto body = []() -> task<> {
    std::optional<join_handle<int>> self;
    self.emplace(spawn([&]() -> task<int> {
      self->abort();
      co_return 5;
    }));
    const int n = co_await *self;
    EXPECT_EQ(n, 5);
  };
  run(body());
}

TEST_F(Spawn, a_child_may_abort_its_ancestor_and_is_taken_along) {
  auto held = std::make_shared<int>(1);
  bool child_went_on = false;
  auto body = [&]() -> task<> {
    std::optional<join_handle<int>> top;
    auto child = [&](std::shared_ptr<int>) -> task<> {
      top->abort();
      top->abort();
      co_await yield();
      child_went_on = true;
    };
    auto parent = [&](std::shared_ptr<int> p) -> task<int> {
      auto h = spawn(child, std::move(p));
      co_await h;
      co_return 1;
    };
    top.emplace(spawn(parent, held));
    const bool aborted = co_await join_is_aborted(*top);
    EXPECT_TRUE(aborted);
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
  EXPECT_FALSE(child_went_on);
}

TEST_F(Spawn, a_task_destroyed_by_an_abort_may_abort_others_meanwhile) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    struct chain {
      static task<int> link(int n, std::shared_ptr<int> p) {
        std::optional<join_handle<int>> below;
        if (n > 0) below.emplace(spawn(link(n - 1, p)));
        co_await sleep_for(1h);
        co_return 0;
      }
    };
    auto top = spawn(chain::link(20, held));
    co_await turns(30);
    EXPECT_GE(held.use_count(), 22);
    top.abort();
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

TEST_F(Spawn, a_detached_task_goes_on_by_itself) {
  bool finished = false;
  auto body = [&]() -> task<> {
    spawn([&]() -> task<> {
      co_await turns(3);
      finished = true;
    }).detach();
    co_await turns(6);
  };
  run(body());
  EXPECT_TRUE(finished);
}

TEST_F(Spawn, a_detached_task_that_fails_is_counted_and_harms_nobody) {
  runtime rt;
  rt.run([]() -> task<> {
    spawn([]() -> task<> {
      throw std::runtime_error("nobody joins this");
      co_return;
    }).detach();
    spawn([]() -> task<int> {
      throw std::runtime_error("nor this");
      co_return 1;
    }).detach();
    spawn([]() -> task<std::string> {
      throw 1;
      co_return "";
    }).detach();
    co_await turns(3);
  });
  EXPECT_EQ(rt.counters().tasks_failed, 3U);
}

TEST_F(Spawn, a_handle_may_outlive_its_runtime) {
  std::optional<join_handle<int>> done, waiting, detached;
  {
    runtime rt;
    rt.run([&]() -> task<> {
      done.emplace(spawn([]() -> task<int> { co_return 1; }));
      waiting.emplace(spawn(waits(std::make_shared<int>(1))));
      detached.emplace(spawn(waits(std::make_shared<int>(1))));
      co_await turns(2);
    });
  }
  EXPECT_TRUE(done->done());
  EXPECT_TRUE(waiting->done());
  waiting->abort();
  detached->detach();
}

TEST_F(Spawn, a_handle_may_be_dropped_on_another_thread) {
  auto held = std::make_shared<int>(1);
  runtime rt;
  rt.run([&]() -> task<> {
    auto h = spawn(waits(held));
    co_await yield();
    std::thread([moved = std::move(h)] {}).join();
    while (held.use_count() != 1) co_await yield();  // its abort arrives as a message
  });
  EXPECT_EQ(rt.counters().tasks, 0U);
}

TEST_F(Spawn, tasks_may_be_joined_in_any_order) {
  auto body = []() -> task<> {
    std::vector<join_handle<int>> all;
    for (int i = 0; i < 10; ++i)
      all.push_back(spawn(
          [](int n) -> task<int> {
            co_await turns(10 - n);
            co_return n;
          },
          i));
    for (std::size_t i = all.size(); i-- > 0;) {
      const int n = co_await all[i];
      EXPECT_EQ(n, static_cast<int>(i));
    }
  };
  run(body());
}

TEST_F(Spawn, the_drop_of_a_join_leaves_the_task_running) {
  auto body = []() -> task<> {
    auto h = spawn([]() -> task<int> {
      co_await turns(4);
      co_return 3;
    });
    {
      auto joiner = spawn([](join_handle<int>& target) -> task<int> { co_return co_await target; },
                          std::ref(h));
      co_await turns(2);
    }
    const int n = co_await h;
    EXPECT_EQ(n, 3);
  };
  run(body());
}

TEST_F(Spawn, moving_over_a_handle_aborts_what_it_held) {
  auto first = std::make_shared<int>(1), second = std::make_shared<int>(2);
  auto body = [&]() -> task<> {
    auto h = spawn(waits(first));
    h = spawn(waits(second));
    EXPECT_EQ(first.use_count(), 1);
    EXPECT_EQ(second.use_count(), 2);
    co_return;
  };
  run(body());
  EXPECT_EQ(second.use_count(), 1);
}

}  // namespace
}  // namespace parkring
