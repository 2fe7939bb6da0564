// The timers of one thread: a hierarchical wheel of intrusive nodes.
//
// Time is cut into ticks, by default of 16,384 ns, counted from clock 0. A deadline is rounded up
// to a tick and the clock down, so no timer fires early; it fires less than one tick late.
//
// Protocol
//   * `now_tick` is the tick of the last `advance` (or of the constructor).
//   * A node whose tick is not after `now_tick` is overdue: it waits on `overdue_` in arming order.
//   * Any other node stands on level L = (highest bit in which its tick and `now_tick` differ) / 6,
//     in the slot named by digit L (base 64) of its tick. So on every level all nodes share the
//     higher digits with `now_tick` and stand in slots after its digit: slots never wrap, and every
//     node of a level is due before any node of the next one. The earliest slot is therefore the
//     lowest bit of the lowest level in use: two bit scans.
//   * A node's place follows from its deadline and `now_tick` alone, so nothing but the deadline is
//     stored in it, and a cancel finds and clears the bit of a slot it empties. A set bit means a
//     slot with nodes, always.
//   * `advance` visits the slots that start at or before its new time, earliest first. A slot of
//     level 0 is one tick: its nodes are due. A slot of a higher level is dealt out again from its
//     start. At all times the nodes of one tick stand in one slot, in arming order.
//   * To fire is to be moved to the ready list, a slot at a time and without a look at its nodes:
//     they have slept for long and are cold in the cache. So a cancel may find its node on that
//     list; it then is no longer after `now_tick`, and has no bit.
//   * Cold nodes are fetched before a slot of the lower levels is emptied. A walk from node to node
//     would wait for each, so a node has the address of one armed some places before it in the same
//     slot, and the walk, from the last one on, prefetches that. It is an address and no more: its
//     timer may be gone.
//
// Not thread-safe. No function throws or allocates.
#pragma once

#include <parkring/detail/check.hpp>
#include <parkring/detail/list.hpp>
#include <parkring/detail/timer_node.hpp>

#include <array>
#include <cstdint>

namespace parkring::park {

class timer_wheel {
 public:
  using timer_node = detail::timer_node;

  static constexpr unsigned tick_bits = 14;
  static constexpr std::uint64_t tick_ns = std::uint64_t{1} << tick_bits;
  /// What `next_deadline` says when there is nothing to wait for. A deadline within the last tick
  /// of the clock, so also this one, is accepted and never fires.
  static constexpr std::uint64_t never = UINT64_MAX;

  /// A tick lasts 2^bits ns: the default suits timers that should be exact.
  explicit timer_wheel(std::uint64_t now_ns, unsigned bits = tick_bits) noexcept;
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;
  // Dying, it lets go of every armed node without firing it: see intrusive_list.

  /// Requires: `node` is not armed. A deadline already past fires at the next `advance`.
  void arm(timer_node& node, std::uint64_t deadline_ns) noexcept;

  /// Does nothing if `node` is on no list; takes it off the ready list if it has fired. Requires:
  /// if it is armed, then on this wheel.
  void cancel(timer_node& node) noexcept;

  /// When `advance` should be called next: the tick at which the earliest timer fires, or, if that
  /// is far off, an earlier time at which the wheel has to look closer. Each such look moves the
  /// timer at least one level down, so one timer causes at most 8 of them.
  [[nodiscard]] std::uint64_t next_deadline() const noexcept;

  [[nodiscard]] bool empty() const noexcept { return levels_in_use_ == 0 && overdue_.empty(); }

  /// Moves the clock, and all timers that are due behind `ready`, in the order of their ticks, then
  /// of their arming. Requires: `now_ns` does not go backwards.
  void advance(std::uint64_t now_ns, detail::waiter_list& ready) noexcept;

  /// Calls `f(timer_node&)` for each armed node, in no order.
  template <class F>
  void for_each(F&& f) {
    const auto see = [&](detail::waiter& w) { f(static_cast<timer_node&>(w)); };
    overdue_.for_each(see);
    for (level& l : level_)
      for (list& s : l.slot) s.for_each(see);
  }

 private:
  static constexpr unsigned slot_bits = 6;
  static constexpr unsigned slots = 1U << slot_bits;
  static constexpr unsigned levels = 9;  // 54 bits, for ticks up to and with 2^50
  static constexpr unsigned trailed_levels = 2;
  using list = detail::waiter_list;

  struct level {
    std::uint64_t occupied = 0;  // bit s: slot s has nodes
    std::array<list, slots> slot;
  };
  /// The timers that a slot was given last.
  struct trail {
    std::array<std::uintptr_t, 7> last{};
    unsigned next = 0;
  };
  struct place {
    unsigned level;
    unsigned slot;
  };

  [[nodiscard]] std::uint64_t tick_of(std::uint64_t deadline_ns) const noexcept;
  [[nodiscard]] place place_of(std::uint64_t tick) const noexcept;
  [[nodiscard]] place earliest() const noexcept;
  [[nodiscard]] std::uint64_t start_tick(place at) const noexcept;
  void insert(timer_node& node) noexcept;
  void fetch(place at) noexcept;
  void mark_empty(place at) noexcept;

  const unsigned bits_;
  std::uint64_t now_ns_;
  std::uint64_t now_tick_;
  std::uint32_t levels_in_use_ = 0;  // bit L: some slot of level L has nodes
  list overdue_;                     // due when armed
  std::array<level, levels> level_;
  std::array<std::array<trail, slots>, trailed_levels> trail_;
};

}  // namespace parkring::park
