// Tasks that run on any worker of a runtime: `spawn_anywhere` gives a `remote_handle`.
//
// A task that `spawn` starts is a part of the one that started it: the same thread runs both, it
// may refer to what that one has, and aborting it ends it at once. What `spawn_anywhere` starts
// stands by itself: any worker may run it, at the same time as the one that started it.
#pragma once

#include <coroutine>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/detail/roaming_task.hpp>
#include <parkring/detail/spawn_site.hpp>
#include <parkring/detail/thread_bound.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task.hpp>

namespace parkring {

namespace detail {

/// Waits for the end of a roaming task; keeps its block meanwhile.
template <class T, bool Result>
class remote_join {
  using wait = queue_awaiter<event>;

 public:
  remote_join(roaming_task& t, task_cell_of<T>& cell) noexcept : task_(t), cell_(cell) {
    task_.keep();
    ::new (static_cast<void*>(&wait_)) wait(task_.over);
  }
  remote_join(const remote_join&) = delete;
  remote_join& operator=(const remote_join&) = delete;
  ~remote_join() {
    wait_.~wait();  // before the event goes
    task_.let_go();
  }
  bool await_ready() noexcept { return wait_.await_ready(); }
  void await_suspend(std::coroutine_handle<> h) noexcept { wait_.await_suspend(h); }
  [[nodiscard]] bool await_done() const noexcept { return wait_.await_done(); }
  void wait_blocking() noexcept { wait_.wait_blocking(); }
  std::conditional_t<Result, T, void> await_resume() {
    wait_.await_resume();
    if constexpr (Result) {
      if (cell_.state == task_state::aborted) throw task_aborted();
      return cell_.result.take();
    }
  }

