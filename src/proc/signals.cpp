#include <parkring/proc/signals.hpp>

#include <poll.h>

#include <cerrno>
#include <utility>

#include "kernel/abi.hpp"
#include "proc/signal_queue.hpp"

namespace parkring {

using detail::signal_queue;
using detail::signal_waiter;
using proc::bit_of;
using proc::last_signal;
using proc::signal_table;

namespace detail {

signal_queue::signal_queue(proc::signal_set s) noexcept : wanted(s) {
  for (int n = 1; n <= last_signal; ++n)
    seen[static_cast<std::size_t>(n)] = signal_table::look(n).count;
}

received_signal signal_queue::take() noexcept {
  received_signal first;
  std::uint64_t first_order = 0;
  for (int n = 1; n <= last_signal; ++n) {
    if ((wanted & bit_of(n)) == 0) continue;
    const proc::arrivals a = signal_table::look(n);
    const std::uint32_t fresh = a.count - seen[static_cast<std::size_t>(n)];
    if (fresh == 0) continue;
    const std::uint64_t order = signal_table::order_of(n);
    if (first.number != 0 && order > first_order) continue;
    first = {n, fresh, a.sender};
    first_order = order;
  }
  if (first.number != 0) seen[static_cast<std::size_t>(first.number)] += first.count;
  return first;
}

void signal_waiter::leave() noexcept {
  const std::shared_ptr<signal_queue> q = std::exchange(queue, nullptr);
  const bool waited = linked() && given.number == 0;
  unlink();
  if (given.number != 0) {
    q->give_back(given);
    if (q->watch != nullptr) q->watch->serve(*q);
  } else if (waited && q->waiting.empty() && q->watch != nullptr) {
    q->watch->remove(*q);
  }
}

bool signal_request::ready(op_waiter& w) noexcept {
  auto& mine = static_cast<signal_waiter&>(w);
  if (!exec::this_core().driver.ring.real()) {
    mine.answer = -ENOTSUP;
    return true;
  }
  if (!queue->waiting.empty()) return false;  // others came first
  mine.given = queue->take();
  if (mine.given.number == 0) return false;
  mine.queue = queue;
  mine.answer = 0;
  return true;
}

void signal_request::start(op_waiter& w) noexcept {
  auto& core = exec::this_core();
  auto& watch = core.service_of<proc::signal_watch>();
  pin_running_task(core);
  PARKRING_CHECK(
      queue->watch == nullptr || queue->watch == &watch,
      "tasks of another runtime wait for this signals object; make one for each runtime");
  if (!watch.add(*queue)) return core.ops.starve(w);
  auto& mine = static_cast<signal_waiter&>(w);
  mine.queue = queue;
  queue->waiting.push_back(mine);
  watch.serve(*queue);  // what came while it had no record
}

error signal_request::failure(int number) const {
  return {number, "signals::next", "",
          number == ENOTSUP ? "a simulated machine has no signals: let the test make true what the "
                              "program waits for, such as an event"
                            : ""};
}

}  // namespace detail

namespace proc {

const detail::record_type signal_watch::type = {
    .name = "signals",
    .prepare =
        [](detail::record& r, kernel::abi::sqe& e) noexcept {
          (void)r;
          e.opcode = kernel::abi::op_poll_add;
          e.fd = signal_table::event();
          e.poll32_events = POLLIN;
          e.len = kernel::abi::poll_add_multi;
        },
    .complete =
        [](detail::record& r, detail::op_waiter*, std::int32_t res, std::uint32_t,
           bool more) noexcept {
          signal_watch* self = r.as<signal_watch*>();
          if (self == nullptr) return detail::after_completion::finish;
          if (!more) self->record_ = nullptr;  // so that nobody cancels what has ended
          if (res < 0)
            self->fail(res);
          else
            self->queues_.for_each([self](signal_queue& q) { self->serve(q); });
          if (more || self->queues_.empty() || r.cancel_wanted != detail::cancel_wish::none)
            return detail::after_completion::finish;
          self->record_ = &r;
          return detail::after_completion::resubmit;
        },
    .destroy =
        [](detail::record& r) noexcept {
          signal_watch* self = r.as<signal_watch*>();
          if (self != nullptr && self->record_ == &r) self->record_ = nullptr;
        },
};

signal_watch::~signal_watch() {
  queues_.for_each([](signal_queue& q) { q.watch = nullptr; });
}

bool signal_watch::add(signal_queue& q) noexcept {
  if (record_ == nullptr) {
    record_ = core_.ops.acquire(type);
    if (record_ == nullptr) return false;
    record_->emplace<signal_watch*>(this);
    core_.ops.submit(*record_, nullptr);
  }
  if (!q.linked()) queues_.push_back(q);
  q.watch = this;
  return true;
}

void signal_watch::remove(signal_queue& q) noexcept {
  q.unlink();
  q.watch = nullptr;
  if (!queues_.empty() || record_ == nullptr) return;
  detail::record& unwanted = *std::exchange(record_, nullptr);
  unwanted.as<signal_watch*>() = nullptr;
  if (unwanted.state == detail::record_state::in_flight)
    core_.ops.cancel(unwanted);
  else
    core_.ops.abandon(unwanted);  // the kernel has not seen it: it ends here
}

void signal_watch::serve(signal_queue& q) noexcept {
  while (auto* w = static_cast<signal_waiter*>(q.waiting.front())) {
    w->given = q.take();
    if (w->given.number == 0) return;
    q.waiting.pop_front();
    w->answer = 0;
    core_.ready.push_back(*w);
  }
  remove(q);
}

void signal_watch::fail(int answer) noexcept {
  if (answer == -EINTR || answer == -ECANCELED) return;
  queues_.for_each([&](signal_queue& q) {
    while (auto* w = q.waiting.pop_front()) {
      static_cast<signal_waiter*>(w)->answer = answer;
      core_.ready.push_back(*w);
    }
    remove(q);
  });
}

}  // namespace proc

signals::signals(std::initializer_list<int> numbers) {
  proc::signal_set wanted = 0;
  for (const int n : numbers) {
    if (n < 1 || n > last_signal)
      throw io_error({EINVAL, "signals", std::to_string(n), "signals are numbered from 1 to 64"});
    wanted |= bit_of(n);
  }
  // The counts before the handlers: what arrives from then on is new.
  auto queue = std::make_shared<signal_queue>(wanted);
  signal_table::subscribe(wanted);
  queue_ = std::move(queue);
}

signals::~signals() {
  if (queue_ != nullptr) signal_table::unsubscribe(std::exchange(queue_->wanted, 0));
}

std::optional<received_signal> signals::try_next() noexcept {
  PARKRING_CHECK(queue_ != nullptr, "this object was moved from; ask the one it moved to");
  if (!queue_->waiting.empty()) return std::nullopt;  // others came first
  const received_signal s = queue_->take();
  return s.number == 0 ? std::nullopt : std::optional(s);
}

}  // namespace parkring
