// How long the programs of this folder take, and by which chance.
//
//   PARKRING_SOAK_SECONDS=N   all of them together as long as that, from a seed that is new each
//   time PARKRING_STRESS_SEED=N    this seed; threads meet differently each time all the same
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>

namespace parkring::testing {

inline const char* setting(const char* name) {
  const char* const text = std::getenv(name);
  return text != nullptr && *text != '\0' ? text : nullptr;
}

inline constexpr unsigned stress_kernels = 2;
inline constexpr unsigned stress_tests = 2;  // each of them on each kernel

inline std::chrono::milliseconds time_for_each_kernel() {
  const char* const soak = setting("PARKRING_SOAK_SECONDS");
  const long all = soak != nullptr ? std::strtol(soak, nullptr, 10) * 1000 / stress_tests : 2000;
  return std::chrono::milliseconds(all / stress_kernels);
}

inline std::uint64_t first_seed() {
  if (const char* const chosen = setting("PARKRING_STRESS_SEED"))
    return std::strtoull(chosen, nullptr, 10);
  if (setting("PARKRING_SOAK_SECONDS") == nullptr) return 1;
  return std::random_device()();
}

}  // namespace parkring::testing
