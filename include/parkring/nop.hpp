// A request that does nothing: one round trip through the ring.
#pragma once

#include <parkring/detail/simple_op.hpp>

namespace parkring {
namespace detail {

struct nop_request {
  using value_type = void;
  record* make(op_waiter& w) noexcept;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter&) noexcept { return false; }
  std::expected<void, error> value(op_waiter&) const noexcept { return {}; }
  error failure(int number) const;
};

}  // namespace detail

/// Goes to the kernel and back: to measure the ring, or to check that it answers.
///
/// *Completes when* the kernel has answered (IORING_OP_NOP, io_uring_enter(2)). *Owns* nothing.
/// *Thread*: inside a task. *Drop*: at once. *Errors*: none in practice.
[[nodiscard]] inline auto nop() {
  return detail::simple_operation<detail::nop_request>(detail::nop_request{});
}

}  // namespace parkring
