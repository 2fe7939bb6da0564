// A file for those who write a log by hand: as large as a log's, its blocks written and durable.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "../load.hpp"
#include "log_folder.hpp"

namespace lab {

class log_file {
 public:
  explicit log_file(const log_folder& in)
      : fd_(::open((in.path() / "log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail("open of a log in %s: %s", in.path().c_str(), std::strerror(errno));
    const std::vector<char> zeros(1U << 20);
    for (std::size_t at = 0; at < log_file_bytes; at += zeros.size())
      if (::pwrite(fd_, zeros.data(), zeros.size(), static_cast<off_t>(at)) !=
          static_cast<ssize_t>(zeros.size()))
        fail("writing a log's zeros: %s", std::strerror(errno));
    if (::fsync(fd_) != 0) fail("fsync of a log: %s", std::strerror(errno));
  }
  log_file(const log_file&) = delete;
  log_file& operator=(const log_file&) = delete;
  ~log_file() { ::close(fd_); }
  [[nodiscard]] int descriptor() const noexcept { return fd_; }
  /// Where the next `size` bytes go: at its end it begins anew.
  [[nodiscard]] std::size_t place(std::size_t size) noexcept {
    if (at_ + size > log_file_bytes) at_ = 0;
    return std::exchange(at_, at_ + size);
  }

 private:
  int fd_;
  std::size_t at_ = 0;
};

}  // namespace lab
