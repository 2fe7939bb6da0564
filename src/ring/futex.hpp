// Sleeping until a word changes; futex(2), which the C library has no function for.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "kernel/abi.hpp"

namespace parkring::ring {

using futex_word = std::atomic<std::uint32_t>;
static_assert(sizeof(futex_word) == sizeof(std::uint32_t) && futex_word::is_always_lock_free);

/// Sleeps while `word` is `value`, at most `timeout` (relative; null: for ever). 0 or -errno:
/// -EAGAIN when it was another value at once, -ETIMEDOUT, -EINTR.
inline int futex_wait(futex_word& word, std::uint32_t value,
                      const kernel::abi::timespec64* timeout) noexcept {
  timespec limit;
  if (timeout != nullptr) {
    limit.tv_sec = static_cast<time_t>(timeout->tv_sec);
    limit.tv_nsec = static_cast<long>(timeout->tv_nsec);
  }
  const long answer = ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value,
                                timeout != nullptr ? &limit : nullptr, nullptr, 0);
  return answer < 0 ? -errno : 0;
}

/// Wakes the one that sleeps on `word`.
inline void futex_wake(futex_word& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace parkring::ring
