// task<T>: a lazy coroutine. It starts when it is awaited, runs on the awaiter's thread, and its
// frame belongs to the task object: destroying the task destroys the frame, wherever the
// coroutine waits, and everything it awaits goes with it.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <parkring/detail/core.hpp>
#include <parkring/detail/frame_allocator.hpp>
#include <parkring/detail/nested_frames.hpp>
#include <parkring/detail/outcome.hpp>

namespace parkring {

template <class T>
class task;

namespace detail {

/// Allocates frames of coroutines from the recycler.
struct recycled_frame {
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    deallocate_frame(memory, size);
  }
};

struct task_promise_base : frame_link, recycled_frame {
  std::coroutine_handle<> continuation;  // who awaits; null until started

  struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) const noexcept {
      return transfer(h.promise().continuation);
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return {}; }
};

template <class T>
struct task_promise : task_promise_base, returned<T> {
  static_assert(alignof(outcome<T>) <= alignof(std::max_align_t),
                "results of tasks with extended alignment are not supported; box the value");
  task<T> get_return_object() noexcept;
};

struct task_access;

}  // namespace detail

/// A lazy coroutine that produces a `T` or throws.
///
/// *Completes when* its coroutine returns or throws. *Owns* its frame, with its parameters and
/// locals. *Thread*: awaited and destroyed on the thread of the runtime that runs it. *Drop*: at
/// any suspension, at once; destructors of the frame's locals run, requests in flight become
/// orphans. *Errors*: what the coroutine throws.
template <class T = void>
class [[nodiscard("a task does nothing until it is awaited or spawned")]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task(task && other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      reset();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~task() { reset(); }

  /// True until the task is moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return frame_ != nullptr; }

  /// Starts the task and waits for its value: `co_await std::move(t)` or `co_await f()`.
  /// The frame moves into the awaiting coroutine and goes with it.
  auto operator co_await()&& { return awaiter(take()); }

 private:
  friend promise_type;
  friend detail::task_access;
  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}

  class awaiter : detail::child_owner {
   public:
    explicit awaiter(std::coroutine_handle<promise_type> frame) noexcept : child_owner(frame) {}
    awaiter(const awaiter&) = delete;
    awaiter& operator=(const awaiter&) = delete;
    ~awaiter() {
      if (parent == nullptr) [[likely]]
        child.destroy();  // at its end, or never begun: it awaits nothing
      else
        drop();
    }
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
      promise().continuation = h;
      if constexpr (detail::linked_promise<Promise>) {
        parent = &h.promise();
        parent->awaiting = this;
      } else {
        parent = &promise();  // a foreign coroutine: its child stands in, unchanged by that
      }
      return detail::transfer(child);
    }
    T await_resume() {
      parent->awaiting = nullptr;
      parent = nullptr;
      return promise().take();
    }

   private:
    promise_type& promise() const noexcept {
      return std::coroutine_handle<promise_type>::from_address(child.address()).promise();
    }
  };

  std::coroutine_handle<promise_type> take() noexcept {
    PARKRING_CHECK(frame_ != nullptr,
                   "this task was moved from or awaited already; a task is awaited once");
    return std::exchange(frame_, nullptr);
  }
  void reset() noexcept {
    if (frame_ != nullptr) detail::destroy_frame(std::exchange(frame_, nullptr));
  }

  std::coroutine_handle<promise_type> frame_;
};

namespace detail {
template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<task_promise<T>>::from_promise(*this));
}

/// How a spawned task gets at its coroutine.
struct task_access {
  /// The frame of `t`, not started; the caller owns it now.
  template <class T>
  static std::coroutine_handle<task_promise<T>> take(task<T>& t) noexcept {
    return t.take();
  }
};
}  // namespace detail

}  // namespace parkring
