// How a spawned task begins and ends.
//
// A block holds the task's cell and, behind it, the callable and its arguments, which live as long
// as the task does: a capturing lambda cannot dangle. The cell is a plain frame. Resumed the first
// time, at the task's turn, it calls the callable and goes on with the coroutine that this gives,
// the task's outermost one. The end of that one resumes the cell again, which takes the result.
//
// A task object that is spawned needs no call: its coroutine is what the run loop resumes first.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/detail/frame_allocator.hpp>
#include <parkring/detail/task_cell.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {

/// A callable and its arguments, behind a task's cell.
template <class Fn, class... Args>
struct kept_call {
  using result = std::invoke_result_t<Fn, Args...>;

  template <class F, class... A>
  explicit kept_call(F&& f, A&&... a) : fn(std::forward<F>(f)), args(std::forward<A>(a)...) {}

  result operator()() {
    return std::apply(
        [this](Args&... a) -> result { return std::invoke(std::move(fn), std::move(a)...); }, args);
  }

  Fn fn;
  std::tuple<Args...> args;
};

template <class T>
inline constexpr std::size_t cell_space = (sizeof(task_cell_of<T>) + 15) / 16 * 16;

template <class T>
task_cell_of<T>& cell_at(void* frame) noexcept {
  return static_cast<task_cell_of<T>&>(static_cast<task_cell&>(plain_frame::at(frame)));
}

template <class T, class Call>
Call& call_behind(task_cell& cell) noexcept {
  return *std::launder(
      reinterpret_cast<Call*>(reinterpret_cast<std::byte*>(&cell) + cell_space<T>));
}

// What makes a task of other awaitables. The call outlives it.
template <class T, class Call>
task<T> await_call(Call& call) {
  co_return co_await call();
}
template <class T, class A>
task<T> await_value(A awaitable) {
  co_return co_await std::move(awaitable);
}

// The task's outermost coroutine has come to its end.
template <class T>
void end_root(void* frame) {
  auto& cell = cell_at<T>(frame);
  auto child = std::coroutine_handle<task_promise<T>>::from_address(cell.child.address());
  if (!cell.result.take_over(child.promise().result)) [[unlikely]]
    return finish_failed(cell);
  constexpr bool trivial =
      std::is_void_v<T> || std::is_reference_v<T> || std::is_trivially_destructible_v<T>;
  finish(cell, !trivial);
}

// Makes `t` the task's outermost coroutine.
template <class T>
std::coroutine_handle<> adopt(task_cell& cell, task<T>& t) noexcept {
  auto child = task_access::take(t);
  child.promise().continuation = cell.handle();
  cell.child = child;
  cell.resumes_with(&end_root<T>);
  return child;
}

template <class T, class Call>
void begin_root(void* frame) {
  auto& cell = cell_at<T>(frame);
  std::coroutine_handle<> child;
  try {
    Call& call = call_behind<T, Call>(cell);
    if constexpr (std::is_same_v<typename Call::result, task<T>>) {
      task<T> t = call();
      child = adopt(cell, t);
    } else {
      task<T> t = await_call<T>(call);
      child = adopt(cell, t);
    }
  } catch (...) {
    cell.result.set_error(std::current_exception());
    finish_failed(cell);
    return;
  }
  child.resume();
}

template <class T, class Call>
inline constexpr cell_type call_cell_type = {
    .end = cell_type_of<T>.end,
    .error_of = cell_type_of<T>.error_of,
    .end_call =
        std::is_trivially_destructible_v<Call>
            ? nullptr
            : +[](task_cell& cell) noexcept { std::destroy_at(&call_behind<T, Call>(cell)); },
};

/// Starts a task that calls `fn(args...)`.
template <class T, class Call, class... Parts>
task_cell& start_call(core_base& core, spawn_site where, Parts&&... parts) {
  static_assert(alignof(task_cell_of<T>) <= alignof(std::max_align_t) &&
                    alignof(Call) <= alignof(std::max_align_t),
                "results and arguments of tasks with extended alignment are not supported; box "
                "the value");
  constexpr std::size_t size = cell_space<T> + sizeof(Call);
  auto* block = static_cast<std::byte*>(allocate_frame(size));
  try {
    ::new (block + cell_space<T>) Call(std::forward<Parts>(parts)...);
  } catch (...) {
    deallocate_frame(block, size);
    throw;
  }
  auto& cell = *::new (block) task_cell_of<T>(core, call_cell_type<T, Call>, size,
                                              &begin_root<T, Call>, where);
  launch(core, cell, cell.handle());
  return cell;
}

/// Starts `t`, which must not have been awaited.
template <class T>
task_cell& start_task(core_base& core, spawn_site where, task<T> t) {
  static_assert(alignof(task_cell_of<T>) <= alignof(std::max_align_t),
                "results of tasks with extended alignment are not supported; box the value");
  constexpr std::size_t size = cell_space<T>;
  auto& cell = *::new (allocate_frame(size))
                   task_cell_of<T>(core, cell_type_of<T>, size, &end_root<T>, where);
  launch(core, cell, adopt(cell, t));
  return cell;
}

}  // namespace parkring::detail
