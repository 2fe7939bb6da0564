// The timers of one thread: a hierarchical wheel of intrusive nodes.
//
// Time is cut into ticks, by default of 16,384 ns, counted from clock 0. A deadline is rounded up to a tick and
// the clock down, so no timer fires early; it fires less than one tick late.
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
//   * Only when the wheel stands at its new time do callbacks run, so they see it whole: they may
//     arm and cancel any node, also those about to fire. What they arm for the past or for now
//     waits for the next `advance`, hence a timer that re-arms itself cannot hold up the thread.
//   * If a callback throws, the nodes behind it stay due and fire at the next `advance`.
//
// Not thread-safe. No function but a callback of `advance` throws; none allocates.
#pragma once

#include <parkring/detail/check.hpp>
#include <parkring/detail/list.hpp>
#include <parkring/detail/timer_node.hpp>

#include <array>
#include <cstddef>
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
  /// Lets go of every armed node without firing it.
  ~timer_wheel();

  /// Requires: `node` is not armed. A deadline already past fires at the next `advance`.
  void arm(timer_node& node, std::uint64_t deadline_ns) noexcept;

  /// Does nothing if `node` is not armed. Requires: if it is, then on this wheel.
  void cancel(timer_node& node) noexcept;

  /// When `advance` should be called next: the tick at which the earliest timer fires, or, if that
  /// is far off, an earlier time at which the wheel has to look closer. Each such look moves the
  /// timer at least one level down, so one timer causes at most 8 of them.
  [[nodiscard]] std::uint64_t next_deadline() const noexcept;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Moves the clock and calls `fired(timer_node&)` for each timer that is due, in the order of
  /// their ticks, then of their arming. The node is unlinked before the call and may be armed again
  /// or destroyed by it. Returns the number of calls. Requires: `now_ns` does not go backwards.
  template <class F>
  unsigned advance(std::uint64_t now_ns, F&& fired) {
    PARKRING_CHECK(!advancing_, "advance was called by a timer's callback; arm a timer instead");
    collect(now_ns);
    if (firing_.empty()) return 0;
    const advancing_scope scope(*this);
    unsigned count = 0;
    while (timer_node* node = firing_.pop_front()) {
      __builtin_prefetch(firing_.front());
      --size_;
      ++count;
      fired(*node);
    }
    return count;
  }

 private:
  static constexpr unsigned slot_bits = 6;
  static constexpr unsigned slots = 1U << slot_bits;
  static constexpr unsigned levels = 9;  // 54 bits, for ticks up to and with 2^50
  using list = detail::intrusive_list<timer_node>;

  struct level {
    std::uint64_t occupied = 0;  // bit s: slot s has nodes
    std::array<list, slots> slot;
  };
  struct place {
    unsigned level;
    unsigned slot;
  };
  struct advancing_scope {
    explicit advancing_scope(timer_wheel& of) noexcept : wheel(of) { wheel.advancing_ = true; }
    ~advancing_scope() { wheel.advancing_ = false; }
    advancing_scope(const advancing_scope&) = delete;
    advancing_scope& operator=(const advancing_scope&) = delete;
    timer_wheel& wheel;
  };

  [[nodiscard]] std::uint64_t tick_of(std::uint64_t deadline_ns) const noexcept;
  [[nodiscard]] place place_of(std::uint64_t tick) const noexcept;
  [[nodiscard]] place earliest() const noexcept;
  [[nodiscard]] std::uint64_t start_tick(place at) const noexcept;
  void insert(timer_node& node) noexcept;
  void mark_empty(place at) noexcept;
  void collect(std::uint64_t now_ns) noexcept;

  const unsigned bits_;
  std::uint64_t now_ns_;
  std::uint64_t now_tick_;
  std::size_t size_ = 0;
  std::uint32_t levels_in_use_ = 0;  // bit L: some slot of level L has nodes
  bool advancing_ = false;           // a callback is running
  list overdue_;                     // due when armed, or found due by `collect`
  list firing_;                      // what the present `advance` has left to fire
  std::array<level, levels> level_;
};

}  // namespace parkring::park
