// The names in a directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <parkring/fs/metadata.hpp>
#include <parkring/fs/walk.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

/// A name in a directory.
struct directory_entry {
  /// In the bytes that the file system has.
  std::string name;
  file_type type = file_type::unknown;
  std::uint64_t inode = 0;
};

/// What `read_dir` gives: a stream of the names in a directory, without "." and "..".
///
/// What is created or removed meanwhile may come or not. *Owns* all its jobs touch. *Thread*: the
/// runtime's, and of several workers the one, on which it was first asked. *Drop*: at once.
class directory_entries {
 public:
  using bound_to_thread = void;
  using value_type = directory_entry;

  explicit directory_entries(const std::filesystem::path& path);

  /// The next entry; an empty optional at the end.
  ///
  /// *Completes when* there is one. *Owns* nothing: keep the stream. *Thread*: inside a task,
  /// always on the same runtime. *Drop*: stops waiting; no entry is lost. *Errors*: `io_error`: no
  /// directory (ENOTDIR, ENOENT), a lack of permission; of an entry whose type only a question to
  /// the file system tells, the answer to it.
  [[nodiscard]] task<std::optional<directory_entry>> next();
  /// All entries that the next job brings; empty at the end.
  ///
  /// *Completes when* there is an entry. *Owns* nothing. *Thread*, *Drop*, *Errors*: as `next`.
  [[nodiscard]] task<std::vector<directory_entry>> next_batch();

 private:
  friend struct tree_starts;
  explicit directory_entries(walk of) noexcept : of_(std::move(of)) {}
  walk of_;
};

/// The names in a directory, with their types (getdents64(2)), listed on the pool of blocking
/// threads, some hundred at a time.
[[nodiscard]] directory_entries read_dir(const std::filesystem::path& path);

}  // namespace parkring::fs
