#include <parkring/link.hpp>

#include <span>

#include "exec/core.hpp"

namespace parkring::detail {

bool can_make_chain(core_base& core, std::size_t n) noexcept {
  return static_cast<exec::core&>(core).ops.can_acquire(n);
}

void starve_chain(core_base& core, op_waiter& w) noexcept {
  static_cast<exec::core&>(core).ops.starve(w);
}

bool chain_fits(core_base& base, std::size_t n) noexcept {
  auto& core = static_cast<exec::core&>(base);
  // One record may be the waker's for good.
  return n <= core.driver.ring.capacity() && n < core.ops.slab().limit();
}

void submit_chain(core_base& core, record* const* records, std::size_t n) noexcept {
  const bool submitted =
      static_cast<exec::core&>(core).ops.submit_chain(std::span<record* const>(records, n));
  PARKRING_CHECK(submitted, "a chain that fits was refused");
}

}  // namespace parkring::detail
