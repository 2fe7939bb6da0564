// Copies of files and of whole trees.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include <parkring/error.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

/// What happens to a name that the copy wants and something has.
enum class existing : std::uint8_t {
  fail,     // EEXIST
  skip,     // it stays, and is counted
  replace,  // a file or link takes its place in one step (rename(2)), never anything of a
            // directory's
};

/// Whether a copy may share its blocks with the original until one of them is changed.
enum class cloning : std::uint8_t {
  if_possible,  // ioctl_ficlone(2), else bytes are copied
  never,
  always,  // else it fails: EOPNOTSUPP, EXDEV
};

/// What copies have done so far, and at their end.
struct copy_counts {
  std::uint64_t files = 0;        // regular ones
  std::uint64_t directories = 0;  // made, or found and filled
  std::uint64_t links = 0;        // symbolic ones
  std::uint64_t hard_links = 0;   // further names of files that were copied
  std::uint64_t others = 0;       // FIFOs
  std::uint64_t bytes = 0;        // of content, without holes
  std::uint64_t cloned = 0;       // files that share their blocks
  std::uint64_t skipped = 0;      // names that something had
  std::uint64_t failed = 0;       // entries with an error
};

struct copy_options {
  fs::existing existing = fs::existing::fail;
  fs::cloning cloning = fs::cloning::if_possible;
  /// The permissions as they are, with the set-id bits; else less the umask, as new files have
  /// them.
  bool permissions = false;
  /// User and group; needs the right to. What the system refuses (EPERM) is an error.
  bool owner = false;
  /// Of last access and last change.
  bool times = false;
  /// Extended attributes, all that can be read. A target without any is an error (EOPNOTSUPP).
  bool attributes = false;
  /// Of `copy_all`: further names of a file become further names of its copy; else files of their
  /// own.
  bool hard_links = true;
  /// Holes stay holes.
  bool holes = true;
  /// Called on the runtime's thread between two awaits, each time a job has come home: some
  /// megabytes or some hundred files.
  std::function<void(const copy_counts&)> progress = {};
  /// Of `copy_all`: called on the runtime's thread for each entry that cannot be copied. True: the
  /// rest goes on. By default, and when it says false, nothing more is begun, and the error is
  /// thrown.
  std::function<bool(const error&)> on_error = {};
  /// Of `copy_all`: jobs at once, on the pool of `runtime_options::blocking_threads`.
  unsigned concurrency = 4;
};

/// Copies the content of one file, following symbolic links, into a new file.
///
/// It is written under another name in the target's directory (".NAME.N.copying") and takes `to`
/// at its end in one step: `to` is never a part of the file. A process that dies in between leaves
/// that other name. A file that shrinks meanwhile is copied as far as it goes, one that grows to
/// its end. Not durable by itself: `sync` the file and `sync_directory`.
///
/// *Completes when* the copy has its name. *Owns* paths and options. *Thread*: inside a task; the
/// work is done on the pool of blocking threads, some megabytes in a job. *Drop*: soon, after the
/// call under way; then nothing of the copy is left, unless it had its name already. *Errors*:
/// `io_error`, with nothing left: a missing file, a directory (EISDIR), a taken name (EEXIST), a
/// full disk (ENOSPC).
[[nodiscard]] task<copy_counts> copy(std::filesystem::path from, std::filesystem::path to,
                                     copy_options options = {});

/// Copies the tree below a directory to the directory `to`, which is made, or with
/// `existing::skip` or `replace` may be there.
///
/// Symbolic links are copied as links, FIFOs are made; sockets and devices are errors
/// (EOPNOTSUPP). Every file has its final name while it is written, unless it replaces one; a file
/// that could not be finished is removed. Permissions, owner and times of a directory are set when
/// all in it is done. Many small files are copied in one job, large ones a piece in each.
///
/// *Completes when* all is copied, or what was under way has ended after an error. *Owns* paths and
/// options. *Thread*: inside a task; the work is done on the pool of blocking threads. *Drop*:
/// soon; what is copied stays, the files under way are removed, directories may lack their final
/// permissions and times. *Errors*: `io_error` as `on_error` says; at once for `from`, which must
/// be a directory, and for `to`. After an error the target has what was copied before, as after a
/// drop.
[[nodiscard]] task<copy_counts> copy_all(std::filesystem::path from, std::filesystem::path to,
                                         copy_options options = {});

}  // namespace parkring::fs
