// Deadlines that are passed down: to everything awaited, and to everything spawned, in a scope.
#pragma once

#include <chrono>
#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/deadline_context.hpp>
#include <parkring/detail/scope.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

namespace parkring {

namespace this_task {

/// The nearest deadline that was set for the running task, if any; none where no task runs.
/// Destructors in a task that was aborted see that task's. *Thread*: any.
[[nodiscard]] std::optional<std::chrono::steady_clock::time_point> deadline() noexcept;

}  // namespace this_task

namespace detail {

template <class T>
class deadline_awaiter : public scope_awaiter<T> {
 public:
  using scope_awaiter<T>::scope_awaiter;
  timeout_result<T> await_resume() {
    if (this->aborted() && this->context_->expired) return {};
    if constexpr (std::is_void_v<T>) {
      scope_awaiter<T>::await_resume();
      return true;
    } else {
      return timeout_result<T>(scope_awaiter<T>::await_resume());
    }
  }
};

template <class A>
class [[nodiscard("co_await it")]] deadline_operation {
 public:
  deadline_operation(steady_time t, A && a) : time_(t), inner_(std::move(a)) {}
  auto operator co_await()&& {
    using T = await_result_t<A>;
    context_ref scope = new_deadline(time_);
    task_cell& cell = start_in<T, A>(*scope, std::move(inner_));
    return deadline_awaiter<T>(std::move(scope), cell);
  }

 private:
  steady_time time_;
  A inner_;
};

}  // namespace detail

/// Awaits `a` until `t`, or an earlier deadline that was inherited: an empty optional (`false` for
/// void) when time is up. Tasks that `a` spawns have the same deadline, whoever holds their
/// handles: what is left of them at that time is aborted, also when `a` has ended long before.
///
/// *Completes when* `a` does or the time has come; then `a` is dropped before the await returns.
/// *Owns* `a`, as a task of its own. *Thread*: inside a task. *Drop*: drops `a`; the deadline of
/// what it has spawned stays. *Errors*: what `a` throws.
template <detail::awaitable A>
requires(!std::is_lvalue_reference_v<A>)
    [[nodiscard("co_await it")]] auto with_deadline(std::chrono::steady_clock::time_point t,
                                                    A&& a) {
  return detail::deadline_operation<A>(t, std::move(a));
}

/// Awaits `a`, and bounds what it spawns, until `d` from now. As `with_deadline`.
///
/// *Completes when* `a` does or the time is up. *Owns* `a`. *Thread*: inside a task. *Drop*: drops
/// `a`. *Errors*: what `a` throws.
template <class Rep, class Period, detail::awaitable A>
requires(!std::is_lvalue_reference_v<A>)
    [[nodiscard("co_await it")]] auto with_timeout(std::chrono::duration<Rep, Period> d, A&& a) {
  return detail::deadline_operation<A>(detail::time_in(d), std::move(a));
}

}  // namespace parkring
