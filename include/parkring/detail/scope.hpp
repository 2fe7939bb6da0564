// An awaitable that is awaited in a context of its own, by a task of its own.
//
// The awaiter owns that task, as a `join_handle` does: dropping it aborts the task.
#pragma once

#include <coroutine>
#include <cstddef>
#include <source_location>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/root.hpp>
#include <parkring/detail/task_context.hpp>
#include <parkring/spawn.hpp>

namespace parkring::detail {

/// Starts `t` in `context`, as its own one.
template <class T>
task_cell& start_in(task_context& context, task<T> t) {
  constexpr std::size_t size = cell_space<T>;
  core_base& core = running_core();
  auto& cell = *::new (allocate_frame(size)) task_cell_of<T>(core, cell_type_of<T>, size,
                                                             &end_root<T>, std::source_location());
  cell.context = &context;
  ++context.references;
  context.of = &cell;
  launch(core, cell, adopt(cell, t));
  return cell;
}
template <class T, class A>
task_cell& start_in(task_context& context, A&& a) {
  if constexpr (std::is_same_v<A, task<T>>)
    return start_in<T>(context, task<T>(std::move(a)));
  else
    return start_in<T>(context, await_value<T, A>(std::move(a)));
}

template <class T>
class scope_awaiter {
 public:
  scope_awaiter(context_ref context, task_cell& cell) noexcept
      : context_(std::move(context)), handle_(make_handle<T>(cell)), join_(cell) {
    context_->awaited = true;
  }
  scope_awaiter(const scope_awaiter&) = delete;
  scope_awaiter& operator=(const scope_awaiter&) = delete;
  ~scope_awaiter() { context_->awaited = false; }
  bool await_ready() const noexcept { return join_.await_ready(); }
  void await_suspend(std::coroutine_handle<> h) noexcept { join_.await_suspend(h); }
  T await_resume() { return join_.await_resume(); }

 protected:
  [[nodiscard]] bool aborted() const noexcept { return join_.aborted(); }
  /// The task goes on without us.
  void detach() noexcept { handle_.detach(); }
  context_ref context_;

 private:
  join_handle<T> handle_;
  join_awaiter<T> join_;
};

}  // namespace parkring::detail
