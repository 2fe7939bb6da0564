// generator<T>: a coroutine that awaits and yields; `while (auto v = co_await g.next())` pulls.
//
// A generator that has begun is a task of its own, with a cell that the generator object owns like
// a handle. So its coroutine has somebody to run for whoever asks for its values, and goes on with
// the value it is at when nobody waits any more. What is special is the handing over:
//
//   at a yield   the coroutine is suspended: before its beginning or at a `co_yield`. `value` is
//                what it yielded, until it is taken. `next` finds that value, or resumes.
//   under way    it runs, is ready, or waits. The cell's `joiner` is the `next` that waits, if
//   there
//                is one. A `co_yield` resumes that one; without one the value stays.
//   ended        as any task: its cell has the outcome, and the joiner was woken.
//
// Both ways are transfers, with a change of the current task; neither goes through the ready list.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/detail/root.hpp>
#include <parkring/detail/task_cell.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task.hpp>

namespace parkring {

template <class T>
class generator;

namespace detail {

template <class T>
struct generator_promise : task_promise_base, returned<void> {
  T* value = nullptr;       // in the coroutine's frame; null: taken, or none yet
  bool at_yield = true;     // see above
  task_cell* of = nullptr;  // set when it begins

  struct yield_awaiter {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(
        std::coroutine_handle<generator_promise> h) const noexcept {
      h.promise().at_yield = true;
      waiter* next = std::exchange(h.promise().of->joiner, nullptr);
      if (next == nullptr) return std::noop_coroutine();
      running_core().current = next->task;
      return transfer(std::coroutine_handle<>::from_address(next->frame));
    }
    void await_resume() const noexcept {}
  };
  struct copy_awaiter : yield_awaiter {
    T copy;
    explicit copy_awaiter(const T& v) : copy(v) {}
    std::coroutine_handle<> await_suspend(std::coroutine_handle<generator_promise> h) noexcept {
      h.promise().value = std::addressof(copy);
      return yield_awaiter::await_suspend(h);
    }
  };

  generator<T> get_return_object() noexcept;
  yield_awaiter yield_value(T&& v) noexcept {
    value = std::addressof(v);
    return {};
  }
  copy_awaiter yield_value(const T& v) { return copy_awaiter(v); }
};

template <class T>
using generator_frame = std::coroutine_handle<generator_promise<T>>;

template <class T>
void end_generator(void* frame) {
  auto& cell = cell_at<void>(frame);
  auto child = generator_frame<T>::from_address(cell.child.address());
  if (!cell.result.take_over(child.promise().result)) [[unlikely]]
    return finish_failed(cell);
  finish(cell, false);
}

/// Makes `frame` the coroutine of a task that is not ready: `next` resumes it.
template <class T>
task_cell& begin_generator(generator_frame<T> frame) {
  core_base& core = running_core();
  constexpr std::size_t size = cell_space<void>;
  auto& cell = *::new (allocate_frame(size)) task_cell_of<void>(
      core, cell_type_of<void>, size, &end_generator<T>, std::source_location());
  frame.promise().continuation = cell.handle();
  frame.promise().of = &cell;
  cell.child = frame;
  introduce(core, cell, frame);
  if (core.closing) [[unlikely]]
    abort(cell);
  return cell;
}

template <class T>
class next_awaiter : waiter {
 public:
  explicit next_awaiter(task_cell& cell) noexcept : cell_(cell) { ++cell_.references; }
  next_awaiter(const next_awaiter&) = delete;
  next_awaiter& operator=(const next_awaiter&) = delete;
  ~next_awaiter() {
    if (cell_.joiner == this) cell_.joiner = nullptr;
    release(cell_);
  }
  bool await_ready() const noexcept { return settled() && running_core().spend_budget(); }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) noexcept {
    core_base& core = running_core();
    frame = h.address();
    task = core.current;
    if (settled()) {  // out of budget: its turn comes again
      core.ready.push_back(*this);
      return std::noop_coroutine();
    }
    PARKRING_CHECK(cell_.joiner == nullptr, "one waiter at a time asks a generator for a value");
    cell_.joiner = this;
    // Else it is at a value that somebody asked for, and stopped waiting.
    if (std::exchange(promise().at_yield, false)) {
      if (core.spend_budget()) [[likely]] {
        core.current = &cell_;
        return transfer(cell_.child);
      }
      core.ready.push_back(cell_.start);
    }
    return std::noop_coroutine();
  }
  std::optional<T> await_resume() {
    if (cell_.state == task_state::live) {
      T* const value = std::exchange(promise().value, nullptr);
      PARKRING_CHECK(value != nullptr, "a generator went on before its value was taken");
      return std::optional<T>(std::move(*value));
    }
    if (cell_.state == task_state::aborted) throw task_aborted();
    auto& cell = static_cast<task_cell_of<void>&>(cell_);
    if (std::exchange(cell.failed, false)) cell.result.take();  // thrown once
    return std::nullopt;
  }

