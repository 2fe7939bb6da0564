// A GLib main context as the guest of a runtime. Needs GLib's headers; link parkring::glib.
//
// A context has no descriptor of its own: it asks for an array of them before each poll. So they
// are put into an epoll set after each turn, and the runtime watches that. Which files the numbers
// mean may have changed since, so each is told to epoll anew.
#pragma once

#include <glib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <parkring/guest.hpp>

namespace parkring::guests {

namespace glib_detail {

class context_loop {
 public:
  explicit context_loop(GMainContext* context)
      : context_(g_main_context_ref(context != nullptr ? context : g_main_context_default())),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    const int error = errno;
    const bool acquired = epoll_ >= 0 && g_main_context_acquire(context_) != 0;
    if (acquired) return;
    if (epoll_ >= 0) ::close(epoll_);
    g_main_context_unref(context_);
    throw std::system_error(epoll_ < 0 ? error : EBUSY, std::generic_category(),
                            epoll_ < 0 ? "epoll_create1" : "another thread runs this GMainContext");
  }
  context_loop(context_loop&& other) noexcept
      : context_(std::exchange(other.context_, nullptr)),
        epoll_(std::exchange(other.epoll_, -1)),
        polled_(std::move(other.polled_)),
        watched_(std::move(other.watched_)),
        timeout_ms_(other.timeout_ms_) {}
  context_loop& operator=(context_loop&&) = delete;
  ~context_loop() {
    if (context_ == nullptr) return;
    g_main_context_release(context_);
    g_main_context_unref(context_);
    ::close(epoll_);
  }

  int descriptor() const noexcept { return epoll_; }
  std::optional<std::chrono::nanoseconds> next_timeout() const noexcept {
    if (timeout_ms_ < 0) return std::nullopt;
    return std::chrono::milliseconds(timeout_ms_);
  }
  guest_state turn() {
    g_main_context_iteration(context_, FALSE);
    gint priority;
    const bool ready = g_main_context_prepare(context_, &priority) != 0;
    gint n;
    for (;;) {
      const auto room = static_cast<gint>(polled_.size());
      n = g_main_context_query(context_, priority, &timeout_ms_, polled_.data(), room);
      if (n <= room) break;
      polled_.resize(static_cast<std::size_t>(n));
    }
    watch({polled_.begin(), polled_.begin() + n});
    if (ready) timeout_ms_ = 0;
    return guest_state::idle;  // a time-out of 0 tells when it has more to do
  }

 private:
  void watch(const std::vector<GPollFD>& wanted) {
    std::map<int, unsigned> next;
    for (const GPollFD& p : wanted) next[p.fd] |= p.events;
    for (const auto& [fd, events] : watched_)
      if (!next.contains(fd)) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    for (const auto& [fd, events] : next) {
      epoll_event e{};
      e.events = events;  // poll and epoll have the same bits
      e.data.fd = fd;
      if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &e) == 0) continue;
      // What epoll does not take is always ready, as poll(2) has it.
      if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) != 0) timeout_ms_ = 0;
    }
    watched_ = std::move(next);
  }

  GMainContext* context_;
  int epoll_;
  std::vector<GPollFD> polled_;
  std::map<int, unsigned> watched_;
  gint timeout_ms_ = 0;
};

}  // namespace glib_detail

/// A guest of `context`, by default the default one, of which it keeps a reference and which this
/// thread owns meanwhile: run no GMainLoop of it. One turn is one iteration that does not wait.
/// *Errors*: `std::system_error` when another thread owns the context (EBUSY).
[[nodiscard]] inline guest glib(GMainContext* context = nullptr) {
  return guest(glib_detail::context_loop(context));
}

}  // namespace parkring::guests
