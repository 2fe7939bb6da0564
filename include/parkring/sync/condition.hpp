// Waiting, with a mutex, until what it guards has changed.
#pragma once

#include <coroutine>
#include <mutex>
#include <utility>

#include <parkring/detail/wait_queue.hpp>
#include <parkring/sync/mutex.hpp>
#include <parkring/task.hpp>

namespace parkring {

/// As std::condition_variable, for tasks that hold a `mutex`.
///
/// *Owns* nothing. *Thread*: any. *Drop*: nobody may be in `wait` any more.
class condition {
 public:
  condition() noexcept = default;

  /// Wakes the one that has waited longest, if one does. If that one is dropped before it goes on,
  /// the next one is woken in its place.
  void notify_one() noexcept {
    std::lock_guard guard(queue_.lock());
    queue_.wake_one();
  }
  /// Wakes all who wait.
  void notify_all() noexcept {
    std::lock_guard guard(queue_.lock());
    queue_.wake_all();
  }

  /// Gives the mutex back, waits to be notified, and has the mutex again.
  ///
  /// *Completes when* it was notified after it began, and has the mutex. Another task
  /// may have been faster, or one that was notified with it, and dropped, may have passed its turn
  /// on: look at what was waited for in a loop, or use the other form. *Owns* the lock while it
  /// does not wait. *Thread*: inside a task. *Drop*: at once; `held` does not own the lock any
  /// more. *Errors*: a guard without a lock fails a check.
  [[nodiscard]] task<> wait(mutex::guard& held) {
    mutex* const m = held.mutex();
    PARKRING_CHECK(m != nullptr, "lock the mutex before waiting for what it guards");
    co_await waiting{*this, held};
    // Dropped from here on, it was notified for nothing: that is for the next one.
    struct passing_on {
      condition& c;
      mutex::guard& held;
      ~passing_on() {
        if (!held.owns_lock()) c.notify_one();
      }
    } const at_end{*this, held};
    held = co_await m->lock();
  }
  /// Waits until `what()`, which is called with the mutex held.
  ///
  /// *Completes when* it is true, with the mutex held. *Owns* `what`. *Thread*: inside a task.
  /// *Drop*: at once; `held` may not own the lock any more. *Errors*: what `what` throws.
  template <class Predicate>
  [[nodiscard]] task<> wait(mutex::guard& held, Predicate what) {
    while (!what()) co_await wait(held);
  }

 private:
  // Gives the mutex back when it stands in the queue: a notification that comes then finds it.
  class awaiter : public detail::sync_awaiter<awaiter> {
   public:
    awaiter(condition& of, mutex::guard& held) noexcept : of_(of), held_(held) {}
    ~awaiter() { leave(); }
    void await_suspend(std::coroutine_handle<> h) noexcept {
      sync_awaiter::await_suspend(h);
      held_.unlock();
    }
    void await_resume() noexcept { take(); }

   private:
    friend sync_awaiter;
    static constexpr const char* waits_for = "condition";
    detail::sync_lock& lock() noexcept { return of_.queue_.lock(); }
    detail::waiter_list& queue() noexcept { return of_.queue_.waiting(); }
    bool try_now() noexcept { return false; }
    void left() noexcept {}
    void give_back() noexcept { of_.queue_.wake_one(); }

    condition& of_;
    mutex::guard& held_;
  };
  struct waiting {
    condition& of;
    mutex::guard& held;
    awaiter operator co_await() && noexcept { return awaiter(of, held); }
  };

  detail::wait_queue queue_;
};

}  // namespace parkring
