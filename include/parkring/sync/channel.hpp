// Values from tasks to tasks, each to one of them.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

#include <parkring/detail/channel_state.hpp>

namespace parkring {

/// Thrown where a value is sent that nobody will receive.
class channel_closed : public std::runtime_error {
 public:
  channel_closed()
      : std::runtime_error(
            "send on a closed channel: every receiver is gone or has closed it; stop sending") {}
};

/// What became of a `try_send`.
enum class try_send_result : std::uint8_t { sent, full, closed };

namespace detail {

/// A counted handle to one end. `Add` and `Drop` are members of the state.
template <class State, void (State::*Add)() noexcept, void (State::*Drop)() noexcept>
class channel_handle {
 public:
  channel_handle() noexcept = default;
  channel_handle(const channel_handle& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) (state_->*Add)();
  }
  channel_handle(channel_handle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  channel_handle& operator=(channel_handle other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~channel_handle() {
    if (state_ != nullptr) (state_->*Drop)();
  }

 protected:
  explicit channel_handle(State& state) noexcept : state_(&state) {}
  State& state() const noexcept {
    PARKRING_CHECK(state_ != nullptr, "this end of the channel was moved from");
    return *state_;
  }

 private:
  State* state_ = nullptr;
};

template <class T>
using sender_handle =
    channel_handle<channel_state<T>, &channel_state<T>::add_sender, &channel_state<T>::drop_sender>;
template <class T>
using receiver_handle = channel_handle<channel_state<T>, &channel_state<T>::add_receiver,
                                       &channel_state<T>::drop_receiver>;

struct channel_access {
  template <class End, class T>
  static End make(channel_state<T>& state) noexcept {
    return End(state);
  }
};

}  // namespace detail

/// The sending end of a bounded channel. Copies send into the same channel; when the last one goes
/// the channel closes. *Thread*: any. *Drop*: no task may send through it any more.
template <class T>
class channel_sender : public detail::sender_handle<T> {
  class send_operation;

 public:
  channel_sender() noexcept = default;

  /// Sends a value.
  ///
  /// *Completes when* it was received or there is room for it; senders wait in order. *Owns* the
  /// value. *Thread*: inside a task. *Drop*: at once; the value is destroyed if it was not sent
  /// yet. *Errors*: `channel_closed`, and the value is gone.
  [[nodiscard("co_await it")]] auto send(T value) const {
    return send_operation(this->state(), std::move(value));
  }
  /// Sends a value if it has not to wait; moves from `value` only then. *Errors*: `std::bad_alloc`.
  [[nodiscard]] try_send_result try_send(T&& value) const {
    switch (this->state().try_send(value)) {
      case detail::channel_answer::done:
        return try_send_result::sent;
      case detail::channel_answer::full:
        return try_send_result::full;
      case detail::channel_answer::closed:
        break;
    }
    return try_send_result::closed;
  }
  /// As `send`, for a thread without a runtime: blocks it.
  void blocking_send(T value) const {
    typename detail::channel_state<T>::send_awaiter a(this->state(), std::move(value));
    a.wait_blocking();
    if (!a.finish()) throw channel_closed();
  }
  /// Whether nobody will receive any more; may have changed already.
  [[nodiscard]] bool closed() const noexcept { return this->state().closed(); }

 private:
  friend detail::channel_access;
  using detail::sender_handle<T>::sender_handle;
  explicit channel_sender(detail::channel_state<T>& s) noexcept : detail::sender_handle<T>(s) {}

  class [[nodiscard("co_await it")]] send_operation {
   public:
    send_operation(detail::channel_state<T> & of, T && value) noexcept
        : of_(of), value_(std::move(value)) {}
    auto operator co_await()&& noexcept { return awaiter(of_, std::move(value_)); }

   private:
    struct awaiter : detail::channel_state<T>::send_awaiter {
      using detail::channel_state<T>::send_awaiter::send_awaiter;
      void await_resume() {
        if (!this->finish()) throw channel_closed();
      }
    };
    detail::channel_state<T>& of_;
    T value_;
  };
};

/// The sending end of an unbounded channel: never waits. Else as `channel_sender`.
template <class T>
class unbounded_sender : public detail::sender_handle<T> {
 public:
  unbounded_sender() noexcept = default;

