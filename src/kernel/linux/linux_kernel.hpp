// The running Linux kernel, through its three system calls.
#pragma once

#include "kernel/kernel.hpp"

namespace parkring::kernel::linux_impl {

class linux_kernel final : public kernel {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "linux"; }
  [[nodiscard]] int setup(unsigned entries, abi::params& p, ring_memory& out) noexcept override;
  int enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete, unsigned flags,
            const void* arg, std::size_t arg_size) noexcept override;
  int reg(const ring_memory& ring, unsigned opcode, const void* arg,
          unsigned count) noexcept override;
  void release(ring_memory& ring) noexcept override;
  [[nodiscard]] int watch_descriptor(ring_memory& ring, int event) noexcept override;
  [[nodiscard]] bool begin_watch(const ring_memory& ring) noexcept override;
  [[nodiscard]] bool direct() const noexcept override { return true; }
};

}  // namespace parkring::kernel::linux_impl
