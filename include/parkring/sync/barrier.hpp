// Where a number of tasks wait for each other, again and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include <parkring/detail/wait_queue.hpp>

namespace parkring {

/// Lets tasks go on when so many have arrived, and begins anew. As std::barrier, for tasks.
///
/// *Owns* nothing. *Thread*: any. *Drop*: as `event`. A task that is dropped while it waits has
/// arrived all the same; one that never will says so by `arrive_and_drop`.
class barrier {
 public:
  /// *Errors*: an `expected` of 0 fails a check.
  explicit barrier(std::size_t expected) noexcept : expected_(expected), left_(expected) {
    PARKRING_CHECK(expected > 0, "a barrier is for at least one task");
  }

  /// Waits until all have arrived.
  ///
  /// *Completes when* the last one of this phase arrives. *Owns* nothing. *Thread*: inside a task;
  /// it arrives when it is awaited. *Drop*: at once; it has arrived. *Errors*: none.
  [[nodiscard("co_await it")]] auto arrive_and_wait() noexcept {
    return detail::queue_operation<barrier>{*this};
  }
  /// Arrives, and is one less in all phases that follow.
  void arrive_and_drop() noexcept {
    std::lock_guard guard(queue_.lock());
    PARKRING_CHECK(expected_ > 0, "more have left the barrier than belonged to it");
    --expected_;
    (void)arrive();
  }
  /// As `arrive_and_wait`, for a thread without a runtime: blocks it.
  void blocking_arrive_and_wait() noexcept {
    detail::queue_awaiter<barrier> a(*this);
    a.wait_blocking();
    a.await_resume();
  }
  /// Phases that have ended.
  [[nodiscard]] std::uint64_t phase() noexcept {
    std::lock_guard guard(queue_.lock());
    return phase_;
  }

 private:
  friend detail::queue_awaiter<barrier>;
  static constexpr const char* waits_for = "barrier";
  bool arrive() noexcept {
    PARKRING_CHECK(left_ > 0, "everybody has left this barrier: nobody may arrive any more");
    if (--left_ != 0) return false;
    left_ = expected_;
    ++phase_;
    queue_.wake_all();
    return true;
  }
  [[nodiscard]] bool passed() noexcept { return arrive(); }

  std::size_t expected_;
  std::size_t left_;
  std::uint64_t phase_ = 0;
  detail::wait_queue queue_;
};

}  // namespace parkring
