// Values that a task has from its surroundings: a request's name for its log lines, say.
#pragma once

#include <coroutine>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/scope.hpp>
#include <parkring/detail/task_context.hpp>

namespace parkring {

template <class T>
class task_local;

namespace detail {

template <class T>
struct local_context final : task_context {
  T value;
  local_context(core_base& c, task_context& a, std::uint64_t k, T&& v)
      : task_context(c, nullptr), value(std::move(v)) {
    // Last, so that a move that throws has left nothing behind.
    key = k;
    attach(a);
  }
};

/// A key that no other variable has, nor had: values may outlive their variable.
[[nodiscard]] std::uint64_t new_local_key() noexcept;
/// The nearest value of `key` in the surroundings, or null.
[[nodiscard]] const task_context* find_local(std::uint64_t key) noexcept;

template <class T, class A>
class [[nodiscard("co_await it")]] local_operation {
 public:
  local_operation(std::uint64_t key, T && value, A && a)
      : key_(key), value_(std::move(value)), inner_(std::move(a)) {}
  auto operator co_await()&& {
    using R = await_result_t<A>;
    task_context& above = own_context(running_task());
    context_ref scope(*new local_context<T>(running_core(), above, key_, std::move(value_)));
    task_cell& cell = start_in<R, A>(*scope, std::move(inner_));
    return scope_awaiter<R>(std::move(scope), cell);
  }

 private:
  std::uint64_t key_;
  T value_;
  A inner_;
};

}  // namespace detail

/// A value that is set for what an awaitable does, and for all that it spawns.
///
/// Usually a global: `const pr::task_local<std::string> request;`. It has no value of its own, and
/// may be used by all threads. *Owns* nothing: the values belong to the tasks that run with them.
template <class T>
class task_local {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a task-local value is an object");

 public:
  task_local() noexcept = default;
  task_local(const task_local&) = delete;
  task_local& operator=(const task_local&) = delete;

  /// Awaits `a` with this value set to `value`.
  ///
  /// *Completes when* `a` does. *Owns* `a`, as a task of its own, and the value until the last task
  /// that was spawned in it has ended. *Thread*: inside a task. *Drop*: drops `a`. *Errors*: what
  /// `a` throws.
  template <detail::awaitable A>
  requires(!std::is_lvalue_reference_v<A>)
      [[nodiscard("co_await it")]] auto with(T value, A&& a) const {
    return detail::local_operation<T, A>(key_, std::move(value), std::move(a));
  }

  /// The value that is set for the running task, or null; null where no task runs. Destructors in
  /// a task that was aborted see that task's. It stays as long as the task lives.
  ///
  /// *Thread*: any.
  [[nodiscard]] const T* get() const noexcept {
    const detail::task_context* c = detail::find_local(key_);
    return c == nullptr ? nullptr : &static_cast<const detail::local_context<T>&>(*c).value;
  }

 private:
  const std::uint64_t key_ = detail::new_local_key();
};

}  // namespace parkring
