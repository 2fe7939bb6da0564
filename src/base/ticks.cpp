#include "base/ticks.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace parkring::base {

#if defined(__x86_64__)
const bool counter_is_steady = [] {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned leaf = 0x80000007, invariant_tsc = 1u << 8;  // Intel SDM 18.17.1, AMD APM 3
  return __get_cpuid(leaf, &a, &b, &c, &d) != 0 && (d & invariant_tsc) != 0;
}();
#endif

namespace {
const tick_mark beginning = tick_mark::now();  // behind the flag, which it reads
}

double ticks_per_ns() noexcept {
  constexpr std::uint64_t enough_ns = 1'000'000;
  tick_mark now = tick_mark::now();
  while (now.ns - beginning.ns < enough_ns) now = tick_mark::now();
  return static_cast<double>(now.ticks - beginning.ticks) /
         static_cast<double>(now.ns - beginning.ns);
}

}  // namespace parkring::base
