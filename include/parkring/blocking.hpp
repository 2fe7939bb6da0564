// Calls that block, on threads that may.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <parkring/detail/blocking_job.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/detail/outcome.hpp>

namespace parkring {
namespace detail {

template <class T, class Fn>
struct blocking_job_of final : blocking_job {
  Fn fn;
  outcome<T> result;
  explicit blocking_job_of(Fn f) : fn(std::move(f)) {}
  void execute() noexcept override {
    try {
      if constexpr (std::is_void_v<T>) {
        fn();
        result.set_value();
      } else {
        result.set_value(fn());
      }
    } catch (...) {
      result.set_error(std::current_exception());
    }
  }
};

template <class T, class Fn>
class blocking_awaiter : waiter {
 public:
  explicit blocking_awaiter(Fn fn)
      : job_(std::make_shared<blocking_job_of<T, Fn>>(std::move(fn))) {}
  blocking_awaiter(const blocking_awaiter&) = delete;
  blocking_awaiter& operator=(const blocking_awaiter&) = delete;
  ~blocking_awaiter() { job_->wait = nullptr; }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    auto& core = running_core();
    frame = h.address();
    task = core.current;
    job_->wait = this;
    job_->home_of = core.home_of;
    submit_blocking(core, job_);
    note_.begin(core.notes, *this, "blocking call");
  }
  T await_resume() { return job_->result.take(); }

 private:
  std::shared_ptr<blocking_job_of<T, Fn>> job_;
  wait_note note_;
};

template <class Fn>
class [[nodiscard("co_await it")]] blocking_operation {
 public:
  explicit blocking_operation(Fn fn) : fn_(std::move(fn)) {}
  auto operator co_await()&& {
    return blocking_awaiter<std::invoke_result_t<Fn&>, Fn>(std::move(fn_));
  }

 private:
  Fn fn_;
};

}  // namespace detail

/// Runs `fn()` on a pool of threads and gives its value: for calls that block.
///
/// *Completes when* `fn` has returned or thrown. *Owns* `fn` and its result. *Thread*: awaited
/// inside a task; `fn` runs on a thread of the pool, at most `runtime_options::blocking_threads`
/// at once. *Drop*: at once; `fn` is not run if it had not begun, else it runs to its end and its
/// result is destroyed on the runtime's thread, or on the pool's if the runtime is gone. In a
/// simulated world there are no threads: `fn` runs on the runtime's own, between two turns.
/// *Errors*: what `fn` throws; `std::system_error` when no thread can be started.
///
/// GCC 12 destroys a lambda twice that is written inside the awaiting expression and captures by
/// value what has a destructor: name it first, `auto fn = [p] {...}; co_await blocking(fn);`.
template <std::invocable Fn>
[[nodiscard("co_await it")]] auto blocking(Fn fn) {
  return detail::blocking_operation<Fn>(std::move(fn));
}

}  // namespace parkring
