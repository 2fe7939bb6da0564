// A file that the user named, or standard input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

#include "search_file.hpp"

namespace prgrep {

struct read_error : std::system_error {
  using std::system_error::system_error;
};

/// Opens it, by calls that block; links are followed. Reading throws `read_error`.
class given_file final : public source {
 public:
  explicit given_file(std::string path);
  given_file(const given_file&) = delete;
  given_file& operator=(const given_file&) = delete;
  ~given_file() override;

  std::size_t read(char* to, std::size_t size) override;
  std::string name() override { return is_input() ? "(standard input)" : path_; }

  /// Why it is not open; 0: it is.
  [[nodiscard]] int error() const noexcept { return error_; }
  [[nodiscard]] bool is_directory() const noexcept { return is_directory_; }
  [[nodiscard]] std::uint64_t device() const noexcept { return device_; }
  [[nodiscard]] std::uint64_t inode() const noexcept { return inode_; }

  /// Whether it is standard input.
  [[nodiscard]] bool is_input() const noexcept { return path_ == "-"; }

 private:
  const std::string path_;
  int fd_ = -1, error_ = 0;
  bool is_directory_ = false;
  std::uint64_t device_ = 0, inode_ = 0;
};

}  // namespace prgrep
