#include <parkring/race.hpp>

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <iterator>
#include <list>
#include <memory>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

task<int> after_turns(int n, int value) {
  for (int i = 0; i < n; ++i) co_await yield();
  co_return value;
}
task<int> waits(std::shared_ptr<int>) {
  co_await sleep_for(1h);
  co_return 0;
}

TEST(Race, gives_index_and_value_of_the_first) {
  auto body = []() -> task<> {
    auto w = co_await race(after_turns(3, 30), after_turns(1, 10), after_turns(2, 20));
    EXPECT_EQ(w.index, 1U);
    EXPECT_EQ(w.value, 10);
    auto first = co_await race(after_turns(0, 5), after_turns(0, 6));
    EXPECT_EQ(first.index, 0U);
    auto alone = co_await race(after_turns(2, 7));
    EXPECT_EQ(alone.value, 7);
  };
  run(body());
}

TEST(Race, different_types_give_a_variant_whose_index_says_who_won) {
  auto body = []() -> task<> {
    auto text = []() -> task<std::string> { co_return "won"; };
    auto v = co_await race(after_turns(2, 1), text(), sleep_for(1h));
    EXPECT_EQ(v.index(), 1U);
    EXPECT_EQ(std::get<1>(v), "won");
    auto w = co_await race(sleep_for(1h), after_turns(1, 4));
    EXPECT_EQ(std::get<1>(w), 4);
  };
  run(body());
}

TEST(Race, of_voids_gives_who_won) {
  auto body = []() -> task<> {
    auto w = co_await race(sleep_for(1h), yield());
    EXPECT_EQ(w.index, 1U);
  };
  run(body());
}

TEST(Race, gives_move_only_values) {
  auto body = []() -> task<> {
    auto p = [](int n) -> task<std::unique_ptr<int>> {
      co_await nop();
      co_return std::make_unique<int>(n);
    };
    auto w = co_await race(p(1), p(2));
    EXPECT_EQ(*w.value, w.index == 0 ? 1 : 2);
  };
  run(body());
}

TEST(Race, the_losers_are_gone_when_the_await_returns) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    co_await race(waits(held), after_turns(2, 1), waits(held));
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

TEST(Race, a_loser_that_is_ready_in_the_same_turn_does_not_run_on) {
  bool second_ran = false;
  auto body = [&]() -> task<> {
    auto second = [&]() -> task<int> {
      co_await yield();
      second_ran = true;
      co_return 2;
    };
    auto w = co_await race(after_turns(1, 1), second());
    EXPECT_EQ(w.index, 0U);
    co_await after_turns(3, 0);
  };
  run(body());
  EXPECT_FALSE(second_ran);
}

TEST(Race, the_first_to_fail_wins_too) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto fails = []() -> task<int> {
      co_await yield();
      throw std::runtime_error("lost and won");
      co_return 1;
    };
    bool caught = false;
    try {
      co_await race(waits(held), fails(), after_turns(5, 1));
    } catch (const std::runtime_error&) {
      caught = true;
      EXPECT_EQ(held.use_count(), 1);
    }
    EXPECT_TRUE(caught);
  };
  run(body());
}

TEST(Race, a_failure_of_a_loser_is_not_heard_of) {
  auto body = []() -> task<int> {
    auto fails_later = []() -> task<int> {
      co_await yield();
      co_await yield();
      throw std::runtime_error("too late");
      co_return 1;
    };
    auto w = co_await race(fails_later(), after_turns(1, 8));
    co_await after_turns(4, 0);
    co_return w.value;
  };
  EXPECT_EQ(run(body()), 8);
}

TEST(Race, dropping_it_drops_everyone) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto h =
        spawn([](std::shared_ptr<int> p) -> task<> { co_await race(waits(p), waits(p)); }, held);
    co_await yield();
    co_await yield();
    EXPECT_GT(held.use_count(), 2);
    h.abort();
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

