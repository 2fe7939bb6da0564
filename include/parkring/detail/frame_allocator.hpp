// Recycled memory for coroutine frames: a free list per size class and thread, so that a child
// coroutine costs a few nanoseconds and no call of malloc in steady state.
#pragma once

#include <cstddef>

namespace parkring::detail {

/// Memory for a frame of `size` bytes, aligned as for `operator new`. Throws `std::bad_alloc`.
[[nodiscard]] void* allocate_frame(std::size_t size);

/// Gives back what `allocate_frame(size)` gave, on any thread.
void deallocate_frame(void* memory, std::size_t size) noexcept;

/// Frames out on this thread: allocated here minus given back here. For leak checks in tests.
[[nodiscard]] std::ptrdiff_t frames_out() noexcept;

}  // namespace parkring::detail
