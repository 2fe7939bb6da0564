// A kernel for tests of the ring: takes the flags it is told to take, completes everything at once
// with the entry's `len` as result, and counts. Lives in ordinary memory, one ring at a time.
#pragma once

#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "kernel/kernel.hpp"

namespace parkring::ring {

class fake_kernel final : public kernel::kernel {
 public:
  // What it is told to do.
  std::uint32_t known_flags = ~0u;  // set-up with any other flag is EINVAL
  std::uint32_t features = parkring::kernel::abi::feat_single_mmap |
                           parkring::kernel::abi::feat_nodrop | parkring::kernel::abi::feat_ext_arg;
  int setup_error = 0;  // when not 0, what set-up fails with
  int enter_error = 0;  // when not 0, what the next enter fails with, consuming nothing
  bool registers_descriptors = true;

  // What it saw.
  std::vector<std::uint32_t> tried_flags;
  unsigned entries = 0, cq_entries = 0;
  int released = 0;
  unsigned last_flags = 0;
  int last_fd = -1;
  bool saw_timeout = false;
  std::vector<unsigned> registered;

  [[nodiscard]] const char* name() const noexcept override { return "fake"; }

  [[nodiscard]] int setup(unsigned wanted, parkring::kernel::abi::params& p,
                          parkring::kernel::ring_memory& out) noexcept override {
    namespace abi = parkring::kernel::abi;
    tried_flags.push_back(p.flags);
    if (setup_error != 0) return -setup_error;
    if ((p.flags & ~known_flags) != 0) return -EINVAL;
    entries = std::bit_ceil(wanted);
    const bool sized = (p.flags & abi::setup_cqsize) != 0;
    cq_entries = sized ? std::bit_ceil(p.cq_entries) : entries * 2;
    if (cq_entries < entries) return -EINVAL;
    std::memset(words_, 0, sizeof words_);
    sqes_.assign(entries, {});
    cqes_.assign(cq_entries, {});
    array_.assign(entries, ~0u);
    out = {};
    out.fd = out.enter_fd = 1000;
    out.sq_head = &words_[0];
    out.sq_tail = &words_[1];
    out.sq_flags = &words_[2];
    out.sq_dropped = &words_[3];
    out.sq_array = (p.flags & abi::setup_no_sqarray) != 0 ? nullptr : array_.data();
    out.sq_mask = entries - 1;
    out.sq_entries = entries;
    out.sqes = sqes_.data();
    out.cq_head = &words_[4];
    out.cq_tail = &words_[5];
    out.cq_overflow = &words_[6];
    out.cq_flags = &words_[7];
    out.cq_mask = cq_entries - 1;
    out.cq_entries = cq_entries;
    out.cqes = cqes_.data();
    out.setup_flags = p.flags;
    out.features = features;
    return 0;
  }

  int enter(const parkring::kernel::ring_memory& ring, unsigned to_submit, unsigned, unsigned flags,
            const void* arg, std::size_t) noexcept override {
    last_flags = flags;
    last_fd = ring.enter_fd;
    saw_timeout = arg != nullptr;
    if (enter_error != 0) return -std::exchange(enter_error, 0);
    for (unsigned i = 0; i < to_submit; ++i) {
      const unsigned at = (*ring.sq_head)++ & ring.sq_mask;
      const unsigned entry = ring.sq_array != nullptr ? ring.sq_array[at] : at;
      const parkring::kernel::abi::sqe& taken = ring.sqes[entry];
      ring.cqes[*ring.cq_tail & ring.cq_mask] = {taken.user_data,
                                                 static_cast<std::int32_t>(taken.len), 0};
      ++*ring.cq_tail;
    }
    return static_cast<int>(to_submit);
  }

  int reg(const parkring::kernel::ring_memory&, unsigned opcode, const void* arg,
          unsigned) noexcept override {
    namespace abi = parkring::kernel::abi;
    registered.push_back(opcode);
    if (opcode == abi::register_ring_fds) {
      if (!registers_descriptors) return -EINVAL;
      // The kernel answers in the argument, so callers give a mutable one.
      static_cast<abi::rsrc_update*>(const_cast<void*>(arg))->offset = 7;
      return 1;
    }
    return 0;
  }

  void release(parkring::kernel::ring_memory& ring) noexcept override {
    ++released;
    ring = {};
  }

  /// What the kernel would do to ask for an enter.
  void raise_flag(std::uint32_t flag) { words_[2] |= flag; }

 private:
  std::uint32_t words_[8] = {};
  std::vector<std::uint32_t> array_;
  std::vector<parkring::kernel::abi::sqe> sqes_;
  std::vector<parkring::kernel::abi::cqe> cqes_;
};

}  // namespace parkring::ring
