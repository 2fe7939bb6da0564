// Which descriptors are rings of this process, for messages between them. Any thread.
#pragma once

#include <pthread.h>

#include <memory>

#include "kernel/threads/channel.hpp"

namespace parkring::kernel::threads {

struct registry {
  /// Throws std::bad_alloc.
  static void add(int fd, const std::shared_ptr<channel>& home);
  static void remove(int fd) noexcept;
  /// The way to the ring, or null when there is none by that descriptor.
  [[nodiscard]] static std::shared_ptr<channel> find(int fd) noexcept;

  /// How many forks lie between this process and the first: what belongs to an older one is its
  /// parent's and must not be touched, for its locks may be held by threads that are not here.
  [[nodiscard]] static unsigned generation() noexcept;
  /// The thread that made the last of those forks, by its name in the parent.
  [[nodiscard]] static pthread_t forking_thread() noexcept;
};

}  // namespace parkring::kernel::threads
