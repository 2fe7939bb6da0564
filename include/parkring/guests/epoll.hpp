// An epoll set with callbacks as the guest of a runtime. Needs nothing but Linux.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include <parkring/guest.hpp>

namespace parkring::guests {

/// A guest of the epoll descriptor `fd`, which stays the caller's; `dispatch` is called with each
/// `epoll_event` that it has, at most 64 in a turn. It must not throw.
template <class Dispatch>
[[nodiscard]] guest epoll(int fd, Dispatch dispatch) {
  struct loop {
    int fd;
    Dispatch dispatch;

    int descriptor() const noexcept { return fd; }
    std::optional<std::chrono::nanoseconds> next_timeout() const noexcept { return std::nullopt; }
    guest_state turn() {
      std::array<epoll_event, 64> events;
      const int n = ::epoll_wait(fd, events.data(), static_cast<int>(events.size()), 0);
      for (int i = 0; i < n; ++i) dispatch(events[static_cast<std::size_t>(i)]);
      return n == static_cast<int>(events.size()) ? guest_state::more : guest_state::idle;
    }
  };
  return guest(loop{fd, std::move(dispatch)});
}

}  // namespace parkring::guests
