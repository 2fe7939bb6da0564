// The law of the window, on latencies that are made up.
#include "fs/stream/background_window.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

namespace parkring::fs {
namespace {

using namespace std::chrono_literals;
using nanoseconds = std::chrono::nanoseconds;

constexpr background_window::time_point start{nanoseconds(1h)};

// A device that needs 1 ns for a byte. Every request of the foreground takes `alone`, and waits for
// a part of what the window lets be there, any part as probable as any other.
class device {
 public:
  explicit device(background_window& w) : window(w) {}
  background_window& window;
  nanoseconds alone = 100us;
  background_window::time_point t = start;

  nanoseconds request(bool met = true, bool used = true) {
    random_ = random_ * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
    const double part = static_cast<double>(random_ >> 40) / 16'777'216.0;
    nanoseconds d = alone;
    if (met) d += nanoseconds(static_cast<std::int64_t>(part * window.bytes()));
    window.foreground_began(t);
    window.foreground_ended(t, t + d, met, used);
    t += d + 1ms;
    return d;
  }

 private:
  std::uint64_t random_ = 12'345;
};

TEST(Percentile, is_that_value_which_one_in_a_hundred_is_above) {
  percentile p;
  for (int i = 1; i <= 1'000; ++i) p.add(i * 1'000.0);
  EXPECT_EQ(p.count(), 1'000u);
  EXPECT_NEAR(p.p99(), 990'000, 990'000 * 0.1);
  percentile few;
  for (int i = 0; i < 30; ++i) few.add(100);
  few.add(50'000);
  EXPECT_NEAR(few.p99(), 50'000, 50'000 * 0.1) << "of few it is the largest";
}

TEST(BackgroundWindow, settles_where_one_in_a_hundred_is_late) {
  background_window w(400us, 32);
  device d(w);
  for (int i = 0; i < 2'000; ++i) d.request();
  int late = 0;
  double sum = 0;
  constexpr int n = 20'000;
  for (int i = 0; i < n; ++i) {
    if (d.request() > 400us) ++late;
    sum += w.bytes();
  }
  EXPECT_GE(late, n / 200);
  EXPECT_LE(late, n / 65);
  EXPECT_GE(sum / n, 200'000) << "with 300,000 bytes the last ones begin to be late";
  EXPECT_LE(sum / n, 400'000);
}

TEST(BackgroundWindow, does_not_grow_when_it_is_not_used) {
  background_window w(1s, 32);
  device d(w);
  const double before = w.bytes();
  for (int i = 0; i < 5'000; ++i) d.request(true, false);
  EXPECT_EQ(w.bytes(), before);
  for (int i = 0; i < 5'000; ++i) d.request(true, true);
  EXPECT_EQ(w.bytes(), 32.0 * (128 << 10)) << "it has an upper bound";
}

TEST(BackgroundWindow, pieces_are_of_about_one_size_and_fit) {
  background_window w(1ns, 32);  // everything is late
  device d(w);
  EXPECT_EQ(w.bytes(), 64 << 10);
  EXPECT_EQ(w.piece(10'000, 4096), 10'000u);
  EXPECT_EQ(w.piece(64 << 10, 4096), 64u << 10);
  EXPECT_EQ(w.piece(65 << 10, 4096), 36u << 10) << "not a full one and a small rest";
  EXPECT_EQ(w.piece(1 << 20, 4096), 64u << 10);
  EXPECT_EQ(w.piece(1 << 20, 128 << 10), 128u << 10) << "not less than the grain";
  for (int i = 0; i < 100; ++i) d.request();
  EXPECT_EQ(w.piece(1 << 20, 4096), 16u << 10) << "there is a least piece";
  EXPECT_EQ(w.pause(16 << 10, 1ms), 15ms) << "and a longest pause";
  EXPECT_EQ(w.pause(1 << 20, 1ms), 15ms);
}

TEST(BackgroundWindow, looks_at_the_foreground_alone_and_ends_that_by_itself) {
  background_window w(0ns, 32);
  device d(w);
  EXPECT_EQ(w.target(), 0);
  d.request(false);
  EXPECT_TRUE(w.looks_until(d.t));
  for (int i = 0; i < 70; ++i) d.request(false);
  EXPECT_FALSE(w.looks_until(d.t)) << "it has seen enough";
  EXPECT_EQ(w.target(), 0) << "one look tells too little";
  for (int i = 0; i < 1'000; ++i) d.request(w.looks_until(d.t) == std::nullopt);
  EXPECT_NEAR(w.target(), 190'000, 19'000);

  // A foreground that never comes without a background holds it for a part of the time only.
  int held = 0;
  constexpr int n = 20'000;
  for (int i = 0; i < n; ++i) {
    if (w.looks_until(d.t)) ++held;
    d.request(true);
  }
  EXPECT_GE(held, 1);
  EXPECT_LE(held, n * 45 / 100);
}

TEST(BackgroundWindow, one_stall_does_not_move_the_target) {
  background_window w(0ns, 32);
  device d(w);
  for (int i = 0; i < 3'000; ++i) {
    d.alone = i == 20 || i == 21 ? nanoseconds(20ms) : nanoseconds(100us);
    d.request(w.looks_until(d.t) == std::nullopt && i != 0);
  }
  EXPECT_NEAR(w.target(), 190'000, 19'000);
}

TEST(BackgroundWindow, a_given_target_needs_no_looks) {
  background_window w(1ms, 32);
  device d(w);
  for (int i = 0; i < 5'000; ++i) {
    d.request();
    EXPECT_FALSE(w.looks_until(d.t));
  }
}

TEST(BackgroundWindow, does_not_grow_while_it_looks) {
  background_window w(0ns, 32);
  device d(w);
  int requests_in_looks = 0;
  for (int i = 0; i < 5'000; ++i) {
    const double before = w.bytes();
    const bool looks = w.looks_until(d.t).has_value();
    d.request(!looks);
    if (!looks) continue;
    ++requests_in_looks;
    EXPECT_EQ(w.bytes(), before);
  }
  EXPECT_GT(requests_in_looks, 100);
}

TEST(BackgroundWindow, looks_seldom_where_looks_see_nothing) {
  background_window w(0ns, 32);
  int looks = 0;
  for (auto t = start; t < start + 60s; t += 150ms) {
    if (w.looks_until(t)) continue;
    w.foreground_began(t);
    if (w.looks_until(t)) ++looks;
    w.foreground_ended(t, t + 1ms, true, true);
  }
  EXPECT_LE(looks, 20);
  EXPECT_GE(looks, 10);
}

}  // namespace
}  // namespace parkring::fs
