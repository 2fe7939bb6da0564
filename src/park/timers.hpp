// All timers of one thread: two wheels, and a list for those that are not dated yet.
//
// A timer for a point in time goes to a wheel at once. A timer for a while waits on `undated_`
// until the turn ends; then one look at the clock dates all of them. So arming reads no clock, and
// a timeout whose request is answered in the same turn never touches a wheel. No timer fires early
// by that: the while counts from later than its arming.
//
// A while is rounded up so that waits share their wakes, since a wake of the thread costs more than
// everything else about a timer: to a multiple of 524 microseconds from a millisecond on, of at
// most a quarter of it below. Deadlines on such a multiple have a wheel of their own, whose coarse
// ticks hold the next milliseconds without dealing them out again. Which list a timer is on follows
// from `dated` and `ns`, so a cancel finds it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "park/timer_wheel.hpp"

namespace parkring::park {

class timers {
 public:
  explicit timers(std::uint64_t now_ns) noexcept : exact_(now_ns), shared_(now_ns, shared_bits) {}

  /// Arms `t`, which says by itself for when.
  void arm(detail::timer_node& t) noexcept {
    PARKRING_CHECK(!t.linked(), "this timer was armed already; let it fire or cancel it first");
    if (t.dated)
      wheel_of(t.ns).arm(t, t.ns);
    else
      undated_.push_back(t);
  }

  /// Takes `t` off its list, which is the ready list if it has fired.
  void cancel(detail::timer_node& t) noexcept {
    if (t.dated)
      wheel_of(t.ns).cancel(t);
    else
      static_cast<detail::list_node&>(t).unlink();
  }

  [[nodiscard]] bool empty() const noexcept {
    return undated_.empty() && shared_.empty() && exact_.empty();
  }

  /// Dates those that wait for it: their while begins at `now_ns`.
  void date(std::uint64_t now_ns) noexcept {
    if (!undated_.empty()) date_all(now_ns);
  }

  /// When a timer may be due: `timer_wheel::never` when there is none, the past when one must be
  /// dated first.
  [[nodiscard]] std::uint64_t next_deadline() const noexcept {
    return undated_.empty() ? std::min(exact_.next_deadline(), shared_.next_deadline()) : 0;
  }

  /// Calls `f(timer_node&)` for each armed timer, in no order.
  template <class F>
  void for_each(F&& f) {
    undated_.for_each([&](detail::waiter& w) { f(static_cast<detail::timer_node&>(w)); });
    exact_.for_each(f);
    shared_.for_each(f);
  }

  /// Moves all that is due behind `ready`.
  void fire(std::uint64_t now_ns, detail::waiter_list& ready) noexcept {
    date(now_ns);
    exact_.advance(now_ns, ready);
    shared_.advance(now_ns, ready);
  }

 private:
  static constexpr unsigned shared_bits = 19;

  [[nodiscard]] timer_wheel& wheel_of(std::uint64_t deadline_ns) noexcept {
    return deadline_ns % (1u << shared_bits) == 0 ? shared_ : exact_;
  }
  void date_all(std::uint64_t now_ns) noexcept;

  detail::waiter_list undated_;
  timer_wheel exact_;
  timer_wheel shared_;
};

}  // namespace parkring::park
