// Asking tasks to stop, for those that want to finish cleanly. Dropping them is the other way.
#pragma once

#include <chrono>
#include <coroutine>
#include <memory>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/detail/scope.hpp>
#include <parkring/detail/task_context.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

namespace parkring {

namespace this_task {

/// The token by which the running task learns that it, or a task that it descends from, was asked
/// to stop: by `join_handle::request_stop`, `task_group::request_stop` or `with_stop_token`.
///
/// The token may go to any thread. Callbacks on it run on the task's thread, inside the request.
/// *Thread*: inside a task. *Errors*: `std::bad_alloc`.
[[nodiscard]] std::stop_token stop_token();

/// Whether the running task was asked to stop; false where no task runs. Destructors in a task that
/// was aborted see that task's. *Thread*: any. *Errors*: `std::bad_alloc`.
[[nodiscard]] bool stop_requested();

}  // namespace this_task

namespace detail {

class stopped_awaiter : stop_waiter {
 public:
  stopped_awaiter() = default;
  stopped_awaiter(const stopped_awaiter&) = delete;
  stopped_awaiter& operator=(const stopped_awaiter&) = delete;
  bool await_ready() {
    context_ = context_ref(own_context(running_task()));
    woken = context_->stop_requested;
    return woken && running_core().spend_budget();
  }
  void await_suspend(std::coroutine_handle<> h) noexcept {
    if (woken) return running_core().make_ready(*this, h);  // out of budget: its turn comes again
    frame = h.address();
    task = running_core().current;
    context_->waiting.push_back(*this);
  }
  [[nodiscard]] bool await_done() const noexcept { return woken; }
  void await_resume() const noexcept {}

 private:
  context_ref context_;
};

class [[nodiscard("co_await it")]] stopped_operation {
 public:
  stopped_operation() noexcept = default;
  stopped_awaiter operator co_await()&& { return stopped_awaiter(); }
};

class stoppable_sleep_awaiter {
 public:
  explicit stoppable_sleep_awaiter(wake_time t) : inner_(stopped_operation(), t) {}
  bool await_ready() { return inner_.await_ready(); }
  void await_suspend(std::coroutine_handle<> h) { inner_.await_suspend(h); }
  bool await_resume() { return !inner_.await_resume(); }

 private:
  direct_timeout_awaiter<stopped_awaiter, void> inner_;
};

class [[nodiscard("co_await it")]] stoppable_sleep {
 public:
  explicit stoppable_sleep(wake_time t) noexcept : time_(t) {}
  stoppable_sleep_awaiter operator co_await()&& { return stoppable_sleep_awaiter(time_); }

 private:
  wake_time time_;
};

/// A scope that an outside token stops.
class outer_stop;
struct outer_stop_end {
  void operator()(outer_stop* s) const noexcept;
};
using outer_stop_owner = std::unique_ptr<outer_stop, outer_stop_end>;
/// Makes `scope` listen to `token`.
[[nodiscard]] outer_stop_owner listen(task_context& scope, std::stop_token token);

template <class T>
class stop_scope_awaiter : public scope_awaiter<T> {
 public:
  stop_scope_awaiter(context_ref context, task_cell& cell, outer_stop_owner outer) noexcept
      : scope_awaiter<T>(std::move(context), cell), outer_(std::move(outer)) {}

 private:
  outer_stop_owner outer_;
};

template <class A>
class [[nodiscard("co_await it")]] stop_scope_operation {
 public:
  stop_scope_operation(std::stop_token token, A && a)
      : token_(std::move(token)), inner_(std::move(a)) {}
  auto operator co_await()&& {
    using T = await_result_t<A>;
    context_ref scope = new_scope();
    outer_stop_owner outer = listen(*scope, std::move(token_));
    task_cell& cell = start_in<T, A>(*scope, std::move(inner_));
    return stop_scope_awaiter<T>(std::move(scope), cell, std::move(outer));
  }

 private:
  std::stop_token token_;
  A inner_;
};

}  // namespace detail

/// Waits until the running task is asked to stop; see `this_task::stop_token`.
///
/// *Completes when* it is, or was before. *Owns* nothing. *Thread*: inside a task. *Drop*: at once.
/// *Errors*: `std::bad_alloc`.
[[nodiscard("co_await it")]] inline auto stopped() { return detail::stopped_operation(); }

/// Says that a sleep ends when its task is asked to stop.
struct stoppable_t {};
inline constexpr stoppable_t stoppable;

/// Sleeps as `sleep_for`, but no longer than until the task is asked to stop; true when it slept
/// to the end: `const bool slept = co_await pr::sleep_for(1s, pr::stoppable);`
///
/// *Completes when* the time has passed or the task was asked to stop. *Owns* a timer. *Thread*:
/// inside a task. *Drop*: at once. *Errors*: `std::bad_alloc`.
template <class Rep, class Period>
[[nodiscard("co_await it")]] auto sleep_for(std::chrono::duration<Rep, Period> d, stoppable_t) {
  return detail::stoppable_sleep(detail::wake_after(d));
}
/// As above, until the clock reads `t`.
[[nodiscard("co_await it")]] inline auto sleep_until(std::chrono::steady_clock::time_point t,
                                                     stoppable_t) {
  return detail::stoppable_sleep(detail::wake_at(t));
}

/// Awaits `a`; what runs in it, and what that spawns, is asked to stop when `token` is: the way to
/// ask from any thread, by a `std::stop_source`.
///
/// *Completes when* `a` does. *Owns* `a`, as a task of its own. *Thread*: inside a task; the stop
/// may be requested on any. *Drop*: drops `a`. *Errors*: what `a` throws.
template <detail::awaitable A>
requires(!std::is_lvalue_reference_v<A>)
    [[nodiscard("co_await it")]] auto with_stop_token(std::stop_token token, A&& a) {
  return detail::stop_scope_operation<A>(std::move(token), std::move(a));
}

}  // namespace parkring
