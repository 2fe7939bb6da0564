// What goes wrong on a simulated machine, and how long things take there. Which of it happens is
// drawn from the seed of the world, so one seed gives one history.
//
//   sim::faults f;
//   f.short_write = 0.1;                                   // every tenth write
//   f.io_error_once = {.at = 17};                          // the 17th operation that could fail so
//   f.failed_sync = {.probability = 0.5, .path = "*.log"};
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace parkring::sim {

/// How long one operation takes, in virtual time.
class latency {
 public:
  using duration = std::chrono::nanoseconds;

  constexpr latency() = default;
  /// Always the same.
  static constexpr latency fixed(duration d) { return latency(shape::fixed, d, d); }
  /// Anything between two values, both included.
  static constexpr latency uniform(duration from, duration to) {
    return latency(shape::uniform, from, to);
  }
  /// Mostly short, sometimes long; at the most 40 times the mean.
  static constexpr latency exponential(duration mean) {
    return latency(shape::exponential, mean, mean);
  }
  /// The same, and with this probability an operation takes `longer` in addition.
  [[nodiscard]] constexpr latency with_stalls(double probability, duration longer) const {
    latency l = *this;
    l.stall_probability_ = probability;
    l.stall_ = longer;
    return l;
  }

  enum class shape : std::uint8_t { fixed, uniform, exponential };
  /// The parts it was made of; an exponential one has its mean in both `from` and `to`.
  constexpr shape kind() const noexcept { return shape_; }
  constexpr duration from() const noexcept { return from_; }
  constexpr duration to() const noexcept { return to_; }
  constexpr double stall_probability() const noexcept { return stall_probability_; }
  constexpr duration stall() const noexcept { return stall_; }

 private:
  constexpr latency(shape s, duration from, duration to) : shape_(s), from_(from), to_(to) {}
  shape shape_ = shape::fixed;
  duration from_{0}, to_{0};
  double stall_probability_ = 0;
  duration stall_{0};
};

/// How operations are told apart, for faults and for latencies.
enum class operation_kind : std::uint8_t {
  open,      ///< opening, also what creates a file; closing
  read,      ///< of files
  write,     ///< of files
  sync,      ///< fsync, fdatasync, syncing a directory
  metadata,  ///< rename, unlink, link, mkdir, stat
  resize,    ///< truncate and fallocate
  receive,   ///< from sockets and pipes
  send,      ///< to sockets and pipes
  connect,   ///< connect and accept
  cancel,    ///< a cancellation
  enter,     ///< the call that submits and waits
  other,     ///< all else: polls, timeouts, messages
};
inline constexpr std::size_t operation_kinds = 12;

/// An operation that is about to happen. Tell them apart by `kind` and `path`: which opcode the
/// library takes for it (READ, READV or READ_FIXED) is its own affair.
struct operation {
  operation_kind kind = operation_kind::other;
  std::string_view name{};           ///< of the opcode, as in the trace: "READ_FIXED"; see `kind`
  std::string_view path{};           ///< by which its file was opened; empty if there is none
  std::string_view target{};         ///< of a rename or link the new path
  std::uint64_t offset = 0;          ///< in the file; the file's position counts as its value
  std::uint64_t length = 0;          ///< in bytes
  std::uint64_t step = 0;            ///< of the world
  std::chrono::nanoseconds time{0};  ///< of the world
};

/// What can be done to an operation. Those marked (data) lose or change data without a word, which
/// no program can bear in general.
enum class fault : std::uint8_t {
  short_read,         ///< fewer bytes than there are
  short_write,        ///< fewer bytes than given
  interrupted,        ///< EINTR, nothing done
  again,              ///< EAGAIN, nothing done; of sockets and pipes
  io_error_once,      ///< EIO; of a write nothing, a part or all is done, a sync is a failed one
  io_error_sticky,    ///< EIO likewise, and from now on for everything on this path
  bad_sector,         ///< the first sector it touches cannot be read or written any more
  no_space,           ///< ENOSPC, where something would grow or be created
  bit_rot,            ///< (data) one bit on the device has changed, and is read
  flipped_bit,        ///< (data) one bit changed on the way; the device is right
  lost_write,         ///< (data) acknowledged, never reaches the device, not even by a sync
  misdirected_write,  ///< (data) acknowledged, lands at another place of the device
  torn_write,         ///< (data) acknowledged, only its first sectors ever reach the device
  failed_sync,        ///< EIO; what was dirty counts as clean; a new size may be durable or not.
                      ///< Also of writes that sync (O_DSYNC)
  stall,              ///< takes `faults::stall_time` longer
  never_completes,    ///< is taken and never answered, unless it is cancelled
  refused_enter,      ///< entering answers EAGAIN or EBUSY
  cancel_wins,        ///< a cancellation ends the operation: ECANCELED, and 0 for the cancellation
  completion_wins,    ///< the operation is done just before: ENOENT for the cancellation
  cancel_too_late,    ///< the operation is under way and completes: EALREADY for the cancellation
  error,              ///< of a callback: fails with `injected::error`, nothing done
};
inline constexpr std::size_t fault_kinds = static_cast<std::size_t>(fault::error);

/// When one kind of fault happens: by chance, at the nth opportunity, or at given steps. Only
/// operations count to which the fault can happen and whose path matches.
struct fault_rule {
  double probability = 0;              ///< for each such operation
  std::uint64_t at = 0;                ///< the nth of them, from 1; 0: none
  std::vector<std::uint64_t> steps{};  ///< of the world, as in the trace: where requests begin
  std::string path{};                  ///< with * and ?, or the whole path; empty: any
  std::uint64_t at_most = std::numeric_limits<std::uint64_t>::max();  ///< times, then no more

  fault_rule& operator=(double p) {
    probability = p;
    return *this;
  }
  bool active() const noexcept {
    return (probability > 0 || at != 0 || !steps.empty()) && at_most != 0;
  }
};

/// What a callback decides.
struct injected {
  fault what = fault::error;
  int error = 0;                      ///< for fault::error: a positive errno
  std::uint64_t length = 0;           ///< for short reads and writes: bytes; 0: drawn
  std::chrono::nanoseconds delay{0};  ///< for fault::stall; 0: `faults::stall_time`
};

/// How long each kind of operation takes.
struct latencies {
  latency open = latency::uniform(std::chrono::microseconds(5), std::chrono::microseconds(20));
  latency read = latency::uniform(std::chrono::microseconds(60), std::chrono::microseconds(120));
  latency write = latency::uniform(std::chrono::microseconds(5), std::chrono::microseconds(25));
  latency sync = latency::exponential(std::chrono::microseconds(500));
  latency metadata = latency::uniform(std::chrono::microseconds(5), std::chrono::microseconds(40));
  latency resize = latency::uniform(std::chrono::microseconds(5), std::chrono::microseconds(40));
  latency other = latency::fixed(std::chrono::microseconds(1));  ///< beside what they wait for
};

/// The faults of a world; without any, everything goes well.
struct faults {
  fault_rule short_read{};
  fault_rule short_write{};
  fault_rule interrupted{};
  fault_rule again{};
  fault_rule io_error_once{};
  fault_rule io_error_sticky{};
  fault_rule bad_sector{};
  fault_rule no_space{};
  fault_rule bit_rot{};
  fault_rule flipped_bit{};
  fault_rule lost_write{};
  fault_rule misdirected_write{};
  fault_rule torn_write{};
  fault_rule failed_sync{};
  fault_rule stall{};
  fault_rule never_completes{};
  fault_rule refused_enter{};
  fault_rule cancel_wins{};
  fault_rule completion_wins{};
  fault_rule cancel_too_late{};

  /// How much longer a stalled operation takes.
  std::chrono::nanoseconds stall_time = std::chrono::milliseconds(100);
  /// Entries of the completion queues; 0: as the program asks. A small one overflows.
  std::uint32_t completion_queue = 0;
  /// Is asked first, for every operation; nothing: the rules decide. It must depend on nothing but
  /// its argument and what it was told before. An answer that an operation cannot have is ignored:
  /// a fault that does not happen to its kind, an error of a cancellation, or one of entering that
  /// is neither EAGAIN, EBUSY nor EINTR.
  std::function<std::optional<injected>(const operation&)> callback{};

  /// Every fault with the same probability.
  static faults everything(double probability);
  /// Those a correct program can bear without losing anything: short transfers, EINTR, EAGAIN,
  /// stalls, refused submissions, and cancellations in every order.
  static faults bearable(double probability);

  /// The rule of one kind; fault::error has none.
  fault_rule& rule(fault kind);
  const fault_rule& rule(fault kind) const;
};

/// The name of a fault, as in the trace.
std::string_view name_of(fault kind) noexcept;

}  // namespace parkring::sim
