// What an emulated ring needs from the machine below it.
//
// The ring knows entries, chains, drains, timeouts, cancellation, registered files and buffers,
// provided buffers and the completion queue with its overflow. A backend knows what a request does:
// plain system calls on threads, or a simulated disk and network. The ring serves itself:
//   NOP, TIMEOUT, TIMEOUT_REMOVE, LINK_TIMEOUT, ASYNC_CANCEL, POLL_REMOVE, FILES_UPDATE,
//   PROVIDE_BUFFERS, REMOVE_BUFFERS, CLOSE of a registered file, FIXED_FD_INSTALL
// All else goes to `start`.
#pragma once

#include <cstdint>

#include "kernel/emulated/request.hpp"

namespace parkring::kernel::emulated {

inline constexpr std::uint64_t never = ~std::uint64_t{0};

enum class clock : std::uint8_t { monotonic, boottime, realtime };

enum class cancel_answer : std::uint8_t {
  cancelled,  // the request has ended by `ring.complete` (with -ECANCELED, or what it had done)
  too_late,   // it goes on and will end by itself: the canceller gets -EALREADY
  not_found,  // its completion is on its way: the canceller gets -ENOENT
};

class backend {
 public:
  virtual ~backend() = default;

  [[nodiscard]] virtual bool supports(unsigned opcode) const noexcept = 0;

  /// Begins `r`. Answers with `r.home->complete(r, result, flags)`, after any number of
  /// `r.home->post(...)` if it is a multishot request: now, inside the call, or later, inside
  /// `harvest`, `wait`, `cancel` or another `start`.
  virtual void start(request& r) noexcept = 0;

  /// Asked to end `r`, which is active and not the ring's own. At most once for each request, but
  /// for those that answered `not_found`.
  [[nodiscard]] virtual cancel_answer cancel(request& r) noexcept = 0;

  /// POLL_REMOVE with an update of the events of an active POLL_ADD. 0 or -errno.
  [[nodiscard]] virtual int update_poll(request& r, std::uint32_t events,
                                        std::uint32_t flags) noexcept = 0;

  /// A descriptor of its own, that nobody else knows, for the open file behind `fd`: for a
  /// registered slot, and then in `request::file`. Or -errno. A descriptor that a request has made
  /// for a slot is used the same way.
  [[nodiscard]] virtual int hold(int fd) noexcept = 0;
  virtual void let_go(int held) noexcept = 0;
  /// Whether a program has this descriptor open.
  [[nodiscard]] virtual bool is_open(int fd) noexcept = 0;
  /// Whether an active request acts on the open file that is behind `fd` now: a program's
  /// descriptor or a held one. Numbers do not tell, they may have other files by now.
  [[nodiscard]] virtual bool acts_on(const request& r, int fd) noexcept = 0;
  /// Makes a descriptor, that programs may use, of a held file. Or -errno.
  [[nodiscard]] virtual int install(int held, bool close_on_exec) noexcept = 0;

  /// Nanoseconds of CLOCK_MONOTONIC, CLOCK_BOOTTIME or CLOCK_REALTIME (clock_gettime(2)).
  [[nodiscard]] virtual std::uint64_t now_ns(clock which) noexcept = 0;

  /// Completes what has ended meanwhile. Never waits. Called on every enter.
  virtual void harvest() noexcept = 0;
  /// Waits until something may have completed, and completes it, or until the monotonic clock reads
  /// `deadline_ns`. May return early. 0, -EINTR, or -ESHUTDOWN when the machine has stopped.
  [[nodiscard]] virtual int wait(std::uint64_t deadline_ns) noexcept = 0;

  /// io_uring_register(2) for what the ring does not serve itself. A result or -errno.
  [[nodiscard]] virtual int reg(unsigned opcode, const void* arg, unsigned count) noexcept = 0;
};

}  // namespace parkring::kernel::emulated
