#include <parkring/deadline.hpp>

#include <utility>

#include <parkring/detail/plain_frame.hpp>
#include <parkring/detail/timer.hpp>

#include "exec/core.hpp"

namespace parkring {
namespace detail {
namespace {

struct deadline_context final : task_context, plain_frame {
  timed_waiter timer;

  deadline_context(core_base& c, task_context& a, std::uint64_t ns) noexcept
      : task_context(c, &a),
        plain_frame(&fire, [](void*) {}),
        timer({ns < a.deadline_ns ? ns : a.deadline_ns, false}) {
    deadline_ns = ns < a.deadline_ns ? ns : a.deadline_ns;
    // It fires on behalf of no task: the one that runs now may be gone by then.
    task_cell* const running = std::exchange(core.current, nullptr);
    timer.arm(core, handle());
    core.current = running;
  }

  static void fire(void* frame) {
    auto& self = static_cast<deadline_context&>(plain_frame::at(frame));
    const context_ref keep(self);
    self.expired = true;
    if (self.of != nullptr) abort(*self.of);  // nothing runs now, so it is gone then
    if (self.references == (self.awaited ? 2u : 1u)) return;
    // Others are left. Marked only, since the end of one may end others: they are destroyed when
    // this function is left.
    self.core.tasks.for_each([&](task_cell& cell) {
      if (cell.context != nullptr && cell.context->is_within(self, true))
        abort_later(self.core, cell);
    });
  }
};

}  // namespace

context_ref new_deadline(steady_time t) {
  task_context& above = own_context(running_task());
  return context_ref(*new deadline_context(running_core(), above, to_ns(t)));
}

}  // namespace detail

std::optional<std::chrono::steady_clock::time_point> this_task::deadline() noexcept {
  const detail::task_context* c = detail::surroundings();
  if (c == nullptr || c->deadline_ns == detail::task_context::no_deadline) return std::nullopt;
  return detail::steady_time(std::chrono::nanoseconds(c->deadline_ns));
}

}  // namespace parkring
