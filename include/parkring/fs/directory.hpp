// An open directory, from which names start: whoever renames it or puts a link in its way changes
// nothing about what they lead to.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <parkring/fs/file.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/fs/options.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

class directory;

/// How far a name may lead, when it is opened.
enum class within : std::uint8_t {
  anywhere,
  beneath,  // not out of the directory: EXDEV for absolute paths and links, and for ".." above it
};

}  // namespace parkring::fs

namespace parkring::detail {

struct open_at_request {
  file_ref at;  // empty: the working directory
  shared_names names;
  fs::open_options options;
  fs::within limit;
  bool as_directory;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  error failure(int number) const;
  [[nodiscard]] std::string full_path() const;
};
struct open_file_at_request : open_at_request {
  using value_type = fs::file;
  std::expected<fs::file, error> value(op_waiter& w) const;
};
struct open_directory_request : open_at_request {
  using value_type = fs::directory;
  std::expected<fs::directory, error> value(op_waiter& w) const;
};

}  // namespace parkring::detail

namespace parkring::fs {

using open_file_at_operation =
    detail::simple_operation<detail::open_file_at_request, detail::open_waiter>;
using open_directory_operation =
    detail::simple_operation<detail::open_directory_request, detail::open_waiter>;

/// An open directory. What its functions take are names in it, or paths that start there; they do
/// what the functions of the same name in `fs` do, and say so in the same way. An absolute path is
/// taken as it is, and links lead where they lead: where that matters, a `confined_directory` does
/// the same beneath the directory, and never outside.
///
/// *Owns* the descriptor, together with its requests: it closes after the last of them, whenever
/// the handle goes. *Thread*: used on the runtime that opened it; may be dropped on any thread,
/// also after the runtime's end.
class directory {
 public:
  directory() noexcept = default;
  directory(directory&&) noexcept = default;
  directory& operator=(directory&&) noexcept = default;

  /// False when empty, moved from or closed.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(handle_); }

  /// Opens a file in it (openat(2), openat2(2) with `within::beneath`), through the ring.
  ///
  /// *Completes when* the file is open. *Owns* the path and a reference to the directory. *Thread*:
  /// the directory's runtime; the file belongs to it too. *Drop*: cancelled if it can be, else
  /// closed when it opens. *Errors*: `io_error`, as of `fs::open`; EXDEV when the name leads out
  /// of the directory and must not; EAGAIN when it could not be told, because of renames meanwhile;
  /// ENOSYS where openat2(2) is forbidden, as by the filters of some containers.
  [[nodiscard]] open_file_at_operation open(const std::filesystem::path& name,
                                            const open_options& options = {},
                                            within limit = within::anywhere) const;
  /// Opens a directory in it. As `open`.
  [[nodiscard]] open_directory_operation open_directory(const std::filesystem::path& name,
                                                        within limit = within::anywhere) const;

  /// What is known about a name in it (statx(2)), through the ring.
  ///
  /// *Completes when* the kernel has answered. *Owns* the path and a reference to the directory.
  /// *Thread*: the directory's runtime. *Drop*: left to finish. *Errors*: `io_error`, as of
  /// `fs::stat`.
  [[nodiscard]] stat_operation stat(const std::filesystem::path& name,
                                    links how = links::follow) const;
  /// Of the directory itself. As `stat`.
  [[nodiscard]] stat_operation metadata() const;

  /// Removes a name that is no directory's (unlinkat(2)), through the ring.
  ///
  /// *Completes when* the name is gone; durable after `sync`. *Owns* the path and a reference to
  /// the directory. *Thread*: the directory's runtime. *Drop*: not done if it had not begun, else
  /// finished in the background. *Errors*: `io_error`, as of `fs::remove`.
  [[nodiscard]] path_operation remove(const std::filesystem::path& name) const;
  /// Removes an empty directory. As `remove`, with the errors of `fs::remove_directory`.
  [[nodiscard]] path_operation remove_directory(const std::filesystem::path& name) const;
  /// Makes a directory. As `remove`, with the errors of `fs::create_directory`.
  [[nodiscard]] path_operation create_directory(const std::filesystem::path& name,
                                                std::uint32_t mode = 0755) const;
  /// Gives what is in it another name. As `remove`, with the errors of `fs::rename`.
  [[nodiscard]] path_operation rename(const std::filesystem::path& from,
                                      const std::filesystem::path& to,
                                      rename_mode mode = rename_mode::replace) const;
  /// Moves what is in it to another directory. As `remove`; owns a reference to both.
  [[nodiscard]] path_operation rename(const std::filesystem::path& from, const directory& other,
                                      const std::filesystem::path& to,
                                      rename_mode mode = rename_mode::replace) const;
  /// Gives a file in it a second name. As `remove`, with the errors of `fs::link`.
  [[nodiscard]] path_operation link(const std::filesystem::path& existing,
                                    const std::filesystem::path& name) const;
  /// Gives a file in it a name in another directory. As `remove`; owns a reference to both.
  [[nodiscard]] path_operation link(const std::filesystem::path& existing, const directory& other,
                                    const std::filesystem::path& name) const;
  /// Makes a symbolic link. As `remove`, with the errors of `fs::symlink`.
  [[nodiscard]] path_operation symlink(const std::filesystem::path& target,
                                       const std::filesystem::path& name) const;

  /// Where a symbolic link in it leads, on a thread that may block.
  ///
  /// *Completes when* it was read. *Owns* the path and a reference to the directory. *Thread*: the
  /// directory's runtime. *Drop*: at once. *Errors*: `io_error`, as of `fs::read_link`.
  [[nodiscard]] task<std::filesystem::path> read_link(std::filesystem::path name) const;

  /// Makes the names in it durable (fsync(2)), through the ring.
  ///
  /// *Completes when* the device has them. *Owns* a reference to the directory. *Thread*: the
  /// directory's runtime. *Drop*: finished in the background. *Errors*: `io_error`, as of
  /// `fs::sync_directory`.
  [[nodiscard]] sync_operation sync() const;

  /// Closes it and tells what close(2) says: `co_await std::move(d).close()`.
  ///
  /// *Completes when* the last request has ended and the descriptor is closed. *Owns* the
  /// directory. *Thread*: the directory's runtime. *Drop*: it closes all the same. *Errors*:
  /// `io_error`; the descriptor is gone all the same.
  [[nodiscard]] close_operation close() && { return std::move(handle_).close(); }

  /// The path it was opened by.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return handle_.path(); }
  /// The descriptor, for system calls of one's own; -1 of an empty one. It stays the directory's.
  [[nodiscard]] int native_handle() const noexcept { return handle_.native_handle(); }

 private:
  friend struct detail::file_access;
  friend struct detail::open_directory_request;
  explicit directory(file handle) noexcept : handle_(std::move(handle)) {}

  file handle_;  // whose state is a directory's; nobody reads or writes it
};

/// Opens a directory, through the ring. An empty path is the current directory.
///
/// *Completes when* it is open. *Owns* the path. *Thread*: inside a task; the directory belongs to
/// its runtime. *Drop*: cancelled if it can be, else closed when it opens. *Errors*: `io_error` for
/// what is missing or no directory, a lack of permission or of descriptors, a path with a NUL.
[[nodiscard]] open_directory_operation open_directory(const std::filesystem::path& path);

}  // namespace parkring::fs
