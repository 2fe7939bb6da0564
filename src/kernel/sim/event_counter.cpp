#include "kernel/sim/event_counter.hpp"

#include <poll.h>

#include "kernel/sim/byte_queue.hpp"

namespace parkring::kernel::sim {

long event_counter::read(const iovec* parts, std::size_t count) noexcept {
  const long wanted = total_size(parts, count);
  if (wanted < 0) return wanted;
  if (wanted < 8) return -EINVAL;
  if (count_ == 0) return -EAGAIN;
  const std::uint64_t taken = one_by_one_ ? 1 : count_;
  count_ -= taken;
  const auto* from = reinterpret_cast<const std::byte*>(&taken);
  std::size_t done = 0;
  for (std::size_t i = 0; done < sizeof(taken); ++i) {
    const std::size_t n = std::min(sizeof(taken) - done, parts[i].iov_len);
    if (n > 0) std::memcpy(parts[i].iov_base, from + done, n);
    done += n;
  }
  notify();
  return sizeof(taken);
}

long event_counter::write(const iovec* parts, std::size_t count) noexcept {
  const long offered = total_size(parts, count);
  if (offered < 0) return offered;
  if (offered < 8) return -EINVAL;
  std::uint64_t added = 0;
  auto* to = reinterpret_cast<std::byte*>(&added);
  std::size_t done = 0;
  for (std::size_t i = 0; done < sizeof(added); ++i) {
    const std::size_t n = std::min(sizeof(added) - done, parts[i].iov_len);
    if (n > 0) std::memcpy(to + done, parts[i].iov_base, n);
    done += n;
  }
  if (added == overflown) return -EINVAL;
  if (overflown - count_ <= added) return -EAGAIN;
  count_ += added;
  notify();
  return sizeof(added);
}

unsigned event_counter::poll_events() const noexcept {
  return (count_ > 0 ? POLLIN : 0U) | (count_ == overflown ? POLLERR : 0U) |
         (count_ < overflown - 1 ? POLLOUT : 0U);
}

void event_counter::signal(std::uint64_t n) noexcept {
  count_ = overflown - count_ < n ? overflown : count_ + n;
  notify();
}

}  // namespace parkring::kernel::sim
