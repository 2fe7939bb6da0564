// Reading and writing at an offset: the non-generic core of all the ways to hand memory over.
//
// Stages of one request:
//   described   `rw_request` holds a reference to the file and, for a locking buffer, the lock.
//               Dropping it undoes both.
//   inline      tried first where few requests are pending and the file has proven to answer
//               from the page cache: preadv2/pwritev2 with RWF_NOWAIT, which never blocks. It
//               works on the description and its memory directly and synchronously; nothing is
//               handed over. Up to the answer it is inlined into the awaiting coroutine, because a
//               return after a system call is slow (detail/rw_nowait.hpp); what is rare is not.
//   suspended   the description is left empty, since it need not lie in the frame: all that it had
//               is in a record, or `kept` in the waiter, which does lie there.
//   in a record the lock, the reference to the file and an owned object move into the operation
//               record; a waiter that goes away leaves them there until the kernel is done.
//   kept        the waiter has the description itself: of a stream's read, of a request that waits
//               for a record or is a part of a chain, and of one that has failed.
//   completed   the result moves back to the waiter if there still is one, with an owned object,
//               and with the file when there is an error to tell.
#pragma once

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <utility>

#include <parkring/detail/buffer_block.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/record.hpp>
#include <parkring/detail/rw_nowait.hpp>
#include <parkring/error.hpp>

namespace parkring::exec {
class core;
}

namespace parkring::detail {

enum class direction : std::uint8_t { read, write };

/// The lock that a request holds on a buffer: exclusive for a read, shared for a write.
class block_lock {
 public:
  block_lock() noexcept = default;
  explicit block_lock(buffer_block* locked) noexcept : block_(locked) {}
  block_lock(block_lock&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  block_lock& operator=(block_lock&& other) noexcept {
    if (this != &other) {
      reset();
      block_ = std::exchange(other.block_, nullptr);
    }
    return *this;
  }
  ~block_lock() { reset(); }
  void reset() noexcept {
    if (block_ != nullptr) std::exchange(block_, nullptr)->unlock();
  }
  /// As above, for who locked by `way`.
  void reset(direction way) noexcept {
    if (way == direction::write) return reset();
    if (block_ != nullptr) std::exchange(block_, nullptr)->unlock_exclusive();
  }
  [[nodiscard]] buffer_block* get() const noexcept { return block_; }
  /// The locked block; the caller unlocks it.
  [[nodiscard]] buffer_block* release() noexcept { return std::exchange(block_, nullptr); }

 private:
  buffer_block* block_ = nullptr;
};

/// A request as described by the user, not yet started.
struct rw_request {
  file_ref file;
  block_lock lock;  // of a locking buffer
  std::byte* data = nullptr;
  std::size_t size = 0;
  std::uint64_t offset = 0;
  direction way = direction::read;
};

/// How a record keeps an object that owns the memory: it moves in, and back out.
struct owner_type {
  void (*move)(void* to, void* from) noexcept;  // constructs at `to`, destroys at `from`
  void (*destroy)(void*) noexcept;
  std::byte* (*data)(void*) noexcept;
};
inline constexpr std::size_t owned_capacity = 96;

// The kernel transfers no more than this at once (MAX_RW_COUNT, read(2)); a longer request ends
// short, as read and write always may.
inline constexpr std::size_t longest_transfer = 0x7ffff000;

/// The rest of `serve_now` when the answer was not all that was asked for.
[[nodiscard, gnu::cold]] bool serve_now_short(rw_request& q, long got,
                                              std::int32_t& answer) noexcept;

/// The task may have moved to another worker since it described its request: the lock is this one's
/// now.
void lock_here(buffer_block& block) noexcept;

/// Tries to do it at once, without the ring. True when there is an answer and no need to suspend;
/// an answer together with false means that others should have their turn first. With an answer the
/// request has let go of file and buffer.
[[nodiscard, gnu::always_inline]] inline bool serve_now(rw_request& q,
                                                        std::int32_t& answer) noexcept {
  // An inline try pays while it saves a turn of the ring; from about here on a batch is cheaper.
  constexpr std::size_t few_operations = 4;
  core_base& core = running_core();
  PARKRING_DCHECK(q.file.get() != nullptr, "an operation is awaited once");
  file_state_base& f = *q.file.get();
  // Read before the first call that may change memory: where the description was made just before
  // these are registers then.
  const direction way = q.way;
  std::byte* const data = q.data;
  const std::size_t size = q.size;
  const std::uint64_t offset = q.offset;
  buffer_block* const block = q.lock.get();
  PARKRING_CHECK(usable_on(f, core), "await a file's requests on the runtime it belongs to");
  if (f.team != 0) [[unlikely]]
    if (block != nullptr) lock_here(*block);
  auto& policy = way == direction::read ? f.inline_reads : f.inline_writes;
  const fs::inline_mode mode = f.inline_first.load(std::memory_order_relaxed);
  if (mode != fs::inline_mode::always) {
    if (mode == fs::inline_mode::never || *core.live_operations > few_operations ||
        (!core.ready.empty() && core.more_ready_than(few_operations)) || core.more_to_place ||
        !policy.worth_trying())
      return false;
  }
  if ((data == nullptr && size != 0) || offset > INT64_MAX) [[unlikely]]
    return false;
  const std::size_t n = std::min(size, longest_transfer);
  const long got = rw_nowait(way == direction::read, f.descriptor, data, n, offset);
  if (got != static_cast<long>(n)) [[unlikely]]
    return serve_now_short(q, got, answer);
  policy.hit();
  ++core.inline_hits;
  answer = static_cast<std::int32_t>(got);
  (void)q.lock.release();
  block_lock(block).reset(way);
  (void)q.file.release();
  drop_reference(f);
  return core.spend_budget();
}

/// Waits for one read or write. It lies in the frame, for as long as the coroutine is suspended.
class rw_waiter : public op_waiter {
 public:
  rw_waiter() noexcept {}
  rw_waiter(const rw_waiter&) = delete;
  rw_waiter& operator=(const rw_waiter&) = delete;
  ~rw_waiter() {
    if (kept_) [[unlikely]]
      drop_kept();
  }

