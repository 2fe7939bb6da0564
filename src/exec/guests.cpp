#include "exec/guests.hpp"

#include <poll.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <memory>
#include <utility>

#include <parkring/runtime.hpp>

#include "exec/core.hpp"

namespace parkring {
namespace detail {
namespace {

constexpr std::uint8_t patience = 8;  // turns of a busy runtime between two of a guest

const record_type guest_poll_type = {
    .name = "guest",
    .prepare =
        [](record& r, kernel::abi::sqe& e) noexcept {
          constexpr std::uint32_t readable = POLLIN;
          e.opcode = kernel::abi::op_poll_add;
          e.fd = r.as<int>();
          e.poll32_events = std::endian::native == std::endian::big ? readable << 16 : readable;
        },
    .complete = nullptr,
    .destroy = nullptr,
    .cancel_when_dropped = nullptr,
};

void no_destroy(void*) {}

void check_descriptor(int answer) noexcept {
  PARKRING_CHECK(answer != -EBADF,
                 "the descriptor of a guest was closed; destroy the guest before its loop");
}

}  // namespace

guest_watch::poll_wait::poll_wait(guest_watch& w) noexcept
    : plain_frame(
          [](void* at) {
            guest_watch& self = static_cast<poll_wait&>(plain_frame::at(at)).of;
            check_descriptor(self.poll_.answer);
            self.descriptor_called();
          },
          &no_destroy),
      of(w) {
  frame = handle().address();
  task = nullptr;
  restart = [](op_waiter& base) noexcept { static_cast<poll_wait&>(base).of.submit_poll(); };
}

guest_watch::time_wait::time_wait(guest_watch& w) noexcept
    : plain_frame([](void* at) { static_cast<time_wait&>(plain_frame::at(at)).of.called_ = true; },
                  &no_destroy),
      of(w) {}

guest_watch::reactor_wait::reactor_wait(guest_watch& w) noexcept : of(w) {
  fired = [](park::reactor::watch& at) noexcept {
    static_cast<reactor_wait&>(at).of.descriptor_called();
  };
}

guest_watch::guest_watch(guest& g, exec::core& at) noexcept
    : guest_(&g), core_(at), poll_(*this), in_reactor_(*this), time_(*this) {
  g.watch_ = this;
}

void guest_watch::leave() noexcept {
  guest_->watch_ = nullptr;
  drop_poll();
  delete this;  // poll and timer leave their lists; the poll's record cancels itself
}

void guest_watch::submit_poll() noexcept {
  op::operations& ops = core_.ops;
  record* r = ops.acquire(guest_poll_type);
  if (r == nullptr) return ops.starve(poll_);
  r->emplace<int>(guest_->descriptor());
  ops.submit(*r, &poll_);
}

void guest_watch::descriptor_called() noexcept {
  polling_ = false;
  called_ = true;
}

// Not when another guest has the same descriptor there, or epoll does not take it.
bool guest_watch::arm_in_reactor() noexcept {
  park::reactor* const r = core_.driver.reactor_if_any();
  if (r == nullptr) return false;
  const int answer = r->arm(in_reactor_, guest_->descriptor());
  check_descriptor(answer);
  return answer == 0;
}

void guest_watch::arm_poll() noexcept {
  if (guest_->descriptor() < 0) return drop_poll();
  if (polling_) return;
  polling_ = true;
  if (arm_in_reactor()) return;
  poll_.answer = op_waiter::no_answer;
  submit_poll();
}

void guest_watch::drop_poll() noexcept {
  if (poll_.rec != nullptr) poll_.abandon();
  poll_.unlink();  // from the ready, or from those who wait for a record
  if (in_reactor_.fd >= 0) core_.driver.reactor_if_any()->disarm(in_reactor_);
  polling_ = false;
}

void guest_watch::arm_timer(std::chrono::nanoseconds after) noexcept {
  const std::uint64_t deadline =
      core_.driver.now_ns() +
      static_cast<std::uint64_t>(std::max(after.count(), decltype(after.count()){0}));
  timer_.emplace(wake_time{deadline, false});
  timer_->arm(core_, time_.handle());
}

bool guest_watch::maybe_turn(bool about_to_sleep, std::uint64_t& turns) noexcept {
  if (!called_ && !more_ && !about_to_sleep && ++busy_turns_ < patience) return false;
  called_ = false;
  busy_turns_ = 0;
  timer_.reset();
  ++turns;
  const guest_state state = guest_->turn();
  if (state == guest_state::ended) {
    ended_ = true;
    return false;
  }
  more_ = state == guest_state::more;
  arm_poll();
  if (const auto after = guest_->next_timeout()) {
    if (after->count() <= 0)
      more_ = true;
    else
      arm_timer(*after);
  }
  return more_;
}

}  // namespace detail

namespace exec {

void guests::remove(const detail::guest_watch& w) noexcept {
  const auto at = std::find(all_.begin(), all_.end(), &w);
  if (turning_)
    *at = nullptr;
  else
    all_.erase(at);
}

bool guests::turn_all(bool about_to_sleep) noexcept {
  bool more = false;
  turning_ = true;
  // By index: a turn may bring further guests, and end others.
  for (std::size_t i = 0; i < all_.size(); ++i) {
    detail::guest_watch* const w = all_[i];
    if (w == nullptr) continue;
    more |= w->maybe_turn(about_to_sleep, turns);
    if (w->ended()) {
      all_[i] = nullptr;
      w->leave();
    }
  }
  turning_ = false;
  std::erase(all_, nullptr);
  return more;
}

void guests::leave_all() noexcept {
  for (detail::guest_watch* w : all_) w->leave();
  all_.clear();
}

void core::park_on(guest& g) {
  PARKRING_CHECK(driver.ring.real(),
                 "a simulated world has no foreign loops: their descriptors are real ones");
  PARKRING_CHECK(!detail::guest_watch::watches(g), "this loop is the guest of a runtime already");
  PARKRING_CHECK(guests_.count() + 1 < options.max_operations,
                 "a guest needs a request of its own all the time: raise max_operations");
  auto w = std::make_unique<detail::guest_watch>(g, *this);
  guests_.add(*w);
  (void)w.release();  // the guest's
}

}  // namespace exec

void runtime::park_on(guest& g) {
  PARKRING_CHECK(home_.is_here(), "park on a guest on the thread of the runtime");
  core_->park_on(g);
}

guest::guest(guest&& other) noexcept
    : loop_(std::move(other.loop_)),
      watch_(std::exchange(other.watch_, nullptr)),
      turns_(other.turns_) {
  PARKRING_CHECK(!other.in_turn_, "a guest cannot be moved from inside its own turn");
  if (watch_ != nullptr) watch_->follow(*this);
}

guest::~guest() {
  PARKRING_CHECK(!in_turn_, "a guest cannot be destroyed from inside its own turn");
  if (watch_ == nullptr) return;
  exec::core& at = watch_->runs_on();
  PARKRING_CHECK(at.home_of.is_here(), "destroy a guest on the thread of its runtime");
  at.forget_guest(*watch_);
}

guest_state guest::turn() noexcept {
  PARKRING_CHECK(!in_turn_, "a guest is turned from inside its own turn");
  in_turn_ = true;
  ++turns_;
  const guest_state state = loop_->turn();
  in_turn_ = false;
  return state;
}

}  // namespace parkring
