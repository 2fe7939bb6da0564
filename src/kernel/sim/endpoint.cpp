#include "kernel/sim/endpoint.hpp"

#include <climits>

namespace parkring::kernel::sim {

// Both marks leave the list as they are destroyed, which GCC 12 does not follow through it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif
void endpoint::tell() noexcept {
  const ref<endpoint> keep(this);
  watcher at(nullptr);
  watcher end(nullptr);
  watchers_.push_front(at);
  watchers_.push_back(end);
  while (at.next != &end) {
    // The mark steps over the next one before that is told, so whatever it unlinks, the mark stays.
    detail::list_node& passed = *at.next;
    at.unlink();
    at.prev = &passed;
    at.next = passed.next;
    passed.next->prev = &at;
    passed.next = &at;
    watcher& w = static_cast<watcher&>(passed);
    if (w.action_ != nullptr) w.action_(w);
  }
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

long total_size(const iovec* parts, std::size_t count) noexcept {
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (parts[i].iov_len > static_cast<std::size_t>(LONG_MAX) - total) return -EINVAL;
    total += parts[i].iov_len;
  }
  return static_cast<long>(total);
}

}  // namespace parkring::kernel::sim