 private:
  generator_promise<T>& promise() const noexcept {
    return generator_frame<T>::from_address(cell_.child.address()).promise();
  }
  bool settled() const noexcept {
    return cell_.state != task_state::live || promise().value != nullptr;
  }
  task_cell& cell_;
};

}  // namespace detail

/// A coroutine that gives values one after another, and may await between them.
///
/// *Owns* its frame. It does nothing before the first `next`, and nothing between two; an exception
/// that it throws is thrown by `next`, and ends it. Its stop token, deadline and task-local values
/// are those of the task that first asked it. *Thread*: the runtime's on which it was first asked;
/// may be destroyed on any, also after the runtime's end. *Drop*: at any suspension, at once.
template <class T>
class [[nodiscard("a generator does nothing until it is asked for its next value")]] generator {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "a generator gives objects; yield pointers instead of references");

 public:
  using bound_to_thread = void;
  using promise_type = detail::generator_promise<T>;
  using value_type = T;

  generator(generator && other) noexcept
      : frame_(std::exchange(other.frame_, nullptr)), cell_(std::exchange(other.cell_, nullptr)) {}
  generator& operator=(generator&& other) noexcept {
    if (this != &other) {
      reset();
      frame_ = std::exchange(other.frame_, nullptr);
      cell_ = std::exchange(other.cell_, nullptr);
    }
    return *this;
  }
  ~generator() { reset(); }

  /// Waits for the next value; an empty optional says that there is none any more.
  ///
  /// *Completes when* the coroutine yields or ends. *Owns* nothing: keep the generator. *Thread*:
  /// inside a task, always on the same runtime. *Drop*: stops waiting; the coroutine goes on to its
  /// next `co_yield`, and that value is for the next `next`. *Errors*: what the coroutine throws,
  /// once; `task_aborted` when the generator or its runtime goes meanwhile.
  [[nodiscard("co_await it")]] auto next() noexcept { return next_operation{*this}; }

 private:
  friend promise_type;
  explicit generator(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  struct [[nodiscard("co_await it")]] next_operation {
    generator& of;
    detail::next_awaiter<T> operator co_await()&& { return detail::next_awaiter<T>(of.begun()); }
  };

  detail::task_cell& begun() {
    if (cell_ == nullptr) {
      PARKRING_CHECK(frame_ != nullptr, "this generator was moved from");
      cell_ = &detail::begin_generator<T>(frame_);
      frame_ = nullptr;
    }
    PARKRING_CHECK(cell_->home_of.is_here() && cell_->home_of.core() == &detail::running_core(),
                   "ask a generator on the runtime on which it was first asked");
    return *cell_;
  }
  void reset() noexcept {
    if (frame_ != nullptr) std::exchange(frame_, nullptr).destroy();
    if (cell_ != nullptr) detail::drop_handle(*std::exchange(cell_, nullptr), false);
  }

  std::coroutine_handle<promise_type> frame_;  // until it begins
  detail::task_cell* cell_ = nullptr;          // from then on
};

template <class T>
generator<T> detail::generator_promise<T>::get_return_object() noexcept {
  return generator<T>(std::coroutine_handle<generator_promise<T>>::from_promise(*this));
}

}  // namespace parkring
