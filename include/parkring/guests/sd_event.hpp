// An sd-event loop as the guest of a runtime. Needs libsystemd's headers; link parkring::sd_event.
#pragma once

#include <systemd/sd-event.h>

#include <chrono>
#include <optional>
#include <utility>

#include <parkring/guest.hpp>

namespace parkring::guests {

/// A guest of `loop`, of which it keeps a reference. It ends when the loop does (sd_event_exit(3)).
/// One turn dispatches at most 16 events; timers are in its descriptor already.
[[nodiscard]] inline guest sd_event(::sd_event* loop) {
  class loop_reference {
   public:
    explicit loop_reference(::sd_event* l) noexcept : loop_(sd_event_ref(l)) {}
    loop_reference(loop_reference&& other) noexcept : loop_(std::exchange(other.loop_, nullptr)) {}
    loop_reference& operator=(loop_reference&&) = delete;
    ~loop_reference() { sd_event_unref(loop_); }

    int descriptor() const noexcept { return sd_event_get_fd(loop_); }
    std::optional<std::chrono::nanoseconds> next_timeout() const noexcept { return std::nullopt; }
    guest_state turn() noexcept {
      for (int i = 0; i < 16; ++i) {
        const int n = sd_event_run(loop_, 0);
        if (n < 0 || sd_event_get_state(loop_) == SD_EVENT_FINISHED) return guest_state::ended;
        if (n == 0) return guest_state::idle;
      }
      return guest_state::more;
    }

   private:
    ::sd_event* loop_;
  };
  return guest(loop_reference(loop));
}

}  // namespace parkring::guests
