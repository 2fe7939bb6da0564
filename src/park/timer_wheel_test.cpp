#include "timer_wheel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <tuple>
#include <vector>

namespace parkring::park {
namespace {

using node = detail::timer_node;
constexpr std::uint64_t tick = timer_wheel::tick_ns;
constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t day = 86'400 * second;
constexpr std::uint64_t year = 365 * day;

// Moves the clock and takes what fired off the ready list, in order, as a run loop does.
template <class F>
unsigned fire(timer_wheel& wheel, std::uint64_t now_ns, F&& each) {
  detail::waiter_list ready;
  wheel.advance(now_ns, ready);
  unsigned count = 0;
  while (detail::waiter* w = ready.pop_front()) {
    ++count;
    each(static_cast<node&>(*w));
  }
  return count;
}
unsigned fire(timer_wheel& wheel, std::uint64_t now_ns) {
  return fire(wheel, now_ns, [](node&) {});
}

std::uint64_t tick_up(std::uint64_t ns) { return ns / tick + (ns % tick != 0 ? 1 : 0); }

TEST(TimerWheel, an_empty_wheel_has_nothing_to_wait_for) {
  timer_wheel wheel(5 * second);
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_deadline(), timer_wheel::never);
  EXPECT_EQ(fire(wheel, UINT64_MAX), 0U);
  EXPECT_EQ(wheel.next_deadline(), timer_wheel::never);
}

TEST(TimerWheel, a_timer_never_fires_early_and_less_than_a_tick_late) {
  for (const std::uint64_t delay : {std::uint64_t{1}, tick - 1, tick, tick + 1, 63 * tick + 5,
                                    64 * tick, 4096 * tick - 1, second, day, 10 * year}) {
    const std::uint64_t start = 7 * second + 123;
    timer_wheel wheel(start);
    node timer;
    const std::uint64_t deadline = start + delay;
    wheel.arm(timer, deadline);
    if (deadline % tick != 0) {
      EXPECT_EQ(fire(wheel, deadline - 1), 0U) << delay;
    }
    EXPECT_EQ(fire(wheel, deadline + tick - 1), 1U) << delay;
    EXPECT_FALSE(timer.linked());
    EXPECT_TRUE(wheel.empty());
  }
}

TEST(TimerWheel, a_deadline_on_a_tick_fires_exactly_then) {
  timer_wheel wheel(0);
  node timer;
  wheel.arm(timer, 1000 * tick);
  EXPECT_EQ(fire(wheel, 1000 * tick - 1), 0U);
  EXPECT_EQ(fire(wheel, 1000 * tick), 1U);
}

TEST(TimerWheel, a_past_deadline_fires_at_the_next_advance) {
  timer_wheel wheel(second);
  node long_past;
  node just_now;
  wheel.arm(just_now, second);
  wheel.arm(long_past, 0);
  EXPECT_LE(wheel.next_deadline(), second + tick);
  EXPECT_EQ(fire(wheel, second), 1U);  // `just_now` is rounded up to the coming tick
  EXPECT_TRUE(just_now.linked());
  EXPECT_EQ(fire(wheel, second + tick), 1U);
}

TEST(TimerWheel, next_deadline_is_exact_when_near) {
  timer_wheel wheel(0);
  node timer;
  wheel.arm(timer, 17 * tick + 1);
  EXPECT_EQ(wheel.next_deadline(), 18 * tick);
  wheel.cancel(timer);
  EXPECT_EQ(wheel.next_deadline(), timer_wheel::never);
}

TEST(TimerWheel, following_next_deadline_reaches_a_far_timer_in_few_steps) {
  for (const std::uint64_t deadline :
       {4 * second, day + 12'345, year, 100 * year, UINT64_MAX - 2 * tick}) {
    timer_wheel wheel(3 * second + 1);
    node timer;
    wheel.arm(timer, deadline);
    unsigned steps = 0;
    std::uint64_t previous = 0;
    while (!wheel.empty()) {
      const std::uint64_t next = wheel.next_deadline();
      ASSERT_GT(next, previous);
      ASSERT_LE(next / tick, tick_up(deadline));
      previous = next;
      fire(wheel, next);
      ASSERT_LE(++steps, 9U);
    }
    EXPECT_EQ(previous, tick_up(deadline) * tick);
  }
}

TEST(TimerWheel, the_end_of_time_is_never) {
  timer_wheel wheel(UINT64_MAX - year);
  node last;
  node never;
  node almost;
  wheel.arm(last, UINT64_MAX);
  wheel.arm(never, UINT64_MAX - tick + 2);
  wheel.arm(almost, UINT64_MAX - tick + 1);  // the start of the last tick
  while (almost.linked()) fire(wheel, wheel.next_deadline());
  EXPECT_EQ(wheel.next_deadline(), timer_wheel::never);
  EXPECT_EQ(fire(wheel, UINT64_MAX), 0U);
  EXPECT_TRUE(last.linked() && never.linked());
  wheel.cancel(last);
  wheel.cancel(never);
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, timers_of_one_tick_fire_in_arming_order_though_armed_at_different_distances) {
  timer_wheel wheel(0);
  const std::uint64_t deadline = 64 * 64 * 5 * tick + 64 * 3 * tick + 7 * tick;
  std::vector<std::unique_ptr<node>> nodes;
  std::vector<node*> fired;
  for (const std::uint64_t before : {deadline, 64 * 70 * tick, 64 * tick, 8 * tick, tick}) {
    fire(wheel, deadline - before);
    for (int i = 0; i < 3; ++i) wheel.arm(*nodes.emplace_back(std::make_unique<node>()), deadline);
  }
  fire(wheel, deadline, [&](node& n) { fired.push_back(&n); });
  ASSERT_EQ(fired.size(), nodes.size());
  for (std::size_t i = 0; i < fired.size(); ++i) EXPECT_EQ(fired[i], nodes[i].get()) << i;
}

TEST(TimerWheel, cancel_twice_and_cancel_after_firing_do_nothing) {
  timer_wheel wheel(0);
  node timer;
  wheel.cancel(timer);
  wheel.arm(timer, second);
  wheel.cancel(timer);
  wheel.cancel(timer);
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(fire(wheel, 2 * second), 0U);
  wheel.arm(timer, 3 * second);
  EXPECT_EQ(fire(wheel, 4 * second), 1U);
  wheel.cancel(timer);
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, a_timer_that_was_resumed_cancels_others_that_have_fired_and_later_ones) {
  timer_wheel wheel(0);
  node first;
  node same_tick;
  node next_tick;
  node far;
  node kept;
  wheel.arm(first, tick);
  wheel.arm(same_tick, tick);
  wheel.arm(next_tick, 2 * tick);
  wheel.arm(kept, 3 * tick);
  wheel.arm(far, day);
  std::vector<node*> fired;
  EXPECT_EQ(fire(wheel, second,
                 [&](node& n) {
                   fired.push_back(&n);
                   if (&n != &first) return;
                   wheel.cancel(same_tick);
                   wheel.cancel(next_tick);
                   wheel.cancel(far);
                 }),
            2U);
  EXPECT_EQ(fired, (std::vector<node*>{&first, &kept}));
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_deadline(), timer_wheel::never);
}

TEST(TimerWheel, cancelling_the_only_one_that_has_fired_leaves_its_old_slot_alone) {
  timer_wheel wheel(0);
  node fired;
  node later;
  wheel.arm(fired, 5 * tick);
  detail::waiter_list ready;
  wheel.advance(64 * tick, ready);
  wheel.arm(later, 69 * tick);  // in the slot that `fired` stood in, one turn of the wheel on
  ASSERT_EQ(ready.front(), &fired);
  wheel.cancel(fired);
  EXPECT_TRUE(ready.empty());
  EXPECT_EQ(wheel.next_deadline(), 69 * tick);
  EXPECT_EQ(fire(wheel, 69 * tick), 1U);
}

TEST(TimerWheel, what_is_armed_for_now_waits_for_the_next_advance) {
  timer_wheel wheel(0);
  node timer;
  wheel.arm(timer, tick);
  unsigned calls = 0;
  const auto again = [&](node& n) {
    ++calls;
    wheel.arm(n, calls == 1 ? second : 0);
  };
  EXPECT_EQ(fire(wheel, second + tick, again), 1U);
  EXPECT_EQ(wheel.next_deadline(), second + tick);
  EXPECT_EQ(fire(wheel, second + tick, again), 1U);
  EXPECT_EQ(fire(wheel, second + tick, again), 1U);
  EXPECT_EQ(calls, 3U);
  wheel.cancel(timer);
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_deadline(), timer_wheel::never);
}