TEST(Race, of_requests_disposes_of_the_losers_requests) {
  runtime rt;
  rt.run([]() -> task<> {
    for (int i = 0; i < 50; ++i) co_await race(nop(), nop(), nop());
    co_await nop();
    co_await nop();
  });
  EXPECT_EQ(rt.counters().operations, 0U);
}

TEST(Race, of_a_vector_gives_the_first_and_its_index) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto runner = [](std::shared_ptr<int>, int n) -> task<int> {
      if (n != 3) co_await sleep_for(std::chrono::hours(1));
      co_await nop();
      co_return n;
    };
    std::vector<task<int>> many;
    for (int i = 0; i < 5; ++i) many.push_back(runner(held, i));
    const auto first = co_await race(std::move(many));
    EXPECT_EQ(first.index, 3u);
    EXPECT_EQ(first.value, 3);
    EXPECT_EQ(held.use_count(), 1) << "nothing of the losers is left";
  };
  run(body());
}

TEST(Race, of_a_vector_takes_awaitables_without_value_and_throws_what_the_first_throws) {
  auto body = []() -> task<> {
    std::vector<task<>> some;
    some.push_back([]() -> task<> { co_await sleep_for(std::chrono::hours(1)); }());
    some.push_back([]() -> task<> { co_await nop(); }());
    EXPECT_EQ((co_await race(std::move(some))).index, 1u);
    std::vector<task<>> failing;
    failing.push_back([]() -> task<> { co_await sleep_for(std::chrono::hours(1)); }());
    failing.push_back([]() -> task<> {
      co_await nop();
      throw std::runtime_error("first");
    }());
    EXPECT_THROW(co_await race(std::move(failing)), std::runtime_error);
  };
  run(body());
}

TEST(Race, of_a_range_that_makes_its_awaitables_as_it_goes) {
  auto body = []() -> task<> {
    int made = 0;
    const auto make = [&](int n) {
      ++made;
      return after_turns(n, 10 * n);
    };
    auto parts = std::views::iota(1, 6) | std::views::reverse | std::views::transform(make);
    auto racing = race(parts);
    EXPECT_EQ(made, 5) << "it was read at once";
    const auto first = co_await std::move(racing);
    EXPECT_EQ(first.index, 4u);
    EXPECT_EQ(first.value, 10);
  };
  run(body());
}

TEST(Race, of_containers_that_are_handed_over) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    std::list<task<int>> some;
    some.push_back(waits(held));
    some.push_back(after_turns(1, 7));
    EXPECT_EQ((co_await race(std::move(some))).value, 7);
    EXPECT_EQ(held.use_count(), 1);
    std::array<task<int>, 2> two{waits(held), after_turns(1, 8)};
    EXPECT_EQ((co_await race(std::move(two))).value, 8);
    task<int> three[] = {waits(held), waits(held), after_turns(1, 9)};
    EXPECT_EQ((co_await race(std::move(three))).index, 2u);
    EXPECT_EQ(held.use_count(), 1);
    std::vector<task<int>> moved;
    moved.push_back(waits(held));
    moved.push_back(after_turns(1, 6));
    const auto first = std::make_move_iterator(moved.begin());
    std::ranges::subrange some_of(first, std::make_move_iterator(moved.end()));
    EXPECT_EQ((co_await race(some_of)).value, 6);
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

// What may be raced, and what belongs to somebody else.
template <class R>
concept can_race = requires(R&& range) {
  race(std::forward<R>(range));
};
using tasks = std::vector<task<int>>;
static_assert(can_race<tasks> && can_race<std::list<task<int>>>);
static_assert(can_race<std::array<task<int>, 2>> && can_race<task<int>[2]>);
static_assert(!can_race<tasks&> && !can_race<const tasks> && !can_race<std::list<task<int>>&>);
static_assert(!can_race<std::span<task<int>>> && !can_race<std::ranges::ref_view<tasks>>);
static_assert(!can_race<std::vector<int>> && !can_race<std::string>);

}  // namespace
}  // namespace parkring
