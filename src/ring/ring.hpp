// The submission and completion queue of one ring, and the one call that drives both.
//
// A turn of a loop is: take() entries and fill them, enter() once, reap() what completed. Entries
// are published by enter, not one by one, and the completion head moves once per reap.
//
// Thread: a ring is built and registered to by any one thread, then belongs for ever to the thread
// that calls bind_to_this_thread(). From another thread enter() answers -EEXIST and touches
// nothing. Before binding, everything may be registered except the ring's own descriptor (which
// belongs to a thread, and is registered by binding); restrictions and wait regions can only be
// registered before.
//
// Ownership: an entry taken belongs to the ring whatever enter() answered. It stays queued until
// the kernel has consumed it, so never leave an entry half-filled.
#pragma once

#include <parkring/detail/check.hpp>

#include <bitset>
#include <cstdint>

#include "kernel/abi.hpp"
#include "kernel/kernel.hpp"
#include "kernel/linux/enter.hpp"
#include "ring/setup_error.hpp"
#include "ring/thread_token.hpp"

namespace parkring::ring {

namespace abi = kernel::abi;

struct options {
  unsigned entries = 256;   // of the submission queue; the kernel rounds up to a power of two
  unsigned cq_entries = 0;  // 0: four times entries and at least 256
  // Another thread waits in enter too: without the set-up flags that forbid it.
  bool entered_by_others = false;
  // Completions are made when this thread enters. False: also when it sleeps in another call, which
  // they interrupt, and they signal a registered event reliably: see park/reactor.hpp.
  bool deferred = true;
};

class reader_thread;

/// Zeroes an entry: what is zero means "not used" in every opcode.
[[gnu::always_inline]] inline void clear(abi::sqe& entry) noexcept {
  __builtin_memset(&entry, 0, sizeof entry);
  // Whole stores: merged with the first fields written they would straddle the words that the
  // kernel reads, which defeats the processor's store forwarding.
  asm("" : "+m"(entry));
}

class ring {
 public:
  /// Makes a ring with the best set-up flags `k` takes; throws setup_failed.
  /// REQUIRES: options.entries > 0, and `k` outlives the ring.
  ring(kernel::kernel& k, const options& o);
  /// Gives the memory and the descriptor back. REQUIRES: nothing in flight writes to memory that
  /// is freed afterwards; closing a ring ends no request. Best on the bound thread: from another
  /// one the kernel's side lives on until the bound thread ends.
  ~ring();
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;

  /// Makes this thread the one that enters. 0, also when it already is; -EEXIST when another
  /// thread is, or another negative errno of the kernel.
  [[nodiscard]] int bind_to_this_thread() noexcept;
  /// Whether system calls may be made in place, beside the kernel this ring was made with.
  [[nodiscard]] bool direct() const noexcept { return direct_; }
  /// Whether descriptors, threads and time are those of the process: see kernel.hpp.
  [[nodiscard]] bool real() const noexcept { return real_; }
  [[nodiscard]] bool bound() const noexcept { return thread_ != nobody; }
  [[nodiscard]] bool bound_to_this_thread() const noexcept { return thread_ == thread_token(); }

  // ---- submission ----

  [[nodiscard]] unsigned capacity() const noexcept { return sq_entries_; }
  [[nodiscard]] unsigned room() const noexcept { return sq_entries_ - unsubmitted(); }
  /// Entries taken that the kernel has not consumed.
  [[nodiscard]] unsigned unsubmitted() const noexcept { return sq_tail_ - sq_head_; }

  /// The next entry, or null when the queue is full. Its contents are left over from its last use:
  /// write every field, or clear() it.
  [[gnu::always_inline, nodiscard]] abi::sqe* take() noexcept {
    if (sq_tail_ - sq_head_ == sq_entries_) [[unlikely]]
      return nullptr;
    return &take_unchecked();
  }
  /// As `take`. Requires: `room()` is not 0.
  [[gnu::always_inline, nodiscard]] abi::sqe& take_unchecked() noexcept {
    return sqes_[sq_tail_++ & sq_mask_];
  }
  /// Entries taken since the beginning.
  [[nodiscard]] std::uint64_t taken() const noexcept { return taken_before_ + unsubmitted(); }

