// What to run, and how: makes child processes.
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parkring/fs/file.hpp>
#include <parkring/proc/exit_status.hpp>
#include <parkring/proc/process.hpp>
#include <parkring/task.hpp>

namespace parkring {
namespace detail {
struct shared_descriptor;
}

/// Where a standard stream of a child leads.
class stdio {
 public:
  enum kind : std::uint8_t {
    inherit,  // where ours does
    null,     // to /dev/null
    pipe,     // to us, through the `process`
  };
  stdio(kind k) noexcept : kind_(k) {}  // NOLINT: `stdout_to(stdio::null)` shall do
  /// To an open file, of which the command keeps a descriptor of its own. The child reads and
  /// writes at the file's own position, which begins at 0; for logs, open it with `append`.
  /// *Errors*: `io_error` when there is no descriptor left; EBADF for a file that is empty or
  /// simulated.
  stdio(const fs::file& f);  // NOLINT

  [[nodiscard]] kind what() const noexcept { return kind_; }
  /// Of a file, else -1.
  [[nodiscard]] int descriptor() const noexcept;

 private:
  kind kind_ = inherit;
  std::shared_ptr<const detail::shared_descriptor> file_;
};

/// What a command has done and said.
struct command_output {
  exit_status status;
  std::string out;  // standard output, unless the command leads it elsewhere
  std::string err;  // standard error output, likewise
};

/// A program, its arguments and its surroundings: `pr::command("sort", "-u").stdin_from(file)`.
///
/// The program is looked for in our PATH unless its name has a slash. No shell is involved. The
/// child starts with no signal blocked, SIGPIPE at its default, and of our descriptors only those
/// that are not close-on-exec, which the library's all are.
///
/// *Owns* all of it; copies are independent. *Thread*: any, one at a time. *Drop*: children go on.
class command {
 public:
  template <class... Arguments>
  requires(std::convertible_to<Arguments, std::string>&&...) explicit command(
      std::string program, Arguments&&... arguments)
      : program_(std::move(program)) {
    (argument(std::forward<Arguments>(arguments)), ...);
  }

  command& argument(std::string a) {
    arguments_.push_back(std::move(a));
    return *this;
  }
  command& arguments(const std::vector<std::string>& more) {
    arguments_.insert(arguments_.end(), more.begin(), more.end());
    return *this;
  }

  /// Sets a variable of the child's environment, which else is ours at the time of the spawn.
  command& environment(std::string name, std::string value) {
    environment_[std::move(name)] = std::move(value);
    return *this;
  }
  /// Leaves a variable out.
  command& without_environment(std::string name) {
    environment_[std::move(name)] = std::nullopt;
    return *this;
  }
  /// The child gets only the variables that are set here.
  command& clear_environment() {
    inherits_environment_ = false;
    environment_.clear();
    return *this;
  }
  command& working_directory(std::filesystem::path directory) {
    directory_ = std::move(directory);
    return *this;
  }
  command& stdin_from(stdio from) { return set(stdin_, std::move(from)); }
  command& stdout_to(stdio to) { return set(stdout_, std::move(to)); }
  command& stderr_to(stdio to) { return set(stderr_, std::move(to)); }

  /// The child leads a process group of its own (setpgid(2)): a terminal's Ctrl-C does not reach
  /// it, and `kill_group`, `terminate` and `kill_on_drop` reach what it starts.
  command& new_process_group(bool yes = true) noexcept {
    new_group_ = yes;
    return *this;
  }
  /// The child gets SIGKILL when its handle goes while it runs.
  command& kill_on_drop(bool yes = true) noexcept {
    kill_on_drop_ = yes;
    return *this;
  }

  [[nodiscard]] const std::string& program() const noexcept { return program_; }

  /// Starts the program, by posix_spawn(3) on a thread that may block.
  ///
  /// With a pipe to the child's standard input, SIGPIPE is ignored in this process from then on if
  /// it was at its default: a write to a child that has ended then fails with EPIPE.
  ///
  /// *Completes when* the program runs, or could not be started. *Owns* a copy of the command.
  /// *Thread*: inside a task; the process belongs to its runtime. *Drop*: not started if it had not
  /// begun, else as a `process` that is dropped. *Errors*: `io_error` that names the program:
  /// ENOENT, EACCES and whatever else exec(3), fork(2) or chdir(2) say; ENOTSUP on a simulated
  /// machine.
  [[nodiscard]] task<process> spawn() const;

  /// Runs the program to its end and gives what it wrote. Its standard input is /dev/null unless
  /// the command says otherwise.
  ///
  /// *Completes when* it has ended and both of its outputs are closed, also by what it started.
  /// *Owns* a copy of the command, and the text, whatever its length. *Thread*: inside a task.
  /// *Drop*: the child is killed, and its group if it has one. *Errors*: as `spawn` and `wait`;
  /// that the program itself failed is no error: see the status.
  [[nodiscard]] task<command_output> output() const;

 private:
  friend struct detail::process_access;
  command& set(std::optional<stdio>& which, stdio&& to) {
    which = std::move(to);
    return *this;
  }

  std::string program_;
  std::vector<std::string> arguments_;
  std::map<std::string, std::optional<std::string>> environment_;
  bool inherits_environment_ = true;
  std::filesystem::path directory_;
  std::optional<stdio> stdin_, stdout_, stderr_;
  bool new_group_ = false;
  bool kill_on_drop_ = false;
};

/// Runs a command to its end and gives what it wrote. As `output` of the command.
[[nodiscard]] inline task<command_output> output(const command& c) { return c.output(); }

}  // namespace parkring
