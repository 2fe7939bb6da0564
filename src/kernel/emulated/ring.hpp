// A ring without the kernel's help: takes submission entries, keeps their order, and posts
// completions, with the same meaning as io_uring_enter(2) gives them. What requests do is the
// backend's business.
//
// Completions are made on the ring's thread only, inside `enter`, as with DEFER_TASKRUN.
//
// Order.
//   * Entries are begun in the order they were submitted, but for chains and drains.
//   * A chain (IOSQE_IO_LINK) is begun when it is whole: at its first entry without a link flag, or
//     at the end of the submission. Its next part begins inside the completion of the one before. A
//     part that fails, or transfers less than asked, ends the rest with -ECANCELED; after
//     IOSQE_IO_HARDLINK the rest goes on all the same. A chain with a part that is refused at its
//     submission does not begin.
//   * A drained request, or a chain with one in it, begins when all submitted before it have ended;
//     what comes after it waits for it.
// A completion that finds the queue full waits in `overflow_`, which the next enter empties.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "kernel/abi.hpp"
#include "kernel/emulated/backend.hpp"
#include "kernel/emulated/provided_buffers.hpp"
#include "kernel/emulated/registered.hpp"
#include "kernel/emulated/request.hpp"
#include "kernel/emulated/request_index.hpp"
#include "kernel/kernel.hpp"

namespace parkring::kernel::emulated {

/// The set-up flags that an emulated ring takes.
inline constexpr std::uint32_t setup_flags_taken =
    abi::setup_cqsize | abi::setup_clamp | abi::setup_r_disabled | abi::setup_submit_all |
    abi::setup_coop_taskrun | abi::setup_taskrun_flag | abi::setup_single_issuer |
    abi::setup_defer_taskrun | abi::setup_no_sqarray;

class ring {
 public:
  /// Memory of the queues, in `out`. Null and `error` (a positive errno) when the parameters are
  /// refused or there is no memory. `out.context` becomes the ring.
  static std::unique_ptr<ring> make(backend& below, unsigned entries, abi::params& p,
                                    ring_memory& out, int& error) noexcept;
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring();

  // ---- what a kernel calls ----

  int enter(unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_size) noexcept;
  int reg(unsigned opcode, const void* arg, unsigned count) noexcept;
  /// Requests that have not ended.
  [[nodiscard]] std::size_t live() const noexcept { return live_; }
  /// The shared flags of the submission queue, which other threads may raise `sq_taskrun` in.
  [[nodiscard]] std::uint32_t* shared_flags() const noexcept { return memory_.sq_flags; }

  // ---- what a backend calls ----

  /// A completion of a multishot request that stays armed (F_MORE). False, and nothing was done,
  /// when the queue is full or there is no slot for an accepted file: then the backend gives this
  /// answer as the last one, by `complete`, as the kernel does.
  bool post(request& r, std::int32_t result, std::uint32_t flags = 0) noexcept;
  /// The last completion: `r` is gone when this returns. A descriptor made by OPENAT, OPENAT2,
  /// SOCKET or ACCEPT goes into a slot if the entry asks for it. `flags` may have
  /// cqe_f_sock_nonempty or cqe_f_notif (before which the backend posts the result itself).
  void complete(request& r, std::int32_t result, std::uint32_t flags = 0) noexcept;
  /// A completion that belongs to no request of this ring: of a message from another one.
  void post_message(std::uint64_t user_data, std::int32_t result, std::uint32_t flags) noexcept;

  /// Chooses a provided buffer for `r`: 0, then `r.memory` and `r.length` tell, or -ENOBUFS. A
  /// no-op when the request does not select or has chosen. The id goes with the next post or
  /// complete whose result is not negative; `give_back_buffer` undoes it.
  int choose_buffer(request& r) noexcept;
  void give_back_buffer(request& r) noexcept;

  /// Where registered buffer `index` lies, if [at, at + length) is inside it.
  [[nodiscard]] bool in_registered_buffer(unsigned index, std::uint64_t at,
                                          std::uint64_t length) const noexcept;
  /// The held file of slot `index`, or -1.
  [[nodiscard]] int registered_file(unsigned index) const noexcept;

