// POLL_ADD: one look without waiting, then a watch. A multishot poll is edge-triggered, as Linux
// has it, or level-triggered when asked for.
#include <poll.h>
#include <sys/epoll.h>

#include <bit>
#include <cerrno>

#include "kernel/threads/backend.hpp"

namespace parkring::kernel::threads {

namespace {

// The events that epoll and poll know by the same values.
constexpr std::uint32_t event_bits = 0xffff & ~std::uint32_t{POLLNVAL};

std::uint32_t native(std::uint32_t events) noexcept {
  if constexpr (std::endian::native == std::endian::big) events = events << 16 | events >> 16;
  return events & event_bits;
}

constexpr std::uint32_t always_told = EPOLLERR | EPOLLHUP;

}  // namespace

void backend::start_poll(request& r) noexcept {
  auto& s = r.scratch_as<op_state>();
  const std::uint32_t mode = r.entry.len;
  const bool multishot = (mode & abi::poll_add_multi) != 0;
  if ((mode & ~(abi::poll_add_multi | abi::poll_add_level)) != 0 || r.entry.off != 0 ||
      r.entry.addr != 0 || (multishot && (r.entry.flags & abi::iosqe_cqe_skip_success) != 0))
    return end(r, -EINVAL);
  s.events = native(r.entry.poll32_events) | always_told;
  pollfd now{r.file, static_cast<short>(s.events), 0};
  if (!multishot) {
    if (::poll(&now, 1, 0) < 0) return end(r, -errno);
    if ((now.revents & POLLNVAL) != 0) return end(r, -EBADF);
    if (now.revents != 0) return end(r, static_cast<unsigned short>(now.revents));
    return watch(r, r.file);
  }
  const bool level = (mode & abi::poll_add_level) != 0;
  // What is ready already comes with the next look.
  const int place =
      watches_.add(r, r.file, s.events, level ? watches::mode::level : watches::mode::edge);
  if (place == -EPERM) {  // always ready: told once
    (void)::poll(&now, 1, 0);
    return end(r, static_cast<unsigned short>(now.revents));
  }
  if (place < 0) return end(r, place);
  s.watch = place;
  raise_taskrun();
}

void backend::poll_fired(request& r, std::uint32_t what) noexcept {
  auto& s = r.scratch_as<op_state>();
  const auto mask = static_cast<std::int32_t>(what & s.events);
  if ((r.entry.len & abi::poll_add_multi) == 0) return end(r, mask);
  if (!ring_->post(r, mask)) end(r, mask);
}

// What it waits for changes; whether it goes on does not.
int backend::update_poll(request& r, std::uint32_t events, std::uint32_t) noexcept {
  auto& s = r.scratch_as<op_state>();
  if (s.watch < 0) return -EALREADY;
  s.events = native(events) | always_told;
  return watches_.again(s.watch, s.events);
}

}  // namespace parkring::kernel::threads
