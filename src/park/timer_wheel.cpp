#include "timer_wheel.hpp"

#include <bit>

namespace parkring::park {

timer_wheel::timer_wheel(std::uint64_t now_ns, unsigned bits) noexcept
    : bits_(bits), now_ns_(now_ns), now_tick_(now_ns >> bits) {}

timer_wheel::~timer_wheel() {
  PARKRING_CHECK(!advancing_, "a timer's callback destroyed the wheel; do it after advance");
}

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
  const std::uint64_t tick = tick_of(node.deadline_ns);
  if (tick <= now_tick_) {
    overdue_.push_back(node);
    return;
  }
  const place at = place_of(tick);
  level& on = level_[at.level];
  on.slot[at.slot].push_back(node);
  on.occupied |= std::uint64_t{1} << at.slot;
  levels_in_use_ |= 1U << at.level;
}

void timer_wheel::mark_empty(place at) noexcept {
  level& on = level_[at.level];
  on.occupied &= ~(std::uint64_t{1} << at.slot);
  if (on.occupied == 0) levels_in_use_ &= ~(1U << at.level);
}

void timer_wheel::arm(timer_node& node, std::uint64_t deadline_ns) noexcept {
  PARKRING_CHECK(!node.linked(), "this timer is armed already; cancel it before arming it again");
  node.deadline_ns = deadline_ns;
  insert(node);
  ++size_;
}

void timer_wheel::cancel(timer_node& node) noexcept {
  if (!node.linked()) return;
  PARKRING_DCHECK(size_ != 0, "this timer was armed on another wheel; cancel it there");
  const bool alone = node.prev == node.next;  // both are the head of its list
  static_cast<detail::list_node&>(node).unlink();
  --size_;
  if (!alone) return;
  const std::uint64_t tick = tick_of(node.deadline_ns);
  if (tick > now_tick_) mark_empty(place_of(tick));  // else it was overdue: no bit stands for it
}

std::uint64_t timer_wheel::next_deadline() const noexcept {
  if (!overdue_.empty() || !firing_.empty()) return now_ns_;
  if (levels_in_use_ == 0) return never;
  const std::uint64_t tick = start_tick(earliest());
  return tick >> (64 - bits_) != 0 ? never : tick << bits_;
}

// Moves the clock to `now_ns` and all that is due onto `firing_`, in order.
void timer_wheel::collect(std::uint64_t now_ns) noexcept {
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
    list& slot = level_[at.level].slot[at.slot];
    if (at.level == 0) {
      overdue_.splice_back(slot);
    } else {
      // Ends: seen from its own start, a slot's nodes all belong on a lower level.
      while (timer_node* node = slot.pop_front()) {
        __builtin_prefetch(slot.front());  // far-off timers are cold: fetch one ahead
        insert(*node);
      }
    }
  }
  now_tick_ = target;
  firing_.splice_back(overdue_);
}

}  // namespace parkring::park
