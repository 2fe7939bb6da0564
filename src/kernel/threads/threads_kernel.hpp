// io_uring where there is none: the same rings, served by plain system calls.
//
// A ring is an emulated one over a backend that tries without blocking, waits in epoll, and lends
// the rest to a pool of threads that all rings of the process share. It needs nothing that common
// filters of system calls forbid. `ring_memory::fd` is the epoll descriptor.
//
// What differs from io_uring:
//   * A request on a plain descriptor of a regular file or a directory uses that descriptor until
//     it ends: close it afterwards, as the library does. (A duplicate would survive a close, but
//     closing the duplicate gives up the process's record locks on the file.) A read or write whose
//     number has another file when its turn comes ends with -EBADF, and so does a request of
//     another kind that was waiting for a worker.
//   * Registering a file, and waiting for a stream, takes a descriptor more: -EMFILE is possible.
//     Emptying the slot of a regular file closes it, which gives up the record locks (fcntl(2))
//     that the process holds on that file.
//   * The ring's descriptor tells of no completions: it can be polled only between `begin_watch`
//     and `end_watch`.
//   * Paths, addresses and vectors are copied when a request begins: for a chain's later parts that
//     is when their turn comes.
//   * A worker that is inside a system call on a file or a path cannot be called back. Out of one
//     that may wait for somebody else for ever it is called by a signal, see interrupter.hpp: the
//     cancel is told that the request goes on (-EALREADY), and the request then ends with -ECANCELED, or
//     as it had ended just before.
//   * IORING_REGISTER_IOWQ_MAX_WORKERS sets the limits of the one pool of the process, for all of
//     its rings.
//   * A forked child cannot use its parent's rings, and releases them without touching them. It
//     closes what it has inherited of them only when the thread that forked was the ring's own, and
//     but for regular files and what is on workers.
#pragma once

#include "kernel/kernel.hpp"

namespace parkring::kernel::threads {

class threads_kernel final : public kernel {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "threads"; }
  [[nodiscard]] int setup(unsigned entries, abi::params& p, ring_memory& out) noexcept override;
  int enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete, unsigned flags,
            const void* arg, std::size_t arg_size) noexcept override;
  int reg(const ring_memory& ring, unsigned opcode, const void* arg,
          unsigned count) noexcept override;
  void release(ring_memory& ring) noexcept override;
  [[nodiscard]] int watch_descriptor(ring_memory& ring, int event) noexcept override;
  [[nodiscard]] bool begin_watch(const ring_memory& ring) noexcept override;
  void end_watch(const ring_memory& ring) noexcept override;
};

}  // namespace parkring::kernel::threads
