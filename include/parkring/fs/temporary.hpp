// Files and directories that go with their owner. All calls are made on threads that may block.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <parkring/fs/file.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {
struct temporary_name;  // removes what has it, when it goes
}

namespace parkring::fs {

/// A file without a name, which goes with its last handle, or is given a name once it is complete.
///
/// Where the file system has no nameless files (O_TMPFILE of open(2)) it has a name of its own,
/// which goes with the owner; a process that is killed leaves it: ".parkring-" and letters. *Owns*
/// the file. *Thread*: as of `file`. *Drop*: the file is gone; a name of its own is removed in the
/// background.
class temporary_file {
 public:
  temporary_file() noexcept = default;

  /// Open for reading and writing, permissions 0600.
  [[nodiscard]] file& operator*() noexcept { return file_; }
  [[nodiscard]] file* operator->() noexcept { return &file_; }
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(file_); }
  /// Whether it has had no name from the beginning.
  [[nodiscard]] bool nameless() const noexcept { return name_ == nullptr; }

  /// Gives it the name `path`, on the same file system, under which it stays (linkat(2)). Whoever
  /// looks sees nothing there, or all that was written before. What a power cut leaves there is up
  /// to `sync` of the file before, and `sync_directory` after.
  ///
  /// *Completes when* the name is there. *Owns* the path and a reference to the file. *Thread*: the
  /// file's runtime. *Drop*: not done if it had not begun, else finished in the background.
  /// *Errors*: `io_error`: a name that exists (EEXIST), another file system (EXDEV).
  [[nodiscard]] task<> link_to(std::filesystem::path path);

 private:
  friend struct temporary_maker;
  temporary_file(file f, std::shared_ptr<detail::temporary_name> name) noexcept
      : file_(std::move(f)), name_(std::move(name)) {}

  file file_;
  std::shared_ptr<detail::temporary_name> name_;
};

/// Makes a temporary file on the file system of `directory`.
///
/// *Completes when* it is open. *Owns* the path. *Thread*: inside a task; the file belongs to its
/// runtime. *Drop*: what was made goes. *Errors*: `io_error`: a missing directory, a lack of
/// permission or room.
[[nodiscard]] task<temporary_file> create_temporary_file(std::filesystem::path directory);

/// A directory that is removed with all that is in it when its owner goes.
///
/// *Owns* the tree. *Thread*: any. *Drop*: removed in the background, at the latest when the
/// runtime ends, which waits for it; of what cannot be removed nobody hears. A process that is
/// killed leaves it, as does a simulated world's once no runtime runs in it.
class temporary_directory {
 public:
  temporary_directory() noexcept = default;

  [[nodiscard]] const std::filesystem::path& path() const noexcept;
  [[nodiscard]] std::filesystem::path operator/(const std::filesystem::path& name) const {
    return path() / name;
  }
  [[nodiscard]] explicit operator bool() const noexcept { return name_ != nullptr; }

  /// Lets the directory stay; gives its path.
  std::filesystem::path keep() &&;

  /// Removes it and all that is in it: `co_await std::move(d).remove()`.
  ///
  /// *Completes when* all is gone. *Owns* the directory. *Thread*: inside a task. *Drop*: finished
  /// in the background. *Errors*: `io_error`: the first that cannot be removed; what is left stays.
  [[nodiscard]] task<> remove() &&;

 private:
  friend struct temporary_maker;
  explicit temporary_directory(std::shared_ptr<detail::temporary_name> name) noexcept
      : name_(std::move(name)) {}

  std::shared_ptr<detail::temporary_name> name_;
};

/// Makes a directory of a new name, which begins with `prefix`, in `parent`; permissions 0700.
///
/// *Completes when* it is there. *Owns* the strings. *Thread*: inside a task. *Drop*: what was made
/// is removed. *Errors*: `io_error`: a missing parent, a lack of permission or room.
[[nodiscard]] task<temporary_directory> create_temporary_directory(std::filesystem::path parent,
                                                                   std::string prefix = "tmp-");

}  // namespace parkring::fs
