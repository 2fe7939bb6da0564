#include "given_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace prgrep {

given_file::given_file(std::string path) : path_(std::move(path)) {
  fd_ = is_input() ? STDIN_FILENO : ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  struct stat s {};
  if (fd_ < 0 || ::fstat(fd_, &s) != 0) {
    error_ = errno;
    return;
  }
  is_directory_ = S_ISDIR(s.st_mode) && !is_input();
  device_ = s.st_dev;
  inode_ = s.st_ino;
}

given_file::~given_file() {
  if (fd_ > STDIN_FILENO) ::close(fd_);
}

std::size_t given_file::read(char* to, std::size_t size) {
  for (;;) {
    const ssize_t n = ::read(fd_, to, size);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) throw read_error(errno, std::generic_category());
  }
}

}  // namespace prgrep
