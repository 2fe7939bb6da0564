#include <parkring/deadline.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <parkring/event.hpp>
#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/shield.hpp>
#include <parkring/spawn.hpp>
#include <parkring/stop.hpp>
#include <parkring/this_task.hpp>
#include <parkring/when_all.hpp>

#include "support/captured_stderr.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

task<int> number(int n) {
  co_await nop();
  co_return n;
}
task<> waits(std::shared_ptr<int>) { co_await sleep_for(1h); }

TEST(Deadline, gives_the_value_in_time_and_nothing_later) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    EXPECT_EQ(co_await with_timeout(1h, number(3)), std::optional(3));
    EXPECT_TRUE(co_await with_deadline(now() + 1h, nop()));
    EXPECT_FALSE(co_await with_timeout(100us, waits(held)));
    EXPECT_EQ(held.use_count(), 1) << "dropped before the await returns";
    EXPECT_TRUE(co_await with_timeout(std::chrono::hours::max(), nop()));
  };
  run(body());
}

TEST(Deadline, what_is_thrown_passes) {
  auto body = []() -> task<> {
    co_await with_timeout(1h, []() -> task<> {
      co_await nop();
      throw std::runtime_error("inside");
    }());
  };
  EXPECT_THROW(run(body()), std::runtime_error);
}

TEST(Deadline, is_told_to_tasks_and_their_children_and_only_to_them) {
  auto body = []() -> task<> {
    const auto t = now() + 1h;
    EXPECT_FALSE(this_task::deadline());
    auto inside = [](auto expected) -> task<> {
      EXPECT_EQ(this_task::deadline(), expected);
      co_await spawn(
          [](auto e) -> task<> {
            EXPECT_EQ(this_task::deadline(), e);
            co_await nop();
            EXPECT_EQ(this_task::deadline(), e);
          },
          expected);
      EXPECT_TRUE(co_await with_deadline(expected + 1h, [](auto e) -> task<> {
        EXPECT_EQ(this_task::deadline(), e) << "a later one is none";
        co_return;
      }(expected)));
      EXPECT_TRUE(co_await with_deadline(expected - 1min, [](auto e) -> task<> {
        EXPECT_EQ(this_task::deadline(), e);
        co_return;
      }(expected - 1min)));
      EXPECT_EQ(this_task::deadline(), expected);
    };
    EXPECT_TRUE(co_await with_deadline(t, inside(t)));
    EXPECT_FALSE(this_task::deadline());
    co_await when_all(with_deadline(t, inside(t)), with_deadline(t + 1s, inside(t + 1s)));
  };
  run(body());
}

TEST(Deadline, no_child_outlives_it_whoever_has_its_handle) {
  auto detached = std::make_shared<int>(1), kept = detached;
  std::optional<join_handle<void>> outside;
  auto body = [&]() -> task<> {
    auto parent = [](std::shared_ptr<int> p, std::optional<join_handle<void>>& h) -> task<> {
      spawn(waits, p).detach();
      h = spawn([](std::shared_ptr<int> q) -> task<> { co_await spawn(waits, q); }, p);
      co_await sleep_for(1h);
    };
    EXPECT_FALSE(co_await with_timeout(200us, parent(detached, outside)));
    co_await yield();
    EXPECT_EQ(kept.use_count(), 2);
    EXPECT_TRUE(outside->done());
  };
  run(body());
}

TEST(Deadline, bounds_children_also_when_their_parent_ended_before) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto parent = [](std::shared_ptr<int> p) -> task<> {
      spawn(waits, p).detach();
      co_return;
    };
    EXPECT_TRUE(co_await with_timeout(1ms, parent(held)));
    while (held.use_count() != 1) co_await sleep_for(100us);
  };
  run(body());
}

TEST(Deadline, the_nearer_of_two_ends_the_inner_and_the_outer_goes_on) {
  auto body = []() -> task<> {
    const auto outer = co_await with_timeout(1h, with_timeout(100us, sleep_for(1h)));
    EXPECT_EQ(outer, std::optional(false));
    const auto inner = co_await with_timeout(100us, with_timeout(1h, sleep_for(1h)));
    EXPECT_TRUE(!inner.has_value() || !*inner);  // both end at the same time, either first
  };
  run(body());
}

