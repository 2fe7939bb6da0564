#include "clock.hpp"

namespace lab {

double ns_per_tick() noexcept {
  static const double ratio = [] {
    const auto start_ns = clock_ns();
    const auto start = ticks();
    while (clock_ns() - start_ns < 20'000'000) {
    }
    const auto end = ticks();
    return static_cast<double>(clock_ns() - start_ns) / static_cast<double>(end - start);
  }();
  return ratio;
}

}  // namespace lab
