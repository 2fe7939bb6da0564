// The locking buffer: memory that a request takes over while it runs, and that says so when
// somebody touches it meanwhile.
#pragma once

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <parkring/buffer_locked.hpp>
#include <parkring/detail/buffer_block.hpp>
#include <parkring/detail/core.hpp>

namespace parkring {

/// The alignment that memory must have, in bytes; a power of two.
struct alignment {
  std::size_t bytes = 1;
};

/// Memory aligned to `bytes`. For the alignment that a file's direct I/O wants: `aligned(file)`.
[[nodiscard]] constexpr alignment aligned(std::size_t bytes) noexcept { return {bytes}; }

/// A plain allocation with its size.
struct owned_bytes {
  std::unique_ptr<std::byte[]> data;
  std::size_t size = 0;
};

/// Bytes for reading into and writing from.
///
/// While a request uses a buffer it is locked: for writing by a read, shared by any number of
/// writes. Touching locked bytes throws `buffer_locked`. The memory comes from the pool of the
/// thread's runtime, aligned to at least 512 bytes, registered with its ring where that is
/// possible; without a runtime it comes from a pool of the process.
///
/// *Owns* its memory, together with the requests that use it: dropping a locked buffer is safe,
/// the memory goes back to its pool when the kernel is done. *Thread*: one at a time; may be moved
/// to and dropped on any thread, also after its runtime's end.
class buffer {
 public:
  /// No memory, size 0.
  buffer() noexcept = default;
  /// `size` bytes, not initialised. *Errors*: `std::bad_alloc`.
  explicit buffer(std::size_t size, alignment a = {}) : block_(detail::make_block(size, a.bytes)) {}
  buffer(buffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  buffer& operator=(buffer&& other) noexcept {
    if (this != &other) {
      drop();
      block_ = std::exchange(other.block_, nullptr);
    }
    return *this;
  }
  ~buffer() { drop(); }

  /// Takes over an allocation of `new std::byte[size]`; `release` gives it back.
  [[nodiscard]] static buffer adopt(std::unique_ptr<std::byte[]> data, std::size_t size) {
    buffer b;
    b.block_ = detail::adopt_block(data.get(), size);
    (void)data.release();
    return b;
  }

  /// Gives the bytes up as a plain allocation: the adopted one, or a copy of pooled memory.
  /// *Errors*: `buffer_locked`; `std::bad_alloc`.
  [[nodiscard]] owned_bytes release() &&;

  [[nodiscard]] std::size_t size() const noexcept { return block_ == nullptr ? 0 : block_->size; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// Whether a request has the bytes now.
  [[nodiscard]] bool locked() const noexcept { return block_ != nullptr && block_->is_locked(); }

  /// All bytes, to read and write. *Errors*: `buffer_locked` while any request has them.
  [[nodiscard]] std::span<std::byte> bytes() {
    if (block_ == nullptr) return {};
    if (block_->is_locked()) [[unlikely]]
      detail::throw_locked(*block_);
    return {block_->data, block_->size};
  }
  /// All bytes, to read. Allowed beside writes to files, which only read the buffer too.
  /// *Errors*: `buffer_locked` while a request writes into them.
  [[nodiscard]] std::span<const std::byte> bytes() const {
    if (block_ == nullptr) return {};
    if (block_->is_written()) [[unlikely]]
      detail::throw_locked(*block_);
    return {block_->data, block_->size};
  }
  /// `count` bytes from `offset` on as text, less where the buffer ends. *Errors*: as `bytes`.
  [[nodiscard]] std::string_view text(std::size_t offset = 0,
                                      std::size_t count = std::string_view::npos) const {
    const auto all = bytes();
    const std::string_view view(reinterpret_cast<const char*>(all.data()), all.size());
    return view.substr(std::min(offset, view.size()), count);
  }

  /// Shortens the buffer to its first `at` bytes and gives the rest as a buffer of its own, which
  /// shares the storage but nothing else: the parts lock, move and die independently.
  /// *Errors*: `buffer_locked`; `std::out_of_range` when `at` is beyond the end.
  [[nodiscard]] buffer split_off(std::size_t at);

  /// Waits until no request has the bytes.
  ///
  /// *Completes when* the buffer is unlocked; at once if it is. *Owns* nothing. *Thread*: on the
  /// runtime whose request has the bytes. *Drop*: stops waiting. *Errors*: none; dropping the
  /// buffer while somebody waits wakes the waiter once the kernel is done.
  [[nodiscard("co_await it")]] auto returned() { return returned_operation{block_}; }

 private:
  friend struct buffer_access;

  class returned_awaiter : detail::waiter {
   public:
    explicit returned_awaiter(detail::buffer_block* block) noexcept : block_(block) {}
    bool await_ready() const noexcept {
      return unlocked() && detail::running_core().spend_budget();
    }
    void await_suspend(std::coroutine_handle<> h) {
      auto& core = detail::running_core();
      if (unlocked()) return core.make_ready(*this, h);
      frame = h.address();
      task = core.current;
      detail::wait_for_return(*block_, core.home_of, *this);
      note_.begin(core.notes, *this, "return of a buffer");
    }
    void await_resume() const noexcept {}

   private:
    [[nodiscard]] bool unlocked() const noexcept {
      return block_ == nullptr || !block_->is_locked();
    }
    detail::buffer_block* block_;
    detail::wait_note note_;
  };
  struct returned_operation {
    detail::buffer_block* block;
    auto operator co_await() && { return returned_awaiter(block); }
  };

  void drop() noexcept {
    if (block_ != nullptr) detail::drop_block(std::exchange(block_, nullptr));
  }

  detail::buffer_block* block_ = nullptr;
};

/// The way for other layers to a buffer's block.
struct buffer_access {
  static detail::buffer_block* block(const buffer& b) noexcept { return b.block_; }
  static detail::buffer_block* take(buffer&& b) noexcept {
    return std::exchange(b.block_, nullptr);
  }
  static buffer make(detail::buffer_block* block) noexcept {
    buffer b;
    b.block_ = block;
    return b;
  }
};

}  // namespace parkring
