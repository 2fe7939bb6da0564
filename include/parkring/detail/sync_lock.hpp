// A lock for a few instructions: what guards the state of a primitive that any thread may use.
//
// While the process has one thread there is nobody to exclude, and it does nothing: so programs of
// one thread pay no atomic read-modify-write. The C library says whether there is one; it cannot
// change while the lock is held, since no thread is made meanwhile.
//
// It is not held over fork(2): a child must not use what other threads of its parent were using.
#pragma once

#include <atomic>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define PARKRING_KNOWS_SINGLE_THREADED 1
#endif

namespace parkring::detail {

class sync_lock {
 public:
  sync_lock() noexcept = default;
  sync_lock(const sync_lock&) = delete;
  sync_lock& operator=(const sync_lock&) = delete;

  void lock() noexcept {
#ifdef PARKRING_KNOWS_SINGLE_THREADED
    if (__libc_single_threaded != 0) return;
#endif
    // Acquire: pairs with the release in `unlock`.
    if (held_.exchange(true, std::memory_order_acquire)) [[unlikely]]
      lock_slowly();
  }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  void lock_slowly() noexcept;

  std::atomic<bool> held_{false};
};

}  // namespace parkring::detail
