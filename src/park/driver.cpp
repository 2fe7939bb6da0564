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

// The watch begins before the waker sleeps: beginning it clears the event, and an unpark that
// signals it comes after the waker says `sleeping`.
bool driver::leave_to_host() noexcept {
  timers.date(now_ns());
  wake.be_armed();
  ops.fill_queue();
  if (ring.unsubmitted() != 0) {
    const int answer = ring.enter(0, nullptr, kernel::abi::enter_getevents);
    if (answer < 0) enter_failed(answer);
  }
  if (!ready_.empty() || ring.unsubmitted() != 0 || ring.completions_waiting() || ops.backlog())
    return false;
  left_ = ring.begin_watch() && wake.begin_sleep();
  if (!left_) ring.end_watch();
  return left_;
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
