// Tasks that live no longer than the scope that started them.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <source_location>
#include <type_traits>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/spawn.hpp>

namespace parkring {

/// Tasks that are joined together.
///
/// *Owns* its tasks: its destructor aborts those still running, so none outlives it. *Thread*: the
/// runtime's. *Drop*: aborts the tasks.
class task_group {
  class join_awaiter;

 public:
  using bound_to_thread = void;
  task_group() noexcept = default;
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;
  ~task_group();

  /// Starts `fn(args...)` in the group. `fn` and the arguments are kept by the task, see
  /// `parkring::spawn`; its value is dropped, its error ends the group.
  template <class Fn, class... Args>
  requires(!detail::awaitable<std::decay_t<Fn>>)
      [[gnu::always_inline]] void spawn(Fn&& fn, Args&&... args) {
    members_.add(detail::spawn_on(detail::running_core(), detail::this_code(), std::forward<Fn>(fn),
                                  std::forward<Args>(args)...));
  }
  /// Starts an awaitable, such as a task, in the group.
  template <detail::awaitable A>
  requires(!std::is_lvalue_reference_v<A>) void spawn(
      A&& a, std::source_location where = std::source_location::current()) {
    members_.add(detail::spawn_awaitable_on(detail::running_core(), where, std::forward<A>(a)));
  }

  /// Waits for all tasks, also those that are spawned meanwhile.
  ///
  /// *Completes when* the group is empty; or when a task has thrown: then the others are aborted
  /// first. *Owns* nothing. *Thread*: the runtime's. *Drop*: stops waiting; the tasks go on.
  /// *Errors*: the first that a task has thrown, after which the group can be used again;
  /// `task_aborted` when the group is destroyed meanwhile.
  [[nodiscard("co_await it")]] auto join() noexcept { return join_operation{*this}; }

  /// Destroys all tasks of the group, wherever they wait. The running task, if it is one of them or
  /// descends from one, ends when it next suspends.
  void abort_all() noexcept { members_.abort_all(); }

  /// Asks all tasks of the group, and what they have spawned, to stop; see
  /// `this_task::stop_token`. They go on until they look. Those that have ended are not asked, nor
  /// is what they have spawned, which may live on. On the runtime's thread; another uses
  /// `with_stop_token`.
  void request_stop() noexcept { members_.request_stop(); }

  /// Tasks that have not ended.
  [[nodiscard]] std::size_t size() const noexcept { return members_.live; }

 private:
  // In the joiner's frame. The group knows it, so that neither outlives its knowledge of the other.
  class join_awaiter : detail::waiter {
   public:
    explicit join_awaiter(task_group& g) noexcept : group_(&g) {}
    join_awaiter(const join_awaiter&) = delete;
    join_awaiter& operator=(const join_awaiter&) = delete;
    ~join_awaiter() {
      if (group_ != nullptr && group_->joiner_ == this) group_->end_join();
    }
    bool await_ready() const noexcept {
      return complete() && detail::running_core().spend_budget();
    }
    void await_suspend(std::coroutine_handle<> h) {
      PARKRING_CHECK(group_->joiner_ == nullptr, "a group is joined by one waiter at a time");
      frame = h.address();
      task = detail::running_core().current;
      group_->joiner_ = this;
      if (complete())
        detail::running_core().ready.push_back(*this);  // out of budget: its turn comes again
      else
        group_->members_.joiner = this;
    }
    void await_resume() {
      if (group_ == nullptr) throw task_aborted();
      if (group_->joiner_ == this) group_->end_join();
      if (group_->members_.error == nullptr) return;
      const auto error = std::exchange(group_->members_.error, nullptr);
      group_->abort_all();
      std::rethrow_exception(error);
    }

   private:
    friend task_group;
    bool complete() const noexcept {
      return group_->members_.live == 0 || group_->members_.error != nullptr;
    }
    task_group* group_;
  };
  struct join_operation {
    task_group& group;
    join_awaiter operator co_await() && noexcept { return join_awaiter(group); }
  };

  void end_join() noexcept {
    joiner_ = nullptr;
    members_.joiner = nullptr;
  }

  detail::cell_group members_;
  join_awaiter* joiner_ = nullptr;
};

inline task_group::~task_group() {
  // Members first: one of them may own the joiner, which then leaves by itself. Nothing is resumed
  // before the group is gone.
  members_.abort_all();
  if (joiner_ != nullptr) joiner_->group_ = nullptr;
}

}  // namespace parkring
