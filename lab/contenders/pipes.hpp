// Pipes that nobody writes to: a read of one waits for ever.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "../load.hpp"

namespace lab {

class pipes {
 public:
  explicit pipes(unsigned number) {
    for (unsigned i = 0; i < number; ++i) {
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC) < 0) fail("pipe: %s", std::strerror(errno));
      readers_.push_back(ends[0]);
      writers_.push_back(ends[1]);
    }
  }
  pipes(const pipes&) = delete;
  pipes& operator=(const pipes&) = delete;
  ~pipes() {
    for (const int fd : readers_) ::close(fd);
    for (const int fd : writers_) ::close(fd);
  }

  [[nodiscard]] const std::vector<int>& readers() const noexcept { return readers_; }

 private:
  std::vector<int> readers_;
  std::vector<int> writers_;
};

}  // namespace lab
