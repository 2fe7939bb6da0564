#include <parkring/stop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include <parkring/race.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

task<int> until_stopped() {
  co_await stopped();
  co_return 1;
}
task<bool> naps() { co_return co_await sleep_for(1h, stoppable); }

TEST(Stop, nobody_is_stopped_unasked) {
  auto body = []() -> task<> {
    EXPECT_FALSE(this_task::stop_requested());
    EXPECT_FALSE(this_task::stop_token().stop_requested());
    EXPECT_TRUE(this_task::stop_token().stop_possible());
    EXPECT_TRUE(co_await sleep_for(10us, stoppable));
    EXPECT_TRUE(co_await sleep_until(now() + 10us, stoppable));
    EXPECT_FALSE(co_await timeout(10us, stopped()));
  };
  run(body());
}

TEST(Stop, a_request_wakes_those_who_wait_for_it_and_drops_nobody) {
  auto body = []() -> task<> {
    auto waits = spawn(until_stopped());
    auto sleeps = spawn(naps());
    auto other = spawn(naps());
    co_await yield();
    waits.request_stop();
    sleeps.request_stop();
    EXPECT_EQ(co_await std::move(waits), 1);
    EXPECT_FALSE(co_await std::move(sleeps));
    EXPECT_FALSE(other.done()) << "it was not asked";
  };
  run(body());
}

TEST(Stop, ends_a_loop_of_sleeps) {
  auto body = []() -> task<> {
    auto h = spawn([]() -> task<int> {
      int rounds = 0;
      for (;;) {
        const bool slept = co_await sleep_for(10us, stoppable);
        if (!slept) break;
        ++rounds;
      }
      co_return rounds;
    });
    co_await sleep_for(100us);
    h.request_stop();
    EXPECT_GE(co_await std::move(h), 0);
  };
  run(body());
}

TEST(Stop, a_request_before_the_task_looks_is_there_when_it_does) {
  auto body = []() -> task<> {
    auto h = spawn(naps());
    auto polls = spawn([]() -> task<bool> { co_return this_task::stop_token().stop_requested(); });
    h.request_stop();
    polls.request_stop();
    polls.request_stop();
    EXPECT_FALSE(co_await std::move(h));
    EXPECT_TRUE(co_await std::move(polls));
  };
  run(body());
}

TEST(Stop, goes_down_to_children_and_not_up_or_aside) {
  auto body = []() -> task<> {
    int told = 0;
    auto grandchild = [](int& n) -> task<> {
      co_await stopped();
      ++n;
    };
    auto child = [grandchild](int& n) -> task<> {
      auto one = spawn(grandchild, std::ref(n));
      auto two = spawn(grandchild, std::ref(n));
      co_await std::move(one);
      co_await std::move(two);
      EXPECT_TRUE(this_task::stop_requested());
    };
    auto first = spawn(child, std::ref(told)), second = spawn(child, std::ref(told));
    for (int i = 0; i < 3; ++i) co_await yield();
    first.request_stop();
    co_await std::move(first);
    EXPECT_EQ(told, 2);
    EXPECT_FALSE(second.done());
    EXPECT_FALSE(this_task::stop_requested());
  };
  run(body());
}

TEST(Stop, reaches_who_was_spawned_before_and_looks_after_it) {
  auto body = []() -> task<> {
    std::string seen;
    auto late = [](std::string& s, char name) -> task<> {
      for (int i = 0; i < 6; ++i) co_await yield();
      s += this_task::stop_requested() ? name : '-';
    };
    auto middle = [late](std::string& s) -> task<> {  // ends before its child looks
      spawn(late, std::ref(s), 'a').detach();
      co_await yield();
      co_await yield();
    };
    auto outer = spawn(
        [middle, late](std::string& s) -> task<> {
          spawn(middle, std::ref(s)).detach();
          co_await yield();
          co_await yield();
          spawn(late, std::ref(s), 'b').detach();
        },
        std::ref(seen));
    co_await yield();
    outer.request_stop();
    for (int i = 0; i < 20; ++i) co_await yield();
    EXPECT_EQ(seen, "ab");
  };
  run(body());
}

TEST(Stop, a_task_that_is_stopped_stops_what_it_spawns_from_then_on) {
  auto body = []() -> task<> {
    auto h = spawn([]() -> task<bool> {
      co_await stopped();
      co_return co_await spawn([]() -> task<bool> { co_return this_task::stop_requested(); });
    });
    co_await yield();
    h.request_stop();
    EXPECT_TRUE(co_await std::move(h));
  };
  run(body());
}

