#include "park/driver.hpp"

namespace parkring::park {

kernel::abi::timespec64 driver::time_left() noexcept {
  const std::uint64_t now = now_ns();
  timers.date(now);
  const std::uint64_t deadline = timers.next_deadline();
  const std::uint64_t ns = deadline > now ? deadline - now : 0;
  return {static_cast<std::int64_t>(ns / 1'000'000'000u),
          static_cast<std::int64_t>(ns % 1'000'000'000u)};
}

void driver::enter_failed(int answer) noexcept {
  switch (-answer) {
    case ETIME:  // the deadline: the timers fire below
    case EINTR:  // a signal: a spurious return
      return;
    case EAGAIN:   // out of memory for requests: they stay queued, try again soon
    case EBUSY: {  // completions overflowed: reaping makes room
      ++refusals;
      if (ring.completions_waiting()) return;
      ring.served_by().pause(50'000);
      return;
    }
    case ESHUTDOWN:  // the run loop looks
      stopped_ = true;
      return;
    default:
      PARKRING_CHECK(answer != -EEXIST,
                     "the ring belongs to the thread that made the runtime; run it there");
      PARKRING_CHECK(answer == 0,
                     "io_uring_enter failed in a way that no program can go on from; "
                     "was the ring's descriptor closed by other code?");
  }
}

}  // namespace parkring::park
