// A libuv loop as the guest of a runtime. Needs libuv's headers; link parkring::libuv.
#pragma once

#include <uv.h>

#include <chrono>
#include <optional>

#include <parkring/guest.hpp>

namespace parkring::guests {

/// A guest of `loop`, which stays the caller's: never run it by hand meanwhile, and close its
/// handles, as ever, before uv_loop_close. One turn is one iteration, uv_run(UV_RUN_NOWAIT). As in
/// uv_run, handles without a reference are not served unless something else keeps the loop alive.
[[nodiscard]] inline guest libuv(uv_loop_t* loop) {
  struct uv_guest {
    uv_loop_t* loop;

    // With nothing alive uv_run does nothing, so then there is nothing to wait for: libuv itself
    // would return, and answers 0 for the time-out.
    int descriptor() const noexcept { return uv_loop_alive(loop) != 0 ? uv_backend_fd(loop) : -1; }
    std::optional<std::chrono::nanoseconds> next_timeout() const noexcept {
      if (uv_loop_alive(loop) == 0) return std::nullopt;
      uv_update_time(loop);
      const int ms = uv_backend_timeout(loop);
      if (ms < 0) return std::nullopt;
      return std::chrono::milliseconds(ms);
    }
    guest_state turn() noexcept {
      uv_run(loop, UV_RUN_NOWAIT);
      return guest_state::idle;  // a time-out of 0 tells when it has more to do
    }
  };
  return guest(uv_guest{loop});
}

}  // namespace parkring::guests
