// A directory of a test's own, removed at its end, and small helpers for files in it: on the
// machine that the test runs on (machine.hpp).
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "support/machine.hpp"

namespace parkring::testing {

class scratch {
 public:
  /// Below `where`, by default the directory for temporary files.
  explicit scratch(std::filesystem::path where = std::filesystem::temp_directory_path()) {
    if (sim::world* const w = simulated()) {
      root_ = "/scratch-" + std::to_string(w->steps());
      while (w->exists(root_.native())) root_ += "x";
      w->create_directory(root_.native());
      return;
    }
    std::string name = (where / "parkring-test-XXXXXX").native();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    root_ = name;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() {
    if (simulated() != nullptr) return;  // goes with the world
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  [[nodiscard]] std::filesystem::path operator/(const char* name) const { return root_ / name; }

  /// A new file with `content`.
  std::filesystem::path file(const char* name, const std::string& content) const {
    if (sim::world* const w = simulated())
      w->write_file((root_ / name).native(), content);
    else
      std::ofstream(root_ / name, std::ios::binary) << content;
    return root_ / name;
  }
  std::filesystem::path fifo(const char* name) const {
    if (sim::world* const w = simulated())
      w->make_fifo((root_ / name).native());
    else if (::mkfifo((root_ / name).c_str(), 0600) != 0)
      std::abort();
    return root_ / name;
  }

 private:
  std::filesystem::path root_;
};

inline std::string content_of(const std::filesystem::path& path) {
  if (sim::world* const w = simulated()) return w->read_file(path.native());
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Descriptors this process has open, or the world.
inline int open_descriptors() {
  if (sim::world* const w = simulated()) return static_cast<int>(w->open_descriptors());
  int n = -3;  // ".", ".." and the one that reads the directory
  DIR* dir = ::opendir("/proc/self/fd");
  while (::readdir(dir) != nullptr) ++n;
  ::closedir(dir);
  return n;
}

/// The same once they are not more than `expected`, or at last: threads of a kernel may lag.
inline int open_descriptors_once_below(int expected) {
  int n = open_descriptors();
  for (int i = 0; i < 5'000 && n > expected; ++i) {
    ::usleep(1'000);
    n = open_descriptors();
  }
  return n;
}

/// The two ends of an anonymous pipe, as paths that `open` can open.
class pipe_pair {
 public:
  pipe_pair() {
    if (sim::world* const w = simulated()) {
      const auto made = w->make_pipe();
      ends_[0] = made.read_end;
      ends_[1] = made.write_end;
    } else if (::pipe2(ends_, O_CLOEXEC) != 0) {
      std::abort();
    }
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  ~pipe_pair() {
    close_read_end();
    close_write_end();
  }
  [[nodiscard]] std::filesystem::path read_path() const { return path_of(ends_[0]); }
  [[nodiscard]] std::filesystem::path write_path() const { return path_of(ends_[1]); }
  [[nodiscard]] int write_end() const noexcept { return ends_[1]; }
  [[nodiscard]] int read_end() const noexcept { return ends_[0]; }
  /// Hands an end over, to be closed by whoever takes it.
  [[nodiscard]] int release_write_end() noexcept { return std::exchange(ends_[1], -1); }
  [[nodiscard]] int release_read_end() noexcept { return std::exchange(ends_[0], -1); }
  void put(const std::string& bytes) const {
    const auto n = put_some(bytes);
    if (n != static_cast<ssize_t>(bytes.size())) std::abort();
  }
  /// As many bytes as there is room for: a write to it waits from now on.
  void fill() const {
    if (simulated() == nullptr) ::fcntl(ends_[1], F_SETFL, O_NONBLOCK);
    const std::string junk(4096, 'j');
    while (put_some(junk) > 0) {
    }
    if (simulated() == nullptr) ::fcntl(ends_[1], F_SETFL, 0);
  }
  void close_read_end() noexcept { close_one(ends_[0]); }
  void close_write_end() noexcept { close_one(ends_[1]); }

 private:
  static std::filesystem::path path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }
  [[nodiscard]] ssize_t put_some(const std::string& bytes) const {
    if (sim::world* const w = simulated()) return static_cast<ssize_t>(w->put(ends_[1], bytes));
    return ::write(ends_[1], bytes.data(), bytes.size());
  }
  static void close_one(int& fd) noexcept {
    if (fd < 0) return;
    if (sim::world* const w = simulated())
      w->close(std::exchange(fd, -1));
    else
      ::close(std::exchange(fd, -1));
  }
  int ends_[2] = {-1, -1};
};

}  // namespace parkring::testing
