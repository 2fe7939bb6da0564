// Cheap time stamps for sampling latencies inside a timed region.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <cstdint>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace lab {

inline std::uint64_t clock_ns(clockid_t clock = CLOCK_MONOTONIC) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

/// The user time of this process. Most kernels sample it, once a tick of some milliseconds: take
/// it over a good part of a second, and the median of rounds.
inline std::uint64_t user_ns() noexcept {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<std::uint64_t>(used.ru_utime.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(used.ru_utime.tv_usec) * 1'000U;
}

/// The context switches of this process's threads, those by their own will and others.
inline std::uint64_t context_switches() noexcept {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<std::uint64_t>(used.ru_nvcsw + used.ru_nivcsw);
}

/// The cheapest monotonic counter of the processor; ns_per_tick() says how fast it runs.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  std::uint64_t value;
  asm volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
#else
  return clock_ns();
#endif
}

/// Measured once against CLOCK_MONOTONIC, which takes 20 ms.
double ns_per_tick() noexcept;

}  // namespace lab
