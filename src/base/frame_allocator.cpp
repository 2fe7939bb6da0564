#include <parkring/detail/frame_allocator.hpp>

#include <cstdlib>
#include <new>
#include <utility>

namespace parkring::detail {

constinit thread_local frame_lists this_thread_frames{};

namespace {

struct closer {
  ~closer() {
    frame_lists& lists = this_thread_frames;
    lists.closed = true;
    for (auto& list : lists.of_class) {
      list.room = 0;
      for (; list.first != nullptr; --lists.made)
        std::free(std::exchange(list.first, list.first->next));
    }
  }
};

// Makes room in every list, and sees to it that they are emptied when the thread ends.
void open(frame_lists& lists) {
  static thread_local closer at_exit;
  (void)&at_exit;
  lists.opened = true;
  for (auto& list : lists.of_class) list.room = frame_lists::keep_at_most;
}

}  // namespace

void* allocate_frame_slowly(std::size_t size) {
  frame_lists& lists = this_thread_frames;
  if (!lists.opened) open(lists);
  const std::size_t c = (size + frame_lists::granule - 1) / frame_lists::granule;
  if (PARKRING_RECYCLE_FRAMES && c < frame_lists::classes) size = c * frame_lists::granule;
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  ++lists.made;
  return memory;
}

void deallocate_frame_slowly(void* memory, std::size_t) noexcept {
  --this_thread_frames.made;
  std::free(memory);
}

std::ptrdiff_t frames_out() noexcept {
  const frame_lists& lists = this_thread_frames;
  std::ptrdiff_t out = lists.made;
  if (lists.opened && !lists.closed)
    for (const auto& list : lists.of_class) out -= frame_lists::keep_at_most - list.room;
  return out;
}

}  // namespace parkring::detail
