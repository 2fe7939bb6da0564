// A waiter that waits for a time. It stands on one list at a time: of timers not yet dated, of a
// slot of a timer wheel, or, once its time has come, on the ready list.
//
// Lifetime: a linked node must not move or die. Its owner cancels it first, or the wheel dies
// before it (a dying wheel lets go of every node).
#pragma once

#include <parkring/detail/check.hpp>
#include <parkring/detail/waiter.hpp>

#include <cstdint>

namespace parkring::detail {

struct timer_node : waiter {
  std::uint64_t ns = 0;  // the deadline as asked for, or how long to wait
  bool dated = true;     // which of them `ns` is
  std::uintptr_t
      ahead;  // where a timer of the same slot was when this one was armed; see timer_wheel

  timer_node() noexcept = default;
  ~timer_node() {
    PARKRING_CHECK(!linked(), "a timer died while armed; cancel it before its owner goes");
  }

  // Wheels keep bitmaps of their slots, so a node leaves by `cancel` only.
  void unlink() noexcept = delete;
};

}  // namespace parkring::detail