  /// Sends a value. Any thread. *Errors*: `channel_closed`, `std::bad_alloc`.
  void send(T value) const {
    if (this->state().try_send(value) == detail::channel_answer::closed) throw channel_closed();
  }
  /// Whether nobody will receive any more; may have changed already.
  [[nodiscard]] bool closed() const noexcept { return this->state().closed(); }

 private:
  friend detail::channel_access;
  explicit unbounded_sender(detail::channel_state<T>& s) noexcept : detail::sender_handle<T>(s) {}
};

/// The receiving end of a channel. Copies receive from the same channel, each value goes to one;
/// when the last one goes, values that nobody received are destroyed. *Thread*: any. *Drop*: no
/// task may receive through it any more.
template <class T>
class channel_receiver : public detail::receiver_handle<T> {
  struct receive_operation;

 public:
  using value_type = T;
  channel_receiver() noexcept = default;

  /// Receives a value; nothing when the channel is closed and empty.
  ///
  /// *Completes when* there is one, or never will be; receivers wait in order. *Owns* nothing.
  /// *Thread*: inside a task. *Drop*: at once; a value that was handed over meanwhile goes to the
  /// next one who receives, before those that were not handed over yet. *Errors*: none.
  [[nodiscard("co_await it")]] auto receive() const noexcept {
    return receive_operation{this->state()};
  }
  /// As `receive`, by the name that streams of values have.
  [[nodiscard("co_await it")]] auto next() const noexcept { return receive(); }
  /// A value, if there is one.
  [[nodiscard]] std::optional<T> try_receive() const noexcept {
    std::optional<T> value;
    (void)this->state().try_receive(value);
    return value;
  }
  /// As `receive`, for a thread without a runtime: blocks it.
  [[nodiscard]] std::optional<T> blocking_receive() const noexcept {
    typename detail::channel_state<T>::receive_awaiter a(this->state());
    a.wait_blocking();
    return a.await_resume();
  }
  /// Nobody can send any more; what was sent can still be received.
  void close() const noexcept { this->state().close(); }
  /// How many values wait; may have changed already.
  [[nodiscard]] std::size_t size() const noexcept { return this->state().size(); }

 private:
  friend detail::channel_access;
  explicit channel_receiver(detail::channel_state<T>& s) noexcept : detail::receiver_handle<T>(s) {}

  struct [[nodiscard("co_await it")]] receive_operation {
    detail::channel_state<T>& of;
    auto operator co_await()&& noexcept {
      return typename detail::channel_state<T>::receive_awaiter(of);
    }
  };
};

/// The two ends of a new channel: `auto [tx, rx] = channel<int>(16)`.
template <class Sender, class Receiver>
struct channel_ends {
  Sender sender;
  Receiver receiver;
};

/// A channel in which `capacity` values may wait. Any number of senders and receivers, on any
/// threads. *Errors*: `std::bad_alloc`; a capacity of 0 fails a check.
template <class T>
[[nodiscard]] channel_ends<channel_sender<T>, channel_receiver<T>> channel(std::size_t capacity) {
  PARKRING_CHECK(capacity > 0, "a channel has room for one value at least");
  auto state = std::make_unique<detail::channel_state<T>>(capacity);
  state->reserve(capacity);
  auto& s = *state.release();
  return {detail::channel_access::make<channel_sender<T>>(s),
          detail::channel_access::make<channel_receiver<T>>(s)};
}

/// A channel in which any number of values may wait. *Errors*: `std::bad_alloc`.
template <class T>
[[nodiscard]] channel_ends<unbounded_sender<T>, channel_receiver<T>> unbounded_channel() {
  auto& s = *std::make_unique<detail::channel_state<T>>(std::numeric_limits<std::size_t>::max())
                 .release();
  return {detail::channel_access::make<unbounded_sender<T>>(s),
          detail::channel_access::make<channel_receiver<T>>(s)};
}

}  // namespace parkring
