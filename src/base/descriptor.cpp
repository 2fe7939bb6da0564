#include "base/descriptor.hpp"

#include <unistd.h>

#include <cerrno>

namespace parkring::base {

constinit std::atomic<close_function> close_simulated{nullptr};

int close_descriptor(int fd) noexcept {
  if (fd < first_simulated_descriptor) [[likely]]
    return ::close(fd) == 0 ? 0 : -errno;
  // Acquire: pairs with the release of who installs it, after what it needs was made.
  const close_function close = close_simulated.load(std::memory_order_acquire);
  return close != nullptr ? close(fd) : -EBADF;
}

}  // namespace parkring::base