TEST(TimerWheel, what_has_fired_stands_behind_what_was_ready) {
  timer_wheel wheel(0);
  node timer;
  detail::waiter before;
  detail::waiter_list ready;
  ready.push_back(before);
  wheel.arm(timer, tick);
  wheel.advance(tick, ready);
  EXPECT_EQ(ready.pop_front(), &before);
  EXPECT_EQ(ready.pop_front(), &timer);
}

TEST(TimerWheel, slots_whose_earlier_timers_are_gone_are_walked_safely) {
  // What a slot remembers of them, to prefetch them, is no more than addresses.
  timer_wheel wheel(0);
  std::uint64_t now = 0;
  unsigned fired = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::unique_ptr<node>> nodes;
    for (std::uint64_t i = 0; i < 20; ++i)
      wheel.arm(*nodes.emplace_back(std::make_unique<node>()), now + (1 + i % 3) * tick);
    for (std::size_t i = 0; i < nodes.size(); i += 2) wheel.cancel(*nodes[i]);
    now += 3 * tick;
    fired += fire(wheel, now);
  }
  EXPECT_EQ(fired, 3000U);
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, a_dying_wheel_lets_go_of_its_nodes) {
  std::vector<std::unique_ptr<node>> nodes;
  {
    timer_wheel wheel(second);
    for (const std::uint64_t deadline :
         {std::uint64_t{0}, second + 2 * tick, day, year, UINT64_MAX}) {
      wheel.arm(*nodes.emplace_back(std::make_unique<node>()), deadline);
    }
  }
  for (auto& n : nodes) EXPECT_FALSE(n->linked());
}

