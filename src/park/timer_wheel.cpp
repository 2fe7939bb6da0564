#include "timer_wheel.hpp"

#include <bit>

namespace parkring::park {

timer_wheel::timer_wheel(std::uint64_t now_ns, unsigned bits) noexcept
    : bits_(bits), now_ns_(now_ns), now_tick_(now_ns >> bits) {}

// Rounded up. Written without an addition that could overflow for deadlines near the end of time.
std::uint64_t timer_wheel::tick_of(std::uint64_t deadline_ns) const noexcept {
  const std::uint64_t part = (std::uint64_t{1} << bits_) - 1;
  return (deadline_ns >> bits_) + ((deadline_ns & part) != 0 ? 1 : 0);
}

// Requires: tick > now_tick_, so that they differ in some bit.
timer_wheel::place timer_wheel::place_of(std::uint64_t tick) const noexcept {
  const auto highest_bit = static_cast<unsigned>(std::bit_width(tick ^ now_tick_)) - 1;
  const unsigned at_level = highest_bit / slot_bits;
  return {at_level, static_cast<unsigned>(tick >> (at_level * slot_bits)) % slots};
}

// Requires: levels_in_use_ != 0.
timer_wheel::place timer_wheel::earliest() const noexcept {
  const auto at_level = static_cast<unsigned>(std::countr_zero(levels_in_use_));
  return {at_level, static_cast<unsigned>(std::countr_zero(level_[at_level].occupied))};
}

std::uint64_t timer_wheel::start_tick(place at) const noexcept {
  const unsigned shift = at.level * slot_bits;
  const std::uint64_t shared_digits = now_tick_ >> (shift + slot_bits);
  return ((shared_digits << slot_bits) | at.slot) << shift;
}

void timer_wheel::insert(timer_node& node) noexcept {
  const std::uint64_t tick = tick_of(node.ns);
  if (tick <= now_tick_) {
    overdue_.push_back(node);
    return;
  }
  const place at = place_of(tick);
  level& on = level_[at.level];
  on.slot[at.slot].push_back(node);
  on.occupied |= std::uint64_t{1} << at.slot;
  levels_in_use_ |= 1U << at.level;
  if (at.level < trailed_levels) {
    trail& t = trail_[at.level][at.slot];
    node.ahead = t.last[t.next];
    t.last[t.next] = reinterpret_cast<std::uintptr_t>(&node);
    t.next = t.next + 1 == t.last.size() ? 0 : t.next + 1;
  }
}

// Brings the nodes of a slot into the cache, and the frames that they will resume.
void timer_wheel::fetch(place at) noexcept {
  if (at.level >= trailed_levels) return;
  const auto fetch_node = [](std::uintptr_t address) {
    __builtin_prefetch(reinterpret_cast<const void*>(address));
    __builtin_prefetch(reinterpret_cast<const void*>(address + sizeof(timer_node) - 1));
  };
  for (const std::uintptr_t last : trail_[at.level][at.slot].last) fetch_node(last);
  level_[at.level].slot[at.slot].for_each_backwards([&](const detail::waiter& w) {
    fetch_node(static_cast<const timer_node&>(w).ahead);
    __builtin_prefetch(w.frame);
  });
  asm volatile("");  // GCC takes a function that only prefetches for one without effect
}

void timer_wheel::mark_empty(place at) noexcept {
  level& on = level_[at.level];
  on.occupied &= ~(std::uint64_t{1} << at.slot);
  if (on.occupied == 0) levels_in_use_ &= ~(1U << at.level);
}

void timer_wheel::arm(timer_node& node, std::uint64_t deadline_ns) noexcept {
  PARKRING_CHECK(!node.linked(), "this timer is armed already; cancel it before arming it again");
  node.ns = deadline_ns;
  node.dated = true;
  insert(node);
}

void timer_wheel::cancel(timer_node& node) noexcept {
  if (!node.linked()) return;
  const bool alone = node.prev == node.next;  // both are the head of its list
  static_cast<detail::list_node&>(node).unlink();
  if (!alone) return;
  const std::uint64_t tick = tick_of(node.ns);
  if (tick > now_tick_) mark_empty(place_of(tick));  // else it was overdue, or has fired: no bit
}

std::uint64_t timer_wheel::next_deadline() const noexcept {
  if (!overdue_.empty()) return now_ns_;
  if (levels_in_use_ == 0) return never;
  const std::uint64_t tick = start_tick(earliest());
  return tick >> (64 - bits_) != 0 ? never : tick << bits_;
}

void timer_wheel::advance(std::uint64_t now_ns, detail::waiter_list& ready) noexcept {
  PARKRING_CHECK(now_ns >= now_ns_, "the clock went backwards; give the wheel a monotonic clock");
  now_ns_ = now_ns;
  const std::uint64_t target = now_ns >> bits_;
  while (levels_in_use_ != 0) {
    const place at = earliest();
    const std::uint64_t start = start_tick(at);
    if (start > target) break;
    // To stop at the start of each visited slot, and nowhere else, is what keeps the places of all
    // other nodes valid.
    now_tick_ = start;
    mark_empty(at);
    fetch(at);
    list& slot = level_[at.level].slot[at.slot];
    if (at.level == 0) {
      overdue_.splice_back(slot);
    } else {
      // Ends: seen from its own start, a slot's nodes all belong on a lower level.
      while (detail::waiter* node = slot.pop_front()) {
        __builtin_prefetch(slot.front());  // those of the upper levels are cold
        insert(static_cast<timer_node&>(*node));
      }
    }
  }
  now_tick_ = target;
  ready.splice_back(overdue_);
}

}  // namespace parkring::park
