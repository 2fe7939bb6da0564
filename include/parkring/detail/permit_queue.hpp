// Permits, and those who wait for some, first come first served: what semaphores and mutexes are.
//
// Whoever wants more than there is stops those behind it, so that it gets its turn: a writer that
// wants all is not overtaken by readers for ever.
#pragma once

#include <cstddef>
#include <limits>
#include <mutex>

#include <parkring/detail/sync_lock.hpp>
#include <parkring/detail/sync_waiter.hpp>

namespace parkring::detail {

class permit_queue {
 public:
  class awaiter;

  explicit permit_queue(std::size_t available) noexcept : available_(available) {}
  permit_queue(const permit_queue&) = delete;
  permit_queue& operator=(const permit_queue&) = delete;
  ~permit_queue() {
    // Whoever gave a permit to the task that destroys this may still hold the lock.
    std::lock_guard guard(lock_);
    PARKRING_CHECK(waiting_.empty(),
                   "a task still waits for this lock or semaphore: drop the task first");
  }

  [[nodiscard]] bool try_take(std::size_t n) noexcept {
    std::lock_guard guard(lock_);
    return take_if_there(n);
  }
  void give(std::size_t n) noexcept {
    std::lock_guard guard(lock_);
    give_locked(n);
  }
  /// How many nobody has. Any thread; may have changed when it returns.
  [[nodiscard]] std::size_t available() noexcept {
    std::lock_guard guard(lock_);
    return available_;
  }

 private:
  bool take_if_there(std::size_t n) noexcept {
    if (available_ < n || !waiting_.empty()) return false;
    available_ -= n;
    return true;
  }
  void give_locked(std::size_t n) noexcept {
    PARKRING_CHECK(n <= std::numeric_limits<std::size_t>::max() - available_,
                   "more permits were released than a semaphore can count");
    available_ += n;
    if (!waiting_.empty()) serve();
  }
  inline void serve() noexcept;

  sync_lock lock_;
  std::size_t available_;
  waiter_list waiting_;
};

/// One who wants `n`. What it has at its end without having told its owner, it gives back.
class permit_queue::awaiter : public sync_awaiter<permit_queue::awaiter> {
 public:
  awaiter(permit_queue& of, std::size_t n) noexcept : of_(of), wanted_(n) {}
  ~awaiter() { leave(); }

 protected:
  permit_queue& of_;
  const std::size_t wanted_;

 private:
  friend permit_queue;
  friend sync_awaiter<awaiter>;
  static constexpr const char* waits_for = "lock or permit";
  sync_lock& lock() noexcept { return of_.lock_; }
  waiter_list& queue() noexcept { return of_.waiting_; }
  bool try_now() noexcept { return of_.take_if_there(wanted_); }
  void left() noexcept { of_.serve(); }  // it may have stood in the way of others
  void give_back() noexcept { of_.give_locked(wanted_); }
};

inline void permit_queue::serve() noexcept {
  while (waiter* first = waiting_.front()) {
    auto& a = static_cast<awaiter&>(static_cast<sync_waiter&>(*first));
    if (a.wanted_ > available_) return;
    const std::size_t wanted = a.wanted_;  // once granted, it may be gone
    a.unlink();
    if (a.grant()) available_ -= wanted;
  }
}

}  // namespace parkring::detail
