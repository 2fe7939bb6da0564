// Files for tests: a directory that goes with the test, known contents, and a place in memory.
#pragma once

#include <stdlib.h>
#include <unistd.h>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace parkring::fs {

class test_directory {
 public:
  /// `where` should have a page cache and, for tests of it, direct I/O.
  explicit test_directory(
      const std::filesystem::path& where = std::filesystem::temp_directory_path())
      : path_((where / "parkring-test-XXXXXX").native()) {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no directory for the test");
  }
  test_directory(const test_directory&) = delete;
  test_directory& operator=(const test_directory&) = delete;
  ~test_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return std::filesystem::path(path_) / name;
  }
  /// A file with this content; its pages are in the page cache afterwards.
  std::filesystem::path make(std::string_view name, std::string_view content) const {
    const auto p = *this / name;
    std::ofstream(p, std::ios::binary).write(content.data(), static_cast<long>(content.size()));
    return p;
  }

 private:
  std::string path_;
};

/// `size` bytes of which every stretch of eight tells where it belongs.
[[nodiscard]] inline std::string test_pattern(std::size_t size, std::uint64_t seed = 0) {
  std::string s(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    std::uint64_t x = (i / 8 + 1) * 0x9e3779b97f4a7c15u + seed;
    x ^= x >> 29;
    s[i] = static_cast<char>(x >> (8 * (i % 8)));
  }
  return s;
}

[[nodiscard]] inline std::string content_of(const std::filesystem::path& p) {
  std::ifstream in(p, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

[[nodiscard]] inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline void fill(std::span<std::byte> bytes, std::string_view with) {
  with.copy(reinterpret_cast<char*>(bytes.data()), bytes.size());
}

/// The number the next descriptor will have: constant when nothing leaks.
[[nodiscard]] inline int lowest_free_descriptor() {
  const int fd = ::dup(0);
  ::close(fd);
  return fd;
}

}  // namespace parkring::fs
