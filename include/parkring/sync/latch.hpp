// Counts down to nothing, once.
#pragma once

#include <cstddef>
#include <mutex>

#include <parkring/detail/wait_queue.hpp>

namespace parkring {

/// Lets those who wait go on when it has been counted down to 0. As std::latch, for tasks.
///
/// *Owns* nothing. *Thread*: any. *Drop*: as `event`.
class latch {
 public:
  explicit latch(std::size_t expected) noexcept : left_(expected) {}

  /// Counts down; at 0 everybody goes on. *Errors*: counting below 0 fails a check.
  void count_down(std::size_t n = 1) noexcept {
    std::lock_guard guard(queue_.lock());
    PARKRING_CHECK(n <= left_, "a latch is counted down as often as it was made for, not more");
    left_ -= n;
    if (left_ == 0) queue_.wake_all();
  }
  /// Whether it is at 0.
  [[nodiscard]] bool try_wait() noexcept {
    std::lock_guard guard(queue_.lock());
    return left_ == 0;
  }
  /// Waits until it is at 0.
  ///
  /// *Completes when* it is. *Owns* nothing. *Thread*: inside a task. *Drop*: at once; what was
  /// counted stays. *Errors*: none.
  [[nodiscard("co_await it")]] auto wait() noexcept {
    return detail::queue_operation<latch>{*this};
  }
  /// Counts down, and waits for the others.
  ///
  /// *Completes when* it is at 0. *Owns* nothing. *Thread*: inside a task; it counts at the call.
  /// *Drop*: at once; what was counted stays. *Errors*: as `count_down`.
  [[nodiscard("co_await it")]] auto arrive_and_wait(std::size_t n = 1) noexcept {
    count_down(n);
    return wait();
  }
  /// As `wait`, for a thread without a runtime: blocks it.
  void blocking_wait() noexcept {
    detail::queue_awaiter<latch> a(*this);
    a.wait_blocking();
    a.await_resume();
  }

 private:
  friend detail::queue_awaiter<latch>;
  static constexpr const char* waits_for = "latch";
  [[nodiscard]] bool passed() const noexcept { return left_ == 0; }

  std::size_t left_;
  detail::wait_queue queue_;
};

}  // namespace parkring
