// The leanest ring that can be written by hand, for the limit contender: DEFER_TASKRUN and
// SINGLE_ISSUER, no index array, registered ring descriptor, file and buffers, entries prepared
// once and reused, and the system call inlined (returning from a function right after a system
// call misses the return predictor).
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>

namespace lab {

class raw_ring {
 public:
  /// Let a flag in memory tell of work that an `enter` would do.
  static constexpr unsigned tell_of_work = IORING_SETUP_TASKRUN_FLAG;

  explicit raw_ring(unsigned entries, unsigned more_flags = 0);
  raw_ring(const raw_ring&) = delete;
  raw_ring& operator=(const raw_ring&) = delete;
  ~raw_ring();

  void register_file(int fd) { register_files(&fd, 1); }
  void register_files(const int* fds, unsigned number);
  void register_memory(void* base, std::size_t size);

  /// Writes every entry of the queue once; the loop then changes only what differs.
  void prepare_entries(const io_uring_sqe& pattern) noexcept;

  /// The next free entry. The loop never has more requests in flight than there are entries.
  io_uring_sqe& take() noexcept { return sqes_[tail_++ & sq_mask_]; }

  /// Submits what was taken and waits for at least one completion.
  void submit_and_wait() noexcept { submit(1); }
  /// Submits what was taken, and waits for so many.
  void submit(unsigned wait_for) noexcept {
    __atomic_store_n(sq_tail_, tail_, __ATOMIC_RELEASE);
    const unsigned number = tail_ - submitted_;
    const long taken = enter(number, wait_for, enter_flags_);
    ++enters_;
    if (taken == static_cast<long>(number)) [[likely]]
      submitted_ = tail_;
    else
      recover(taken);
  }

  /// Calls `each(cqe)` for every completion that is there.
  template <typename F>
  void reap(F&& each) noexcept {
    unsigned head = *cq_head_;
    const unsigned end = __atomic_load_n(cq_tail_, __ATOMIC_ACQUIRE);
    for (; head != end; ++head) each(cqes_[head & cq_mask_]);
    __atomic_store_n(cq_head_, head, __ATOMIC_RELEASE);
  }

  /// Whether there is something to hand over or, with `tell_of_work`, to take.
  [[nodiscard]] bool wants_enter() const noexcept {
    return tail_ != submitted_ ||
           (__atomic_load_n(sq_flags_, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) != 0;
  }
  [[nodiscard]] int descriptor() const noexcept { return ring_fd_; }
  [[nodiscard]] std::uint64_t enters() const noexcept { return enters_; }

 private:
  [[gnu::always_inline]] inline long enter(unsigned submit, unsigned wait, unsigned flags) noexcept;
  void recover(long taken) noexcept;

  unsigned tail_ = 0;
  unsigned submitted_ = 0;
  unsigned sq_mask_ = 0;
  unsigned cq_mask_ = 0;
  io_uring_sqe* sqes_ = nullptr;
  io_uring_cqe* cqes_ = nullptr;
  unsigned* sq_tail_ = nullptr;
  unsigned* sq_flags_ = nullptr;
  unsigned* cq_head_ = nullptr;
  unsigned* cq_tail_ = nullptr;
  unsigned enter_flags_ = IORING_ENTER_GETEVENTS;
  int enter_fd_ = -1;
  std::uint64_t enters_ = 0;

  int ring_fd_ = -1;
  void* rings_ = nullptr;
  std::size_t rings_bytes_ = 0;
  std::size_t sqes_bytes_ = 0;
};

}  // namespace lab

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace lab {

inline long raw_ring::enter(unsigned submit, unsigned wait, unsigned flags) noexcept {
#if defined(__x86_64__)
  long result = __NR_io_uring_enter;
  register void* no_argument asm("r8") = nullptr;
  register std::size_t no_size asm("r9") = 0;
  register unsigned long flags_register asm("r10") = flags;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(static_cast<long>(enter_fd_)), "S"(static_cast<unsigned long>(submit)),
                 "d"(static_cast<unsigned long>(wait)), "r"(flags_register), "r"(no_argument),
                 "r"(no_size)
               : "rcx", "r11", "memory");
  return result;
#else
  const long result = ::syscall(__NR_io_uring_enter, enter_fd_, submit, wait, flags, nullptr, 0);
  return result < 0 ? -errno : result;
#endif
}

}  // namespace lab