TEST(Shield, goes_on_when_it_is_dropped_and_its_value_is_disposed_of) {
  auto value = std::make_shared<int>(1);
  event go, done;
  auto body = [&]() -> task<> {
    auto work = [](std::shared_ptr<int> v, event& g, event& d) -> task<std::shared_ptr<int>> {
      co_await g.wait();
      d.set();
      co_return v;
    };
    EXPECT_EQ(co_await timeout(100us, shield(work(value, go, done))), std::nullopt);
    EXPECT_EQ(value.use_count(), 2);
    go.set();
    co_await done.wait();
    co_await yield();
    EXPECT_EQ(value.use_count(), 1);
    EXPECT_EQ(co_await shield(number(4)), 4);
    EXPECT_THROW(co_await shield([]() -> task<> {
                   co_await nop();
                   throw std::runtime_error("inside");
                 }()),
                 std::runtime_error);
  };
  run(body());
}

TEST(Shield, no_deadline_around_it_reaches_it) {
  bool finished = false;
  auto body = [&]() -> task<> {
    auto commit = [](bool& f) -> task<> {
      EXPECT_FALSE(this_task::deadline());
      co_await sleep_for(1ms);
      co_await spawn([]() -> task<> { co_await sleep_for(10us); });
      f = true;
    };
    EXPECT_FALSE(co_await with_timeout(100us, shield(commit(finished))));
    EXPECT_FALSE(finished);
    while (!finished) co_await sleep_for(100us);
  };
  run(body());
}

TEST(Shield, an_error_is_reported_when_the_one_that_waits_goes_before_it_has_it) {
  testing::captured_stderr err;
  event go;
  auto body = [&]() -> task<> {
    auto commit = [](event& g, const char* what) -> task<> {
      co_await g.wait();
      throw std::runtime_error(what);
    };
    auto waits_for = [&commit](event& g) -> task<> { co_await shield(commit(g, "not taken")); };
    auto h = spawn(waits_for, std::ref(go));
    for (int i = 0; i < 3; ++i) co_await yield();  // it waits for the event
    auto drops = [](event& g, join_handle<void>& waiting) -> task<> {
      co_await g.wait();
      waiting.abort();
    };
    auto killer = spawn(drops, std::ref(go), std::ref(h));
    for (int i = 0; i < 3; ++i) co_await yield();
    go.set();
    co_await killer;
    EXPECT_THROW(co_await h, task_aborted);
    EXPECT_THROW(co_await shield(commit(go, "taken by us")), std::runtime_error);
  };
  run(body());
  EXPECT_NE(err.read_now().find("failed: not taken"), std::string::npos);
  EXPECT_EQ(err.read_now().find("taken by us"), std::string::npos);
}

TEST(Deadline, and_a_stop_request_are_told_to_the_destructors_of_an_aborted_task) {
  struct looks {
    bool& had_deadline;
    bool& was_stopped;
    ~looks() {
      had_deadline = this_task::deadline().has_value();
      was_stopped = this_task::stop_requested();
    }
  };
  EXPECT_FALSE(this_task::deadline());
  EXPECT_FALSE(this_task::stop_requested());
  bool had_deadline = false, was_stopped = false;
  auto body = [&]() -> task<> {
    auto inside = [&]() -> task<> {
      const looks l{had_deadline, was_stopped};
      co_await sleep_for(1h);
    };
    EXPECT_FALSE(co_await with_timeout(1ms, inside()));
    EXPECT_TRUE(std::exchange(had_deadline, false));
    EXPECT_FALSE(was_stopped);

    auto h = spawn(inside);
    co_await yield();
    h.request_stop();
    h.abort();
    EXPECT_FALSE(had_deadline);
    EXPECT_TRUE(was_stopped);
    EXPECT_FALSE(this_task::stop_requested());
  };
  run(body());
}

}  // namespace
}  // namespace parkring
