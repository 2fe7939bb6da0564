// The latest value of something, and word when it has changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include <parkring/detail/wait_queue.hpp>
#include <parkring/sync/channel.hpp>

namespace parkring {
namespace detail {

template <class T>
struct watch_state {
  explicit watch_state(T first) : value(std::make_shared<const T>(std::move(first))) {}

  wait_queue queue;  // its lock guards all of this
  std::shared_ptr<const T> value;
  std::uint64_t version = 0;
  bool ended = false;
};

}  // namespace detail

template <class T>
class watch_receiver;

/// Sets the value. *Thread*: any. *Drop*: receivers are told that it changes no more.
template <class T>
class watch_sender {
  using state = detail::watch_state<T>;

 public:
  watch_sender() noexcept = default;
  watch_sender(watch_sender&&) noexcept = default;
  watch_sender& operator=(watch_sender&& other) noexcept {
    if (this != &other) {
      end();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~watch_sender() { end(); }

  /// Sets a new value, and tells everybody. *Errors*: `std::bad_alloc`.
  void send(T value) {
    PARKRING_CHECK(state_ != nullptr, "this end of the watched value was moved from");
    std::shared_ptr<const T> fresh = std::make_shared<const T>(std::move(value));
    std::lock_guard guard(state_->queue.lock());
    state_->value.swap(fresh);  // the old one ends outside of the lock
    ++state_->version;
    state_->queue.wake_all();
  }
  /// Another receiver, which has seen the present value.
  [[nodiscard]] watch_receiver<T> subscribe() const {
    PARKRING_CHECK(state_ != nullptr, "this end of the watched value was moved from");
    std::lock_guard guard(state_->queue.lock());
    return watch_receiver<T>(state_, state_->version);
  }

 private:
  template <class U>
  friend channel_ends<watch_sender<U>, watch_receiver<U>> watch(U first);
  explicit watch_sender(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}
  void end() noexcept {
    if (state_ == nullptr) return;
    std::lock_guard guard(state_->queue.lock());
    state_->ended = true;
    state_->queue.wake_all();
  }
  std::shared_ptr<state> state_;
};

/// Sees the latest value. A copy has seen what the original has. *Thread*: one at a time. *Drop*:
/// no task may wait through it any more.
template <class T>
class watch_receiver {
  using state = detail::watch_state<T>;

 public:
  watch_receiver() noexcept = default;

  /// Waits for a value that this receiver has not seen; false when none will come.
  ///
  /// *Completes when* the value was set again, however often, or the sender is gone. *Owns*
  /// nothing. *Thread*: inside a task. *Drop*: at once; the change is still unseen. *Errors*: none.
  [[nodiscard("co_await it")]] auto changed() noexcept {
    PARKRING_CHECK(state_ != nullptr, "this end of the watched value was moved from");
    return change_operation{*this};
  }
  /// The present value, which counts as seen. Throws what copying a `T` does.
  [[nodiscard]] T get() { return *get_shared(); }
  /// As `get`, without a copy.
  [[nodiscard]] std::shared_ptr<const T> get_shared() {
    PARKRING_CHECK(state_ != nullptr, "this end of the watched value was moved from");
    std::lock_guard guard(state_->queue.lock());
    seen_ = state_->version;
    return state_->value;
  }

 private:
  friend watch_sender<T>;
  template <class U>
  friend channel_ends<watch_sender<U>, watch_receiver<U>> watch(U first);
  watch_receiver(std::shared_ptr<state> s, std::uint64_t seen) noexcept
      : state_(std::move(s)), seen_(seen) {}

  class awaiter : public detail::sync_awaiter<awaiter> {
   public:
    explicit awaiter(watch_receiver& of) noexcept : of_(of) {}
    ~awaiter() { this->leave(); }
    bool await_resume() noexcept {
      this->take();
      std::lock_guard guard(lock());
      // Also when `get` has seen it meanwhile: more may come.
      const bool fresh = of_.seen_ != of_.state_->version;
      of_.seen_ = of_.state_->version;
      return fresh || !of_.state_->ended;
    }

   private:
    friend detail::sync_awaiter<awaiter>;
    static constexpr const char* waits_for = "change of a watched value";
    static constexpr bool returns = false;
    detail::sync_lock& lock() noexcept { return of_.state_->queue.lock(); }
    detail::waiter_list& queue() noexcept { return of_.state_->queue.waiting(); }
    bool try_now() noexcept { return of_.seen_ != of_.state_->version || of_.state_->ended; }
    void left() noexcept {}
    watch_receiver& of_;
  };
  struct [[nodiscard("co_await it")]] change_operation {
    watch_receiver& of;
    awaiter operator co_await()&& noexcept { return awaiter(of); }
  };

  std::shared_ptr<state> state_;
  std::uint64_t seen_ = 0;
};

/// The two ends of a value that changes: `auto [tx, rx] = watch(config)`. *Errors*:
/// `std::bad_alloc`.
template <class T>
[[nodiscard]] channel_ends<watch_sender<T>, watch_receiver<T>> watch(T first) {
  auto s = std::make_shared<detail::watch_state<T>>(std::move(first));
  watch_receiver<T> receiver(s, 0);
  return {watch_sender<T>(std::move(s)), std::move(receiver)};
}

}  // namespace parkring