TEST(TimerWheelDeathTest, misuse_aborts_with_advice) {
  timer_wheel wheel(second);
  node timer;
  EXPECT_DEATH(fire(wheel, second - 1), "clock went backwards");
  wheel.arm(timer, day);
  EXPECT_DEATH(wheel.arm(timer, day), "armed already");
  wheel.cancel(timer);
  EXPECT_DEATH(
      {
        node dying;
        wheel.arm(dying, day);
      },
      "died while armed");
}

// The model: armed timers by the tick at which they fire, equal ticks in arming order. A timer that
// is overdue when armed belongs to the tick at which the clock stands.
class model_run {
 public:
  explicit model_run(std::uint64_t seed)
      : random_(seed), now_(start(seed)), wheel_(now_), nodes_(300) {}
  ~model_run() {
    for (auto& n : nodes_) wheel_.cancel(n);
  }

  void step() {
    const auto what = pick(100);
    if (what < 55) {
      flip(pick(nodes_.size()));
    } else {
      move_clock();
    }
    check_next();
  }

  std::uint64_t fired_in_all = 0;

 private:
  using model = std::multimap<std::uint64_t, std::size_t>;

  static std::uint64_t start(std::uint64_t seed) {
    switch (seed % 4) {
      case 0:
        return 0;
      case 1:
        return 12'345 * second + 67;
      case 2:
        return (std::uint64_t{1} << 62) - 3 * tick;  // just before many digits turn
      default:
        return UINT64_MAX - 20 * year;
    }
  }

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  std::uint64_t plus(std::uint64_t distance) const {
    return distance > UINT64_MAX - now_ ? UINT64_MAX : now_ + distance;
  }

  std::uint64_t distance() { return pick(12) == 0 ? pick(UINT64_MAX) : step_of_clock(); }

