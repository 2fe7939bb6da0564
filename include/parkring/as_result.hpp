// Errors as values instead of exceptions.
#pragma once

#include <coroutine>
#include <exception>
#include <expected>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/error.hpp>
#include <parkring/task.hpp>

namespace parkring {
namespace detail {

template <class A>
concept has_await_outcome = requires(A& a) {
  a.await_outcome();
};

template <class Awaiter>
struct outcome_awaiter {
  Awaiter inner;
  bool await_ready() { return inner.await_ready(); }
  auto await_suspend(std::coroutine_handle<> h) { return inner.await_suspend(h); }
  auto await_resume() { return inner.await_outcome(); }
};

template <class Operation>
class [[nodiscard("co_await it")]] result_operation {
 public:
  explicit result_operation(Operation && o) : operation_(std::move(o)) {}
  auto operator co_await()&& {
    using awaiter = decltype(std::move(operation_).operator co_await());
    return outcome_awaiter<awaiter>{std::move(operation_).operator co_await()};
  }

 private:
  Operation operation_;
};

template <class T>
task<result<T>> result_of_task(task<T> t) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(t);
      co_return result<void>();
    } else {
      co_return result<T>(co_await std::move(t));
    }
  } catch (const io_error& e) {
    co_return std::unexpected(e.error());
  }
}

}  // namespace detail

/// Gives `std::expected<T, error>` where awaiting `operation` itself would throw `io_error`.
///
/// *Completes when* the operation does. *Owns* the operation. *Thread*: as the operation. *Drop*:
/// as the operation. *Errors*: none are thrown; programmer's errors, such as `buffer_locked`, are
/// thrown where the operation is made.
template <class Operation>
requires(detail::has_member_co_await<Operation> && !std::is_lvalue_reference_v<Operation>)
    [[nodiscard("co_await it")]] auto as_result(Operation&& operation) {
  return detail::result_operation<Operation>(std::move(operation));
}

/// As above for a task: an `io_error` it throws becomes a value, other exceptions pass.
///
/// *Completes when* the task does. *Owns* the task. *Thread*: inside a task. *Drop*: destroys it.
/// *Errors*: exceptions other than `io_error`.
template <class T>
[[nodiscard("co_await it")]] task<result<T>> as_result(task<T>&& t) {
  return detail::result_of_task<T>(std::move(t));
}

}  // namespace parkring
