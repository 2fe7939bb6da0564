// One regular file being copied, by plain calls of a job.
//
//   begun     the target is there: by its own name, or, where it is to replace another or to come
//             all at once, by a name beside it
//   ...       `step` copies some megabytes: the whole file cloned, or ranges copied by the kernel,
//             or read and written. Which, is found out by trying, and remembered in `copy_ways`.
//   finished  metadata set, closed, named
//
// A copy that goes before it is finished removes what it has made. It belongs to one job at a time.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <parkring/fs/copy.hpp>

#include "fs/tree/tree_place.hpp"
#include "kernel/file_calls.hpp"

namespace parkring::fs {

/// What was found not to work: by the device that the source is on.
struct copy_ways {
  std::atomic<std::uint64_t> no_clone{~std::uint64_t{0}};
  std::atomic<std::uint64_t> no_range{~std::uint64_t{0}};
};

/// Where the copy goes: a name in a directory that stays reachable.
struct copy_target {
  std::shared_ptr<open_dir> in;  // null: the name is a path
  std::string name;
  bool all_at_once = false;  // by another name until it is finished
};

class file_copy {
 public:
  file_copy(kernel::file_calls& calls, const copy_options& options, copy_ways& ways,
            copy_target target)
      : calls_(calls), options_(options), ways_(ways), target_(std::move(target)) {}
  file_copy(const file_copy&) = delete;
  file_copy& operator=(const file_copy&) = delete;
  ~file_copy();

  // 0 or a negative errno; `at_target` then says which of the two files it is about.

  /// Opens `name` and asks about it. -EISDIR, -EOPNOTSUPP: it is no regular file.
  int open_source(int at, const char* name, bool follow);
  /// Makes the target, in the directory `at`. 1: the name is taken, and is to stay.
  int make_target(int at);
  /// Copies about `most` bytes, through `memory` where it must. 1: there is more.
  int step(std::uint64_t most, std::span<std::byte> memory);
  int finish(int at);

  [[nodiscard]] const struct statx& facts() const noexcept { return facts_; }
  [[nodiscard]] bool at_target() const noexcept { return at_target_; }
  [[nodiscard]] bool cloned() const noexcept { return cloned_; }
  [[nodiscard]] const std::string& name() const noexcept { return target_.name; }
  /// Copied since the last call.
  [[nodiscard]] std::uint64_t take_bytes() noexcept { return std::exchange(bytes_, 0); }

 private:
  int make_beside(int at, unsigned mode);
  int find_data();
  int copy_ranges(std::uint64_t most);
  int read_and_write(std::uint64_t most, std::span<std::byte> memory);
  int write_all(const std::byte* data, std::size_t size);
  int set_metadata();
  int give_name(int at);

  kernel::file_calls& calls_;
  const copy_options& options_;  // those of the work, which outlives its copies
  copy_ways& ways_;
  copy_target target_;
  std::string beside_;  // the other name, while it has that
  call_fd source_, made_;
  struct statx facts_ {};
  std::uint64_t device_ = 0;    // of the source
  std::uint64_t offset_ = 0;    // copied so far, holes included
  std::uint64_t data_end_ = 0;  // of the stretch of data that `offset_` is in
  std::uint64_t bytes_ = 0;
  bool sparse_ = false;
  bool at_end_ = false;
  bool at_target_ = false;
  bool cloned_ = false;
  bool made_a_name_ = false;
};

/// Sets what options ask for on a directory or a file, by its descriptor. `facts` are the
/// original's. 0 or a negative errno.
int copy_metadata(kernel::file_calls& calls, const copy_options& options, int from, int to,
                  const struct statx& facts);
/// The same of a symbolic link, by its name.
int copy_link_metadata(kernel::file_calls& calls, const copy_options& options, int at,
                       const char* name, const struct statx& facts);
/// The `n`th name beside `name`.
[[nodiscard]] std::string name_beside(const std::string& name, unsigned n);

}  // namespace parkring::fs
