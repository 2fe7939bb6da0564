// Recycled memory for coroutine frames: a free list per size class and thread, so that a child
// coroutine costs a few nanoseconds and no call of malloc in steady state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

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

struct free_frame {
  free_frame* next;
};

/// The free frames of one thread. Trivially destructible, so that frames destroyed by thread-local
/// or static destructors still find it; it is emptied and closed at the end of the thread.
struct frame_lists {
  static constexpr std::size_t granule = 64;
  static constexpr std::size_t classes = 33;           // up to 2 KiB; larger ones go to malloc
  static constexpr std::uint32_t keep_at_most = 4096;  // free frames kept of a class

  struct list {
    free_frame* first;
    std::uint32_t room;  // how many more it keeps; 0 until its first use, and once closed
  };
  std::array<list, classes> of_class;
  std::ptrdiff_t made;  // by malloc, minus freed: those kept here and those out
  bool opened;
  bool closed;
};

extern constinit thread_local frame_lists this_thread_frames;

[[nodiscard]] void* allocate_frame_slowly(std::size_t size);
void deallocate_frame_slowly(void* memory, std::size_t size) noexcept;

/// Memory for a frame of `size` bytes, aligned as for `operator new`. Throws `std::bad_alloc`.
[[nodiscard]] inline void* allocate_frame(std::size_t size) {
  const std::size_t c = (size + frame_lists::granule - 1) / frame_lists::granule;
  if (PARKRING_RECYCLE_FRAMES && c < frame_lists::classes) [[likely]] {
    frame_lists& lists = this_thread_frames;
    auto& list = lists.of_class[c];
    if (free_frame* f = list.first) [[likely]] {
      list.first = f->next;
      ++list.room;
      return f;
    }
  }
  return allocate_frame_slowly(size);
}

/// Gives back what `allocate_frame(size)` gave, on any thread.
inline void deallocate_frame(void* memory, std::size_t size) noexcept {
  const std::size_t c = (size + frame_lists::granule - 1) / frame_lists::granule;
  if (PARKRING_RECYCLE_FRAMES && c < frame_lists::classes) [[likely]] {
    frame_lists& lists = this_thread_frames;
    auto& list = lists.of_class[c];
    if (list.room != 0) [[likely]] {
      auto* f = static_cast<free_frame*>(memory);
      f->next = list.first;
      list.first = f;
      --list.room;
      return;
    }
  }
  deallocate_frame_slowly(memory, size);
}

/// Frames out on this thread: allocated here minus given back here. For leak checks in tests.
[[nodiscard]] std::ptrdiff_t frames_out() noexcept;

}  // namespace parkring::detail
