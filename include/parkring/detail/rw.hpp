// Reading and writing at an offset: the non-generic core of all the ways to hand memory over.
//
// Stages of one request:
//   described   `rw_request` holds a reference to the file and, for a locking buffer, the lock.
//               Dropping it undoes both.
//   inline      tried first where few requests are pending and the file has proven to answer
//               from the page cache: preadv2/pwritev2 with RWF_NOWAIT, which never blocks. It
//               works on the memory directly and synchronously; nothing is handed over.
//   in a record the lock, the reference to the file and an owned object move into the operation
//               record; a waiter that goes away leaves them there until the kernel is done.
//   completed   the result moves back to the waiter if there still is one, with an owned object,
//               and with the file when there is an error to tell.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <new>
#include <utility>

#include <parkring/detail/buffer_block.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/record.hpp>
#include <parkring/error.hpp>

namespace parkring::exec {
class core;
}

namespace parkring::detail {

/// The lock that a request holds on a buffer.
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
  [[nodiscard]] buffer_block* get() const noexcept { return block_; }
  /// The locked block; the caller unlocks it.
  [[nodiscard]] buffer_block* release() noexcept { return std::exchange(block_, nullptr); }

 private:
  buffer_block* block_ = nullptr;
};

enum class direction : std::uint8_t { read, write };

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

/// Waits for one read or write. The generic part derives from it.
class rw_awaiter : public op_waiter {
 public:
  rw_awaiter(const rw_awaiter&) = delete;
  rw_awaiter& operator=(const rw_awaiter&) = delete;

 protected:
  explicit rw_awaiter(rw_request&& q) noexcept : request_(std::move(q)) {}
  ~rw_awaiter() = default;

  /// Tries to do it at once, without the ring. True when there is a result and no need to suspend.
  [[nodiscard]] bool try_now() noexcept;
  /// Suspends: makes ready what is done, submits what is not.
  void start(std::coroutine_handle<> h);
  /// Why the request cannot be a part of a chain, as an errno, or 0.
  [[nodiscard]] int refusal() const noexcept;
  /// Builds the record, which takes over the lock and an owned object; null when there is none.
  [[nodiscard]] record* make_record() noexcept;
  /// Lets a record keep the object at `owned`, which then must not be touched until the result is
  /// there; `returned` tells whether it came back.
  void give_ownership(const owner_type& type, void* owned) noexcept {
    owner_ = &type;
    owned_ = owned;
  }
  /// The number of bytes, or the error.
  [[nodiscard]] std::expected<std::size_t, error> outcome() const;
  /// As `outcome`, throwing the error.
  std::size_t count() const {
    if (answer < 0) [[unlikely]] fail();
    return static_cast<std::size_t>(answer);
  }
  /// The result is taken: the next read of a stream may begin.
  void end_delivered() noexcept {
    if (has_turn_) [[unlikely]] end_turn(true);
  }
  /// Dropped: a stream gets back what this read has received and nobody took. While the memory is
  /// still there.
  void end_dropped() noexcept {
    if (has_turn_) [[unlikely]] end_turn(false);
  }
  /// Blocks until the kernel has let go of borrowed memory.
  void wait_for_kernel() noexcept;

  [[nodiscard]] bool finished() const noexcept { return finished_; }
  [[nodiscard]] rw_request& request() noexcept { return request_; }

 private:
  friend struct rw_record;
  [[noreturn]] void fail() const;
  bool try_inline(exec::core& core, file_state& f) noexcept;
  void submit() noexcept;
  void submit_on(exec::core& core, file_state& f) noexcept;
  record* make_record_on(exec::core& core, file_state& f) noexcept;
  bool take_left_over() noexcept;
  void end_turn(bool delivered) noexcept;

  rw_request request_;
  const owner_type* owner_ = nullptr;
  void* owned_ = nullptr;
  bool finished_ = false;     // the result was there without a record
  bool object_away_ = false;  // the owned object lives in the record
  bool has_turn_ = false;     // reads from a stream, and the stream's other reads wait for it
 public:
  [[nodiscard]] bool object_away() const noexcept { return object_away_; }
};

}  // namespace parkring::detail