  /// Publishes what was taken, lets the kernel consume it, and waits until `wait_for` completions
  /// are there, `timeout` (relative; null waits for ever) has passed or a signal came. With
  /// `wait_for` 0 it does not wait; give enter_getevents in `extra` to let the kernel run what it
  /// has deferred. The number of entries consumed, or -errno (-ETIME after a timeout). When
  /// entries were consumed their number is answered and a timeout or signal is not told.
  [[gnu::always_inline]] int enter(unsigned wait_for = 0, const abi::timespec64* timeout = nullptr,
                                   unsigned extra = 0) noexcept {
    // A registered ring is named by an index into a table of the thread: entering from another
    // thread would drive whichever ring that one has there.
    if (thread_ != thread_token()) [[unlikely]]
      return refuse_thread();
    // Release: the entries' contents before the tail. Pairs with the kernel's acquire load of the
    // tail when it consumes.
    __atomic_store_n(shared_sq_tail_, sq_tail_, __ATOMIC_RELEASE);

    unsigned flags = enter_flags_ | extra;
    if (wait_for != 0) flags |= wait_flags_;
    abi::getevents_arg arg;
    const void* arg_at = nullptr;
    std::size_t arg_size = 0;
    if (timeout != nullptr) {
      arg = {.sigmask = 0,
             .sigmask_sz = 0,
             .min_wait_usec = 0,
             .ts = reinterpret_cast<std::uintptr_t>(timeout)};
      arg_at = &arg;
      arg_size = sizeof arg;
      flags |= abi::enter_ext_arg;
    }
    ++enters;
    const unsigned to_submit = sq_tail_ - sq_head_;
    int result;
    if (direct_) [[likely]] {
      result = kernel::linux_impl::enter_inlined(enter_fd_, to_submit, wait_for, flags, arg_at,
                                                 arg_size);
    } else {
      result = kernel_.enter(memory_, to_submit, wait_for, flags, arg_at, arg_size);
    }
    // Relaxed: the kernel consumes only inside the call that just returned, on this thread.
    const unsigned head = __atomic_load_n(shared_sq_head_, __ATOMIC_RELAXED);
    taken_before_ += head - sq_head_;
    sq_head_ = head;
    return result;
  }

  // ---- completion ----

  /// Calls `f(const abi::cqe&)` for each completion visible at the start, oldest first, then frees
  /// their places at once; the number of them. `f` must not throw. It may take() entries, and
  /// reap() what is left.
  template <class F>
  [[gnu::always_inline]] unsigned reap(F&& f) noexcept {
    // Acquire: the completions' contents after the tail. Pairs with the kernel's release store of
    // the tail when it posts.
    const unsigned tail = __atomic_load_n(shared_cq_tail_, __ATOMIC_ACQUIRE);
    const abi::cqe* const cqes = cqes_;
    const unsigned mask = cq_mask_;
    unsigned n = 0;
    while (static_cast<int>(tail - cq_head_) > 0) {
      const abi::cqe c = cqes[cq_head_++ & mask];  // its place may be free before `f` returns
      f(c);
      ++n;
    }
    // Release: our reads of the completions before the head. Pairs with the kernel's acquire load
    // of the head before it writes to these places again.
    if (n != 0) __atomic_store_n(shared_cq_head_, cq_head_, __ATOMIC_RELEASE);
    return n;
  }

  /// Calls `f(const abi::cqe&)` for what reap() would find, and leaves it there.
  template <class F>
  void peek(F&& f) const noexcept {
    const unsigned tail = __atomic_load_n(shared_cq_tail_, __ATOMIC_ACQUIRE);  // as in reap()
    for (unsigned at = cq_head_; at != tail; ++at) f(cqes_[at & cq_mask_]);
  }

  /// Whether reap() would find something. Relaxed: reap() does the acquire.
  [[nodiscard]] bool completions_waiting() const noexcept {
    return __atomic_load_n(shared_cq_tail_, __ATOMIC_RELAXED) != cq_head_;
  }

  /// Whether completions exist that only an enter with enter_getevents brings into the queue:
  /// deferred ones, and those that found the queue full. Relaxed: a hint, the enter orders.
  [[nodiscard]] bool kernel_wants_enter() const noexcept {
    return (__atomic_load_n(shared_sq_flags_, __ATOMIC_RELAXED) &
            (abi::sq_cq_overflow | abi::sq_taskrun | abi::sq_need_wakeup)) != 0;
  }

