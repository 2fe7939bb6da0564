#include "exec/turn_times.hpp"

#include <algorithm>

namespace parkring::exec {

void turn_times::note(std::uint64_t turn, std::uint64_t now_ns) {
  if (!samples_.empty() && now_ns - samples_.back().ns < apart_ns) return;
  if (samples_.empty()) samples_.reserve(most);
  if (samples_.size() == most) thin_out(now_ns);
  samples_.push_back({turn, now_ns});
}

// Of a year this leaves some 2,500.
void turn_times::thin_out(std::uint64_t now_ns) {
  auto to = samples_.end();
  for (auto from = samples_.end(); from-- != samples_.begin();) {
    const bool first = from == samples_.begin();  // so that nothing is too early
    if (first || to == samples_.end() || to->ns - from->ns >= (now_ns - from->ns) / precision)
      *--to = *from;
  }
  samples_.erase(samples_.begin(), to);
}

std::optional<std::uint64_t> turn_times::ns_of(std::uint32_t stamp,
                                               std::uint64_t now) const noexcept {
  const std::uint64_t turn = now - (static_cast<std::uint32_t>(now) - stamp);
  const auto behind = std::ranges::upper_bound(samples_, turn, {}, &sample::turn);
  if (behind == samples_.begin()) return std::nullopt;
  return (behind - 1)->ns;
}

}  // namespace parkring::exec
