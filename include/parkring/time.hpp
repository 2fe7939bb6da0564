// Waiting for time to pass.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <type_traits>

#include <parkring/detail/core.hpp>
#include <parkring/detail/timer.hpp>

namespace parkring {
namespace detail {

using steady_time = std::chrono::steady_clock::time_point;

/// Nanoseconds of the steady clock; what lies before its start is 0.
[[nodiscard]] inline std::uint64_t to_ns(steady_time t) noexcept {
  const auto ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
  return ns < 0 ? 0 : static_cast<std::uint64_t>(ns);
}

/// A duration in whole nanoseconds, rounded up; what is not positive is 0, what is too long "for
/// ever".
template <class Rep, class Period>
[[nodiscard]] constexpr std::uint64_t ns_of(std::chrono::duration<Rep, Period> d) noexcept {
  if (!(d > d.zero())) return 0;
  constexpr std::uint64_t for_ever = INT64_MAX;
  if constexpr (std::is_integral_v<Rep> && Period::num % (Period::den) == 0) {
    constexpr auto each = static_cast<std::uint64_t>(Period::num / Period::den) * 1'000'000'000u;
    return static_cast<std::uint64_t>(d.count()) > for_ever / each
               ? for_ever
               : static_cast<std::uint64_t>(d.count()) * each;
  } else if constexpr (std::is_integral_v<Rep> && Period::num == 1 &&
                       1'000'000'000 % Period::den == 0) {
    constexpr auto each = static_cast<std::uint64_t>(1'000'000'000 / Period::den);
    return static_cast<std::uint64_t>(d.count()) > for_ever / each
               ? for_ever
               : static_cast<std::uint64_t>(d.count()) * each;
  } else {
    using exact = std::chrono::duration<long double, std::nano>;
    const long double ns = std::chrono::duration_cast<exact>(d).count();
    if (ns >= static_cast<long double>(for_ever)) return for_ever;
    const auto whole = static_cast<std::uint64_t>(ns);
    return static_cast<long double>(whole) < ns ? whole + 1 : whole;
  }
}

[[nodiscard]] inline wake_time wake_at(steady_time t) noexcept { return {to_ns(t), false}; }
template <class Rep, class Period>
[[nodiscard]] constexpr wake_time wake_after(std::chrono::duration<Rep, Period> d) noexcept {
  return {ns_of(d), true};
}

class sleep_awaiter {
 public:
  explicit sleep_awaiter(wake_time t) noexcept : timer_(t) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) noexcept { timer_.arm(running_core(), h); }
  void await_resume() const noexcept {}

 private:
  timed_waiter timer_;
};

class [[nodiscard("co_await it")]] sleep_operation {
 public:
  explicit sleep_operation(wake_time t) noexcept : time_(t) {}
  sleep_awaiter operator co_await()&& noexcept { return sleep_awaiter(time_); }

 private:
  wake_time time_;
};

/// As `now`, where the clock is not known to be the steady clock.
[[nodiscard]] steady_time now_by_kernel() noexcept;

}  // namespace detail

/// The time by the clock that timers run on: the steady clock, or the virtual time of a simulated
/// world, in which a program that reads only this clock can be tested. Any thread; inside a task it
/// is the clock of its runtime.
[[nodiscard]] inline std::chrono::steady_clock::time_point now() noexcept {
  const detail::core_base* core = detail::this_thread_core;
  if (core != nullptr && core->steady) [[likely]]
    return std::chrono::steady_clock::now();
  return detail::now_by_kernel();
}

/// Waits until the clock reads `t`: `sleep_until(parkring::now() + 5ms)`.
///
/// *Completes when* the time has come, never before; up to 16 microseconds and one turn later.
/// *Owns* a timer in user space. *Thread*: inside a task. *Drop*: the timer is gone at once.
/// *Errors*: none.
[[nodiscard("co_await it")]] inline auto sleep_until(std::chrono::steady_clock::time_point t) {
  return detail::sleep_operation(detail::wake_at(t));
}

/// Waits for a time from now; what is not positive only gives the other tasks their turn.
///
/// *Completes when* the time has passed, never before. It counts from the end of the turn in which
/// it is awaited, and is rounded up by at most half a millisecond, or a quarter of it if it is
/// below one millisecond, so that sleepers share their wakes (`sleep_until` is more exact).
/// *Owns* a timer. *Thread*: inside a task. *Drop*: the timer is gone at once. *Errors*: none.
template <class Rep, class Period>
[[nodiscard("co_await it")]] auto sleep_for(std::chrono::duration<Rep, Period> d) {
  return detail::sleep_operation(detail::wake_after(d));
}

/// Ticks at a fixed period, counted from its making, so that the work between ticks does not shift
/// them: `pr::interval every(10ms); for (;;) { co_await every.tick(); ... }`
class interval {
 public:
  /// *Errors*: a period that is not positive fails a check.
  explicit interval(std::chrono::nanoseconds period) noexcept
      : period_(period), next_(now() + period) {
    PARKRING_CHECK(period.count() > 0, "the period of an interval must be positive");
  }

  /// Waits for the next tick. Ticks that passed meanwhile are skipped; `missed` counts them.
  ///
  /// *Completes when* the tick has come. *Owns* a timer. *Thread*: inside a task. *Drop*: the tick
  /// counts as taken. *Errors*: none.
  [[nodiscard("co_await it")]] auto tick() {
    const auto time = now();
    const auto due = next_;
    next_ += period_;
    if (next_ <= time) {
      const auto skip = (time - next_) / period_ + 1;
      missed_ += static_cast<std::uint64_t>(skip);
      next_ += skip * period_;
    }
    return sleep_until(due);
  }

  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }

 private:
  std::chrono::nanoseconds period_;
  std::chrono::steady_clock::time_point next_;
  std::uint64_t missed_ = 0;
};

}  // namespace parkring
