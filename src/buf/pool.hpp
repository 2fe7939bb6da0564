// A pool of buffer memory that any thread may allocate from and return to, and that lives as long
// as anything of it is out. A forked child may use what it inherited, too.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>

#include "base/fork_held_mutex.hpp"
#include "buf/arena.hpp"

namespace parkring::buf {

class pool : public std::enable_shared_from_this<pool> {
 public:
  explicit pool(std::size_t max_bytes, std::size_t chunk_size = arena_options{}.chunk_size)
      : arena_({.chunk_size = chunk_size, .max_bytes = max_bytes}) {}

  [[nodiscard]] memory allocate(std::size_t size, std::size_t alignment) {
    std::lock_guard lock(mutex_);
    return arena_.allocate(size, alignment);
  }
  void deallocate(const memory& m) noexcept {
    std::lock_guard lock(mutex_);
    arena_.deallocate(m);
  }
  [[nodiscard]] arena_stats stats() const {
    std::lock_guard lock(mutex_);
    return arena_.stats();
  }
  [[nodiscard]] std::size_t in_use() const { return stats().in_use; }

 private:
  mutable base::fork_held_mutex mutex_;
  arena arena_;
};

/// The pool that buffers made on this thread come from; null: the process's own.
extern constinit thread_local pool* this_thread_pool;

}  // namespace parkring::buf
