// Ends a park from another thread.
//
// Contract: an `unpark` before a park makes the next park return at once; spurious returns are
// legal; several unparks may be one.
//
// Protocol: base/park_state.hpp. Who finds the thread asleep signals the event, which ends the
// sleep.
//
// A host that waits instead of the ring (`driver::leave_to_host`) sleeps by the same state. Where
// the kernel can signal the event for completions too, the host watches the event itself, clears it
// before it says `sleeping`, and the ring has no watch; else the watch makes the ring's descriptor
// readable.
//
// A thread whose completions another one reads sleeps on that reader's futex: then an unpark of a
// sleeper is the reader's `notify`, and there is no event to watch. One that sleeps in a reactor of
// its own (park/reactor.hpp) does it as for a host.
//
// The event is a counter that can be polled, made by the ring's kernel: an eventfd on Linux. The
// ring watches it by one multishot poll, armed before the first sleep and again when the kernel
// ends it. Its record is taken at the start and kept, so that a thread whose requests use up all
// others can still be woken.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/owned_fd.hpp"
#include "base/park_state.hpp"
#include "op/operations.hpp"
#include "ring/ring.hpp"

namespace parkring::park {

class waker {
 public:
  explicit waker(op::operations& ops);
  waker(const waker&) = delete;
  waker& operator=(const waker&) = delete;

  /// Any thread.
  void unpark() noexcept;

  /// Before blocking: false means do not block. Arms the watch.
  [[nodiscard]] bool begin_sleep() noexcept {
    be_armed();
    return state_.begin_sleep();
  }
  /// What `begin_sleep` does first; for who must submit it before.
  void be_armed() noexcept {
    if (!armed_) [[unlikely]]
      arm();
  }
  /// After it, and before the look at what was made.
  void end_sleep() noexcept { state_.end_sleep(); }

  /// Lets a host wait: the descriptor that it watches, or -errno. Where that is the event itself
  /// the ring does not watch it. Before the first sleep.
  [[nodiscard]] int share_with_host() noexcept;

  /// Sleepers wait for `r` from now on. Before the first sleep, and before anybody can unpark.
  void wake_through(ring::reader_thread& r) noexcept {
    through_ = &r;
    armed_ = true;
  }

  /// Teardown: ends the watch.
  void stop() noexcept;
  /// Whether the watch still holds its record.
  [[nodiscard]] bool holds_record() const noexcept { return watch_ != nullptr; }
  [[nodiscard]] bool is_watch(const detail::record& r) const noexcept { return watch_ == &r; }

  std::atomic<std::uint64_t> wakes{0};  // signals of the event: unparks of a sleeper

 private:
  void arm() noexcept;
  static const detail::record_type watch_type;

  base::park_state state_;
  bool armed_ = false;  // the watch is submitted, or there is another way
  bool stopping_ = false;
  ring::reader_thread* through_ = nullptr;  // where a sleeper is; null: it waits for the event
  base::owned_fd event_;
  op::operations& ops_;
  detail::record* watch_;  // null once it has ended
};

}  // namespace parkring::park