  std::uint64_t step_of_clock() {
    switch (pick(10)) {
      case 0:
        return pick(tick);
      case 1:
        return pick(64 * tick);
      case 2:
        return pick(second);
      case 3:
        return pick(100 * second);
      case 4:
        return pick(3 * day);
      case 5:
        return pick(5 * year);
      case 6:
        return pick(4) * 64 * tick;
      default:
        return pick(4096 * tick);
    }
  }

  std::uint64_t deadline() {
    if (pick(10) == 0) return now_ - std::min(now_, distance());
    return plus(distance());
  }

  void arm(std::size_t i) {
    const std::uint64_t at = deadline();
    wheel_.arm(nodes_[i], at);
    where_[i] = armed_.emplace(std::max(tick_up(at), now_ / tick), i);
  }

  void cancel(std::size_t i) {
    wheel_.cancel(nodes_[i]);
    armed_.erase(where_.at(i));
    where_.erase(i);
  }

  void flip(std::size_t i) {
    where_.contains(i) ? cancel(i) : arm(i);
    ASSERT_EQ(wheel_.empty(), armed_.empty());
  }

  void move_clock() {
    const auto how = pick(40);
    const std::uint64_t next = wheel_.next_deadline();
    if (how < 10 && next - std::min(now_, next) < year) {
      now_ = std::max(now_, next);
    } else if (how < 39 || pick(10) != 0) {
      now_ = plus(pick(step_of_clock() + 1) / 4);
    } else {
      now_ += pick(1 + (UINT64_MAX - now_) / 8);
    }
    // What is due must be known before what is resumed adds to the model.
    std::set<std::size_t> due;
    for (auto it = armed_.begin(); it != armed_.end() && it->first <= now_ / tick; ++it) {
      due.insert(it->second);
    }
    fire(wheel_, now_, [&](node& n) {
      const auto i = static_cast<std::size_t>(&n - nodes_.data());
      ASSERT_FALSE(n.linked());
      ASSERT_TRUE(n.ns <= now_) << "early";
      const auto expected = std::find_if(armed_.begin(), armed_.end(),
                                         [&](auto& entry) { return due.contains(entry.second); });
      ASSERT_TRUE(expected != armed_.end());
      ASSERT_EQ(expected->second, i);
      armed_.erase(expected);
      where_.erase(i);
      due.erase(i);
      ++fired_in_all;
      for (auto changes = pick(4); changes-- > 1;) {
        const auto other = pick(nodes_.size());
        due.erase(other);  // cancelled, or armed again: neither fires in this advance
        flip(other);
      }
    });
    ASSERT_TRUE(due.empty()) << due.size() << " timers did not fire";
    ASSERT_EQ(wheel_.empty(), armed_.empty());
  }

  void check_next() {
    const std::uint64_t next = wheel_.next_deadline();
    if (armed_.empty()) {
      ASSERT_EQ(next, timer_wheel::never);
      return;
    }
    const std::uint64_t earliest = armed_.begin()->first;
    ASSERT_LE(next / tick, earliest);
    if (earliest > now_ / tick && next != timer_wheel::never) {
      ASSERT_GT(next, now_) << "a wake that would repeat for ever";
    }
    if (next == timer_wheel::never && now_ != UINT64_MAX) {
      ASSERT_GT(earliest, UINT64_MAX / tick) << "only the end of time is never";
    }
    if (earliest / 64 == now_ / tick / 64 && earliest > now_ / tick) {
      ASSERT_EQ(next, earliest * tick) << "the lowest level is exact";
    }
  }

  std::mt19937_64 random_;
  std::uint64_t now_;
  timer_wheel wheel_;
  std::vector<node> nodes_;
  model armed_;
  std::map<std::size_t, model::iterator> where_;
};

TEST(TimerWheel, agrees_with_an_ordered_map_over_random_histories) {
  std::uint64_t fired = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    model_run run(seed);
    for (int i = 0; i < 4'000; ++i) {
      run.step();
      if (HasFatalFailure()) return;
    }
    fired += run.fired_in_all;
  }
  EXPECT_GT(fired, 10'000U);
}

}  // namespace
}  // namespace parkring::park