  /// Begins to wait: submits what `q` describes.
  [[gnu::always_inline]] void start(rw_request& q, std::coroutine_handle<> h) noexcept {
    q.way == direction::read ? start_read(q, h) : start_write(q, h);
  }
  /// As above for an object that owns the memory. It moves from `object` into a record, and then,
  /// or at once if there is none, to `home`; `object_away` tells.
  void start_owned(rw_request& q, const owner_type& type, void* object, void* home,
                   std::coroutine_handle<> h) noexcept;
  /// Begins to wait for its turn only: it was answered already.
  void start_answered(std::int32_t with, std::coroutine_handle<> h) noexcept;

  /// Moves the description here, for a start as a part of a chain.
  void keep(rw_request&& q) noexcept;
  /// Why the request kept cannot be a part of a chain, as an errno, or 0.
  [[nodiscard]] int refusal() const noexcept;
  /// Lets the record to come have the object at `home`, where it lies.
  void give_ownership(const owner_type& type, void* home) noexcept {
    owns_ = true;
    owner_ = &type;
    home_of_object_ = home;
  }
  /// Builds the record of the request kept; null when there is none.
  [[nodiscard]] record* make_record() noexcept;
  [[nodiscard]] rw_request& kept() noexcept { return request_; }

  /// The number of bytes, or the error.
  [[nodiscard]] std::expected<std::size_t, error> outcome() const;
  /// Takes the number of bytes, or throws the error.
  [[gnu::always_inline]] std::size_t take_count() {
    if (kept_) [[unlikely]]
      end_kept();
    return static_cast<std::size_t>(answer);
  }
  /// The result is taken: the next read of a stream may begin.
  void end_delivered() noexcept {
    if (has_turn_) [[unlikely]]
      end_turn(true);
  }
  /// Dropped: a stream gets back what this read has received and nobody took. The destructor does
  /// it too, if the memory is still there then.
  void end_turn_dropped() noexcept {
    if (has_turn_) [[unlikely]]
      end_turn(false);
  }
  /// Blocks until the kernel has let go of borrowed memory.
  void wait_for_kernel() noexcept {
    if (rec != nullptr) [[unlikely]]
      wait_for_record();
  }
  /// Whether a record has the owned object.
  [[nodiscard]] bool object_away() const noexcept { return object_away_; }

 private:
  friend struct rw_record;
  void start_read(rw_request& q, std::coroutine_handle<> h) noexcept;
  void start_write(rw_request& q, std::coroutine_handle<> h) noexcept;
  template <direction Way>
  void start_as(rw_request& q, std::coroutine_handle<> h) noexcept;
  void start_kept(rw_request& q) noexcept;
  void submit_kept() noexcept;
  bool take_left_over() noexcept;
  void end_turn(bool delivered) noexcept;
  void end_kept();
  void drop_kept() noexcept;
  void wait_for_record() noexcept;

  bool kept_ = false;         // `request_` lives; always where there is an error to tell
  bool has_turn_ = false;     // reads from a stream, and the stream's other reads wait for it
  bool object_away_ = false;  // the owned object lives in the record
  bool owns_ = false;         // an owned object is kept
  const owner_type* owner_;   // of the object kept
  void* home_of_object_;
  union {
    rw_request request_;
  };
};

}  // namespace parkring::detail
