// Who may use the disk, and how much at once: classes of requests with shares and limits, and a
// background that leaves the foreground its latency.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/quick_task.hpp>
#include <parkring/shield.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {
struct io_scheduler_state;
class io_attempt;

template <class Op>
concept knows_size = requires(const Op& o) {
  o.size();
};
}  // namespace parkring::detail

namespace parkring::fs {

template <class Way>
class rw_operation;
struct locking;

enum class io_class : std::uint8_t {
  foreground,  // somebody waits for it: its latency is what is looked after
  background,  // scans, compactions, backups: takes what is left
  sync,        // what makes writes durable
};

struct io_limits {
  unsigned shares = 1;                      // of what is handed out while several classes wait
  std::uint64_t bytes_per_second = 0;       // 0: no limit
  std::uint64_t operations_per_second = 0;  // 0: no limit; with one, no request is cut
};

struct io_scheduler_options {
  io_limits foreground{.shares = 8};
  io_limits background{.shares = 1};
  io_limits sync{.shares = 4};
  /// Requests of all classes that are with the device at once, at most.
  std::size_t queue_depth = 32;
  /// How long a request of the foreground may take before the background gets less; 0: 1.9 times
  /// the 99th percentile of those that met no background at the device.
  std::chrono::nanoseconds latency_target{0};
  /// After so long without a foreground the background has the device to itself.
  std::chrono::nanoseconds idle_after{std::chrono::milliseconds(100)};
};

/// The right to have one request with the device. It is over when this object goes.
///
/// *Thread*: the scheduler's runtime's.
class [[nodiscard("the request's turn ends when this object goes")]] io_permit {
 public:
  using bound_to_thread = void;
  io_permit() noexcept = default;
  io_permit(io_permit && other) noexcept
      : of_(std::move(other.of_)),
        as_(other.as_),
        bytes_(other.bytes_),
        since_(other.since_),
        background_(other.background_) {}
  io_permit& operator=(io_permit&& other) noexcept {
    if (this != &other) {
      release();
      of_ = std::move(other.of_);
      as_ = other.as_;
      bytes_ = other.bytes_;
      since_ = other.since_;
      background_ = other.background_;
    }
    return *this;
  }
  ~io_permit() { release(); }

  /// The request has ended.
  void release() noexcept;
  /// What it is for.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  friend class detail::io_attempt;
  io_permit(std::shared_ptr<detail::io_scheduler_state> of, io_class as, std::size_t bytes);
  std::shared_ptr<detail::io_scheduler_state> of_;
  io_class as_ = io_class::foreground;
  std::size_t bytes_ = 0;
  std::chrono::steady_clock::time_point since_;
  std::uint64_t background_ = 0;  // how much of it there had been; the most: it is there
};

}  // namespace parkring::fs

namespace parkring::detail {

/// To get a permit: for all of `bytes`, or with a `grain` for its first piece, in multiples of it.
class io_attempt {
 public:
  io_attempt(std::shared_ptr<io_scheduler_state> of, fs::io_class as, std::size_t bytes,
             std::size_t grain = 0) noexcept
      : of_(std::move(of)), as_(as), bytes_(bytes), grain_(grain) {}
  [[nodiscard]] bool try_now();
  [[nodiscard]] task<> slowly();
  [[nodiscard]] fs::io_permit value() noexcept { return std::move(permit_); }

 private:
  std::shared_ptr<io_scheduler_state> of_;
  fs::io_class as_;
  std::size_t bytes_;
  std::size_t grain_;
  fs::io_permit permit_;
};

}  // namespace parkring::detail

namespace parkring::fs {

/// A scheduler together with a class: what is handed to those who make requests. Copies are the
/// same lane. Empty by default, which is none.
class io_lane {
 public:
  using bound_to_thread = void;
  io_lane() noexcept = default;

  [[nodiscard]] explicit operator bool() const noexcept { return of_ != nullptr; }

  /// Waits for the turn of a request of `bytes` bytes.
  ///
  /// *Completes when* the class has its turn; at once while nothing is short. *Owns* a share of the
  /// scheduler. *Thread*: the scheduler's runtime. *Drop*: leaves its place, and gives back what it
  /// was granted. *Errors*: none.
  [[nodiscard("co_await it")]] auto acquire(std::size_t bytes) const {
    return detail::quick_operation<detail::io_attempt>(detail::io_attempt(of_, as_, bytes));
  }

