// A number that tells this thread from every other one of the process, ended ones included.
//
// The thread's address would do for living threads, but the C library gives the memory of an ended
// thread to the next one. Read on every enter, so it must cost one load, also inside a shared
// library: hence the storage model, and the number is handed out only when first asked for.
#pragma once

#include <cstdint>

namespace parkring::ring {

namespace detail {
[[gnu::tls_model("initial-exec")]] extern constinit thread_local std::uint64_t this_thread_token;
}

/// 0 until this thread has asked for claim_thread_token().
[[gnu::always_inline]] inline std::uint64_t thread_token() noexcept {
  return detail::this_thread_token;
}

/// This thread's token, never 0.
[[nodiscard]] std::uint64_t claim_thread_token() noexcept;

}  // namespace parkring::ring
