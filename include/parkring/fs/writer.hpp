// A file or pipe written from one end to the other: collected, and written in the background.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <parkring/buffer.hpp>
#include <parkring/detail/quick_task.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/io_scheduler.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {
struct writer_state;
}

namespace parkring::fs {

struct writer_options {
  std::uint64_t offset = 0;  // of the first byte; streams ignore it
  bool append = false;       // begin where the file ends when something is first written
  std::size_t buffer_size = std::size_t{1} << 17;  // of one write
  std::size_t in_flight = 4;                       // writes under way at once, at most
  io_lane
      lane{};  // of an `io_scheduler`, in which writes take turns; none by default, and for streams
};

/// Writes a file in order: `co_await w.write("text"); ... co_await w.flush();`
///
/// What is handed over is collected in pooled buffers; a full one is written in the background. Who
/// hands over more than the file takes waits once `in_flight` writes are under way. Streams, and
/// files that were opened with `append`, are written by one request at a time, in order.
///
/// An error of a write in the background is kept: every later call throws it, and nothing more is
/// written. It names the offset; what was handed over from there on may or may not be in the file.
///
/// With direct I/O `offset` and `buffer_size` must be multiples of the device's, and so must be
/// what was handed over by the time of a `flush`.
///
/// *Owns* a reference to the file, and what was handed over. *Thread*: the file's runtime, also for
/// its destruction; one task at a time writes. *Drop*: what was collected since the last full
/// buffer or `flush` is lost, without a report, so end with `flush` or `close`; a write under way
/// is finished in the background, while the runtime runs and nobody closes the file; one to a
/// stream is cancelled.
class writer {
 public:
  using bound_to_thread = void;

  /// *Errors*: a `buffer_size` or `in_flight` of 0 fails a check.
  explicit writer(file& to, writer_options options = {});
  /// A file of its own, which `close` closes.
  explicit writer(file&& to, writer_options options = {});
  writer(writer&&) noexcept = default;
  writer& operator=(writer&&) noexcept = default;

  /// Copies `text` behind what was written so far. It must stay valid until the await ends.
  ///
  /// *Completes when* it is collected; mostly at once, else when there is room. *Owns* what it
  /// needs of the writer; keep the writer. *Thread*: the file's runtime. *Drop*: a part of it may
  /// have been taken, as `written` tells. *Errors*: `io_error`, of this or an earlier write.
  [[nodiscard("co_await it")]] auto write(std::string_view text) noexcept {
    return detail::quick_operation<attempt>(
        attempt{state_.get(), std::as_bytes(std::span(text.data(), text.size()))});
  }
  /// As above.
  [[nodiscard("co_await it")]] auto write(std::span<const std::byte> bytes) noexcept {
    return detail::quick_operation<attempt>(attempt{state_.get(), bytes});
  }
  /// Writes a buffer as it is, behind what was written so far: without a copy, unless it is small.
  ///
  /// *Completes when* its write is under way, or it is collected. *Owns* the buffer. *Thread*: the
  /// file's runtime. *Drop*: before its write is under way, none of it is written. *Errors*: as
  /// above; `buffer_locked`.
  [[nodiscard]] task<> write(buffer bytes);

  /// Waits until everything handed over so far is written; not yet durable: see `file::datasync`.
  ///
  /// *Completes when* no write is under way and nothing is collected. *Owns* what it needs of the
  /// writer. *Thread*: the file's runtime. *Drop*: writes under way stay so. *Errors*: `io_error`,
  /// of this or an earlier write.
  [[nodiscard]] task<> flush();

  /// As `flush`; then lets go of the file, and closes it if it is the writer's own. The writer is
  /// of no use any more, also if this fails.
  ///
  /// *Completes when* all of that is done. *Owns* what it needs of the writer. *Thread*: the file's
  /// runtime. *Drop*: as that of the writer. *Errors*: those of `flush` and `file::close`.
  [[nodiscard]] task<> close();

  /// How many bytes were handed over.
  [[nodiscard]] std::uint64_t written() const noexcept;
  /// How many writes are under way, or done and not looked at.
  [[nodiscard]] std::size_t in_flight() const noexcept;

 private:
  struct attempt {
    detail::writer_state* to;
    std::span<const std::byte> bytes;
    [[nodiscard]] bool try_now() noexcept;
    [[nodiscard]] task<> slowly();
    void value() const noexcept {}
  };
  std::shared_ptr<detail::writer_state> state_;
};

}  // namespace parkring::fs
