// A clock that is read in a few instructions: the processor's counter where it runs at one rate in
// all states of the processor, else the steady clock. Any thread.
#pragma once

#include <time.h>

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace parkring::base {

#if defined(__x86_64__)
extern const bool counter_is_steady;  // false also before this file's statics are made
#endif

[[nodiscard]] inline std::uint64_t steady_ns() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(t.tv_nsec);
}

[[nodiscard]] inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  if (counter_is_steady) [[likely]]
    return __rdtsc();
  return steady_ns();
#elif defined(__aarch64__)
  std::uint64_t now;
  asm volatile("mrs %0, cntvct_el0" : "=r"(now));
  return now;
#else
  return steady_ns();
#endif
}

/// A moment by both clocks. Two of them, some time apart, tell the length of a tick.
struct tick_mark {
  std::uint64_t ticks;
  std::uint64_t ns;

  [[nodiscard]] static tick_mark now() noexcept { return {base::ticks(), steady_ns()}; }
};

/// Ticks in a nanosecond, measured since the program began; at first that takes a millisecond.
[[nodiscard]] double ticks_per_ns() noexcept;

}  // namespace parkring::base
