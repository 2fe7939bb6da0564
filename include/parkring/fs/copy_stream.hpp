// What one file or stream gives, written to another.
#pragma once

#include <cstdint>
#include <functional>

#include <parkring/fs/file.hpp>
#include <parkring/fs/reader.hpp>
#include <parkring/fs/writer.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

struct copy_stream_options {
  reader_options from{};  // a range, and how far ahead of it is read
  writer_options to{};    // where it goes
  std::function<void(std::uint64_t)>
      progress{};  // called with the bytes copied so far, as they come
};

struct copied {
  std::uint64_t bytes = 0;
  /// Of the length that was asked for, what the source did not have: it ended before, or was cut
  /// shorter meanwhile. 0 where no length was asked for.
  std::uint64_t missing = 0;
};

/// Copies what `from` gives until its end to `to`, and flushes that. Pieces are not copied in
/// memory.
///
/// *Completes when* everything is written; not yet durable. *Owns* nothing: keep reader, writer and
/// `progress`. *Thread*: the files' runtime. *Drop*: a part may be copied; what was read and not
/// yet handed to the writer is lost to the reader: `to.written()` says where to go on. *Errors*:
/// `io_error`, of either side.
[[nodiscard]] task<copied> copy_stream(reader& from, writer& to,
                                       std::function<void(std::uint64_t)> progress = {});

/// Copies a file, a range of it, or what a stream gives, to another.
///
/// Between a pipe and anything else on a Linux kernel, bytes move inside the kernel (splice(2)),
/// where it can do that; else pieces are read and written as they are. What a stream has given is
/// passed on before more of it is waited for, unless it goes to direct I/O. A source that ends
/// before the range does, or is cut shorter meanwhile, is no error: `missing` says so.
///
/// *Completes when* everything is written; not yet durable. *Owns* references to the files.
/// *Thread*: the files' runtime. *Drop*: a part of it may be copied, writes under way are finished;
/// bytes on their way out of a pipe may be in neither file. *Errors*: `io_error`, of either side.
[[nodiscard]] task<copied> copy_stream(file& from, file& to, copy_stream_options options = {});

}  // namespace parkring::fs
