#include "park/waker.hpp"

#include <poll.h>

#include <new>
#include <system_error>
#include <utility>

#include "kernel/abi.hpp"
#include "ring/reader_thread.hpp"

namespace parkring::park {

using detail::after_completion;
using detail::op_waiter;
using detail::record;
namespace abi = kernel::abi;

const detail::record_type waker::watch_type = {
    .name = "wake",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          e.opcode = abi::op_poll_add;
          e.fd = r.as<waker*>()->event_.get();
          e.poll32_events = POLLIN;
          e.len = abi::poll_add_multi;
        },
    .complete =
        [](record& r, op_waiter*, std::int32_t res, std::uint32_t, bool more) noexcept {
          waker& self = *r.as<waker*>();
          if (res > 0) self.ops_.ring().served_by().clear_event(self.event_.get());
          if (more) return after_completion::finish;
          if (!self.stopping_) return after_completion::resubmit;
          self.watch_ = nullptr;
          return after_completion::finish;
        },
    .destroy = nullptr,
    .cancel_when_dropped = nullptr,
};

waker::waker(op::operations& ops) : ops_(ops), watch_(ops.acquire(watch_type)) {
  const int event = ops.ring().served_by().make_event();
  if (event < 0)
    throw std::system_error(-event, std::generic_category(),
                            "eventfd: needed to wake the runtime from other threads; raise the "
                            "descriptor limit (ulimit -n) if it is reached");
  event_.reset(event);
  if (watch_ == nullptr) throw std::bad_alloc();
  watch_->emplace<waker*>(this);
}

void waker::unpark() noexcept {
  if (!state_.unpark()) return;
  wakes.fetch_add(1, std::memory_order_relaxed);
  if (through_ != nullptr) return through_->notify();
  ops_.ring().served_by().signal_event(event_.get());
}

void waker::arm() noexcept {
  armed_ = true;
  ops_.submit(*watch_, nullptr);
}

int waker::share_with_host() noexcept {
  const int fd = ops_.ring().watch_descriptor(event_.get());
  if (fd == event_.get()) armed_ = true;
  return fd;
}

void waker::stop() noexcept {
  stopping_ = true;
  if (watch_ == nullptr) return;
  if (watch_->state == detail::record_state::in_flight) return ops_.cancel(*watch_);
  // Not with the kernel: either never armed, or waiting to be armed again.
  watch_->unlink();
  ops_.release_unused(*std::exchange(watch_, nullptr));
}

}  // namespace parkring::park
