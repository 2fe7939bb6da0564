// Standard error of the process into a pipe, for as long as it lives.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace parkring::testing {

class captured_stderr {
 public:
  captured_stderr() {
    if (::pipe(ends_) != 0) return;
    before_ = ::dup(STDERR_FILENO);
    ::dup2(ends_[1], STDERR_FILENO);
  }
  captured_stderr(const captured_stderr&) = delete;
  captured_stderr& operator=(const captured_stderr&) = delete;
  ~captured_stderr() {
    ::dup2(before_, STDERR_FILENO);
    for (const int fd : {before_, ends_[0], ends_[1]}) ::close(fd);
  }

  /// Blocks until `part` has been written, at most a minute; gives all that was.
  const std::string& read_until(std::string_view part) {
    while (text_.find(part) == std::string::npos && read_some(60'000)) {
    }
    return text_;
  }
  /// What has been written so far.
  const std::string& read_now() {
    while (read_some(0)) {
    }
    return text_;
  }

 private:
  bool read_some(int timeout_ms) {
    pollfd one{.fd = ends_[0], .events = POLLIN, .revents = 0};
    if (::poll(&one, 1, timeout_ms) <= 0) return false;
    char some[4096];
    const ssize_t n = ::read(ends_[0], some, sizeof some);
    if (n <= 0) return false;
    text_.append(some, static_cast<std::size_t>(n));
    return true;
  }

  int ends_[2] = {-1, -1};
  int before_ = -1;
  std::string text_;
};

}  // namespace parkring::testing
