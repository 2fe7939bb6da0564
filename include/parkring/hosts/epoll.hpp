// A plain epoll loop as the host of a runtime. Needs nothing but Linux.
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <system_error>

#include <parkring/hosted.hpp>

namespace parkring::hosts {

/// Puts a runtime into an epoll set:
///
///     pr::hosts::epoll host(set, rt);
///     for (;;) {
///       int n = epoll_wait(set, events, 64, host.timeout_ms());
///       for (...) if (host.is_mine(events[i])) continue; else ...;
///       host.turn();
///     }
///
/// *Owns* nothing; the runtime may go first, and a task may destroy it in a turn. *Thread*: the
/// runtime's.
class epoll : detail::host_link {
 public:
  epoll(int set, hosted& rt) : set_(set), rt_(&rt), descriptor_(rt.descriptor()) {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = this;
    if (::epoll_ctl(set_, EPOLL_CTL_ADD, descriptor_, &e) != 0)
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    rt.connect(*this);
  }
  epoll(const epoll&) = delete;
  epoll& operator=(const epoll&) = delete;
  ~epoll() override {
    if (gone_ != nullptr) *gone_ = true;
    if (rt_ != nullptr) ::epoll_ctl(set_, EPOLL_CTL_DEL, descriptor_, nullptr);
  }

  /// Whether the event is the runtime's; `data.ptr` of others must not be this object's address.
  [[nodiscard]] bool is_mine(const epoll_event& e) const noexcept { return e.data.ptr == this; }

  /// How long epoll_wait may wait, at most `wanted` milliseconds (-1: for ever).
  [[nodiscard]] int timeout_ms(int wanted = -1) const noexcept {
    if (rt_ == nullptr) return wanted;
    if (more_ || rt_->has_work()) return 0;
    const auto deadline = rt_->next_deadline();
    if (!deadline) return wanted;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now())
            .count();
    const auto ms = static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX));
    return wanted < 0 ? ms : std::min(ms, wanted);
  }
  /// Gives the runtime a turn: after each epoll_wait.
  void turn() {
    if (rt_ == nullptr) return;
    bool gone = false;
    gone_ = &gone;
    const bool more = rt_->turn();
    if (gone) return;  // destroyed by a task
    gone_ = nullptr;
    more_ = more;
  }

 private:
  void runtime_ends() noexcept override {
    ::epoll_ctl(set_, EPOLL_CTL_DEL, descriptor_, nullptr);
    rt_ = nullptr;
  }

  int set_;
  hosted* rt_;
  int descriptor_;
  bool more_ = true;
  bool* gone_ = nullptr;  // set during a turn
};

}  // namespace parkring::hosts
