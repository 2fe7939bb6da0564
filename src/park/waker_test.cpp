#include "park/waker.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "op/test_records.hpp"

namespace parkring::park {
namespace {

struct rig : op::test_driver {
  waker wake{ops};
  rig() = default;
  ~rig() {  // the watch must end before the waker
    wake.stop();
    while (ops.live() != 0) {
      ops.orphan_all();
      turn();
    }
  }
  // A sleep as the driver makes it; it ends by a completion or after the test driver's patience.
  void sleep() {
    if (!wake.begin_sleep()) return;
    turn();
    wake.end_sleep();
  }
};

TEST(Waker, an_unpark_while_awake_costs_no_wake_and_prevents_the_next_sleep) {
  rig r;
  r.wake.unpark();
  r.wake.unpark();
  EXPECT_EQ(r.wake.wakes, 0U);
  EXPECT_FALSE(r.wake.begin_sleep());
  EXPECT_TRUE(r.wake.begin_sleep()) << "several unparks are one";
  r.wake.end_sleep();
}

TEST(Waker, an_unpark_of_a_sleeper_wakes_it_once) {
  rig r;
  ASSERT_TRUE(r.wake.begin_sleep());
  r.wake.unpark();
  r.wake.unpark();
  EXPECT_EQ(r.wake.wakes, 1U);
  const auto before = r.ops.completions;
  r.turn();  // would wait for seconds if the wake were lost
  r.wake.end_sleep();
  EXPECT_GT(r.ops.completions, before);
}

TEST(Waker, works_again_and_again_with_one_watch) {
  rig r;
  for (int i = 1; i <= 50; ++i) {
    ASSERT_TRUE(r.wake.begin_sleep()) << i;
    r.wake.unpark();
    r.turn();
    r.wake.end_sleep();
    EXPECT_EQ(r.wake.wakes, static_cast<unsigned>(i));
  }
  EXPECT_EQ(r.ops.submissions(), 1U) << "the watch stays armed";
  EXPECT_EQ(r.ops.live(), 1U);
}

TEST(Waker, a_stopped_waker_ends_its_watch) {
  rig r;
  ASSERT_TRUE(r.wake.begin_sleep());
  r.turn(0);
  r.wake.end_sleep();
  EXPECT_TRUE(r.wake.holds_record());
  r.wake.stop();
  for (int i = 0; i < 100 && r.ops.live() != 0; ++i) r.turn();
  EXPECT_FALSE(r.wake.holds_record());
  EXPECT_EQ(r.ops.live(), 0U);
}

TEST(Waker, one_that_never_slept_gives_its_record_back_when_stopped) {
  rig r;
  r.wake.stop();
  EXPECT_EQ(r.ops.live(), 0U);
}

TEST(Waker, no_unpark_is_lost_between_threads) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int rounds = 2'000;
#else
  constexpr int rounds = 10'000;
#endif
  rig r;
  std::atomic<int> sent{0}, seen{0};
  std::thread other([&] {
    for (int i = 1; i <= rounds; ++i) {
      sent = i;
      r.wake.unpark();
      while (seen != i) std::this_thread::yield();
    }
  });
  const auto turns_at_most = static_cast<std::uint64_t>(rounds) * 20;
  while (seen != rounds) {
    r.sleep();
    seen = sent.load();
    ASSERT_LE(r.ring.enters, turns_at_most);
  }
  other.join();
}

}  // namespace
}  // namespace parkring::park
