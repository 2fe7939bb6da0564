// What is done to names rather than to open files: renamed, removed, linked, made durable.
//
// Names live in directories, and a directory is a file of its own: creating, renaming or removing
// a name changes the directory in memory, and only `sync_directory` brings that to the device. The
// order that survives a power cut, for a file that replaces another:
//   write the new file under another name, `sync` it, `rename` it over the old, `sync_directory`.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>

#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/simple_op.hpp>
#include <parkring/error.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {

enum class path_action : std::uint8_t {
  rename,
  remove,
  remove_directory,
  create_directory,
  link,
  symlink,  // `first` is what the link says, and leads nowhere by itself
};

/// The names of a request, shared by its description and its record: both need them, and the
/// record must find them in place when it is made.
struct path_names {
  std::string first, second;
};
using shared_names = std::shared_ptr<const path_names>;

struct path_request {
  using value_type = void;
  path_action action;
  std::uint32_t mode;  // of a new directory; the flags of a rename
  shared_names names;
  file_ref first_at{},
      second_at{};  // directories that they start from; empty: the working directory
  record* make(op_waiter& w) noexcept;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<void, error> value(op_waiter&) const noexcept { return {}; }
  error failure(int number) const;
};

struct sync_directory_request {
  using value_type = void;
  shared_names names;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<void, error> value(op_waiter&) const noexcept { return {}; }
  error failure(int number) const;
};

struct path_status;  // the path and where the kernel puts its answer
struct path_size_waiter : op_waiter {
  std::uint64_t size = 0;
};
struct path_size_request {
  using value_type = std::uint64_t;
  std::shared_ptr<path_status> status;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<std::uint64_t, error> value(op_waiter& w) const noexcept {
    return static_cast<path_size_waiter&>(w).size;
  }
  error failure(int number) const;
};

}  // namespace parkring::detail

