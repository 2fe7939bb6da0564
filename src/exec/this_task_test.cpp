#include <parkring/this_task.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

TEST(Yield, gives_every_ready_task_its_turn_in_order) {
  std::string order;
  auto body = [&]() -> task<> {
    task_group g;
    for (const char c : {'a', 'b', 'c'})
      g.spawn(
          [&](char name) -> task<> {
            for (int i = 0; i < 4; ++i) {
              order += name;
              co_await yield();
            }
          },
          c);
    co_await g.join();
  };
  run(body());
  EXPECT_EQ(order, "abcabcabcabc");
}

TEST(Yield, many_tasks_advance_evenly) {
  constexpr std::size_t tasks = 1000;  // several batches
  std::vector<int> steps(tasks);
  auto body = [&]() -> task<> {
    task_group g;
    for (auto& s : steps)
      g.spawn(
          [&](int& mine) -> task<> {
            for (;; co_await yield()) ++mine;
          },
          std::ref(s));
    for (int i = 0; i < 50; ++i) co_await yield();
    const auto [least, most] = std::minmax_element(steps.begin(), steps.end());
    EXPECT_GE(*least, 49);
    EXPECT_LE(*most - *least, 1);
  };
  run(body());
}

TEST(Yield, a_task_that_only_yields_starves_neither_timers_nor_requests) {
  auto body = []() -> task<> {
    bool stop = false;
    auto spinner = spawn([&]() -> task<> {
      while (!stop) co_await yield();
    });
    co_await nop();
    co_await sleep_for(500us);
    co_await nop();
    stop = true;
    co_await spinner;
  };
  run(body());
}

TEST(Budget, awaits_that_are_always_ready_let_the_others_run) {
  auto body = []() -> task<> {
    auto done = spawn([]() -> task<int> { co_return 1; });
    co_await yield();
    bool stop = false;
    // Joining what is done is ready at once, each time.
    auto greedy = spawn([&]() -> task<> {
      while (!stop) co_await done;
    });
    co_await yield();
    co_await nop();             // requests go on
    co_await sleep_for(500us);  // timers too
    stop = true;
    co_await greedy;
  };
  run(body());
}

TEST(Budget, joining_an_empty_group_again_and_again_lets_the_others_run) {
  auto body = []() -> task<> {
    bool stop = false;
    auto greedy = spawn([&]() -> task<> {
      task_group g;
      for (int i = 0;; ++i) {
        if (stop) break;
        if (i == 10'000'000) throw std::runtime_error("nobody else had a turn");
        co_await g.join();
      }
    });
    co_await yield();
    co_await nop();
    stop = true;
    co_await greedy;
  };
  run(body());
}

TEST(Yield, a_dropped_yield_is_gone) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto h = spawn(
        [](std::shared_ptr<int>) -> task<> {
          for (;;) co_await yield();
        },
        held);
    co_await yield();
    h.abort();
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

}  // namespace
}  // namespace parkring
