// A file or pipe read from one end to the other: in big pieces, ahead of whoever asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <parkring/buffer.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/io_scheduler.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {
struct reader_state;
}

namespace parkring::fs {

/// For a length: all there is.
inline constexpr std::uint64_t to_the_end = UINT64_MAX;

struct reader_options {
  std::uint64_t offset = 0;                        // of the first byte; streams ignore it
  std::uint64_t length = to_the_end;               // at most so many bytes
  std::size_t buffer_size = std::size_t{1} << 17;  // of one read
  /// At most so many bytes are asked for before somebody wants them; 0: none.
  std::size_t read_ahead = std::size_t{1} << 20;
  io_lane
      lane{};  // of an `io_scheduler`, in which reads take turns; none by default, and for streams
};

/// Reads a file in order, or a range of it, and gives it out in pieces of pooled buffers, which are
/// not copied: `while (auto part = co_await r.next()) use(part->bytes());`
///
/// How many reads are under way at once follows the consumer. None is until a read has to wait; the
/// number doubles whenever the consumer has to wait, up to `read_ahead`, falls while everything
/// that was asked for is there already, and to none while the page cache answers at once. A pipe,
/// a terminal or a socket is read by one request at a time, when somebody asks.
///
/// Offsets of reads are those of the range, in steps of `buffer_size`. With direct I/O they are
/// widened to what the device can do, and what is too much is cut off.
///
/// A file that is cut shorter meanwhile ends where a read finds its end; one that grows goes on
/// giving when it is asked again. `missing` says how much of a range was not there.
///
/// *Owns* a reference to the file, whose `close` waits until the reader is gone. *Thread*: the
/// file's runtime, also for its destruction; one task at a time reads. *Drop*: reads under way are
/// left to finish by themselves; what a pipe had given is lost as far as it was not asked for,
/// bytes that a dropped read of a pipe receives are kept for the next reader of that file.
class reader {
 public:
  using bound_to_thread = void;

  /// *Errors*: a `buffer_size` of 0 fails a check.
  explicit reader(file& from, reader_options options = {});
  explicit reader(file&& from, reader_options options = {});
  reader(reader&&) noexcept = default;
  reader& operator=(reader&&) noexcept = default;

  /// Waits for the next piece: as much as one read gave, and at least a byte. None at the end.
  ///
  /// *Completes when* a read has answered that lies at the position. *Owns* what it needs of the
  /// reader. *Thread*: the file's runtime. *Drop*: nothing is lost: the next call goes on where the
  /// last one that completed ended. *Errors*: `io_error`, those of `read_at`; the position stays,
  /// and the next call tries again.
  [[nodiscard]] task<std::optional<buffer>> next();

  /// As `next`, but at most `count` bytes; an empty buffer at the end. Of a piece that is larger
  /// the rest stays, and shares its memory.
  [[nodiscard]] task<buffer> read(std::size_t count);

  /// Exactly `count` bytes. They are copied where they lie in more than one piece.
  ///
  /// *Completes when* all have arrived. *Owns* what it needs of the reader. *Thread*: the file's
  /// runtime. *Drop*: nothing is lost, as by `next`. *Errors*: `io_error`, with ENODATA when the
  /// file or the range ends before: `transferred()` says how many bytes there are, which a later
  /// call still gets.
  [[nodiscard]] task<buffer> read_exactly(std::size_t count);

  /// Leaves out `count` bytes, or what is left of the range; gives how many. Files with positions
  /// are not read for that, so it may go beyond their end; of streams the bytes are read.
  ///
  /// *Completes when* the position is there. *Owns* what it needs of the reader. *Thread*: the
  /// file's runtime. *Drop*: a part may have been left out, as `position` tells. *Errors*: those of
  /// `next`, for streams.
  [[nodiscard]] task<std::uint64_t> skip(std::uint64_t count);

  /// Where in the file the next byte lies; of a stream, how many bytes have been given from it.
  [[nodiscard]] std::uint64_t position() const noexcept;
  /// Bytes of the range that were not given yet; `to_the_end` where no length was asked for.
  [[nodiscard]] std::uint64_t missing() const noexcept;
  /// How many reads may be under way at once, now.
  [[nodiscard]] std::size_t window() const noexcept;
  /// The path of the file.
  [[nodiscard]] const std::filesystem::path& path() const noexcept;

 private:
  friend class splitter;
  std::shared_ptr<detail::reader_state> state_;
};

}  // namespace parkring::fs
