// An open file: its descriptor, what is known about it, and who still needs it.
//
// Lifetime. References are held by the handle and by every request, described or in a record. The
// descriptor closes when the last one goes, so its number cannot be reused while a request that
// names it is alive. All of it happens on the home thread; a handle dropped elsewhere posts itself
// home, and closes at once when the runtime is gone, for then no request is left. Of a runtime with
// several workers all may make requests, but for streams; the last reference, wherever it goes,
// posts the state home.
//
// Streams (pipes, terminals, sockets: what has no position) deliver each byte once, so their reads
// are a queue: one read has its turn, the others wait here in order. The turn lasts until the read
// has resumed or, when it was dropped, until its request has ended. A dropped read is cancelled;
// bytes that it got all the same, resumed or not, are kept in `left_over` for the next reader.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/record.hpp>
#include <parkring/detail/waiter.hpp>
#include <parkring/fs/options.hpp>

#include "base/owned_fd.hpp"
#include "exec/core.hpp"

namespace parkring::fs {

enum class file_kind : std::uint8_t {
  regular,  // positions, page cache: requests finish by themselves and are never cancelled
  device,   // block devices and others with positions
  stream,   // no position
};

struct stream_queue {
  bool reading = false;         // a read has its turn
  detail::waiter_list waiting;  // op_waiters of reads behind it
  std::string left_over;        // bytes that a dropped read had received
};

}  // namespace parkring::fs

namespace parkring::detail {

/// A `close` that was called on another worker than the file's home. Its waiter and the file have a
/// reference each. The answer goes back by this message; `who` is the waiter's thread's.
struct far_close final : message {
  op_waiter* who;  // null once it has left
  home_ref back;
  std::int32_t answer = 0;
  std::atomic<std::uint32_t> references{2};

  explicit far_close(op_waiter& w) noexcept;
  /// At home: the file is closed. Lets go of the file's reference.
  void tell(std::int32_t with) noexcept;
  void let_go() noexcept {
    if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
};

struct file_state final : file_state_base {
  base::owned_fd fd;
  fs::file_kind kind = fs::file_kind::regular;
  bool direct = false;
  std::atomic<bool> closed{false};  // `close` was called: no new requests
  bool registrable = true;
  std::uint8_t ring_uses = 0;   // until it is registered
  int slot = -1;                // in the ring's table of files
  int ring_target = -1;         // what entries name: the slot, if there is one, or the descriptor
  std::uint8_t ring_flags = 0;  // of entries: says which
  std::uint32_t memory_alignment = 1;  // of direct I/O, by statx
  std::uint32_t offset_alignment = 1;
  std::unique_ptr<fs::stream_queue> stream;
  std::filesystem::path path;
  bool closer_at_home = false;  // `closer` may have one
  waiter_list closer;           // the op_waiter of `close`, until the last reference goes; at home
  far_close* far_closer = nullptr;  // of a `close` on another worker; likewise
};

/// A request that closes a descriptor.
struct close_payload {
  base::owned_fd fd;  // ours until the kernel has it: on every other path we close it ourselves
  far_close* tell = nullptr;
};
extern const record_type close_type;

/// Closes a descriptor by a request that nobody waits for; where no runtime runs, in place.
void close_later(base::owned_fd fd) noexcept;

inline file_state& state_of(file_state_base& base) noexcept {
  return static_cast<file_state&>(base);
}

/// The runtime that makes requests on the file, here.
[[nodiscard]] inline exec::core& core_for(const file_state_base& f) noexcept {
  return f.team == 0 ? exec::core_at(f.home_of) : exec::this_core();
}
/// Whether this thread may use what of the state is its home's: the slot, the queue of a stream.
[[nodiscard]] inline bool at_home(const file_state_base& f) noexcept {
  return f.team == 0 || f.home_of.is_here();
}

}  // namespace parkring::detail
