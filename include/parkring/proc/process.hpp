// A child process: waited for, told to end, spoken to through pipes.
//
// Children are made by a `command`; see command.hpp. The protocol is in src/proc/process_state.hpp.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <expected>
#include <string>
#include <utility>

#include <parkring/detail/simple_op.hpp>
#include <parkring/error.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/proc/exit_status.hpp>
#include <parkring/task.hpp>

namespace parkring {
namespace detail {

struct process_state;

/// A reference to a child, held by its handle, by who waits and by the request that watches it. On
/// the home thread of its runtime.
class process_ref {
 public:
  process_ref() noexcept = default;
  explicit process_ref(process_state& s) noexcept;
  process_ref(process_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  process_ref& operator=(process_ref&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~process_ref() {
    if (state_ != nullptr) reset();
  }
  [[nodiscard]] process_state& operator*() const noexcept { return *state_; }
  [[nodiscard]] process_state* operator->() const noexcept { return state_; }

 private:
  void reset() noexcept;
  process_state* state_ = nullptr;
};

struct process_wait_request {
  using value_type = exit_status;
  process_ref process;
  bool ready(op_waiter& w) noexcept;
  void start(op_waiter& w) noexcept;
  std::expected<exit_status, error> value(op_waiter& w) const;
  error failure(int number) const;
};

struct process_access;

}  // namespace detail

/// A running child process, or one that has ended.
///
/// It is named by a descriptor (pidfd_open(2)), so that no signal can meet another process that got
/// its number.
///
/// *Owns* the child's descriptor and the pipes to it. *Thread*: the runtime's that it was spawned
/// on; may be moved to and destroyed on any thread, also after the runtime's end. *Drop*: the child
/// goes on, unless its command said `kill_on_drop`; its end is collected in the background, so that
/// it does not stay as a zombie: by the runtime, or once that is gone by the next spawn.
class process {
 public:
  using bound_to_thread = void;
  process(process&& other) noexcept
      : state_(std::exchange(other.state_, nullptr)),
        stdin_(std::move(other.stdin_)),
        stdout_(std::move(other.stdout_)),
        stderr_(std::move(other.stderr_)) {}
  process& operator=(process&& other) noexcept {
    if (this != &other) {
      drop();
      state_ = std::exchange(other.state_, nullptr);
      stdin_ = std::move(other.stdin_);
      stdout_ = std::move(other.stdout_);
      stderr_ = std::move(other.stderr_);
    }
    return *this;
  }
  ~process() { drop(); }

  /// The number, for messages. Once the child has ended it may mean another process.
  [[nodiscard]] pid_t pid() const noexcept;

  /// Waits for the end; any number of tasks may, also after it.
  ///
  /// *Completes when* the child has ended; by IORING_OP_WAITID where the ring has it, else by a
  /// poll of the descriptor. *Owns* a reference to the child. *Thread*: the runtime's. *Drop*:
  /// stops waiting; the status stays for who asks later. *Errors*: `io_error` with ECHILD when
  /// another part of the program has collected the child.
  [[nodiscard]] auto wait() {
    // A name of its own: GCC 12 ends a temporary aggregate twice where it is awaited.
    detail::process_wait_request request{detail::process_ref(state())};
    return detail::simple_operation<detail::process_wait_request>(std::move(request));
  }

  /// Sends a signal; false when the child has ended. With `new_process_group` `kill_group` reaches
  /// what the child has started too. *Errors*: `io_error` with EINVAL or EPERM.
  bool kill(int signal);
  /// As `kill`, to the child's process group, which it must have been given by its command. False
  /// when the child itself has ended and was collected: the group can no longer be named safely.
  bool kill_group(int signal);

  /// Sends SIGTERM, waits `grace` at the most, then sends SIGKILL; to the group if the child has
  /// one.
  ///
  /// *Completes when* the child has ended. *Owns* a reference to it. *Thread*: the runtime's.
  /// *Drop*: what was sent is sent; what was not is not. *Errors*: as `wait` and `kill`.
  [[nodiscard]] task<exit_status> terminate(std::chrono::milliseconds grace);

  /// Our end of the pipe to the child's standard input, when its command asked for one. The child
  /// sees its end when this file is closed: `p.close_stdin()`, or by the process's end.
  [[nodiscard]] fs::file& stdin_pipe() { return piped(stdin_, "stdin_from"); }
  /// Our ends of the pipes from its outputs.
  [[nodiscard]] fs::file& stdout_pipe() { return piped(stdout_, "stdout_to"); }
  [[nodiscard]] fs::file& stderr_pipe() { return piped(stderr_, "stderr_to"); }
  /// Lets go of the pipe to its standard input: it closes after the last write.
  void close_stdin() noexcept { const fs::file last = std::move(stdin_); }

 private:
  friend struct detail::process_access;
  explicit process(detail::process_state& s) noexcept : state_(&s) {}
  [[nodiscard]] detail::process_state& state() const;
  static fs::file& piped(fs::file& f, const char* by);
  void drop() noexcept;

  detail::process_state* state_;
  fs::file stdin_, stdout_, stderr_;
};

}  // namespace parkring
