// What a file system knows about a file: its type, size, owner, times and limits.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/simple_op.hpp>
#include <parkring/error.hpp>

namespace parkring::fs {

enum class file_type : std::uint8_t {
  unknown,
  regular,
  directory,
  symlink,
  block_device,
  character_device,
  fifo,
  socket,
};

/// "file", "directory", "symbolic link" and so on.
[[nodiscard]] const char* name_of(file_type type) noexcept;

/// A point in time as file systems keep it: nanoseconds since 1970, UTC.
using file_time = std::chrono::sys_time<std::chrono::nanoseconds>;

/// What is meant by a path that ends at a symbolic link.
enum class links : std::uint8_t {
  follow,     // what it leads to
  no_follow,  // the link itself
};

/// What direct I/O on a file needs.
struct direct_limits {
  std::uint32_t memory_alignment = 1;  // of addresses
  std::uint32_t offset_alignment = 1;  // of offsets and sizes
  friend bool operator==(const direct_limits&, const direct_limits&) = default;
};

/// See statx(2). What a file system does not keep is 0 or empty.
struct metadata {
  file_type type = file_type::unknown;
  std::uint32_t permissions = 0;  // the lower twelve bits of the mode, as chmod(2) takes them
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint64_t size = 0;        // in bytes; of a symbolic link the length of its target
  std::uint64_t allocated = 0;   // bytes of storage; fewer than `size` where there are holes
  std::uint64_t link_count = 0;  // names that the file has
  std::uint64_t inode = 0;
  std::uint64_t device = 0;          // of the file system, as st_dev of stat(2)
  std::uint64_t special_device = 0;  // which a device file stands for, as st_rdev
  std::uint32_t block_size = 0;      // that reads and writes are best made in
  file_time accessed;                // when its content was read last
  file_time modified;                // when its content was changed last
  file_time changed;                 // when content or metadata were changed last
  std::optional<file_time> created;
  std::optional<direct_limits> direct;  // where the kernel tells (Linux 6.1) and the file has it
  std::optional<std::uint64_t> mount;   // which mount it is seen through (Linux 5.8)

  [[nodiscard]] bool is_regular() const noexcept { return type == file_type::regular; }
  [[nodiscard]] bool is_directory() const noexcept { return type == file_type::directory; }
  [[nodiscard]] bool is_symlink() const noexcept { return type == file_type::symlink; }

  friend bool operator==(const metadata&, const metadata&) = default;
};

/// Whether both are of one file, by whatever names it was found.
[[nodiscard]] inline bool same_file(const metadata& a, const metadata& b) noexcept {
  return a.inode == b.inode && a.device == b.device;
}

}  // namespace parkring::fs

namespace parkring::detail {

struct path_names;

struct stat_waiter : op_waiter {
  fs::metadata found;
};
struct stat_request {
  using value_type = fs::metadata;
  file_ref at;                              // where the path starts; empty: the working directory
  std::shared_ptr<const path_names> names;  // null: the open file itself
  fs::links how = fs::links::follow;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<fs::metadata, error> value(op_waiter& w) const noexcept {
    return static_cast<stat_waiter&>(w).found;
  }
  error failure(int number) const;
};

}  // namespace parkring::detail

namespace parkring::fs {

using stat_operation = detail::simple_operation<detail::stat_request, detail::stat_waiter>;

/// What is known about the file that `path` leads to (statx(2)), through the ring.
///
/// For an open file there is `file::metadata`. For many names, which a directory lists or a walk
/// finds, those ask for many at a time.
/// *Completes when* the kernel has answered. *Owns* the path and the answer. *Thread*: inside a
/// task. *Drop*: left to finish. *Errors*: `io_error`: a missing name, a lack of permission on a
/// directory above it, too many symbolic links (ELOOP).
[[nodiscard]] stat_operation stat(const std::filesystem::path& path, links how = links::follow);

}  // namespace parkring::fs
