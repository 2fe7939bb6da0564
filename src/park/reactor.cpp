#include "park/reactor.hpp"

#include <sys/epoll.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace parkring::park {

reactor::reactor(int event) {
  set_.reset(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event e{};
  e.events = EPOLLIN;  // with no watch: the ring's
  if (set_.get() < 0 || ::epoll_ctl(set_.get(), EPOLL_CTL_ADD, event, &e) < 0)
    throw std::system_error(errno, std::generic_category(),
                            "epoll: needed by the driving task; raise the descriptor limit "
                            "(ulimit -n) if it is reached");
}

int reactor::wait(const kernel::abi::timespec64* timeout) noexcept {
  timespec limit;
  if (timeout != nullptr) {
    limit.tv_sec = static_cast<time_t>(timeout->tv_sec);
    limit.tv_nsec = static_cast<long>(timeout->tv_nsec);
  }
  std::array<epoll_event, 16> events;
  ++waits;
  const int n = ::epoll_pwait2(set_.get(), events.data(), static_cast<int>(events.size()),
                               timeout != nullptr ? &limit : nullptr, nullptr);
  if (n < 0) return -errno;
  for (int i = 0; i < n; ++i) {
    auto* const w = static_cast<watch*>(events[static_cast<std::size_t>(i)].data.ptr);
    if (w != nullptr) w->fired(*w);
  }
  return n == 0 ? -ETIME : 0;
}

int reactor::arm(watch& w, int fd) noexcept {
  if (w.fd >= 0 && w.fd != fd) disarm(w);
  epoll_event e{};
  e.events = EPOLLIN | EPOLLONESHOT;
  e.data.ptr = &w;
  if (w.fd == fd && ::epoll_ctl(set_.get(), EPOLL_CTL_MOD, fd, &e) == 0) return 0;
  w.fd = -1;  // new, or closed since and opened again
  if (::epoll_ctl(set_.get(), EPOLL_CTL_ADD, fd, &e) < 0) return -errno;
  w.fd = fd;
  return 0;
}

void reactor::disarm(watch& w) noexcept {
  if (w.fd < 0) return;
  ::epoll_ctl(set_.get(), EPOLL_CTL_DEL, w.fd, nullptr);  // fails when it was closed
  w.fd = -1;
}

}  // namespace parkring::park
