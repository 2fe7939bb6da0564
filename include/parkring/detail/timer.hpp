// A waiter with a deadline: what sleeping and timing out have in common.
#pragma once

#include <coroutine>
#include <cstdint>

#include <parkring/detail/core.hpp>
#include <parkring/detail/timer_node.hpp>

namespace parkring::detail {

/// When to wake: at a time of the steady clock, or a while after the present turn.
struct wake_time {
  std::uint64_t ns;
  bool relative;
};

class timed_waiter : timer_node {
 public:
  explicit timed_waiter(wake_time t) noexcept {
    ns = t.ns;
    dated = !t.relative;
  }
  timed_waiter(const timed_waiter&) = delete;
  timed_waiter& operator=(const timed_waiter&) = delete;
  ~timed_waiter() { disarm(); }

  /// Wakes the coroutine `h` of the current task when the time has come. Once only.
  void arm(core_base& core, std::coroutine_handle<> h) noexcept {
    frame = h.address();
    task = core.current;
    core_ = &core;
    arm_on_core();
  }

  /// Leaves the timers, or the ready list if it has fired and was not resumed yet.
  void disarm() noexcept {
    if (linked()) leave();
  }

 private:
  void arm_on_core() noexcept;
  void leave() noexcept;

  core_base* core_;  // set by `arm`
};

}  // namespace parkring::detail