  // ---- for a host that waits in a loop of its own; see kernel.hpp ----

  /// The descriptor it waits for, or -errno.
  [[nodiscard]] int watch_descriptor(int event) noexcept {
    return kernel_.watch_descriptor(memory_, event);
  }
  [[nodiscard]] bool begin_watch() noexcept { return kernel_.begin_watch(memory_); }
  void end_watch() noexcept { kernel_.end_watch(memory_); }

  // ---- where another thread reads the kernel's queue; see reader_thread.hpp ----

  /// A queue of completions: the kernel's, or one that the reader fills.
  struct completion_queue {
    const abi::cqe* cqes;
    unsigned mask;
    std::uint32_t* head;
    std::uint32_t* tail;
  };
  /// From now on what is reaped is what `by` hands over in `queue`.
  void begin_reader(reader_thread& by, const completion_queue& queue) noexcept;
  /// What was handed over has been reaped: the rest is in the kernel's queue again.
  void end_reader() noexcept;

  /// As `enter` with `wait_for`, also where a reader has to hand over what is waited for.
  int enter_and_wait(unsigned wait_for) noexcept;

  // ---- the rest ----

  /// io_uring_register(2) on this ring: a result of its own, or -errno.
  int reg(unsigned opcode, const void* arg, unsigned count) noexcept {
    return kernel_.reg(memory_, opcode, arg, count);
  }

  /// The opcodes that the kernel says it takes; asked at the first call. None where it does not
  /// say.
  [[nodiscard]] const std::bitset<256>& opcodes() noexcept;

  [[nodiscard]] const kernel::ring_memory& memory() const noexcept { return memory_; }
  [[nodiscard]] kernel::kernel& served_by() const noexcept { return kernel_; }
  [[nodiscard]] unsigned completion_capacity() const noexcept { return memory_.cq_entries; }
  [[nodiscard]] unsigned features() const noexcept { return memory_.features; }
  [[nodiscard]] unsigned setup_flags() const noexcept { return memory_.setup_flags; }
  /// False after binding when the thread's table of ring descriptors was full: each enter is then
  /// about 60 ns slower.
  [[nodiscard]] bool descriptor_registered() const noexcept { return memory_.enter_flags != 0; }
  /// What an enter that waits has in its flags.
  [[nodiscard]] unsigned wait_flags() const noexcept { return wait_flags_; }

  std::uint64_t enters = 0;  // system calls made by enter()

 private:
  static constexpr std::uint64_t nobody = ~std::uint64_t{0};  // no thread's token

  void read_from(const completion_queue& queue) noexcept;
  [[gnu::cold, gnu::noinline]] int refuse_thread() const noexcept;
  void register_descriptor() noexcept;

  // Ordered by use: a turn touches the first two cache lines.
  abi::sqe* sqes_ = nullptr;
  unsigned sq_mask_ = 0;
  unsigned sq_entries_ = 0;
  unsigned sq_tail_ = 0;            // ours; the shared one follows in enter
  unsigned sq_head_ = 0;            // the shared one as of the last enter
  std::uint64_t taken_before_ = 0;  // entries consumed by the kernel
  std::uint32_t* shared_sq_tail_ = nullptr;
  std::uint32_t* shared_sq_head_ = nullptr;
  std::uint32_t* shared_sq_flags_ = nullptr;
  std::uint64_t thread_ = nobody;  // token of the bound thread
  bool direct_ = false;
  bool real_ = true;
  int enter_fd_ = -1;
  unsigned enter_flags_ = 0;  // on every enter
  unsigned wait_flags_ = 0;   // on enters that wait
  const abi::cqe* cqes_ = nullptr;
  unsigned cq_mask_ = 0;
  unsigned cq_head_ = 0;  // the shared one follows in reap
  std::uint32_t* shared_cq_tail_ = nullptr;
  std::uint32_t* shared_cq_head_ = nullptr;

  kernel::kernel& kernel_;
  kernel::ring_memory memory_;
  reader_thread* reader_ = nullptr;  // null: this thread reads
  bool asked_opcodes_ = false;
  std::bitset<256> opcodes_;
};

}  // namespace parkring::ring