 private:
  roaming_task& task_;
  task_cell_of<T>& cell_;
  union {
    wait wait_;
  };
};

}  // namespace detail

/// The owner of a task that may run on another thread: await it for its result, or abort, detach or
/// drop it.
///
/// *Owns* the task; its destructor asks to abort it. *Thread*: any; awaited inside a task of any
/// runtime. May outlive the runtime. *Drop*: the task is aborted by its worker: soon, not at once.
template <class T>
class [[nodiscard(
    "dropping the handle aborts the task; keep it, await it or detach() it")]] remote_handle {
 public:
  using value_type = T;

  remote_handle(remote_handle && other) noexcept
      : task_(std::exchange(other.task_, nullptr)), cell_(other.cell_) {}
  remote_handle& operator=(remote_handle&& other) noexcept {
    if (this != &other) {
      drop(false);
      task_ = std::exchange(other.task_, nullptr);
      cell_ = other.cell_;
    }
    return *this;
  }
  ~remote_handle() { drop(false); }

  /// Waits for the task and gives its value: `co_await h` or `co_await std::move(h)`. Once.
  ///
  /// *Completes when* the task has ended. *Owns* nothing: the handle keeps the task. *Thread*:
  /// inside a task of any runtime. *Drop*: stops waiting; the task goes on. *Errors*: what the task
  /// threw; `task_aborted` if it was aborted, also by the end of its runtime.
  auto operator co_await()& { return detail::remote_join<T, true>(use(), *cell_); }
  auto operator co_await()&& { return detail::remote_join<T, true>(use(), *cell_); }

  /// As `co_await`, for a thread without a runtime: blocks it.
  T blocking_join() {
    detail::remote_join<T, true> j(use(), *cell_);
    j.wait_blocking();
    return j.await_resume();
  }

  /// Waits until nothing of the task is left: that it has come to its end, or, after `abort`, was
  /// destroyed. Its result stays where it is.
  ///
  /// *Completes when* the task has ended. *Owns* nothing. *Thread*: inside a task of any runtime.
  /// *Drop*: stops waiting. *Errors*: none.
  [[nodiscard("co_await it")]] auto ended() {
    struct operation {
      remote_handle& handle;
      auto operator co_await() && {
        return detail::remote_join<T, false>(handle.use(), *handle.cell_);
      }
    };
    return operation{*this};
  }
  /// As `ended`, for a thread without a runtime: blocks it.
  void blocking_ended() {
    detail::remote_join<T, false> j(use(), *cell_);
    j.wait_blocking();
    j.await_resume();
  }

  /// Asks for the task's end. Its worker destroys it where it waits, or, if it runs, at its next
  /// suspension; `ended` waits for that. Never blocks. At once where this is the task's own worker.
  void abort() noexcept {
    if (task_ != nullptr) task_->ask(detail::whereabouts::abort);
  }

  /// Asks the task, and all that it has started by `spawn`, to stop; see `this_task::stop_token`.
  /// It goes on until it looks.
  void request_stop() noexcept {
    if (task_ != nullptr) task_->ask(detail::whereabouts::stop);
  }

  /// Lets the task run on by itself, until it ends or the runtime does.
  void detach() noexcept { drop(true); }

  /// True once the task has ended or was aborted; may have changed already when it says no.
  [[nodiscard]] bool done() const noexcept { return task_ == nullptr || task_->place.has_ended(); }

 private:
  friend struct detail::remote_access;
  remote_handle(detail::roaming_task & t, detail::task_cell_of<T> & cell) noexcept
      : task_(&t), cell_(&cell) {}

  detail::roaming_task& use() const {
    PARKRING_CHECK(task_ != nullptr, "this handle was moved from or detached");
    return *task_;
  }
  void drop(bool detach) noexcept {
    if (task_ != nullptr) std::exchange(task_, nullptr)->drop_handle(detach);
  }

  detail::roaming_task* task_;
  detail::task_cell_of<T>* cell_;
};

namespace detail {

struct remote_access {
  /// Makes the task and lets `launch` have it.
  template <class Launch, class Fn, class... Args>
  static auto start(Launch launch, spawn_site where, Fn&& fn, Args&&... args) {
    using call = kept_call<std::decay_t<Fn>, std::decay_t<Args>...>;
    check_spawn_arguments<std::decay_t<Fn>, std::decay_t<Args>...>();
    static_assert((!thread_bound<std::decay_t<Fn>> && ... && !thread_bound<std::decay_t<Args>>),
                  "an argument belongs to the runtime of one thread, and this task may run on "
                  "another: make it inside the task, or start the task with spawn");
    using T = spawn_result_t<std::decay_t<Fn>, std::decay_t<Args>...>;
    static_assert(!thread_bound<std::remove_cvref_t<T>>,
                  "the result belongs to the runtime of one thread, and would be taken on another");
    auto* const t = make_roaming<T, call>(where, std::forward<Fn>(fn), std::forward<Args>(args)...);
    remote_handle<T> handle(*t, *t);
    launch(*t);
    return handle;
  }
};

}  // namespace detail

/// Starts `fn(args...)`, which returns a task or another awaitable, on any worker of this runtime.
/// Where the runtime has one only, as beside the current task.
///
/// The task is by itself: it inherits no deadline, stop token or task-local value, and what it
/// refers to by pointer or `std::ref` must outlive it, wherever it runs. Before its first resume,
/// and at `yield_anywhere`, it may move to another worker; from then on its requests and timers are
/// that one's.
///
/// *Completes when* (the task) `fn`'s awaitable does. *Owns* `fn` and decayed copies of `args`, as
/// long as the task lives. *Thread*: inside a task. *Drop* of the handle asks to abort the task.
/// *Errors*: `std::bad_alloc`; what the task throws is thrown where it is awaited.
template <class Fn, class... Args>
requires(!detail::awaitable<std::decay_t<Fn>>)
    [[gnu::always_inline]] inline auto spawn_anywhere(Fn&& fn, Args&&... args) {
  return detail::remote_access::start(
      [](detail::roaming_task& t) noexcept { detail::launch_anywhere(detail::running_core(), t); },
      detail::this_code(), std::forward<Fn>(fn), std::forward<Args>(args)...);
}

namespace detail {

/// The waiter becomes ready here, or on an idle worker where its task may move.
void ready_anywhere(core_base& core, waiter& w) noexcept;

class yield_anywhere_awaiter : waiter {
 public:
  yield_anywhere_awaiter() noexcept {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) noexcept {
    core_base& core = running_core();
    frame = h.address();
    task = core.current;
    ready_anywhere(core, *this);
  }
  void await_resume() const noexcept {}
};

class [[nodiscard("co_await it")]] yield_anywhere_operation {
 public:
  yield_anywhere_operation() noexcept = default;
  yield_anywhere_awaiter operator co_await()&& noexcept { return {}; }
};

}  // namespace detail

/// Lets the other ready tasks run first; and, where another worker has nothing to do, the task may
/// go on there, on another thread.
///
/// It moves only if it was started by `spawn_anywhere`, has live children in no `task_group` or
/// handle, waits for nothing else, and has no stop token, deadline, task-local value or object of
/// this thread, such as an `async_fd`. Else it is a `yield`.
///
/// *Completes when* its turn comes again. *Owns* nothing. *Thread*: inside a task. *Drop*: at once.
/// *Errors*: none.
[[nodiscard("co_await it")]] inline auto yield_anywhere() noexcept {
  return detail::yield_anywhere_operation{};
}

namespace this_task {

/// The number of the worker that runs this, from 0; 0 where the runtime has one.
[[nodiscard]] unsigned worker() noexcept;

}  // namespace this_task

}  // namespace parkring
