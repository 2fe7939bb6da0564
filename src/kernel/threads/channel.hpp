// The way back to a ring's thread, which outlives the ring.
//
// Workers and other rings put parcels in; the ring's thread takes all of them at once. Whoever puts
// one in raises `sq_taskrun` in the ring's shared flags, so that a busy run loop knows to enter.
//
// Sleep: base/park_state.hpp. Who finds the ring's thread asleep writes the eventfd, which is
// watched edge-triggered and never read.
//
// `mutex_` guards the list, `flags_` and the eventfd: once `close` has returned, nobody touches the
// ring's memory, and what comes later is thrown away by who brings it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/owned_fd.hpp"
#include "base/park_state.hpp"
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
  [[nodiscard]] bool begin_sleep() noexcept { return state_.begin_sleep(); }
  /// After it, and before a `take`.
  void end_sleep() noexcept { state_.end_sleep(); }

  [[nodiscard]] int event() const noexcept { return event_.get(); }

 private:
  std::mutex mutex_;
  parcel* first_ = nullptr;
  parcel* last_ = nullptr;
  std::uint32_t* flags_ = nullptr;  // null: closed
  std::atomic<bool> any_{false};    // first_ is not null; a hint outside the lock
  base::park_state state_;
  base::owned_fd event_;
};

}  // namespace parkring::kernel::threads
