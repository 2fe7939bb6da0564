#include "allocation_count.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PARKRING_LAB_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PARKRING_LAB_COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(PARKRING_LAB_COUNTS_ALLOCATIONS) && defined(__GLIBC__)
#define PARKRING_LAB_COUNTS_ALLOCATIONS 1
#endif

namespace lab {
namespace {

std::atomic<bool> counting{false};
std::atomic<std::int64_t> count{0};

[[maybe_unused]] void note() noexcept {
  if (counting.load(std::memory_order_relaxed)) count.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void count_allocations() noexcept {
  count.store(0, std::memory_order_relaxed);
  counting.store(true, std::memory_order_relaxed);
}

std::int64_t counted_allocations() noexcept {
  counting.store(false, std::memory_order_relaxed);
#if PARKRING_LAB_COUNTS_ALLOCATIONS
  return count.load(std::memory_order_relaxed);
#else
  return -1;
#endif
}

}  // namespace lab

#if PARKRING_LAB_COUNTS_ALLOCATIONS
// operator new calls malloc, so these see everything. free stays glibc's: the memory is glibc's.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  lab::note();
  return __libc_malloc(size);
}
void* calloc(std::size_t number, std::size_t size) {
  lab::note();
  return __libc_calloc(number, size);
}
void* realloc(void* old, std::size_t size) {
  lab::note();
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  lab::note();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  lab::note();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  lab::note();
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* memory = __libc_memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *result = memory;
  return 0;
}
}
#endif
