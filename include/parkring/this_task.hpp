// What a task may ask for itself.
#pragma once

#include <coroutine>

#include <parkring/detail/core.hpp>

namespace parkring {
namespace detail {

class yield_awaiter : waiter {
 public:
  yield_awaiter() noexcept {}  // else `{}` would fill it with zeros first
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) noexcept { running_core().make_ready(*this, h); }
  [[nodiscard]] bool await_done() const noexcept { return !linked(); }
  void await_resume() const noexcept {}
};

class [[nodiscard("co_await it")]] yield_operation {
 public:
  yield_operation() noexcept = default;
  yield_awaiter operator co_await()&& noexcept { return {}; }
};

}  // namespace detail

/// Lets the other ready tasks run first.
///
/// *Completes when* its turn comes again. *Owns* nothing. *Thread*: inside a task. *Drop*: at once.
/// *Errors*: none.
[[nodiscard("co_await it")]] inline auto yield() noexcept { return detail::yield_operation{}; }

}  // namespace parkring
