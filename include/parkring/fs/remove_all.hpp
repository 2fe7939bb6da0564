// Removal of whole trees.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include <parkring/error.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

/// What a removal has done so far, and at its end.
struct removal_counts {
  std::uint64_t files = 0;  // all that is no directory
  std::uint64_t directories = 0;
  std::uint64_t failed = 0;  // entries with an error; the directories that have them stay, too
};

struct removal_options {
  /// Called on the runtime's thread between two awaits, each time a job has come home.
  std::function<void(const removal_counts&)> progress = {};
  /// Called on the runtime's thread for each entry that cannot be removed. True: the rest goes on.
  /// By default, and when it says false, nothing more is begun, and the error is thrown.
  std::function<bool(const error&)> on_error = {};
  /// Jobs at once, on the pool of `runtime_options::blocking_threads`.
  unsigned concurrency = 4;
};

/// Removes `path` and, if it is a directory, all that is in it.
///
/// Symbolic links are removed, never followed: each directory is opened in the one above it by its
/// name, so a link that is put in the way of a removal under way does not lead it elsewhere. What
/// others remove meanwhile is no error; a directory that others keep filling is (ENOTEMPTY).
///
/// *Completes when* all is gone, or what was under way has ended after an error; a name that is not
/// there is gone. Durable after `sync_directory` of the one above. *Owns* path and options.
/// *Thread*: inside a task; the work is done on the pool of blocking threads, many names in a job.
/// *Drop*: soon; what is not yet removed stays. *Errors*: `io_error` as `on_error` says.
[[nodiscard]] task<removal_counts> remove_all(std::filesystem::path path,
                                              removal_options options = {});

}  // namespace parkring::fs
