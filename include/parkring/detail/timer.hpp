// A waiter with a deadline: what sleeping and timing out have in common.
#pragma once

#include <cstdint>

#include <parkring/detail/core.hpp>
#include <parkring/detail/timer_node.hpp>

namespace parkring::detail {

struct timed_waiter : timer_node {
  waiter wait;
  core_base* core = nullptr;
  bool fired = false;

  timed_waiter() noexcept = default;
  timed_waiter(const timed_waiter&) = delete;
  timed_waiter& operator=(const timed_waiter&) = delete;
  ~timed_waiter() { disarm(); }

  /// Takes the timer off the wheel, if it is on it.
  void disarm() noexcept;
};

/// Wakes `t.wait`, whose frame and task are set, at `deadline_ns` of the steady clock.
void arm_timer(core_base& core, timed_waiter& t, std::uint64_t deadline_ns) noexcept;

}  // namespace parkring::detail
