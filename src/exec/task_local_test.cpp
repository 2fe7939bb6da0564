#include <parkring/task_local.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <parkring/deadline.hpp>
#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/shield.hpp>
#include <parkring/spawn.hpp>
#include <parkring/stop.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/when_all.hpp>

namespace parkring {
namespace {

const task_local<std::string> name;
const task_local<int> level;
const task_local<std::shared_ptr<int>> shared;

std::string here() { return name.get() == nullptr ? "none" : *name.get(); }
task<std::string> asks() {
  co_await nop();
  co_return here();
}

TEST(TaskLocal, is_there_inside_and_not_outside) {
  auto body = []() -> task<> {
    EXPECT_EQ(here(), "none");
    EXPECT_EQ(co_await name.with("a", asks()), "a");
    EXPECT_EQ(here(), "none");
    EXPECT_EQ(co_await name.with("a", name.with("b", asks())), "b");
  };
  run(body());
}

TEST(TaskLocal, several_do_not_see_each_other) {
  auto body = []() -> task<> {
    auto inside = []() -> task<> {
      EXPECT_EQ(here(), "a");
      EXPECT_EQ(*level.get(), 7);
      EXPECT_EQ(shared.get(), nullptr);
      co_await nop();
    };
    co_await name.with("a", level.with(7, inside()));
    const auto [a, b] = co_await when_all(name.with("a", asks()), name.with("b", asks()));
    EXPECT_EQ(a + b, "ab");
  };
  run(body());
}

TEST(TaskLocal, is_inherited_by_what_is_spawned_and_lives_as_long) {
  auto value = std::make_shared<int>(3);
  auto body = [&]() -> task<> {
    auto child = []() -> task<> {
      for (int i = 0; i < 5; ++i) co_await yield();
      EXPECT_EQ(**shared.get(), 3);
    };
    auto parent = [child]() -> task<> {
      spawn(child).detach();
      co_await shield(child());
      spawn(child).detach();
    };
    co_await shared.with(value, parent());
    EXPECT_EQ(value.use_count(), 2) << "the detached child has it";
    for (int i = 0; i < 10; ++i) co_await yield();
    EXPECT_EQ(value.use_count(), 1);
  };
  run(body());
}

TEST(TaskLocal, stays_when_the_task_gets_a_stop_token) {
  auto body = []() -> task<> {
    auto inside = []() -> task<> {
      (void)this_task::stop_token();
      EXPECT_EQ(here(), "a");
      EXPECT_EQ(co_await spawn(asks()), "a");
    };
    co_await name.with("a", inside());
    (void)this_task::stop_token();
    EXPECT_EQ(co_await name.with("b", asks()), "b");
  };
  run(body());
}

TEST(TaskLocal, a_later_variable_at_the_same_place_is_another_one) {
  auto body = []() -> task<> {
    std::optional<task_local<int>> number(std::in_place);
    auto asks = [](std::optional<task_local<int>>& of) -> task<> {
      EXPECT_EQ(*of->get(), 1);
      of.emplace();
      EXPECT_EQ(of->get(), nullptr);
      co_return;
    };
    co_await number->with(1, asks(number));
  };
  run(body());
}

TEST(TaskLocal, a_value_that_fails_to_move_leaves_nothing) {
  struct thrower {
    int left;
    explicit thrower(int n) : left(n) {}
    thrower(thrower&& other) : left(other.left - 1) {
      if (left < 0) throw std::runtime_error("move");
    }
    thrower& operator=(thrower&&) = default;
  };
  auto body = []() -> task<> {
    const task_local<thrower> key;
    for (int n = 0; n < 6; ++n) {
      try {
        co_await key.with(thrower(n), yield());
      } catch (const std::runtime_error&) {
      }
    }
  };
  run(body());
}

struct looks_at_its_end {
  std::string& seen;
  ~looks_at_its_end() { seen = here(); }
};
task<> looks_when_dropped(std::string& seen) {
  const looks_at_its_end l{seen};
  co_await sleep_for(std::chrono::hours(1));
}

TEST(TaskLocal, destructors_in_an_aborted_task_see_those_of_that_task) {
  std::string by_deadline, by_another, by_itself, by_end;
  auto body = [&]() -> task<> {
    const auto soon = std::chrono::milliseconds(1);
    co_await name.with("a", with_timeout(soon, looks_when_dropped(by_deadline)));

    auto starts = [](std::string& seen) -> task<join_handle<void>> {
      auto h = spawn(looks_when_dropped, std::ref(seen));
      co_await yield();
      co_return h;
    };
    auto aborts = [](join_handle<void> h) -> task<> {
      h.abort();
      EXPECT_EQ(here(), "c");
      co_return;
    };
    co_await name.with("c", aborts(co_await name.with("b", starts(by_another))));

    std::optional<join_handle<void>> self;
    auto aborts_itself = [&]() -> task<> {
      while (!self) co_await yield();
      const looks_at_its_end l{by_itself};
      self->abort();
      co_await yield();
    };
    self = co_await name.with(
        "d", [&]() -> task<join_handle<void>> { co_return spawn(aborts_itself); }());
    EXPECT_THROW(co_await *self, task_aborted);

    (co_await name.with("e", starts(by_end))).detach();
  };
  run(body());
  EXPECT_EQ(by_deadline, "a");
  EXPECT_EQ(by_another, "b");
  EXPECT_EQ(by_itself, "d");
  EXPECT_EQ(by_end, "e");
}

TEST(TaskLocal, is_not_there_where_no_task_runs) {
  EXPECT_EQ(here(), "none");
  std::string seen;
  runtime r;
  r.post([&] { seen = here(); });
  r.run([]() -> task<> { co_await yield(); }());
  EXPECT_EQ(seen, "none");
}

}  // namespace
}  // namespace parkring
