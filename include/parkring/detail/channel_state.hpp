// What the two ends of a channel share.
//
// Under the lock: the values, who waits at either end, and how many handles each end has.
// Invariants:
//   receivers wait  =>  there are no values, and somebody may still send
//   senders wait    =>  there are as many values as fit, and somebody may still receive
// A value goes straight into a receiver that waits, and a sender that waits has its value taken
// from it. A receiver that is dropped with a value puts it back in front: nothing is lost.
//
// Values are moved under the lock, hence must be movable without throwing; they are destroyed
// outside. Freed by the last handle. A handle must outlive what awaits through it.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <parkring/detail/sync_lock.hpp>
#include <parkring/detail/sync_waiter.hpp>
#include <parkring/detail/value_queue.hpp>

namespace parkring::detail {

enum class channel_answer : std::uint8_t { done, full, closed };

template <class T>
class channel_state {
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "values of a channel are moved without throwing; wrap them in a unique_ptr");

 public:
  class send_awaiter;
  class receive_awaiter;

  /// Room for `capacity` values at most.
  explicit channel_state(std::size_t capacity) noexcept : capacity_(capacity) {}

  void reserve(std::size_t n) { values_.reserve(n); }

  // ---- handles: an end with none is closed ----

  void add_sender() noexcept {
    std::lock_guard guard(lock_);
    ++senders_;
  }
  void add_receiver() noexcept {
    std::lock_guard guard(lock_);
    ++receivers_;
  }
  void drop_sender() noexcept {
    bool last;
    {
      std::lock_guard guard(lock_);
      last = --senders_ == 0;
      if (last) {
        PARKRING_CHECK(sending_.empty(), "a task still sends through this handle: drop it first");
        close_locked();
      }
      last = last && receivers_ == 0;
    }
    if (last) delete this;
  }
  void drop_receiver() noexcept {
    bool last;
    std::optional<value_queue<T>> unwanted;
    {
      std::lock_guard guard(lock_);
      last = --receivers_ == 0;
      if (last) {
        PARKRING_CHECK(receiving_.empty(),
                       "a task still receives through this handle: drop it first");
        close_locked();
        unwanted.emplace(std::move(values_));
      }
      last = last && senders_ == 0;
    }
    if (last) delete this;
  }

  // ---- both ends ----

  void close() noexcept {
    std::lock_guard guard(lock_);
    close_locked();
  }
  [[nodiscard]] bool closed() noexcept {
    std::lock_guard guard(lock_);
    return closed_;
  }
  [[nodiscard]] std::size_t size() noexcept {
    std::lock_guard guard(lock_);
    return values_.size();
  }
  /// Moves from `value` when it is `done`. Throws std::bad_alloc, and then has not.
  channel_answer try_send(T& value) {
    std::lock_guard guard(lock_);
    return send_locked(value);
  }
  channel_answer try_receive(std::optional<T>& into) noexcept {
    std::lock_guard guard(lock_);
    return receive_locked(into);
  }

 private:
  channel_answer send_locked(T& value) {
    if (closed_) return channel_answer::closed;
    if (hand_over(value)) return channel_answer::done;
    if (values_.size() >= capacity_) return channel_answer::full;
    values_.push_back(std::move(value));
    return channel_answer::done;
  }
  channel_answer receive_locked(std::optional<T>& into) noexcept {
    if (values_.empty()) return closed_ ? channel_answer::closed : channel_answer::full;
    into.emplace(values_.pop_front());
    while (values_.size() < capacity_) {
      auto* next = static_cast<sync_waiter*>(sending_.pop_front());
      if (next == nullptr) break;
      // First the value: whose thread hears of the grant may be done with all of it.
      values_.push_back(std::move(*static_cast<send_awaiter&>(*next).value_));
      (void)next->grant();
    }
    return channel_answer::done;
  }
  // To the receiver that has waited longest; false when none waits.
  bool hand_over(T& value) noexcept {
    while (auto* next = static_cast<sync_waiter*>(receiving_.pop_front())) {
      auto& receiver = static_cast<receive_awaiter&>(*next);
      receiver.value_.emplace(std::move(value));
      if (receiver.grant()) return true;
      std::destroy_at(&value);
      std::construct_at(&value, std::move(*receiver.value_));
    }
    return false;
  }
  void put_back(T& value) noexcept {
    if (receivers_ != 0 && !hand_over(value)) values_.push_front(std::move(value));
  }
  // Nobody sends any more; what was sent can still be received.
  void close_locked() noexcept {
    closed_ = true;
    while (auto* w = static_cast<sync_waiter*>(sending_.pop_front())) {
      static_cast<send_awaiter&>(*w).refused_ = true;
      (void)w->grant();
    }
    while (auto* w = static_cast<sync_waiter*>(receiving_.pop_front())) (void)w->grant();
  }

  sync_lock lock_;
  bool closed_ = false;
  const std::size_t capacity_;
  std::size_t senders_ = 1;
  std::size_t receivers_ = 1;
  value_queue<T> values_;
  waiter_list sending_;
  waiter_list receiving_;
};

template <class T>
class channel_state<T>::send_awaiter : public sync_awaiter<send_awaiter> {
  using base = sync_awaiter<send_awaiter>;

 public:
  send_awaiter(channel_state& of, T&& value) noexcept : of_(of), value_(std::move(value)) {}
  ~send_awaiter() { this->leave(); }
  /// Whether it was sent.
  bool finish() noexcept {
    this->take();
    return !refused_;
  }

 private:
  friend channel_state;
  friend base;
  static constexpr bool returns = false;
  static constexpr const char* waits_for = "room in a channel";
  sync_lock& lock() noexcept { return of_.lock_; }
  waiter_list& queue() noexcept { return of_.sending_; }
  bool try_now() noexcept {
    const channel_answer answer = of_.send_locked(*value_);
    refused_ = answer == channel_answer::closed;
    return answer != channel_answer::full;
  }
  void left() noexcept {}

  channel_state& of_;
  std::optional<T> value_;
  bool refused_ = false;
};

template <class T>
class channel_state<T>::receive_awaiter : public sync_awaiter<receive_awaiter> {
  using base = sync_awaiter<receive_awaiter>;

 public:
  explicit receive_awaiter(channel_state& of) noexcept : of_(of) {}
  ~receive_awaiter() { this->leave(); }
  std::optional<T> await_resume() noexcept {
    this->take();
    return std::move(value_);
  }

 private:
  friend channel_state;
  friend base;
  static constexpr const char* waits_for = "value of a channel";
  sync_lock& lock() noexcept { return of_.lock_; }
  waiter_list& queue() noexcept { return of_.receiving_; }
  bool try_now() noexcept { return of_.receive_locked(value_) != channel_answer::full; }
  void left() noexcept {}
  void give_back() noexcept {
    if (value_.has_value()) of_.put_back(*value_);
  }

  channel_state& of_;
  std::optional<T> value_;
};

}  // namespace parkring::detail