  /// Waits for the turn of `operation`, then awaits it: `co_await lane.run(file.read_at(b, 0))`.
  ///
  /// `bytes` is what it counts for. For requests on files with positions: what a dropped read of a
  /// pipe receives would be lost.
  /// *Completes when* the operation does. *Owns* the operation. *Thread*: the scheduler's runtime.
  /// *Drop*: before its turn, the operation never begins; later, it goes on in the background, as
  /// the kernel does, and has its turn until it has ended. *Errors*: the operation's.
  template <detail::awaitable Op>
  requires(!std::is_lvalue_reference_v<Op>)
      [[nodiscard]] task<detail::await_result_t<Op>> run(Op operation, std::size_t bytes) const {
    return run_in(*this, std::move(operation), bytes);
  }
  /// As above, of reads and writes, which know how many bytes they are.
  template <detail::awaitable Op>
  requires detail::knows_size<Op>
  [[nodiscard]] task<detail::await_result_t<Op>> run(Op operation) const {
    const std::size_t bytes = operation.size();
    return run_in(*this, std::move(operation), bytes);
  }
  /// As above. In the background it is cut to pieces while there is a foreground, one after the
  /// other, each with a turn of its own; not in a file opened to append, nor with a limit on
  /// operations. An error or an end behind the first piece makes it short, and so does a `close` of
  /// the file meanwhile.
  ///
  /// *Completes when* the last piece does. *Owns* the lock on the buffer until then. *Thread*: the
  /// scheduler's runtime. *Drop*: the piece that is with the device goes on, the rest never begins.
  /// *Errors*: the operation's.
  [[nodiscard]] task<std::size_t> run(rw_operation<locking> operation) const;

 private:
  friend class io_scheduler;
  template <class Op>
  static task<detail::await_result_t<Op>> perform(Op operation, io_permit) {
    co_return co_await std::move(operation);
  }
  template <class Op>
  static task<detail::await_result_t<Op>> run_in(io_lane of, Op operation, std::size_t bytes) {
    io_permit permit = co_await of.acquire(bytes);
    auto work = perform(std::move(operation), std::move(permit));
    co_return co_await shield(std::move(work));
  }

  std::shared_ptr<detail::io_scheduler_state> of_;
  io_class as_ = io_class::foreground;
};

struct io_class_counters {
  std::uint64_t operations = 0;  // that had their turn, each piece by itself
  std::uint64_t bytes = 0;
  std::size_t waiting = 0;
  std::size_t in_flight = 0;
};

/// Lets requests take turns: `scheduler.run(io_class::background, file.read_at(b, at))`.
///
/// Three things hold a request back. The limits of its class: token buckets, which a request may
/// overdraw once, so that one that is larger than the limit passes. The depth of the device's
/// queue: while several classes wait for it, they share by their `shares`, counted in bytes and 4
/// KiB for each request (start-time fair queueing), so that none starves. And, for the background
/// alone, a window of bytes that may be with the device: as long as there are requests of the
/// foreground, it grows slowly while they are in time and is cut when one is not. Reads and writes
/// of a buffer are cut to pieces that fit, larger requests that cannot be cut go one at a time,
/// with pauses. With nobody in the foreground the background has the whole depth.
///
/// Requests that do not go through it are not seen. Copies are the same scheduler.
///
/// *Owns* its state, together with its lanes and permits. *Thread*: one runtime's, the first that
/// used it. *Drop*: who waits goes on waiting for its turn, which it gets.
class io_scheduler {
 public:
  using bound_to_thread = void;
  /// *Errors*: shares or a `queue_depth` of 0 fail a check.
  explicit io_scheduler(const io_scheduler_options& options = {});

  [[nodiscard]] io_lane lane(io_class as) const;

  /// Waits for the turn of a request that is made otherwise. As `io_lane::acquire`.
  ///
  /// *Completes when* the class has its turn. *Owns* a share of the scheduler. *Thread*: its
  /// runtime. *Drop*: leaves its place. *Errors*: none.
  [[nodiscard("co_await it")]] auto acquire(io_class as, std::size_t bytes) const {
    return lane(as).acquire(bytes);
  }
  /// Waits for the turn of `operation`, then awaits it. As `io_lane::run`.
  ///
  /// *Completes when* the operation does. *Owns* the operation. *Thread*: the scheduler's runtime.
  /// *Drop*: before its turn, the operation never begins; later, it goes on in the background.
  /// *Errors*: the operation's.
  template <detail::awaitable Op>
  [[nodiscard]] auto run(io_class as, Op operation) const {
    return lane(as).run(std::move(operation));
  }
  /// As above, of an operation that counts for `bytes`, such as a sync.
  template <detail::awaitable Op>
  [[nodiscard]] auto run(io_class as, Op operation, std::size_t bytes) const {
    return lane(as).run(std::move(operation), bytes);
  }

  [[nodiscard]] io_class_counters counters(io_class of) const noexcept;
  /// How many bytes of the background may be with the device, now; UINT64_MAX: it has it to itself.
  [[nodiscard]] std::uint64_t background_window() const noexcept;

 private:
  std::shared_ptr<detail::io_scheduler_state> state_;
};

}  // namespace parkring::fs
