// A condition that tasks wait for and another task makes true.
#pragma once

#include <coroutine>

#include <parkring/detail/core.hpp>
#include <parkring/detail/waiter.hpp>

namespace parkring {

/// Something that happens: tasks wait for it, and `set` lets all of them go on.
///
/// It stays set until `reset`, so a wait that comes late does not wait. *Owns* nothing. *Thread*:
/// the runtime's that its waiters run on. *Drop*: who still waits is let go by nothing any more,
/// and waits until it is dropped itself: set the event before.
class event {
  class wait_awaiter;

 public:
  event() noexcept = default;
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  /// Lets every task that waits go on, in the order in which they came; and those that come later,
  /// until `reset`. Resumes nobody itself.
  void set() noexcept {
    set_ = true;
    while (detail::waiter* w = waiting_.pop_front()) {
      auto& woken = static_cast<wait_awaiter&>(*w);
      woken.woken_ = true;
      woken.core_->ready.push_back(woken);
    }
  }
  /// Makes later waits wait again. Who was let go goes on all the same.
  void reset() noexcept { set_ = false; }
  [[nodiscard]] bool is_set() const noexcept { return set_; }

  /// Waits until the event is set.
  ///
  /// *Completes when* it was set, also if it was reset since. *Owns* nothing: the event is the
  /// caller's to keep. *Thread*: inside a task. *Drop*: at once. *Errors*: none.
  [[nodiscard("co_await it")]] auto wait() noexcept { return wait_operation{*this}; }

 private:
  class wait_awaiter : detail::waiter {
   public:
    explicit wait_awaiter(event& e) noexcept : event_(e) {}
    wait_awaiter(const wait_awaiter&) = delete;
    wait_awaiter& operator=(const wait_awaiter&) = delete;

    bool await_ready() noexcept {
      woken_ = event_.set_;
      return woken_ && detail::running_core().spend_budget();
    }
    void await_suspend(std::coroutine_handle<> h) noexcept {
      core_ = &detail::running_core();
      if (woken_) return core_->make_ready(*this, h);  // out of budget: its turn comes again
      frame = h.address();
      task = core_->current;
      event_.waiting_.push_back(*this);
      note_.begin(core_->notes, *this, "event");
    }
    [[nodiscard]] bool await_done() const noexcept { return woken_; }
    void await_resume() const noexcept {}

   private:
    friend event;
    event& event_;
    detail::core_base* core_ = nullptr;
    bool woken_ = false;
    detail::wait_note note_;
  };
  struct wait_operation {
    event& of;
    wait_awaiter operator co_await() && noexcept { return wait_awaiter(of); }
  };

  bool set_ = false;
  detail::waiter_list waiting_;
};

}  // namespace parkring
