// Signals of the process, as something to await.
//
// A `signals` object is a queue of what has arrived; awaiting takes from it, so that an await that
// is dropped loses nothing. The protocol is in src/proc/signal_table.hpp and signal_queue.hpp.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <parkring/detail/simple_op.hpp>
#include <parkring/error.hpp>

namespace parkring {

/// What arrived: one kind of signal, and how often since it was last taken.
struct received_signal {
  int number = 0;
  /// How often it arrived. Standard signals that are sent while one of the kind is pending are one,
  /// as POSIX has it (signal(7)); real-time signals are all counted.
  std::uint32_t count = 0;
  /// The process that sent the last one by kill(2) or sigqueue(3); 0: the kernel, or not known.
  pid_t sender = 0;
};

namespace detail {

struct signal_queue;

struct signal_waiter : op_waiter {
  std::shared_ptr<signal_queue> queue;  // set while it waits, and while it has been given something
  received_signal given;                // number 0: nothing, or it was taken
  signal_waiter() noexcept {}
  /// Leaves the queue; what it was given and did not take goes back.
  ~signal_waiter() {
    if (queue != nullptr) leave();
  }

 private:
  void leave() noexcept;
};

struct signal_request {
  using value_type = received_signal;
  std::shared_ptr<signal_queue> queue;
  bool ready(op_waiter& w) noexcept;
  void start(op_waiter& w) noexcept;
  std::expected<received_signal, error> value(op_waiter& w) const noexcept {
    return std::exchange(static_cast<signal_waiter&>(w).given, {});
  }
  error failure(int number) const;
};

}  // namespace detail

/// A queue of the signals named, from its making on: `pr::signals stop({SIGINT, SIGTERM})`.
///
/// While it lives these signals no longer do what they did to the process; when the last such
/// object for a signal goes, the former disposition is back. Each object gets each signal, in
/// whichever thread the kernel delivers it. What arrives between two awaits is kept, one entry for
/// each number, with its count: so the queue is bounded and nothing is lost.
///
/// *Owns* its queue; no thread's signal mask is touched. *Thread*: made and destroyed anywhere,
/// also before there is a runtime; awaited on one runtime at a time. *Drop*: what was not taken is
/// gone; whoever still waits goes on waiting, until it is dropped itself. *Errors*: `io_error` with
/// EINVAL for a signal that cannot be caught, or that would only repeat what caused it (SIGSEGV,
/// SIGBUS, SIGFPE, SIGILL).
class signals {
 public:
  explicit signals(std::initializer_list<int> numbers);
  signals(signals&& other) noexcept : queue_(std::exchange(other.queue_, nullptr)) {}
  signals& operator=(signals&& other) noexcept {
    std::swap(queue_, other.queue_);
    return *this;
  }
  ~signals();

  /// Waits for the next signal; of several the one that has waited longest.
  ///
  /// *Completes when* one of the signals has arrived since it was last taken. *Owns* a share of the
  /// queue. *Thread*: inside a task; those that wait for one object, on one runtime. *Drop*: at
  /// once; a signal that it had been given goes to the next who asks. *Errors*: `io_error` with
  /// ENOTSUP on a simulated machine, which has no signals.
  [[nodiscard]] auto next() {
    PARKRING_CHECK(queue_ != nullptr, "this object was moved from; await the one it moved to");
    // A name of its own: GCC 12 ends a temporary aggregate twice where it is awaited.
    detail::signal_request request{queue_};
    return detail::simple_operation<detail::signal_request, detail::signal_waiter>(
        std::move(request));
  }

  /// What has arrived already, without waiting.
  [[nodiscard]] std::optional<received_signal> try_next() noexcept;

 private:
  std::shared_ptr<detail::signal_queue> queue_;
};

}  // namespace parkring
