#include <parkring/detail/frame_allocator.hpp>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

// Under AddressSanitizer every frame comes from malloc and goes back to it, so that the use of a
// destroyed frame is seen.
#if defined(__SANITIZE_ADDRESS__)
#define PARKRING_RECYCLE_FRAMES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PARKRING_RECYCLE_FRAMES 0
#endif
#endif
#ifndef PARKRING_RECYCLE_FRAMES
#define PARKRING_RECYCLE_FRAMES 1
#endif

namespace parkring::detail {
namespace {

constexpr std::size_t granule = 64;
constexpr std::size_t classes = 33;        // up to 2 KiB; larger frames go to malloc
constexpr std::uint32_t keep_at_most = 4096;  // free frames kept of a class

struct free_frame {
  free_frame* next;
};

struct free_lists {
  std::array<free_frame*, classes> head{};
  std::array<std::uint32_t, classes> count{};
  std::ptrdiff_t out = 0;
  bool closed = false;
};

// Trivially destructible, so that frames destroyed by other thread-local or static destructors
// still find it; `closer` empties it at the end of the thread and closes it.
constinit thread_local free_lists lists;

struct closer {
  ~closer() {
    lists.closed = true;
    for (auto& head : lists.head)
      while (head != nullptr) std::free(std::exchange(head, head->next));
  }
};

void close_at_thread_exit() {
  thread_local closer c;
  (void)&c;
}

}  // namespace

void* allocate_frame(std::size_t size) {
  const std::size_t c = (size + granule - 1) / granule;
  ++lists.out;
  if (PARKRING_RECYCLE_FRAMES && c < classes) [[likely]] {
    if (free_frame* f = lists.head[c]) [[likely]] {
      lists.head[c] = f->next;
      --lists.count[c];
      return f;
    }
    size = c * granule;
  }
  void* memory = std::malloc(size);
  if (memory == nullptr) {
    --lists.out;
    throw std::bad_alloc();
  }
  return memory;
}

void deallocate_frame(void* memory, std::size_t size) noexcept {
  const std::size_t c = (size + granule - 1) / granule;
  --lists.out;
  if (PARKRING_RECYCLE_FRAMES && c < classes && lists.count[c] < keep_at_most && !lists.closed)
      [[likely]] {
    auto* f = static_cast<free_frame*>(memory);
    f->next = lists.head[c];
    if (f->next == nullptr) close_at_thread_exit();
    lists.head[c] = f;
    ++lists.count[c];
    return;
  }
  std::free(memory);
}

std::ptrdiff_t frames_out() noexcept { return lists.out; }

}  // namespace parkring::detail
