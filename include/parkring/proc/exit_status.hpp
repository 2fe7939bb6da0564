// How a process ended.
#pragma once

#include <cstdint>
#include <string>

#include <parkring/detail/check.hpp>

namespace parkring {

/// How a process ended: by itself with a code, or by a signal.
class exit_status {
 public:
  [[nodiscard]] static exit_status of_exit(int code) noexcept { return {how::exited, code}; }
  [[nodiscard]] static exit_status of_signal(int number, bool dumped_core) noexcept {
    return {dumped_core ? how::dumped : how::signalled, number};
  }

  /// It ended by itself: `code` tells more.
  [[nodiscard]] bool exited() const noexcept { return how_ == how::exited; }
  /// A signal ended it: `signal` tells which.
  [[nodiscard]] bool signalled() const noexcept { return how_ != how::exited; }
  /// The signal left a core dump.
  [[nodiscard]] bool dumped_core() const noexcept { return how_ == how::dumped; }
  /// It ended by itself with code 0.
  [[nodiscard]] bool success() const noexcept { return exited() && number_ == 0; }

  /// What it gave to exit(3), from 0 to 255.
  [[nodiscard]] int code() const noexcept {
    PARKRING_CHECK(exited(), "a signal ended the process, so it has no code; ask exited() first");
    return number_;
  }
  /// The signal that ended it.
  [[nodiscard]] int signal() const noexcept {
    PARKRING_CHECK(signalled(), "the process ended by itself; ask signalled() first");
    return number_;
  }

  /// "exited with 1", "ended by SIGKILL", "ended by SIGSEGV, core dumped".
  [[nodiscard]] std::string text() const;

  [[nodiscard]] bool operator==(const exit_status&) const noexcept = default;

 private:
  enum class how : std::uint8_t { exited, signalled, dumped };
  exit_status(how h, int number) noexcept : how_(h), number_(number) {}
  how how_;
  int number_;
};

}  // namespace parkring
