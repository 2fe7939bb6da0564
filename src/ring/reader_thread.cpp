#include "ring/reader_thread.hpp"

#include <signal.h>

#include <algorithm>
#include <cerrno>

#include "kernel/kernel.hpp"

namespace parkring::ring {
namespace {

// So that the program's signals are not for this thread.
struct signals_blocked {
  sigset_t before;
  signals_blocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
  }
  signals_blocked(const signals_blocked&) = delete;
  ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }
};

}  // namespace

reader_thread::reader_thread(ring& r)
    : ring_(r),
      mask_(r.completion_capacity() - 1),
      queue_(std::make_unique<abi::cqe[]>(r.completion_capacity())) {
  PARKRING_CHECK(r.bound_to_this_thread(), "start a ring's reader on the ring's thread");
  PARKRING_CHECK((r.setup_flags() & abi::setup_defer_taskrun) == 0,
                 "a ring with a reader is made with options::entered_by_others");
  const signals_blocked while_starting;
  thread_ = std::thread([this] { read(); });
  // A completion before this is in the kernel's queue, from which only the reader takes.
  r.begin_reader(*this, {queue_.get(), mask_, &head_, &tail_});
}

reader_thread::~reader_thread() { end(); }

void reader_thread::end() noexcept {
  if (!thread_.joinable()) return;
  // Release: pairs with the reader's acquire.
  stop_.store(true, std::memory_order_release);
  submit_all();  // makes room
  abi::sqe* const e = ring_.take();
  PARKRING_CHECK(e != nullptr, "a queue that was submitted has room");
  clear(*e);
  e->opcode = abi::op_nop;
  e->user_data = 0;  // of no record
  submit_all();
  room_wanted_.store(0, std::memory_order_relaxed);
  futex_wake(room_wanted_);
  thread_.join();
}

void reader_thread::submit_all() noexcept {
  while (ring_.unsubmitted() != 0) {
    // It refuses only while the kernel has no memory.
    if (ring_.enter(0, nullptr, 0) < 0) ring_.served_by().pause(50'000);
  }
}

int reader_thread::wait(const abi::timespec64* timeout) noexcept {
  int answer = 0;
  if (ring_.unsubmitted() != 0) {
    answer = ring_.enter(0, nullptr, 0);
    if (answer < 0 || ring_.unsubmitted() != 0) return answer;
  }
  if (room_wanted_.load(std::memory_order_relaxed) != 0) {
    room_wanted_.store(0, std::memory_order_relaxed);
    futex_wake(room_wanted_);
  }
  if (ring_.completions_waiting()) return answer;
  int slept = 0;
  // Acq_rel, here and below: pairs with the exchange in notify_owner().
  if (owner_.exchange(sleeping, std::memory_order_acq_rel) != notified) {
    ++sleeps;
    slept = futex_wait(owner_, sleeping, timeout);
  }
  owner_.exchange(awake, std::memory_order_acq_rel);
  return answer == 0 && slept == -ETIMEDOUT ? -ETIME : answer;
}

void reader_thread::read() noexcept {
  kernel::ring_memory here = ring_.memory();
  const unsigned flags = abi::enter_getevents | ring_.wait_flags();
  register_descriptor(here);
  for (;;) {
    const bool all = hand_over();
    if (stop_.load(std::memory_order_acquire)) return;
    if (!all) {
      wait_for_room();
      continue;
    }
    enters.fetch_add(1, std::memory_order_relaxed);
    const int answer = ring_.served_by().enter(here, 0, 1, flags, nullptr, 0);
    // Interrupted; or what the kernel kept did not fit, and the queue has to be emptied again.
    PARKRING_CHECK(answer >= 0 || answer == -EINTR || answer == -EAGAIN || answer == -EBUSY,
                   "io_uring_enter failed in the thread that reads completions; was the ring's "
                   "descriptor closed by other code?");
  }
}

// Copies what the kernel has completed, as far as there is room; whether that was all.
bool reader_thread::hand_over() noexcept {
  const kernel::ring_memory& m = ring_.memory();
  // Acquire: the completions' contents after the tail. Pairs with the kernel's release store.
  const std::uint32_t end = __atomic_load_n(m.cq_tail, __ATOMIC_ACQUIRE);
  std::uint32_t at = *m.cq_head;  // nobody else writes it
  if (at == end) return true;
  // Acquire: the owner's reads of these places before our writes. Pairs with its release store of
  // the head in ring::reap().
  const std::uint32_t room = mask_ + 1 - (tail_ - __atomic_load_n(&head_, __ATOMIC_ACQUIRE));
  const std::uint32_t n = std::min(room, end - at);
  for (std::uint32_t i = 0; i < n; ++i) queue_[(tail_ + i) & mask_] = m.cqes[(at + i) & m.cq_mask];
  at += n;
  // Release: our reads before the kernel writes there again, and our writes before the tail.
  __atomic_store_n(m.cq_head, at, __ATOMIC_RELEASE);
  __atomic_store_n(&tail_, tail_ + n, __ATOMIC_RELEASE);
  if (n != 0 && notify_owner()) {
    wakes.fetch_add(1, std::memory_order_relaxed);
    futex_wake(owner_);
  }
  return at == end;
}

void reader_thread::wait_for_room() noexcept {
  waits_for_room.fetch_add(1, std::memory_order_relaxed);
  room_wanted_.store(1, std::memory_order_relaxed);
  // An owner that looked before this does not wake us: hence the limit.
  constexpr abi::timespec64 a_while{0, 100'000};
  futex_wait(room_wanted_, 1, &a_while);
  room_wanted_.store(0, std::memory_order_relaxed);
}

// As the ring does for its own thread: the table of descriptors belongs to a thread.
void reader_thread::register_descriptor(kernel::ring_memory& here) noexcept {
  here.enter_fd = here.fd;
  here.enter_flags = 0;
  abi::rsrc_update update{};
  update.offset = ~0u;  // any free place
  update.data = static_cast<std::uint64_t>(here.fd);
  if (ring_.reg(abi::register_ring_fds, &update, 1) != 1) return;
  here.enter_fd = static_cast<int>(update.offset);
  here.enter_flags = abi::enter_registered_ring;
}

}  // namespace parkring::ring
