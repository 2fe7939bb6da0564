// What a single read or write may ask of the kernel beside its bytes.
#pragma once

#include <cstdint>

namespace parkring::fs {

enum class io_priority_class : std::uint8_t {
  inherited,    // that of the thread
  realtime,     // before all others; needs CAP_SYS_ADMIN or CAP_SYS_NICE, else EPERM
  best_effort,  // what is usual
  idle,         // when nobody else wants the device
};

/// The priority at the device (ioprio_set(2)), for schedulers that know any: not for `none`.
struct io_priority {
  io_priority_class of = io_priority_class::inherited;
  std::uint8_t level = 4;  // 0, the most, to 7

  bool operator==(const io_priority&) const = default;
};

struct read_options {
  /// What is read leaves no trace in the page cache (RWF_DONTCACHE, Linux 6.14). Where kernel or
  /// file system cannot, the request is made without it.
  bool dontcache = false;
  io_priority priority{};
};

struct write_options {
  bool dsync = false;      // durable when it completes, as after a datasync (RWF_DSYNC)
  bool dontcache = false;  // as of reads: written soon, and dropped from the cache
  bool append = false;     // at the end of the file, wherever that is then; the offset is ignored
  /// All of it or nothing, also when the power fails (RWF_ATOMIC, Linux 6.11): for direct I/O on a
  /// file whose size and offset fit `atomic_write_limits`; anything else is an error.
  bool atomic = false;
  io_priority priority{};
};

}  // namespace parkring::fs
