#include <parkring/detail/sync_lock.hpp>

#include <sched.h>

namespace parkring::detail {

void sync_lock::lock_slowly() noexcept {
  for (unsigned tries = 0;; ++tries) {
    // Only looked at until it seems free: a write would take the line from who holds it.
    while (held_.load(std::memory_order_relaxed)) {
      if (tries++ > 64) ::sched_yield();  // who holds it may not be running
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    }
    if (!held_.exchange(true, std::memory_order_acquire)) return;
  }
}

}  // namespace parkring::detail