namespace parkring::fs {

/// What a rename does with whatever has the new name.
enum class rename_mode : std::uint8_t {
  replace,     // it is gone afterwards
  no_replace,  // it is an error (EEXIST)
  exchange,    // it gets the old name; it must be there
};

using path_operation = detail::simple_operation<detail::path_request>;
using sync_directory_operation = detail::simple_operation<detail::sync_directory_request>;
using path_size_operation =
    detail::simple_operation<detail::path_size_request, detail::path_size_waiter>;

/// Gives a file or directory another name (renameat2(2)).
///
/// Whoever looks sees the old file or the new one under `to`, never neither; but after a power cut
/// it may be either until the directories of both names were synced (`sync_directory`).
/// *Completes when* the names have changed. *Owns* the paths. *Thread*: inside a task. *Drop*: not
/// done if it had not begun, else finished in the background. *Errors*: `io_error`: a missing name,
/// another file system (EXDEV), a directory that is not empty, a lack of permission; EINVAL where
/// the file system can only replace.
[[nodiscard]] path_operation rename(const std::filesystem::path& from,
                                    const std::filesystem::path& to,
                                    rename_mode mode = rename_mode::replace);

/// Removes a name that is no directory's (unlink(2)); the file goes with its last name and handle.
///
/// *Completes when* the name is gone; durable after `sync_directory`. *Owns* the path. *Thread*:
/// inside a task. *Drop*: not done if it had not begun, else finished in the background. *Errors*:
/// `io_error`: a missing name, a directory (EISDIR), a lack of permission.
[[nodiscard]] path_operation remove(const std::filesystem::path& path);

/// Removes an empty directory (rmdir(2)). As `remove`.
///
/// *Completes when* the name is gone. *Owns* the path. *Thread*: inside a task. *Drop*: as
/// `remove`. *Errors*: `io_error`: also a directory with names in it (ENOTEMPTY).
[[nodiscard]] path_operation remove_directory(const std::filesystem::path& path);

/// Makes a directory (mkdir(2)); `mode` are its permissions, less the umask.
///
/// *Completes when* the directory is there; durable after `sync_directory` of the one above it.
/// *Owns* the path. *Thread*: inside a task. *Drop*: not done if it had not begun, else finished in
/// the background. *Errors*: `io_error`: a name that exists (EEXIST), a missing parent (ENOENT).
[[nodiscard]] path_operation create_directory(const std::filesystem::path& path,
                                              std::uint32_t mode = 0755);

/// Gives a file a second name (link(2)); a symbolic link is linked itself.
///
/// *Completes when* the name is there; durable after `sync_directory`. *Owns* the paths. *Thread*:
/// inside a task. *Drop*: not done if it had not begun, else finished in the background. *Errors*:
/// `io_error`: a name that exists (EEXIST), another file system (EXDEV), a directory (EPERM).
[[nodiscard]] path_operation link(const std::filesystem::path& existing,
                                  const std::filesystem::path& name);

/// Makes a symbolic link of the name `name` that leads to `target`, whether that exists or not
/// (symlink(2)). A relative target starts from the directory that the link is in.
///
/// *Completes when* the name is there; durable after `sync_directory`. *Owns* the paths. *Thread*:
/// inside a task. *Drop*: not done if it had not begun, else finished in the background. *Errors*:
/// `io_error`: a name that exists (EEXIST), an empty target (ENOENT).
[[nodiscard]] path_operation symlink(const std::filesystem::path& target,
                                     const std::filesystem::path& name);

/// Where a symbolic link leads, as it says so itself (readlink(2)), on a thread that may block.
///
/// *Completes when* it was read. *Owns* the path. *Thread*: inside a task. *Drop*: at once.
/// *Errors*: `io_error`: a missing name; EINVAL when it is no symbolic link.
[[nodiscard]] task<std::filesystem::path> read_link(std::filesystem::path path);

/// The absolute path of what `path` leads to, without symbolic links, "." and ".." (realpath(3)),
/// on a thread that may block. What is renamed meanwhile may give a path that never led there.
///
/// *Completes when* all links were followed. *Owns* the path. *Thread*: inside a task. *Drop*: at
/// once. *Errors*: `io_error`: a missing name, too many links (ELOOP), a lack of permission.
[[nodiscard]] task<std::filesystem::path> canonical(std::filesystem::path path);

/// Makes a directory and those above it that are missing, through the ring. A directory that is
/// there already, or that somebody else makes meanwhile, is right.
///
/// *Completes when* all are there; durable after `sync_directory` of each above one that was
/// missing. *Owns* the path. *Thread*: inside a task. *Drop*: some of them may be there. *Errors*:
/// `io_error`: a part of the path that is no directory (EEXIST or ENOTDIR), a lack of permission.
[[nodiscard]] task<> create_directories(std::filesystem::path path, std::uint32_t mode = 0755);

/// Makes the names in a directory durable: what was created, renamed, linked or removed in it.
///
/// A file's own `sync` makes its content durable, not its name: after a power cut a file that was
/// created and synced may be gone, and one that was renamed may have its old name, until the
/// directory that holds the name has been synced.
/// An empty path is the current directory, so that `path.parent_path()` is right for every name.
/// *Completes when* the device has the directory (open with O_DIRECTORY, fsync(2)); what was opened
/// for it closes in the background. *Owns* the path and the descriptor. *Thread*: inside a task.
/// *Drop*: what has begun goes on in the background or ends between opening and syncing; the
/// descriptor closes. *Errors*: `io_error`: no directory (ENOTDIR, ENOENT); EIO as with
/// `file::sync`: what was changed since the last success may be gone, and a second try proves
/// nothing.
[[nodiscard]] sync_directory_operation sync_directory(const std::filesystem::path& path);

/// The size of the file that `path` leads to, in bytes (statx(2)).
///
/// *Completes when* the kernel has answered. *Owns* the path and the answer. *Thread*: inside a
/// task. *Drop*: left to finish. *Errors*: `io_error`: a missing name, a lack of permission.
[[nodiscard]] path_size_operation file_size(const std::filesystem::path& path);

/// Whether `path` leads to something: a file, a directory or anything else.
///
/// *Completes when* the kernel has answered. *Owns* the path. *Thread*: inside a task. *Drop*: as
/// `file_size`. *Errors*: `io_error` for what leaves it open: a lack of permission, a bad path.
[[nodiscard]] task<bool> exists(std::filesystem::path path);

}  // namespace parkring::fs
