#include "count.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace parkring::allocation {
namespace {

constinit std::atomic<std::uint64_t> counted{0};

// Of this thread: the call that many from now fails; 0: none does.
constinit thread_local std::uint64_t until_failure = 0;
constinit thread_local bool all_after_it = false;
constinit thread_local std::uint64_t failed = 0;

}  // namespace

std::uint64_t calls() noexcept { return counted.load(std::memory_order_relaxed); }

void fail_at(std::uint64_t n, bool and_all_after_it) noexcept {
  until_failure = n;
  all_after_it = and_all_after_it;
  failed = 0;
}
std::uint64_t stop_failing() noexcept {
  until_failure = 0;
  return failed;
}

}  // namespace parkring::allocation

#if PARKRING_TEST_COUNTS_MALLOC

// glibc's own functions under their other names; a program may replace the public ones (malloc(3),
// "Replacing malloc" in the glibc manual).
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

// Whether this call may succeed.
static bool count_one() {
  using namespace parkring::allocation;
  counted.fetch_add(1, std::memory_order_relaxed);
  if (until_failure == 0 || --until_failure != 0) return true;
  if (all_after_it) until_failure = 1;
  ++failed;
  errno = ENOMEM;
  return false;
}

void* malloc(std::size_t n) { return count_one() ? __libc_malloc(n) : nullptr; }
void* calloc(std::size_t n, std::size_t size) {
  return count_one() ? __libc_calloc(n, size) : nullptr;
}
void* realloc(void* p, std::size_t n) { return count_one() ? __libc_realloc(p, n) : nullptr; }
void* memalign(std::size_t alignment, std::size_t n) {
  return count_one() ? __libc_memalign(alignment, n) : nullptr;
}
void* aligned_alloc(std::size_t alignment, std::size_t n) {
  return count_one() ? __libc_memalign(alignment, n) : nullptr;
}
int posix_memalign(void** out, std::size_t alignment, std::size_t n) {
  void* p = count_one() ? __libc_memalign(alignment, n) : nullptr;
  if (p == nullptr) return ENOMEM;
  *out = p;
  return 0;
}
void free(void* p) { __libc_free(p); }
}

#endif
