// The way back to a ring's thread, which outlives the ring.
//
// Workers and other rings put parcels in; the ring's thread takes all of them at once. Whoever puts
// one in raises `sq_taskrun` in the ring's shared flags, so that a busy run loop knows to enter.
//
// Sleep: `state_` is one of
//   awake      the ring's thread runs; a parcel needs no system call
//   sleeping   it waits, or is about to
//   notified   a parcel came since the last look
// Sleeper and sender each exchange their value in and read what was there, so one of them comes
// first: the sleeper sees `notified` and does not sleep, or the sender sees `sleeping` and writes
// the eventfd. The eventfd is watched edge-triggered and never read.
//
// `mutex_` guards the list, `flags_` and the eventfd: once `close` has returned, nobody touches the
// ring's memory, and what comes later is thrown away by who brings it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/owned_fd.hpp"
#include "kernel/threads/job.hpp"

namespace parkring::kernel::threads {

class channel {
 public:
  explicit channel(base::owned_fd event) noexcept : event_(std::move(event)) {}
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  ~channel() { close(); }

  /// What `send` raises `sq_taskrun` in. Before the first `send`.
  void open(std::uint32_t* shared_flags) noexcept;
  /// Ends it: throws away what has not been taken.
  void close() noexcept;

  /// Any thread. Takes the parcel over; false when the channel is closed and it was thrown away.
  bool send(parcel& p) noexcept;

  /// Ring's thread: the parcels since the last take, oldest first.
  [[nodiscard]] parcel* take() noexcept;
  /// Ring's thread, before blocking: false means do not.
  [[nodiscard]] bool begin_sleep() noexcept;
  void end_sleep() noexcept { state_.store(awake, std::memory_order_relaxed); }

  [[nodiscard]] int event() const noexcept { return event_.get(); }

 private:
  enum : int { awake, sleeping, notified };

  std::mutex mutex_;
  parcel* first_ = nullptr;
  parcel* last_ = nullptr;
  std::uint32_t* flags_ = nullptr;  // null: closed
  std::atomic<bool> any_{false};    // first_ is not null; a hint outside the lock
  std::atomic<int> state_{awake};
  base::owned_fd event_;
};

}  // namespace parkring::kernel::threads
