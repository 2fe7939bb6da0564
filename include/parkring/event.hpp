// A condition that tasks wait for and somebody makes true.
#pragma once

#include <mutex>

#include <parkring/detail/wait_queue.hpp>

namespace parkring {

/// Something that happens: tasks wait for it, and `set` lets all of them go on.
///
/// It stays set until `reset`, so a wait that comes late does not wait. *Owns* nothing. *Thread*:
/// any, also several runtimes at once, and threads without a runtime by `blocking_wait`. *Drop*:
/// who still waits, on the same thread, is let go by nothing any more, and waits until it is
/// dropped itself: set the event before.
class event {
 public:
  event() noexcept = default;

  /// Lets every task that waits go on, in the order in which they came; and those that come later,
  /// until `reset`. Resumes nobody itself.
  void set() noexcept {
    std::lock_guard guard(queue_.lock());
    set_ = true;
    queue_.wake_all();
  }
  /// Makes later waits wait again. Who was let go goes on all the same.
  void reset() noexcept {
    std::lock_guard guard(queue_.lock());
    set_ = false;
  }
  /// May have changed already.
  [[nodiscard]] bool is_set() noexcept {
    std::lock_guard guard(queue_.lock());
    return set_;
  }

  /// Waits until the event is set.
  ///
  /// *Completes when* it was set, also if it was reset since. *Owns* nothing: the event is the
  /// caller's to keep. *Thread*: inside a task. *Drop*: at once. *Errors*: none.
  [[nodiscard("co_await it")]] auto wait() noexcept {
    return detail::queue_operation<event>{*this};
  }
  /// As `wait`, for a thread without a runtime: blocks it.
  void blocking_wait() noexcept {
    detail::queue_awaiter<event> a(*this);
    a.wait_blocking();
    a.await_resume();
  }

 private:
  friend detail::queue_awaiter<event>;
  static constexpr const char* waits_for = "event";
  [[nodiscard]] bool passed() const noexcept { return set_; }

  bool set_ = false;
  detail::wait_queue queue_;
};

}  // namespace parkring
