// What is mostly there at once, and else takes a task: an awaiter that tries first, so that the
// rule costs no frame.
//
//   tried    `try_now` has done it. Out of budget the coroutine waits for its turn, as a waiter
//   slow     the task that `slowly` made is awaited in place; `slow_` lives from then on
#pragma once

#include <coroutine>
#include <expected>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/detail/waiter.hpp>
#include <parkring/error.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {

using task_awaiter = decltype(std::declval<parkring::task<>>().operator co_await());

/// `Try` has
///   bool try_now()      true when it is done
///   task<> slowly()     does it, where it could not be done at once
///   auto value()        what the await gives; may throw
template <class Try>
class quick_awaiter : waiter {
  using slow_awaiter = task_awaiter;

 public:
  explicit quick_awaiter(Try t) noexcept : try_(std::move(t)) {}
  quick_awaiter(const quick_awaiter&) = delete;
  quick_awaiter& operator=(const quick_awaiter&) = delete;
  ~quick_awaiter() {
    if (waits_) slow_.~slow_awaiter();
  }
  bool await_ready() {
    done_ = try_.try_now();
    return done_ && running_core().spend_budget();
  }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) {
    if (done_) {
      running_core().make_ready(*this, h);
      return std::noop_coroutine();
    }
    ::new (static_cast<void*>(std::addressof(slow_)))
        slow_awaiter(try_.slowly().operator co_await());
    waits_ = true;
    return slow_.await_suspend(h);
  }
  auto await_resume() {
    if (waits_) slow_.await_resume();
    return try_.value();
  }
  /// As a value, for `as_result`.
  result<decltype(std::declval<Try&>().value())> await_outcome() {
    try {
      if constexpr (std::is_void_v<decltype(try_.value())>) {
        await_resume();
        return {};
      } else {
        return await_resume();
      }
    } catch (const io_error& e) {
      return std::unexpected(e.error());
    }
  }

 private:
  Try try_;
  bool done_ = false;
  bool waits_ = false;  // `slow_` lives
  union {
    slow_awaiter slow_;
  };
};

template <class Try>
class [[nodiscard("co_await it")]] quick_operation {
 public:
  explicit quick_operation(Try t) noexcept : try_(std::move(t)) {}
  auto operator co_await()&& { return quick_awaiter<Try>(std::move(try_)); }

 private:
  Try try_;
};

}  // namespace parkring::detail
