// The seam between the ring and whatever serves it.
//
// Three calls and two queues in shared memory are all that io_uring is. Code above this file
// fills submission entries and reads completion entries; it cannot tell whether Linux, a pool of
// threads or a simulation answers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernel/abi.hpp"

namespace parkring::kernel {

/// Where the queues of one ring are. Filled by `kernel::setup`, given back by `kernel::release`.
struct ring_memory {
  int fd = -1;                    // the ring's descriptor, used to register and to map
  int enter_fd = -1;              // what enter names: an index when the ring is registered, or fd
  std::uint32_t enter_flags = 0;  // enter_registered_ring when enter_fd is an index

  // Submission queue: we write the tail and the entries, the kernel writes the rest.
  std::uint32_t* sq_head = nullptr;
  std::uint32_t* sq_tail = nullptr;
  std::uint32_t* sq_flags = nullptr;
  std::uint32_t* sq_dropped = nullptr;
  std::uint32_t* sq_array = nullptr;  // null with setup_no_sqarray
  std::uint32_t sq_mask = 0;
  std::uint32_t sq_entries = 0;
  abi::sqe* sqes = nullptr;

  // Completion queue: we write the head and cq_flags, the kernel writes the rest.
  std::uint32_t* cq_head = nullptr;
  std::uint32_t* cq_tail = nullptr;
  std::uint32_t* cq_overflow = nullptr;
  std::uint32_t* cq_flags = nullptr;
  std::uint32_t cq_mask = 0;
  std::uint32_t cq_entries = 0;
  abi::cqe* cqes = nullptr;

  std::uint32_t setup_flags = 0;  // setup_* as taken
  std::uint32_t features = 0;     // feat_*

  // The kernel's own, to undo the set-up.
  struct mapping {
    void* base = nullptr;
    std::size_t size = 0;
  };
  std::array<mapping, 2> mappings{};
  int owner_pid = 0;        // a forked child has none of the mappings and must not undo them
  void* context = nullptr;  // whatever an implementation keeps per ring
};

/// Something that serves rings. Calls for different rings may come from different threads; calls
/// for one ring come from one thread at a time. Nothing here throws: errors are negative errno.
class kernel {
 public:
  virtual ~kernel() = default;

  [[nodiscard]] virtual const char* name() const noexcept = 0;

  /// Makes a ring of at least `entries` submission entries; `p` is in and out as in
  /// io_uring_setup(2). 0, or -errno and then nothing has to be released.
  [[nodiscard]] virtual int setup(unsigned entries, abi::params& p, ring_memory& out) noexcept = 0;

  /// Consumes up to `to_submit` entries and waits for `min_complete` completions, as in
  /// io_uring_enter(2). The number of consumed entries, or -errno.
  virtual int enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete,
                    unsigned flags, const void* arg, std::size_t arg_size) noexcept = 0;

  /// As in io_uring_register(2): a result of its own or -errno.
  virtual int reg(const ring_memory& ring, unsigned opcode, const void* arg,
                  unsigned count) noexcept = 0;

  /// Unmaps and closes. Requests in flight do not end by it: drain first.
  virtual void release(ring_memory& ring) noexcept = 0;

  /// True when enter may be issued as an inlined system call instead of through `enter`.
  [[nodiscard]] virtual bool direct() const noexcept { return false; }
};

/// The kernel this process runs on.
[[nodiscard]] kernel& linux_kernel() noexcept;

}  // namespace parkring::kernel
