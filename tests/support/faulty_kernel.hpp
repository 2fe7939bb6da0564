// The kernel that serves this machine, with faults put in between: calls of enter that fail, and
// cancels that do nothing.
#pragma once

#include <poll.h>

#include <cerrno>
#include <cstdint>
#include <deque>
#include <utility>

#include "kernel/kernel.hpp"
#include "ring/choice.hpp"

namespace parkring::testing {

class faulty_kernel final : public kernel::kernel {
 public:
  /// What the next calls of enter fail with, before they consume anything; 0 passes.
  std::deque<int> enter_errors;
  /// When not 0, every call whose number is a multiple of it fails with `regular_error`.
  unsigned fail_every = 0;
  int regular_error = EINTR;
  /// Consume what is submitted and then say EINTR, as a signal does to a call that also waits.
  bool interrupt_after_submitting = false;
  /// Turns each cancel into a request that does nothing, so that nothing can be cancelled.
  bool ignore_cancels = false;
  /// When not -1, a pipe that stays empty: each write becomes a wait for it, so none ever finishes.
  int stall_writes_on = -1;

  std::uint64_t enters = 0;
  std::uint64_t faults = 0;
  std::uint64_t largest_submission = 0;

  [[nodiscard]] const char* name() const noexcept override { return "faulty"; }
  [[nodiscard]] bool inline_io() const noexcept override { return false; }

  [[nodiscard]] int setup(unsigned entries, parkring::kernel::abi::params& p,
                          parkring::kernel::ring_memory& out) noexcept override {
    return below_.setup(entries, p, out);
  }

  int enter(const parkring::kernel::ring_memory& ring, unsigned to_submit, unsigned min_complete,
            unsigned flags, const void* arg, std::size_t arg_size) noexcept override {
    namespace abi = parkring::kernel::abi;
    ++enters;
    if (to_submit > largest_submission) largest_submission = to_submit;
    if (const int error = next_error(); error != 0) {
      ++faults;
      if (error == EINTR && interrupt_after_submitting && to_submit != 0)
        return below_.enter(ring, to_submit, 0, 0, nullptr, 0);
      return -error;
    }
    for (unsigned i = 0; stall_writes_on >= 0 && i < to_submit; ++i) {
      abi::sqe& entry = ring.sqes[(*ring.sq_head + i) & ring.sq_mask];
      if (entry.opcode != abi::op_write && entry.opcode != abi::op_write_fixed) continue;
      const auto user_data = entry.user_data;
      entry = {};
      entry.opcode = abi::op_poll_add;
      entry.fd = stall_writes_on;
      entry.poll32_events = POLLIN;
      entry.user_data = user_data;
    }
    if (ignore_cancels) {
      for (unsigned i = 0; i < to_submit; ++i) {
        abi::sqe& entry = ring.sqes[(*ring.sq_head + i) & ring.sq_mask];
        if (entry.opcode != abi::op_async_cancel) continue;
        entry = {};
        entry.opcode = abi::op_nop;
      }
    }
    return below_.enter(ring, to_submit, min_complete, flags, arg, arg_size);
  }

  int reg(const parkring::kernel::ring_memory& ring, unsigned opcode, const void* arg,
          unsigned count) noexcept override {
    return below_.reg(ring, opcode, arg, count);
  }
  void release(parkring::kernel::ring_memory& ring) noexcept override { below_.release(ring); }

  [[nodiscard]] bool real() const noexcept override { return below_.real(); }
  [[nodiscard]] std::uint64_t now_ns() noexcept override { return below_.now_ns(); }
  void pause(std::uint64_t ns) noexcept override { below_.pause(ns); }
  [[nodiscard]] int inspect(int fd, bool direct_io,
                            parkring::kernel::file_facts& out) noexcept override {
    return below_.inspect(fd, direct_io, out);
  }
  int close(int fd) noexcept override { return below_.close(fd); }
  [[nodiscard]] int make_event() noexcept override { return below_.make_event(); }
  void signal_event(int fd) noexcept override { below_.signal_event(fd); }
  void clear_event(int fd) noexcept override { below_.clear_event(fd); }

 private:
  int next_error() noexcept {
    if (!enter_errors.empty()) {
      const int error = enter_errors.front();
      enter_errors.pop_front();
      return error;
    }
    return fail_every != 0 && enters % fail_every == 0 ? regular_error : 0;
  }

  parkring::kernel::kernel& below_ =
      *parkring::ring::try_kernel(parkring::ring::wanted_kernel::any).served_by;
};

}  // namespace parkring::testing
