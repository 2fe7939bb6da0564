#include "park/timers.hpp"

#include <bit>

namespace parkring::park {
namespace {

// Waits of at most INT64_MAX, see ns_of, from a clock that starts at 0: their sum is no overflow.
std::uint64_t shared_deadline(std::uint64_t now_ns, std::uint64_t wait_ns) noexcept {
  constexpr std::uint64_t long_wait = 1'000'000, most = std::uint64_t{1} << 19;
  const std::uint64_t granule = wait_ns >= long_wait ? most : std::bit_floor(wait_ns / 4 | 1);
  return (now_ns + wait_ns + granule - 1) & ~(granule - 1);
}

}  // namespace

void timers::date_all(std::uint64_t now_ns) noexcept {
  while (detail::waiter* w = undated_.pop_front()) {
    auto& t = static_cast<detail::timer_node&>(*w);
    // What waits for nothing is due now, not at the next tick.
    const std::uint64_t deadline = t.ns == 0 ? 0 : shared_deadline(now_ns, t.ns);
    wheel_of(deadline).arm(t, deadline);
  }
}

}  // namespace parkring::park
