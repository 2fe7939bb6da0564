// A directory of a test's own, removed at its end, and small helpers for files in it.
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

namespace parkring::testing {

class scratch {
 public:
  /// Below `where`, by default the directory for temporary files.
  explicit scratch(std::filesystem::path where = std::filesystem::temp_directory_path()) {
    std::string name = (where / "parkring-test-XXXXXX").native();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    root_ = name;
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  [[nodiscard]] std::filesystem::path operator/(const char* name) const { return root_ / name; }

  /// A new file with `content`.
  std::filesystem::path file(const char* name, const std::string& content) const {
    std::ofstream(root_ / name, std::ios::binary) << content;
    return root_ / name;
  }
  std::filesystem::path fifo(const char* name) const {
    if (::mkfifo((root_ / name).c_str(), 0600) != 0) std::abort();
    return root_ / name;
  }

 private:
  std::filesystem::path root_;
};

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Descriptors this process has open.
inline int open_descriptors() {
  int n = -3;  // ".", ".." and the one that reads the directory
  DIR* dir = ::opendir("/proc/self/fd");
  while (::readdir(dir) != nullptr) ++n;
  ::closedir(dir);
  return n;
}

/// The two ends of an anonymous pipe, as paths that `open` can open.
class pipe_pair {
 public:
  pipe_pair() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) std::abort();
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
  void put(const std::string& bytes) const {
    if (::write(ends_[1], bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      std::abort();
  }
  void close_read_end() noexcept { close_one(ends_[0]); }
  void close_write_end() noexcept { close_one(ends_[1]); }

 private:
  static std::filesystem::path path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }
  static void close_one(int& fd) noexcept {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  int ends_[2] = {-1, -1};
};

}  // namespace parkring::testing
