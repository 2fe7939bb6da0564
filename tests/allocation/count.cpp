#include "count.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace parkring::allocation {
namespace {

constinit std::atomic<std::uint64_t> counted{0};

}  // namespace

std::uint64_t calls() noexcept { return counted.load(std::memory_order_relaxed); }

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

static void count_one() {
  parkring::allocation::counted.fetch_add(1, std::memory_order_relaxed);
}

void* malloc(std::size_t n) {
  count_one();
  return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) {
  count_one();
  return __libc_calloc(n, size);
}
void* realloc(void* p, std::size_t n) {
  count_one();
  return __libc_realloc(p, n);
}
void* memalign(std::size_t alignment, std::size_t n) {
  count_one();
  return __libc_memalign(alignment, n);
}
void* aligned_alloc(std::size_t alignment, std::size_t n) {
  count_one();
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t n) {
  count_one();
  void* p = __libc_memalign(alignment, n);
  if (p == nullptr) return ENOMEM;
  *out = p;
  return 0;
}
void free(void* p) { __libc_free(p); }
}

#endif
