#include "ring/thread_token.hpp"

#include <atomic>

namespace parkring::ring {

namespace detail {
constinit thread_local std::uint64_t this_thread_token = 0;
}

std::uint64_t claim_thread_token() noexcept {
  // Relaxed: only uniqueness is wanted.
  static constinit std::atomic<std::uint64_t> last{0};
  if (detail::this_thread_token == 0) {
    detail::this_thread_token = last.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  return detail::this_thread_token;
}

}  // namespace parkring::ring
