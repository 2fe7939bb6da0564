#include "kernel/sim/link.hpp"

#include <algorithm>
#include <bit>

#include <parkring/detail/check.hpp>

namespace parkring::kernel::sim {
namespace {

/// -log2 of a random number in (0, 1], times 65,536: by squaring, in whole numbers, so that it is
/// the same on every machine.
std::uint64_t minus_log2(random& r) noexcept {
  std::uint64_t x = r.next() | 1;  // x / 2^64
  const auto leading = static_cast<std::uint64_t>(std::countl_zero(x));
  x <<= leading;
  x >>= 32;  // in [2^31, 2^32)
  std::uint64_t fraction = 0;
  for (int bit = 0; bit < 16; ++bit) {
    x = (x * x) >> 31;
    fraction <<= 1;
    if (x >= std::uint64_t{1} << 32) {
      x >>= 1;
      fraction |= 1;
    }
  }
  return ((leading + 1) << 16) - fraction;
}

}  // namespace

void link::set(const parkring::sim::link_options& options) noexcept {
  PARKRING_CHECK(options.latency_min.count() >= 0, "a latency is not negative");
  PARKRING_CHECK(options.latency_max >= options.latency_min, "latency_max is at least latency_min");
  options_ = options;
  least_ns_ = static_cast<std::uint64_t>(options.latency_min.count());
  width_ns_ = static_cast<std::uint64_t>(options.latency_max.count()) - least_ns_;
}

std::uint64_t link::delay_ns(std::uint64_t now_ns, std::size_t bytes, random& r,
                             bool calm) noexcept {
  std::uint64_t delay = least_ns_;
  if (options_.bytes_per_second > 0) {
    free_ns_ = std::max(free_ns_, now_ns) +
               static_cast<std::uint64_t>(bytes) * 1'000'000'000 / options_.bytes_per_second;
    delay += free_ns_ - now_ns;
  }
  if (width_ns_ == 0 || calm) return delay;
  if (options_.latency_spread == parkring::sim::spread::uniform) {
    return delay + r.below(width_ns_ + 1);
  }
  // The mean is an eighth of the width; what is beyond the greatest value is drawn in to it.
  constexpr std::uint64_t ln2_eighth = 5678;  // ln(2) / 8, times 65,536
  const std::uint64_t drawn = (minus_log2(r) * ln2_eighth >> 16) * width_ns_ >> 16;
  return delay + std::min(drawn, width_ns_);
}

}  // namespace parkring::kernel::sim
