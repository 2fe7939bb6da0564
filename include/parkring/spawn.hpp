// Tasks that run beside the one that started them: `spawn` gives a `join_handle`.
#pragma once

#include <coroutine>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/detail/root.hpp>
#include <parkring/detail/task_cell.hpp>
#include <parkring/task.hpp>

namespace parkring {

/// What joining an aborted task throws.
class task_aborted : public std::runtime_error {
 public:
  task_aborted() : std::runtime_error("the task was aborted before it had a result") {}
};

template <class T>
class join_handle;

namespace detail {

template <class X>
inline constexpr bool is_reference_wrapper = false;
template <class X>
inline constexpr bool is_reference_wrapper<std::reference_wrapper<X>> = true;

/// Waits for a task's end. Lives in the joiner's frame.
template <class T>
class join_awaiter : waiter {
 public:
  explicit join_awaiter(task_cell& cell) noexcept : cell_(cell) { ++cell_.references; }
  join_awaiter(const join_awaiter&) = delete;
  join_awaiter& operator=(const join_awaiter&) = delete;
  ~join_awaiter() {
    if (cell_.joiner == this) cell_.joiner = nullptr;
    release(cell_);
  }
  bool await_ready() const noexcept {
    return cell_.state != task_state::live && running_core().spend_budget();
  }
  void await_suspend(std::coroutine_handle<> h) noexcept {
    auto& core = running_core();
    if (cell_.state != task_state::live) return core.make_ready(*this, h);
    PARKRING_CHECK(cell_.joiner == nullptr, "a task is joined by one waiter at a time");
    frame = h.address();
    task = core.current;
    cell_.joiner = this;
  }
  T await_resume() {
    if (cell_.state == task_state::aborted) throw task_aborted();
    return static_cast<task_cell_of<T>&>(cell_).result.take();
  }
  [[nodiscard]] bool aborted() const noexcept { return cell_.state == task_state::aborted; }

