#include "exec/turn_times.hpp"

#include <gtest/gtest.h>

namespace parkring::exec {
namespace {

constexpr std::uint64_t ms = 1'000'000;

TEST(TurnTimes, tell_when_a_turn_was_to_a_millisecond) {
  turn_times t;
  EXPECT_FALSE(t.ns_of(0, 0));
  for (std::uint64_t turn = 0; turn < 100; ++turn) t.note(turn, turn * ms / 4);
  for (std::uint32_t turn = 0; turn < 100; ++turn) {
    const auto then = t.ns_of(turn, 99);
    ASSERT_TRUE(then);
    EXPECT_LE(*then, turn * ms / 4);
    EXPECT_GT(*then + ms, turn * ms / 4);
  }
}

TEST(TurnTimes, the_longer_ago_the_less_exact_but_never_unknown) {
  turn_times t;
  constexpr std::uint32_t n = 100'000;
  for (std::uint64_t turn = 0; turn < n; ++turn) t.note(turn, turn * ms);
  for (std::uint32_t turn = 0; turn < n; turn += 97) {
    const auto then = t.ns_of(turn, n - 1);
    ASSERT_TRUE(then) << turn;
    const std::uint64_t age = (n - 1 - turn) * ms, told = (n - 1) * ms - *then;
    EXPECT_GE(told, age);
    EXPECT_LE(told, age + age / 32 + 2 * ms);
  }
}

TEST(TurnTimes, a_stamp_that_has_wrapped_names_the_latest_turn_with_it) {
  turn_times t;
  constexpr std::uint64_t wrapped = std::uint64_t{1} << 32;
  t.note(0, 0);
  t.note(wrapped - 1, 10 * ms);
  t.note(wrapped + 5, 20 * ms);
  EXPECT_EQ(t.ns_of(5, wrapped + 7), 20 * ms);
  EXPECT_EQ(t.ns_of(0xffffffffu, wrapped + 7), 10 * ms);
}

}  // namespace
}  // namespace parkring::exec
