// The state behind a `buffer`: where its bytes are and who may touch them.
//
// The lock. `lock` is 0 when the bytes belong to the holder of the buffer, -1 while a request
// writes into them, n > 0 while n requests read from them. Requests lock when they are submitted
// and unlock at their last completion, both on the thread of the runtime they run on, the locker.
//   * From 0 the lock is taken only by the holder of the buffer, who alone may submit it. So no
//     read-modify-write is needed: the holder changes it from 0, the locker's thread changes it
//     until it is 0 again. All requests that share a lock run on one runtime.
//   * Unlocking is a release store; the holder reads the lock with acquire before touching the
//     bytes, so what the kernel wrote is visible.
//
// A buffer that is let go while locked is `abandoned`: a flag that only the locker's thread reads
// and writes. Elsewhere the block itself is posted to the locker as a message. If the locker is
// gone, its requests have ended and the lock is 0, or they were leaked on purpose; then the block
// is leaked too.
//
// Parts of one buffer have a block each and share the storage by an atomic count.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <parkring/detail/check.hpp>
#include <parkring/detail/home.hpp>
#include <parkring/detail/waiter.hpp>

namespace parkring::detail {

struct record;
struct buffer_storage;

struct buffer_block : message {
  std::byte* data = nullptr;
  std::size_t size = 0;
  std::atomic<std::int32_t> lock{0};
  bool abandoned = false;             // the locker's thread only
  bool watched = false;               // abandoned or awaited, perhaps not any more; likewise
  int registered_index = -1;          // valid while `registered_with` names the registry
  std::uint64_t registered_with = 0;  // 0: not looked up, or not registered
  home_ref locker;                    // valid while locked
  const record* holder = nullptr;     // the request locked for last; the locker's thread only
  buffer_storage* storage = nullptr;
  buffer_block* holds_lock_of = nullptr;  // unlocked when this block, a part of it, ends
  waiter_list returned;                   // wait for the unlock; the locker's thread only

  [[nodiscard]] bool is_locked() const noexcept {
    return lock.load(std::memory_order_acquire) != 0;  // pairs with the release in unlock
  }
  [[nodiscard]] bool is_written() const noexcept {
    return lock.load(std::memory_order_acquire) < 0;  // pairs with the release in unlock
  }

  /// A request on runtime `by` starts to write into the bytes. False if they are in use.
  [[nodiscard]] bool lock_exclusive(const home_ref& by, const record* r) noexcept {
    if (lock.load(std::memory_order_relaxed) != 0) [[unlikely]]
      return false;
    locker = by;
    holder = r;
    lock.store(-1, std::memory_order_relaxed);
    return true;
  }

  /// A request on runtime `by` starts to read the bytes. False if they are being written, or read
  /// by another runtime.
  [[nodiscard]] bool lock_shared(const home_ref& by, const record* r) noexcept {
    const auto now = lock.load(std::memory_order_relaxed);
    if (now < 0 || (now > 0 && !(locker == by))) return false;
    locker = by;
    holder = r;
    lock.store(now + 1, std::memory_order_relaxed);
    return true;
  }

  /// The request that locked exclusively ended. May end the block.
  void unlock_exclusive() noexcept {
    PARKRING_DCHECK(lock.load(std::memory_order_relaxed) == -1, "it was not locked for writing");
    if (watched) [[unlikely]]
      return unlocked_slowly();
    lock.store(0, std::memory_order_release);  // pairs with the acquire loads above
  }

  /// A request that locked ended. May end the block.
  void unlock() noexcept {
    const auto now = lock.load(std::memory_order_relaxed);
    const auto left = now < 0 ? 0 : now - 1;
    if (left == 0 && watched) [[unlikely]]
      return unlocked_slowly();
    lock.store(left, std::memory_order_release);  // pairs with the acquire loads above
  }

 private:
  void unlocked_slowly() noexcept;
};

/// A new block of `size` bytes from the pool of this thread's runtime, or of the process.
[[nodiscard]] buffer_block* make_block(std::size_t size, std::size_t alignment);
/// A new block over memory that came from `new std::byte[size]`.
[[nodiscard]] buffer_block* adopt_block(std::byte* data, std::size_t size);
/// A second block over [data, data + size) of an existing one.
[[nodiscard]] buffer_block* make_part(buffer_block& whole, std::byte* data, std::size_t size);
/// The holder lets go, on any thread, locked or not.
void drop_block(buffer_block* block) noexcept;
/// The adopted allocation of an unlocked block that has no parts, or null. The block is left empty.
[[nodiscard]] std::byte* take_adopted(buffer_block& block) noexcept;
/// Says in words who has the bytes of a locked block.
[[noreturn]] void throw_locked(const buffer_block& block);
/// The runtime whose request has the bytes: where `returned` is awaited.
void wait_for_return(buffer_block& block, const home_ref& by, waiter& w);

}  // namespace parkring::detail