  /// Ends what can be ended, and forgets the rest: the machine has stopped.
  void stop() noexcept;

  void* machine = nullptr;  // the backend's, for a ring

 private:
  explicit ring(backend& below) noexcept : below_(below), files_(below) {}

  // Submission: entries into requests, requests into chains (submission.cpp).
  unsigned submit(unsigned n) noexcept;
  [[nodiscard]] int check(const abi::sqe& entry, bool in_chain) const noexcept;
  [[nodiscard]] request* allocate() noexcept;
  void queue(request& head) noexcept;
  void begin_deferred() noexcept;
  void begin_all() noexcept;
  void begin(request& r) noexcept;
  void refuse(request& head, int error) noexcept;
  void activate(request& r) noexcept;
  [[nodiscard]] int resolve(request& r) noexcept;
  void serve(request& r) noexcept;

  // Completion (ring.cpp).
  void put(std::uint64_t user_data, std::int32_t result, std::uint32_t flags) noexcept;
  [[nodiscard]] bool full() const noexcept;
  void flush_overflow() noexcept;
  [[nodiscard]] std::uint32_t ready() const noexcept;
  [[nodiscard]] bool failed(const request& r, std::int32_t result) const noexcept;
  void end(request& r, std::int32_t result, std::uint32_t flags) noexcept;
  void cancel_rest(request& failed) noexcept;
  void release(request& r) noexcept;
  std::uint32_t buffer_flags(request& r, std::int32_t result) noexcept;

  // Timeouts (timeouts.cpp).
  [[nodiscard]] static int check_timeout(const abi::sqe& e) noexcept;
  int start_timeout(request& r) noexcept;
  void arm(request& r, std::uint64_t deadline_ns);
  void rearm(request& r, std::uint64_t deadline_ns) noexcept;
  void disarm(request& r) noexcept;
  void fire_timeouts() noexcept;
  void expire(request& r) noexcept;
  int remove_timeout(const abi::sqe& e) noexcept;
  [[nodiscard]] std::uint64_t next_timeout() const noexcept;
  [[nodiscard]] std::uint64_t deadline_of(const abi::timespec64& t, std::uint32_t flags) noexcept;

  // Cancelling (cancellation.cpp).
  struct wanted {
    std::uint64_t user_data = 0;
    int file = -1;
    std::uint8_t opcode = 0;
    std::uint32_t flags = 0;  // async_cancel_*
  };
  [[nodiscard]] bool matches(const request& r, const wanted& w) noexcept;
  int cancel_one(request& r) noexcept;
  int cancel(const wanted& w, const request* asker) noexcept;
  int cancel_by(const abi::sqe& e, const request* asker) noexcept;
  int remove_poll(const abi::sqe& e) noexcept;
  int cancel_and_wait(const abi::sync_cancel_reg& asked) noexcept;

  backend& below_;
  ring_memory memory_;
  std::unique_ptr<std::byte[]> queues_;
  bool disabled_ = false;  // until REGISTER_ENABLE_RINGS
  bool stopped_ = false;

  std::deque<request> requests_;  // addresses stay
  detail::intrusive_list<request> free_;
  detail::intrusive_list<request> active_;    // begun, oldest first
  detail::intrusive_list<request> deferred_;  // heads of chains behind a drain
  detail::intrusive_list<request> to_begin_;
  request_index index_;  // of those active
  std::uint64_t submitted_ = 0;
  std::size_t live_ = 0;     // not gone
  std::size_t running_ = 0;  // those not behind a drain
  bool drain_runs_ = false;  // the last to leave `deferred_` was a drain, and has not ended

  std::deque<abi::cqe> overflow_;
  std::uint64_t posted_ = 0;  // completions made, but for those of timeouts that were not cancelled

  std::map<std::pair<std::uint64_t, std::uint64_t>, request*> timeouts_;  // by deadline, number
  std::vector<request*> counting_;  // timeouts that wait for a number of completions too

  file_slots files_;
  buffer_slots buffers_;
  provided_buffers provided_;
};

}  // namespace parkring::kernel::emulated
