// What a sleeping thing embeds so that the timer wheel can hold it without allocating.
//
// Lifetime: an armed node must not move or die. Its owner calls `timer_wheel::cancel` first, or
// the wheel dies before it (a dying wheel lets go of every node).
#pragma once

#include <parkring/detail/check.hpp>
#include <parkring/detail/list.hpp>

#include <cstdint>

namespace parkring::detail {

struct timer_node : list_node {
  std::uint64_t deadline_ns = 0;  // as asked for; written by `timer_wheel::arm`

  timer_node() noexcept = default;
  ~timer_node() {
    PARKRING_CHECK(!linked(), "a timer died while armed; cancel it before its owner goes");
  }

  // The wheel counts its nodes and keeps bitmaps, so a node leaves by `timer_wheel::cancel` only.
  void unlink() noexcept = delete;
};

}  // namespace parkring::detail
