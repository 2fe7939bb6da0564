// A thread that waits for the completions of a ring and hands them to the ring's own thread.
//
// Who does what. The *owner* is the thread that the ring is bound to, the *reader* is this one.
//   submission queue   the owner alone: entries, tail, and every enter that submits
//   completion queue   the reader alone, from its start to its end: it copies entries into `queue_`
//                      and then moves the kernel's head. What an entry is for it does not look at:
//                      records are touched by the owner only
//   `queue_`           single producer, single consumer. It has the shape of a completion queue, so
//                      the owner reaps it by the same code: the reader writes entries and tail, the
//                      owner writes the head
//   overflow           either: each enter with GETEVENTS moves what the kernel kept into the
//                      kernel's queue, and the kernel serialises that. The reader makes one
//                      whenever it has emptied that queue; the owner makes them with its
//                      submissions
//   registering        the owner
// Two threads enter, so the ring has neither SINGLE_ISSUER nor DEFER_TASKRUN. What completes
// outside of an enter is finished by the kernel on the thread that submitted: it wakes the owner
// for that, out of the futex and back into it, before the reader learns of it.
//
// Sleeping of the owner. `owner_` is one of
//   awake      the owner runs
//   sleeping   it is, or is about to be, in futex_wait
//   notified   something was handed over, or an unpark came, since the last look
// Owner and notifiers exchange in what they are, so exactly one of them comes first: either the
// owner sees `notified` and does not sleep, or the notifier sees `sleeping` and wakes it. The
// reader notifies after it has moved the tail, once for all that it found.
//
// A full `queue_` stops the reader: it leaves the rest with the kernel, which keeps what does not
// fit, and looks again when the owner goes to sleep, or after 100 us. It is as large as the
// kernel's queue, so that takes an owner that is busy meanwhile.
//
// The end. The owner says `stop_` and submits an empty request, whose completion ends a wait in
// enter. The reader ends between two batches, wherever it is; what it has not copied stays where it
// is. After the join the owner reaps `queue_`, then reads the kernel's queue itself: no completion
// is lost and none is seen twice. This is the first step of a teardown, which drains as without a
// reader. A runtime in a forked child has no reader, and does nothing with its ring anyway.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "ring/futex.hpp"
#include "ring/ring.hpp"

namespace parkring::ring {

class reader_thread {
 public:
  /// Starts it. On the ring's thread, before the first request. *Errors*: `std::bad_alloc`,
  /// `std::system_error` when no thread can be started.
  explicit reader_thread(ring& r);
  reader_thread(const reader_thread&) = delete;
  reader_thread& operator=(const reader_thread&) = delete;
  ~reader_thread();

  /// Ends it. On the ring's thread; what was handed over has to be reaped, see `ring::end_reader`.
  void end() noexcept;

  /// Hands over what was taken and sleeps until something is there to reap, a `notify`, or
  /// `timeout`. On the ring's thread. Answers as `ring::enter`.
  int wait(const abi::timespec64* timeout) noexcept;

  /// Ends a wait, or the next one if there is none. Any thread.
  void notify() noexcept {
    if (notify_owner()) futex_wake(owner_);
  }

  std::uint64_t sleeps = 0;                      // of the owner
  std::atomic<std::uint64_t> enters{0};          // by the reader
  std::atomic<std::uint64_t> wakes{0};           // of the owner, by the reader
  std::atomic<std::uint64_t> waits_for_room{0};  // of the reader

 private:
  enum : std::uint32_t { awake, sleeping, notified };

  /// Whether it sleeps, and has to be woken.
  bool notify_owner() noexcept {
    // Acq_rel: pairs with the exchanges in wait().
    return owner_.exchange(notified, std::memory_order_acq_rel) == sleeping;
  }
  void read() noexcept;
  bool hand_over() noexcept;
  void wait_for_room() noexcept;
  void register_descriptor(kernel::ring_memory& here) noexcept;
  void submit_all() noexcept;

  ring& ring_;
  const unsigned mask_;
  std::unique_ptr<abi::cqe[]> queue_;

  // The reader's.
  alignas(64) std::uint32_t tail_ = 0;
  // The owner's.
  alignas(64) std::uint32_t head_ = 0;
  // Both.
  alignas(64) futex_word owner_{awake};
  futex_word room_wanted_{0};  // 1: the reader sleeps until there is room
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace parkring::ring
