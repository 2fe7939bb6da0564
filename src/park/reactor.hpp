// An epoll set that a thread sleeps in, above which its ring is one descriptor among others.
//
// In the set are the waker's event, level-triggered, which the ring signals too, and the
// descriptors of guests, one-shot: each is armed again after the guest's turn and then looks, as
// the ring's poll does (exec/guests.hpp). The event is cleared by whoever begins a watch of the
// ring, not here.
//
// Its ring must not defer (DEFER_TASKRUN). Deferred work signals the registered event from where
// the work comes up, and when that is inside the signal of another event (a poll of an eventfd: a
// guest's, one that tells of the process's signals) Linux passes it on once and never again (6.18,
// io_uring/ eventfd.c). Without it the kernel interrupts the sleep instead, finishes the request on
// this thread, and the event is signalled from there. So a wait may end by -EINTR with completions
// to reap.
//
// Nothing is resumed inside of `wait`: a watch that fires notes that, and no more. One thread.
#pragma once

#include <cstdint>

#include "base/owned_fd.hpp"
#include "kernel/abi.hpp"

namespace parkring::park {

class reactor {
 public:
  struct watch {
    void (*fired)(watch&) noexcept;
    int fd = -1;  // in the set; -1: none
  };

  /// *Errors*: `std::system_error` when no descriptor is left for it.
  explicit reactor(int event);
  reactor(const reactor&) = delete;
  reactor& operator=(const reactor&) = delete;

  /// Sleeps until something is readable, at most `timeout` (relative; null: for ever). 0, or
  /// -errno: -ETIME after the time-out.
  int wait(const kernel::abi::timespec64* timeout) noexcept;

  /// Calls `w.fired` once, inside of a `wait`, when `fd` is readable. 0 or -errno: -EEXIST when
  /// another watch has that descriptor, -EPERM when epoll takes no such file, -EBADF.
  int arm(watch& w, int fd) noexcept;
  void disarm(watch& w) noexcept;

  std::uint64_t waits = 0;  // epoll_wait calls

 private:
  base::owned_fd set_;
};

}  // namespace parkring::park
