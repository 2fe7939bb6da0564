// A file that is read and written past the page cache, at any offset and of any length.
//
// Direct I/O wants offsets, lengths and memory in multiples of a block. What is aligned goes there
// directly; the edges, and memory that does not fit, go through a buffer in between, which is
// counted: a program that wants none looks at `counts` and aligns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include <parkring/buffer.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/options.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {
struct direct_state;
struct direct_open;
}  // namespace parkring::detail

namespace parkring::fs {

/// What a `direct_file` has done.
struct direct_counts {
  std::uint64_t straight = 0;  // requests between the caller's memory and the device
  std::uint64_t bounced = 0;   // requests by way of a buffer in between
  std::uint64_t edges = 0;     // blocks that were read because only a part of them is written
  std::uint64_t copied = 0;    // bytes to and from such buffers
};

/// An open file for direct I/O.
///
/// Writes that share a block wait for each other, so that neither loses what the other writes
/// beside it. This holds between the requests of one `direct_file`: whoever else writes to the file
/// while one of them runs, or changes its size then, may undo a part of it. *Owns* the file.
/// *Thread*: that of the runtime that opened it.
class direct_file {
 public:
  using bound_to_thread = void;

  direct_file() noexcept = default;

  /// False when empty or moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }
  /// False where the file system has no direct I/O, as older tmpfs: then the page cache is used,
  /// and nothing need be aligned.
  [[nodiscard]] bool is_direct() const noexcept;
  /// What offsets and lengths must be multiples of, and memory, to go without a copy.
  [[nodiscard]] std::size_t block() const noexcept;
  [[nodiscard]] std::size_t memory_alignment() const noexcept;
  /// The size in bytes, as this object knows it.
  [[nodiscard]] std::uint64_t size() const noexcept;
  [[nodiscard]] direct_counts counts() const noexcept;

  /// Reads into all of `into`, from byte `offset` on.
  ///
  /// Gives the number of bytes: fewer than asked for only where the file ends. *Completes when* all
  /// have arrived. *Owns* a lock on the buffer from the call on, and the file. *Thread*: the file's
  /// runtime. *Drop*: the buffer stays locked until the kernel is done. *Errors*: `io_error`;
  /// `buffer_locked`.
  [[nodiscard]] task<std::size_t> read_at(buffer& into, std::uint64_t offset);
  /// As above, the first `count` bytes of the buffer.
  [[nodiscard]] task<std::size_t> read_at(buffer& into, std::uint64_t offset, std::size_t count);

  /// Writes all of `from` at byte `offset`.
  ///
  /// Behind the end of the file, what is written of the last block is cut off again; the power may
  /// fail in between, and then zeros follow. *Completes when* the device has all bytes; durable
  /// after a `datasync`. *Owns* a shared lock on the buffer from the call on, and the file.
  /// *Thread*: the file's runtime. *Drop*: a write that has edges or makes the file longer goes on
  /// to its end; of another the request under way does, and the rest is not written. *Errors*:
  /// `io_error`, after which any part may have been written; `buffer_locked`.
  [[nodiscard]] task<> write_at(const buffer& from, std::uint64_t offset);
  /// As above, the first `count` bytes of the buffer.
  [[nodiscard]] task<> write_at(const buffer& from, std::uint64_t offset, std::size_t count);

  /// Cuts or extends the file to `size` bytes.
  ///
  /// *Completes when* the file has the size. Waits for the writes under way that change the size or
  /// what is cut, and those that come later wait for it. *Owns* the file.
  /// *Thread*: the file's runtime. *Drop*: not done if it had not begun, else finished in the
  /// background. *Errors*: `io_error`.
  [[nodiscard]] task<> truncate(std::uint64_t size);

  /// Closes the file once all writes have ended: `co_await std::move(f).close()`.
  ///
  /// *Completes when* the last request has ended and the descriptor is closed. *Owns* the file.
  /// *Thread*: the file's runtime. *Drop*: the file closes all the same. *Errors*: `io_error`, as
  /// `file::close`; who still waits to read or write gets EBADF.
  [[nodiscard]] task<> close() &&;

  /// The file itself, for syncs, hints and requests that are aligned already; and for a `reader` or
  /// `read_many`, which take any range of it. It is not to be closed or moved from: `close` does
  /// that.
  [[nodiscard]] file& handle() noexcept;

 private:
  friend struct detail::direct_open;
  explicit direct_file(std::shared_ptr<detail::direct_state> state) noexcept
      : state_(std::move(state)) {}

  std::shared_ptr<detail::direct_state> state_;
};

/// Opens a file for direct I/O, or without where the file system has none.
///
/// For writing it is opened for reading, too: a part of a block is written by reading it first.
/// *Completes when* the file is open and its size known. *Owns* the path. *Thread*: inside a task;
/// the file belongs to its runtime. *Drop*: as `open`. *Errors*: `io_error`, as `open`; EINVAL with
/// `append`.
[[nodiscard]] task<direct_file> open_direct(std::filesystem::path path, open_options options = {});

}  // namespace parkring::fs
