// Counts the calls of malloc and its relatives in this program, and makes them fail on demand.
#pragma once

#include <cstdint>

namespace parkring::allocation {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PARKRING_TEST_COUNTS_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PARKRING_TEST_COUNTS_MALLOC 0
#endif
#endif
#ifndef PARKRING_TEST_COUNTS_MALLOC
#define PARKRING_TEST_COUNTS_MALLOC 1
#endif

/// False where a sanitizer has taken malloc.
inline constexpr bool countable = PARKRING_TEST_COUNTS_MALLOC;

/// So far, by all threads.
[[nodiscard]] std::uint64_t calls() noexcept;

/// Lets the `n`th call of this thread from now on fail, alone or with all that follow.
void fail_at(std::uint64_t n, bool and_all_after_it) noexcept;
/// Ends that; gives the number of calls that failed.
std::uint64_t stop_failing() noexcept;

}  // namespace parkring::allocation
