// Values to everybody: each receiver gets each value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <parkring/detail/wait_queue.hpp>
#include <parkring/sync/channel.hpp>

namespace parkring {
namespace detail {

// The last `capacity` values, by their number. A receiver knows the number of its next one.
template <class T>
struct broadcast_state {
  explicit broadcast_state(std::size_t capacity) : kept(capacity) {}

  [[nodiscard]] std::uint64_t oldest() const noexcept {
    return sent > kept.size() ? sent - kept.size() : 0;
  }

  wait_queue queue;  // its lock guards all of this
  std::vector<std::shared_ptr<const T>> kept;
  std::uint64_t sent = 0;
  std::size_t senders = 1;
};

}  // namespace detail

template <class T>
class broadcast_receiver;

/// Sends to all receivers there are. Never waits: a receiver that is too slow misses the oldest.
/// *Thread*: any. *Drop*: with the last one, receivers are told that no more will come.
template <class T>
class broadcast_sender {
  using state = detail::broadcast_state<T>;

 public:
  broadcast_sender() noexcept = default;
  broadcast_sender(const broadcast_sender& other) noexcept : state_(other.state_) {
    if (state_ == nullptr) return;
    std::lock_guard guard(state_->queue.lock());
    ++state_->senders;
  }
  broadcast_sender(broadcast_sender&& other) noexcept = default;
  broadcast_sender& operator=(broadcast_sender other) noexcept {
    state_.swap(other.state_);
    return *this;
  }
  ~broadcast_sender() {
    if (state_ == nullptr) return;
    std::lock_guard guard(state_->queue.lock());
    if (--state_->senders == 0) state_->queue.wake_all();
  }

  /// Sends a value. *Errors*: `std::bad_alloc`.
  void send(T value) const {
    PARKRING_CHECK(state_ != nullptr, "this end of the broadcast was moved from");
    std::shared_ptr<const T> shared = std::make_shared<const T>(std::move(value));
    std::lock_guard guard(state_->queue.lock());
    state_->kept[state_->sent % state_->kept.size()].swap(shared);  // the old one ends outside
    ++state_->sent;
    state_->queue.wake_all();
  }
  /// Another receiver; it gets what is sent from now on.
  [[nodiscard]] broadcast_receiver<T> subscribe() const {
    PARKRING_CHECK(state_ != nullptr, "this end of the broadcast was moved from");
    std::lock_guard guard(state_->queue.lock());
    return broadcast_receiver<T>(state_, state_->sent);
  }

 private:
  template <class U>
  friend channel_ends<broadcast_sender<U>, broadcast_receiver<U>> broadcast(std::size_t capacity);
  explicit broadcast_sender(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}
  std::shared_ptr<state> state_;
};

/// Receives every value that is sent while it exists. A copy goes on where the original is.
/// *Thread*: one at a time. *Drop*: no task may wait through it any more.
template <class T>
class broadcast_receiver {
  using state = detail::broadcast_state<T>;

 public:
  using value_type = T;
  broadcast_receiver() noexcept = default;

  /// Receives the next value; nothing when the last sender is gone and all was received.
  ///
  /// *Completes when* there is one, or never will be. *Owns* nothing. *Thread*: inside a task.
  /// *Drop*: at once; nothing is lost. *Errors*: what copying a `T` throws. `missed` says how many
  /// values went by unseen before it.
  [[nodiscard("co_await it")]] auto receive() noexcept {
    PARKRING_CHECK(state_ != nullptr, "this end of the broadcast was moved from");
    return receive_operation{*this};
  }
  /// As `receive`, by the name that streams of values have.
  [[nodiscard("co_await it")]] auto next() noexcept { return receive(); }
  /// How many values the last `receive` has passed over, because it came too late.
  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }

 private:
  friend broadcast_sender<T>;
  template <class U>
  friend channel_ends<broadcast_sender<U>, broadcast_receiver<U>> broadcast(std::size_t capacity);
  broadcast_receiver(std::shared_ptr<state> s, std::uint64_t next) noexcept
      : state_(std::move(s)), next_(next) {}

  [[nodiscard]] bool passed() const noexcept {
    return next_ < state_->sent || state_->senders == 0;
  }
  class awaiter : public detail::sync_awaiter<awaiter> {
   public:
    explicit awaiter(broadcast_receiver& of) noexcept : of_(of) {}
    ~awaiter() { this->leave(); }
    std::optional<T> await_resume() {
      this->take();
      return of_.take_next();
    }

   private:
    friend detail::sync_awaiter<awaiter>;
    static constexpr const char* waits_for = "value of a broadcast";
    static constexpr bool returns = false;  // the value is taken when it resumes
    detail::sync_lock& lock() noexcept { return of_.state_->queue.lock(); }
    detail::waiter_list& queue() noexcept { return of_.state_->queue.waiting(); }
    bool try_now() noexcept { return of_.passed(); }
    void left() noexcept {}
    broadcast_receiver& of_;
  };
  struct [[nodiscard("co_await it")]] receive_operation {
    broadcast_receiver& of;
    awaiter operator co_await()&& noexcept { return awaiter(of); }
  };

  std::optional<T> take_next() {
    std::shared_ptr<const T> value;
    {
      std::lock_guard guard(state_->queue.lock());
      if (next_ == state_->sent) return std::nullopt;  // the last sender is gone
      const std::uint64_t from = std::max(next_, state_->oldest());
      missed_ = from - next_;
      next_ = from + 1;
      value = state_->kept[from % state_->kept.size()];
    }
    return std::optional<T>(*value);
  }

  std::shared_ptr<state> state_;
  std::uint64_t next_ = 0;
  std::uint64_t missed_ = 0;
};

/// The two ends of a new broadcast that keeps the last `capacity` values for slow receivers.
/// *Errors*: `std::bad_alloc`; a capacity of 0 fails a check.
template <class T>
[[nodiscard]] channel_ends<broadcast_sender<T>, broadcast_receiver<T>> broadcast(
    std::size_t capacity) {
  PARKRING_CHECK(capacity > 0, "a broadcast keeps one value at least");
  auto s = std::make_shared<detail::broadcast_state<T>>(capacity);
  broadcast_receiver<T> receiver(s, 0);
  return {broadcast_sender<T>(std::move(s)), std::move(receiver)};
}

}  // namespace parkring
