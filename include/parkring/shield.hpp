// What must go on although nobody waits for it any more.
#pragma once

#include <coroutine>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/scope.hpp>
#include <parkring/spawn.hpp>

namespace parkring {
namespace detail {

/// A context without the deadlines above it.
[[nodiscard]] context_ref new_shield();

template <class T>
class shield_awaiter : public scope_awaiter<T> {
 public:
  shield_awaiter(context_ref context, task_cell& cell) noexcept
      : scope_awaiter<T>(std::move(context), cell), cell_(cell) {}
  ~shield_awaiter() {
    // It ended while it was awaited, so nobody was told.
    if (cell_.failed && !taken_) report_failure(cell_);
    this->detach();
  }
  T await_resume() {
    taken_ = true;
    return scope_awaiter<T>::await_resume();
  }

 private:
  task_cell& cell_;
  bool taken_ = false;
};

template <class A>
class [[nodiscard("co_await it")]] shield_operation {
 public:
  explicit shield_operation(A && a) : inner_(std::move(a)) {}
  auto operator co_await()&& {
    using T = await_result_t<A>;
    context_ref scope = new_shield();
    task_cell& cell = start_in<T, A>(*scope, std::move(inner_));
    return shield_awaiter<T>(std::move(scope), cell);
  }

 private:
  A inner_;
};

}  // namespace detail

/// Awaits `a`, which goes on in the background when the await is dropped: a commit, say, under a
/// `timeout`. Its value is then destroyed, so a file is closed and a buffer goes back to its pool;
/// what it throws is reported as that of a detached task.
///
/// Deadlines around it do not reach it; stop requests do, for those that look.
///
/// *Completes when* `a` does. *Owns* `a`, as a task of its own. *Thread*: inside a task. *Drop*:
/// `a` goes on, until the runtime ends; dropped before it was awaited, it never begins. *Errors*:
/// what `a` throws.
template <detail::awaitable A>
requires(!std::is_lvalue_reference_v<A>) [[nodiscard("co_await it")]] auto shield(A&& a) {
  return detail::shield_operation<A>(std::move(a));
}

}  // namespace parkring
