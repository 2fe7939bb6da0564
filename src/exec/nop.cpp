#include <parkring/nop.hpp>

#include "exec/core.hpp"

namespace parkring::detail {
namespace {

constexpr auto prepare_nop = [](record&, kernel::abi::sqe& e) noexcept {
  e.opcode = kernel::abi::op_nop;
};

const record_type nop_type = {
    .name = "nop",
    .prepare = prepare_nop,
    .complete = nullptr,
    .destroy = nullptr,
    .cancel_when_dropped = [](const record&) noexcept { return false; },
};

}  // namespace

record* nop_request::make(op_waiter&) noexcept {
  return exec::this_core().driver.ops.acquire(nop_type);
}

void nop_request::start(op_waiter& w) noexcept {
  auto& ops = exec::this_core().driver.ops;
  if (!ops.nothing_in_the_way()) [[unlikely]]
    return ops.start(nop_type, w);
  ops.push_now(ops.acquire_now(nop_type), w, prepare_nop);
}

error nop_request::failure(int number) const { return {number, "nop", ""}; }

}  // namespace parkring::detail
