// Those who wait until something has happened, without taking anything for themselves.
#pragma once

#include <coroutine>
#include <mutex>

#include <parkring/detail/sync_lock.hpp>
#include <parkring/detail/sync_waiter.hpp>

namespace parkring::detail {

/// The lock also guards what its owner decides by. A waiter that outlives the queue is not woken
/// any more, and may be dropped as ever; queue and waiter belong to one thread then.
class wait_queue {
 public:
  wait_queue() noexcept = default;
  wait_queue(const wait_queue&) = delete;
  wait_queue& operator=(const wait_queue&) = delete;
  ~wait_queue() {
    // Whoever woke the task that destroys this may still hold the lock.
    std::lock_guard guard(lock_);
    while (waiter* w = waiting_.pop_front()) static_cast<sync_waiter*>(w)->orphan();
  }

  [[nodiscard]] sync_lock& lock() noexcept { return lock_; }
  [[nodiscard]] waiter_list& waiting() noexcept { return waiting_; }

  /// Wakes the one that has waited longest, which resumes at its turn. False when nobody waits.
  /// Under the lock.
  bool wake_one() noexcept {
    while (waiter* first = waiting_.pop_front())
      if (static_cast<sync_waiter*>(first)->grant()) return true;
    return false;
  }
  /// Under the lock.
  void wake_all() noexcept {
    while (wake_one()) {
    }
  }

 private:
  sync_lock lock_;
  waiter_list waiting_;
};

/// Waits in the queue of `Owner`, whose `passed()`, under the lock, says whether there is no need
/// to.
template <class Owner>
class queue_awaiter : public sync_awaiter<queue_awaiter<Owner>> {
  using base = sync_awaiter<queue_awaiter<Owner>>;

 public:
  explicit queue_awaiter(Owner& of) noexcept : of_(of) {}
  ~queue_awaiter() { this->leave(); }
  void await_resume() noexcept { this->take(); }

 private:
  friend base;
  static constexpr bool returns = false;
  static constexpr const char* waits_for = Owner::waits_for;
  sync_lock& lock() noexcept { return of_.queue_.lock(); }
  waiter_list& queue() noexcept { return of_.queue_.waiting(); }
  bool try_now() noexcept { return of_.passed(); }
  void left() noexcept {}

  Owner& of_;
};

template <class Owner>
struct [[nodiscard("co_await it")]] queue_operation {
  Owner& of;
  queue_awaiter<Owner> operator co_await()&& noexcept { return queue_awaiter<Owner>(of); }
};

}  // namespace parkring::detail
