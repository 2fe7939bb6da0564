// What files have beside their content, changed: permissions, owners, times, and the room of their
// file system. All are calls on a thread that may block, as io_uring has no opcodes for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <parkring/fs/file.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

/// Sets the lower twelve bits of the mode (chmod(2)); `metadata::permissions` are those.
///
/// *Completes when* they are set. *Owns* the path. *Thread*: inside a task. *Drop*: not done if it
/// had not begun, else finished in the background. *Errors*: `io_error`: a missing name, a lack of
/// permission; EOPNOTSUPP for a symbolic link itself, which has none.
[[nodiscard]] task<> set_permissions(std::filesystem::path path, std::uint32_t permissions,
                                     links how = links::follow);
/// As above, of an open file.
[[nodiscard]] task<> set_permissions(const file& f, std::uint32_t permissions);

/// Who a file belongs to; what is empty stays as it is.
struct owner {
  std::optional<std::uint32_t> user{};
  std::optional<std::uint32_t> group{};
};

/// Gives a file to somebody else (chown(2)). As `set_permissions`.
///
/// *Completes when* it is done. *Owns* the path. *Thread*: inside a task. *Drop*: as
/// `set_permissions`. *Errors*: `io_error`: EPERM, unless the process may do it.
[[nodiscard]] task<> set_owner(std::filesystem::path path, owner who, links how = links::follow);
/// As above, of an open file.
[[nodiscard]] task<> set_owner(const file& f, owner who);

/// When a file was read and changed; what is empty stays as it is.
struct file_times {
  std::optional<file_time> accessed{};
  std::optional<file_time> modified{};
};

/// Sets times (utimensat(2)), as precise as the file system keeps them.
///
/// *Completes when* they are set. *Owns* the path. *Thread*: inside a task. *Drop*: as
/// `set_permissions`. *Errors*: `io_error`: a missing name, a file of another user (EPERM).
[[nodiscard]] task<> set_times(std::filesystem::path path, file_times times,
                               links how = links::follow);
/// As above, of an open file.
[[nodiscard]] task<> set_times(const file& f, file_times times);

/// Sets both times to now. As `set_times`, but whoever may write to the file may do it.
///
/// *Completes when* they are set. *Owns* the path. *Thread*: inside a task. *Drop*: as
/// `set_permissions`. *Errors*: `io_error`: a missing name, a lack of permission.
[[nodiscard]] task<> touch(std::filesystem::path path, links how = links::follow);
/// As above, of an open file.
[[nodiscard]] task<> touch(const file& f);

/// Room and limits of a file system, in bytes and files.
struct space_info {
  std::uint64_t capacity = 0;
  std::uint64_t free = 0;
  std::uint64_t available = 0;  // to users who are not root
  std::uint64_t files = 0;      // that there can be; 0: as many as there is room for
  std::uint64_t files_free = 0;
  std::uint64_t block_size = 0;
  std::uint64_t longest_name = 0;  // bytes
  bool read_only = false;
};

/// The room of the file system that `path` is on (statvfs(3)).
///
/// *Completes when* the file system has answered. *Owns* the path. *Thread*: inside a task. *Drop*:
/// at once. *Errors*: `io_error`: a missing name, a lack of permission.
[[nodiscard]] task<space_info> space(std::filesystem::path path);
/// As above, of an open file.
[[nodiscard]] task<space_info> space(const file& f);

/// Makes a FIFO, a pipe with a name (mkfifo(3)); `mode` are its permissions, less the umask.
///
/// *Completes when* the name is there. *Owns* the path. *Thread*: inside a task. *Drop*: not done
/// if it had not begun, else finished in the background. *Errors*: `io_error`: a name that exists
/// (EEXIST), a missing parent (ENOENT).
[[nodiscard]] task<> create_fifo(std::filesystem::path path, std::uint32_t mode = 0644);

}  // namespace parkring::fs
