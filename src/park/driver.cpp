#include "park/driver.hpp"

#include <system_error>

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

void driver::read_by_thread() {
  reader_ = std::make_unique<ring::reader_thread>(ring);
  wake.wake_through(*reader_);
  elsewhere_ = true;
}

void driver::read_by_reactor() {
  const int event = wake.share_with_host();
  if (event < 0)
    throw std::system_error(-event, std::generic_category(),
                            "io_uring: the kernel signals no eventfd for completions, which the "
                            "driving task needs");
  reactor_.emplace(event);
  elsewhere_ = true;
}

void driver::end_reader() noexcept {
  elsewhere_ = false;
  if (reader_ == nullptr) return;
  reader_->end();
  ops.reap();  // all that it has handed over
  ring.end_reader();
}

int driver::sleep_elsewhere() noexcept {
  ops.fill_queue();
  kernel::abi::timespec64 left;
  const bool limited = !timers.empty();
  if (limited) left = time_left();
  return reader_ != nullptr ? sleep_beside_reader(limited ? &left : nullptr)
                            : sleep_in_reactor(limited ? &left : nullptr);
}

int driver::sleep_beside_reader(const kernel::abi::timespec64* left) noexcept {
  if (ops.backlog() || !wake.begin_sleep()) return ring.enter(0, nullptr, 0);
  const int answer = reader_->wait(left);
  wake.end_sleep();
  return answer;
}

// As for a host: the watch begins before the waker sleeps, and here the thread is the host.
int driver::sleep_in_reactor(const kernel::abi::timespec64* left) noexcept {
  int answer = 0;
  if (ring.unsubmitted() != 0 || ring.kernel_wants_enter())
    answer = ring.enter(0, nullptr, kernel::abi::enter_getevents);
  if (answer < 0 || ring.completions_waiting() || ring.unsubmitted() != 0 || ops.backlog())
    return answer;
  if (ring.begin_watch() && wake.begin_sleep()) {
    answer = reactor_->wait(left);
    wake.end_sleep();
  }
  ring.end_watch();
  if (!ring.kernel_wants_enter()) return answer;
  const int driven = ring.enter(0, nullptr, kernel::abi::enter_getevents);
  return driven < 0 ? driven : answer;
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
