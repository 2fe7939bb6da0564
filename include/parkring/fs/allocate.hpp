// The space of a file: given to it ahead, taken from it, moved (fallocate(2)); and what the kernel
// is told of how it will be used.
#pragma once

#include <cstdint>

#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/simple_op.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {

/// fallocate(2), posix_fadvise(2) or a part of sync_file_range(2): numbers only.
struct file_range_request {
  using value_type = void;
  enum class kind : std::uint8_t { allocate, advise, sync };
  file_ref file;
  const char* name;
  kind what;
  std::uint32_t mode;  // FALLOC_FL_*, POSIX_FADV_* or SYNC_FILE_RANGE_*
  std::uint64_t offset;
  std::uint64_t length;

  bool ready(op_waiter& w) noexcept;
  record* make(op_waiter& w) noexcept;
  void start(op_waiter& w) noexcept;
  std::expected<void, error> value(op_waiter&) const noexcept { return {}; }
  [[nodiscard]] error failure(int number) const;
};

}  // namespace parkring::detail

namespace parkring::fs {

using file_range_operation = detail::simple_operation<detail::file_range_request>;

/// What `allocate` does to the size of the file.
enum class allocate_size : std::uint8_t {
  grow,  // the file is at least as long as the range reaches; what is new reads as zeros
  keep,  // the size stays, the space behind it is there for later writes
};

/// Gives a range of the file its space on the device, so that writes there do not fail for lack of
/// it.
///
/// *Completes when* the space is reserved. *Owns* a reference to the file. *Thread*: the file's
/// runtime. *Drop*: finished in the background. *Errors*: `io_error`: ENOSPC when there is not
/// enough, a part may have been reserved all the same; EOPNOTSUPP; EINVAL for an empty range.
[[nodiscard]] file_range_operation allocate(file& of, std::uint64_t offset, std::uint64_t length,
                                            allocate_size size = allocate_size::grow);

/// Gives the space of a range back: it reads as zeros, the size stays.
///
/// *Completes when* it is done; durable after a sync. *Owns* a reference to the file. *Thread*: the
/// file's runtime. *Drop*: finished in the background. *Errors*: `io_error`, as `allocate`.
[[nodiscard]] file_range_operation punch_hole(file& of, std::uint64_t offset, std::uint64_t length);

/// Makes a range read as zeros and keeps its space, mostly without writing any.
///
/// *Completes when* it is done; durable after a sync. *Owns* a reference to the file. *Thread*: the
/// file's runtime. *Drop*: finished in the background. *Errors*: `io_error`, as `allocate`;
/// EOPNOTSUPP on tmpfs.
[[nodiscard]] file_range_operation zero_range(file& of, std::uint64_t offset, std::uint64_t length,
                                              allocate_size size = allocate_size::grow);

/// Cuts a range out: what lies behind it moves to the front, the file becomes shorter.
///
/// *Completes when* it is done; durable after a sync. *Owns* a reference to the file. *Thread*: the
/// file's runtime. *Drop*: finished in the background. *Errors*: `io_error`: EINVAL when the range
/// is not made of whole blocks of the file system, or reaches the end (truncate does that);
/// EOPNOTSUPP where the file system cannot: ext4 and xfs can, tmpfs, btrfs and simulated disks not.
[[nodiscard]] file_range_operation collapse_range(file& of, std::uint64_t offset,
                                                  std::uint64_t length);

/// Makes room: what lies at `offset` and behind moves on by `length`, and zeros lie between.
///
/// *Completes when* it is done; durable after a sync. *Owns* a reference to the file. *Thread*: the
/// file's runtime. *Drop*: finished in the background. *Errors*: `io_error`, as `collapse_range`.
[[nodiscard]] file_range_operation insert_range(file& of, std::uint64_t offset,
                                                std::uint64_t length);

/// How a file will be used (posix_fadvise(2)).
enum class advice : std::uint8_t {
  normal,
  random,      // no reading ahead
  sequential,  // twice as much of it
  will_need,   // read it ahead now
  dont_need,   // drop clean pages from the cache
};

/// Tells the kernel how a range will be used; length 0: to the end of the file. Nothing depends on
/// it but speed.
///
/// *Completes when* it was told; with `will_need` once the reads have begun. *Owns* a reference to
/// the file. *Thread*: the file's runtime. *Drop*: at once, or finished in the background.
/// *Errors*: `io_error`: ESPIPE for pipes.
[[nodiscard]] file_range_operation advise(file& of, std::uint64_t offset, std::uint64_t length,
                                          advice how);

/// Begins to read a range into the page cache.
///
/// *Completes when* the reads have begun, as `advise` with `will_need`. *Owns* a reference to the
/// file. *Thread*: the file's runtime. *Drop*: at once, or finished in the background. *Errors*:
/// `io_error`.
[[nodiscard]] file_range_operation readahead(file& of, std::uint64_t offset, std::uint64_t length);

/// How far `sync_range` goes.
enum class range_sync : std::uint8_t {
  begin,  // begins to write what is dirty, as far as that does not block for long
  wait,   // writes what is dirty, and waits until it is written
};

/// Writes dirty pages of a range out (sync_file_range(2)); length 0: to the end of the file.
///
/// It makes nothing durable: neither the size nor where the blocks lie is written, and the device's
/// own cache is not flushed. It spreads the work of a later `datasync`, which is what promises.
/// *Completes when* the writes have begun or, with `wait`, ended. *Owns* a reference to the file.
/// *Thread*: the file's runtime. *Drop*: what has begun is finished in the background. *Errors*:
/// `io_error`: EIO, ENOSPC of earlier writes; ESPIPE for pipes.
[[nodiscard]] task<> sync_range(file& of, std::uint64_t offset, std::uint64_t length,
                                range_sync how = range_sync::begin);

}  // namespace parkring::fs