TEST(Stop, one_child_can_be_asked_alone) {
  auto body = []() -> task<> {
    (void)this_task::stop_token();  // a context that the children inherit
    auto a = spawn(until_stopped()), b = spawn(until_stopped());
    co_await yield();
    a.request_stop();
    EXPECT_EQ(co_await std::move(a), 1);
    co_await yield();
    EXPECT_FALSE(b.done());
    EXPECT_FALSE(this_task::stop_requested());
  };
  run(body());
}

TEST(Stop, a_group_asks_its_members) {
  auto body = []() -> task<> {
    task_group g;
    int ended = 0;
    for (int i = 0; i < 5; ++i)
      g.spawn(
          [](int& n) -> task<> {
            EXPECT_FALSE(co_await sleep_for(1h, stoppable));
            ++n;
          },
          std::ref(ended));
    co_await yield();
    g.request_stop();
    co_await g.join();
    EXPECT_EQ(ended, 5);
  };
  run(body());
}

TEST(Stop, callbacks_of_a_token_run_inside_the_request_and_may_end_the_task) {
  auto body = []() -> task<> {
    std::optional<join_handle<int>> h;
    int called = 0;
    h = spawn(
        [](int& n, std::optional<join_handle<int>>& self) -> task<int> {
          auto end = [&] {
            ++n;
            self->abort();
          };
          const std::stop_callback callback(this_task::stop_token(), end);
          co_await sleep_for(1h);
          co_return 0;
        },
        std::ref(called), std::ref(h));
    co_await yield();
    h->request_stop();
    EXPECT_EQ(called, 1);
    EXPECT_TRUE(h->done());
    h->request_stop();
    EXPECT_EQ(called, 1);
  };
  run(body());
}

TEST(Stop, a_token_may_be_kept_longer_than_its_task) {
  auto body = []() -> task<std::stop_token> { co_return this_task::stop_token(); };
  const std::stop_token token = run(body());
  EXPECT_FALSE(token.stop_requested());
}

TEST(Stop, a_task_that_has_ended_does_not_mind) {
  auto body = []() -> task<> {
    auto h = spawn(yield());
    for (int i = 0; i < 3; ++i) co_await yield();
    EXPECT_TRUE(h.done());
    h.request_stop();
    h.abort();
    h.request_stop();
  };
  run(body());
}

TEST(Stop, may_be_requested_from_another_thread_by_the_handle) {
  runtime rt;
  std::optional<join_handle<bool>> h = rt.spawn(naps());
  std::thread other([mine = std::move(*h)]() mutable {
    mine.request_stop();
    mine.request_stop();
    mine.detach();
  });
  rt.run([]() -> task<> {
    while (detail::running_core().tasks.longer_than(1)) co_await sleep_for(100us);
  }());
  other.join();
}

TEST(Stop, a_request_under_way_keeps_the_task_when_its_handle_goes_at_home) {
  runtime rt;
  for (int i = 0; i < 50; ++i) {
    auto h = rt.spawn(naps());
    std::thread([&] {
      h.request_stop();
      h.request_stop();
    }).join();
    if (i % 2 == 0) {
      h.abort();
      { auto gone = std::move(h); }
      rt.run(yield());  // the requests come now
    } else {
      EXPECT_FALSE(rt.run([](join_handle<bool> mine) -> task<bool> {
        co_return co_await std::move(mine);
      }(std::move(h))));
    }
  }
}

TEST(Stop, may_be_requested_when_the_runtime_is_gone) {
  std::optional<join_handle<bool>> h;
  {
    runtime rt;
    h = rt.spawn(naps());
    rt.run(yield());
  }
  h->request_stop();
  std::thread([&] { h->request_stop(); }).join();
}

TEST(WithStopToken, asks_from_any_thread) {
  std::stop_source source;
  std::thread other;
  auto body = [&]() -> task<> {
    other = std::thread([&] { source.request_stop(); });
    auto both = []() -> task<int> {
      auto child = spawn(naps());
      co_await stopped();
      co_return co_await std::move(child) ? 0 : 5;
    };
    EXPECT_EQ(co_await with_stop_token(source.get_token(), both()), 5);
    EXPECT_FALSE(this_task::stop_requested()) << "only inside";
    EXPECT_FALSE(co_await with_stop_token(source.get_token(), naps())) << "already asked";
  };
  run(body());
  other.join();
}

TEST(WithStopToken, a_scope_that_has_ended_hears_nothing) {
  std::stop_source source;
  auto body = [&]() -> task<> {
    co_await with_stop_token(source.get_token(), yield());
    source.request_stop();
    std::stop_source second;
    auto h = spawn(
        [](std::stop_token t) -> task<> { co_await with_stop_token(std::move(t), sleep_for(1h)); },
        second.get_token());
    co_await yield();
    co_await yield();
    second.request_stop();  // the message is under way
    h.abort();
    co_await sleep_for(10us);
  };
  run(body());
}

}  // namespace
}  // namespace parkring