 private:
  task_cell& cell_;
};

}  // namespace detail

/// The owner of a spawned task: await it for its result, or abort, detach or drop it.
///
/// *Owns* the task; its destructor aborts it. *Thread*: awaited on the task's runtime; may be
/// moved to and destroyed on any thread, also after the runtime's end. *Drop*: aborts the task.
template <class T>
class [[nodiscard(
    "dropping the handle aborts the task; keep it, await it or detach() it")]] join_handle {
 public:
  using value_type = T;
  using bound_to_thread = void;

  join_handle(join_handle && other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  join_handle& operator=(join_handle&& other) noexcept {
    if (this != &other) {
      drop(false);
      cell_ = std::exchange(other.cell_, nullptr);
    }
    return *this;
  }
  ~join_handle() { drop(false); }

  /// Waits for the task and gives its value: `co_await h` or `co_await std::move(h)`.
  ///
  /// *Completes when* the task has ended. *Owns* nothing: the handle keeps the task.
  /// *Thread*: on the task's runtime. *Drop*: stops waiting; the task goes on.
  /// *Errors*: what the task threw; `task_aborted` if it was aborted.
  auto operator co_await()& { return join(); }
  auto operator co_await()&& { return join(); }

  /// Destroys the task, wherever it waits; when it returns nothing of the task is left. Aborting
  /// the running task itself, or one it descends from, takes effect when it next suspends.
  void abort() noexcept {
    if (cell_ == nullptr) return;
    if (cell_->home_of.is_here())
      detail::abort(*cell_);
    else
      drop(false);
  }

  /// Asks the task, and all that it has spawned, to stop; see `this_task::stop_token`. It goes on
  /// until it looks. A task that has ended is not asked, nor is what it has spawned, which may
  /// live on. Any thread that has the handle may; `std::bad_alloc` on another than its own.
  void request_stop() {
    if (cell_ == nullptr) return;
    if (cell_->home_of.is_here())
      detail::request_stop(*cell_);
    else
      detail::request_stop_elsewhere(*cell_);
  }

  /// Lets the task run on by itself, until it ends or the runtime does.
  void detach() noexcept { drop(true); }

  /// True once the task has ended or was aborted. On the task's runtime.
  [[nodiscard]] bool done() const noexcept {
    return cell_ == nullptr || cell_->state != detail::task_state::live;
  }

 private:
  template <class U>
  friend join_handle<U> make_handle(detail::task_cell & cell) noexcept;
  explicit join_handle(detail::task_cell & cell) noexcept : cell_(&cell) {}

  detail::join_awaiter<T> join() {
    PARKRING_CHECK(cell_ != nullptr, "this handle was moved from, detached or awaited elsewhere");
    PARKRING_CHECK(cell_->home_of.is_here(), "join a task on the runtime that runs it");
    return detail::join_awaiter<T>(*cell_);
  }
  void drop(bool detach) noexcept {
    if (cell_ == nullptr) return;
    detail::task_cell& cell = *std::exchange(cell_, nullptr);
    if (cell.home_of.is_here() && (detach || cell.state != detail::task_state::live) &&
        cell.stop_elsewhere == 0) {
      cell.detached = true;
      detail::release(cell);
    } else {
      detail::drop_handle(cell, detach);
    }
  }

  detail::task_cell* cell_;
};

template <class T>
join_handle<T> make_handle(detail::task_cell& cell) noexcept {
  return join_handle<T>(cell);
}

namespace detail {

template <class Fn, class... Args>
using spawn_result_t = await_result_t<std::invoke_result_t<Fn, Args...>>;

template <class Fn, class... Args>
constexpr void check_spawn_arguments() {
  static_assert(!is_reference_wrapper<Fn>,
                "spawn keeps its callable: pass the lambda or function itself, not std::ref of it, "
                "which would dangle when its owner goes");
  static_assert(std::is_invocable_v<Fn, Args...>,
                "spawn copies its arguments into the task, so the callable must take them as "
                "values; to share an object by reference, say so with std::ref(object)");
}

template <class Fn, class... Args>
task_cell& spawn_on(core_base& core, spawn_site where, Fn&& fn, Args&&... args) {
  check_spawn_arguments<std::decay_t<Fn>, std::decay_t<Args>...>();
  using T = spawn_result_t<std::decay_t<Fn>, std::decay_t<Args>...>;
  return start_call<T, kept_call<std::decay_t<Fn>, std::decay_t<Args>...>>(
      core, where, std::forward<Fn>(fn), std::forward<Args>(args)...);
}

template <class A>
task_cell& spawn_awaitable_on(core_base& core, spawn_site where, A&& a) {
  using T = await_result_t<std::decay_t<A>>;
  if constexpr (std::is_same_v<std::decay_t<A>, task<T>>)
    return start_task<T>(core, where, std::forward<A>(a));
  else
    return start_task<T>(core, where, await_value<T, std::decay_t<A>>(std::forward<A>(a)));
}

}  // namespace detail

/// Starts `fn(args...)`, which returns a task or another awaitable, beside the current task.
///
/// *Completes when* (the task) `fn`'s awaitable does. *Owns* `fn` and decayed copies of `args`, as
/// long as the task lives; share by reference with `std::ref`. *Thread*: inside a task; the new
/// task runs on the same runtime, first at the next turn. *Drop* of the handle aborts the task.
/// *Errors*: what the task throws is thrown where it is joined.
template <class Fn, class... Args>
requires(!detail::awaitable<std::decay_t<Fn>>)
    [[gnu::always_inline]] inline auto spawn(Fn&& fn, Args&&... args) {
  detail::check_spawn_arguments<std::decay_t<Fn>, std::decay_t<Args>...>();
  using T = detail::spawn_result_t<std::decay_t<Fn>, std::decay_t<Args>...>;
  return make_handle<T>(detail::spawn_on(detail::running_core(), detail::this_code(),
                                         std::forward<Fn>(fn), std::forward<Args>(args)...));
}

/// Starts an awaitable, such as a task, beside the current task. As `spawn(fn, args...)`.
///
/// *Completes when* (the task) the awaitable does. *Owns* the awaitable. *Thread*: inside a task.
/// *Drop* of the handle aborts the task. *Errors*: thrown where the task is joined.
template <detail::awaitable A>
requires(!std::is_lvalue_reference_v<A>) auto spawn(
    A&& a, std::source_location where = std::source_location::current()) {
  return make_handle<detail::await_result_t<std::decay_t<A>>>(
      detail::spawn_awaitable_on(detail::running_core(), where, std::forward<A>(a)));
}

}  // namespace parkring
