// One value, from whoever has it to whoever waits for it.
#pragma once

#include <optional>
#include <utility>

#include <parkring/sync/channel.hpp>

namespace parkring {

template <class T>
class oneshot_receiver;

/// Sends the one value. *Thread*: any. *Drop*: the receiver is told that there will be none.
template <class T>
class oneshot_sender {
 public:
  oneshot_sender() noexcept = default;
  /// Sends it; false when nobody waits for it any more, and then `value` is gone. Once.
  bool send(T value) && {
    const channel_sender<T> last = std::move(to_);
    return last.try_send(std::move(value)) == try_send_result::sent;
  }
  /// Whether nobody will receive it; may have changed already.
  [[nodiscard]] bool closed() const noexcept { return to_.closed(); }

 private:
  template <class U>
  friend channel_ends<oneshot_sender<U>, oneshot_receiver<U>> oneshot();
  explicit oneshot_sender(channel_sender<T> to) noexcept : to_(std::move(to)) {}
  channel_sender<T> to_;
};

/// Receives the one value. *Thread*: any. *Drop*: no task may wait through it any more.
template <class T>
class oneshot_receiver {
 public:
  oneshot_receiver() noexcept = default;
  /// Receives it; nothing when the sender went without sending.
  ///
  /// *Completes when* it was sent, or never will be. *Owns* nothing. *Thread*: inside a task.
  /// *Drop*: at once; a value that has come stays for the next `receive`. *Errors*: none.
  [[nodiscard("co_await it")]] auto receive() const noexcept { return from_.receive(); }
  /// As `receive`, for a thread without a runtime: blocks it.
  [[nodiscard]] std::optional<T> blocking_receive() const noexcept {
    return from_.blocking_receive();
  }

 private:
  template <class U>
  friend channel_ends<oneshot_sender<U>, oneshot_receiver<U>> oneshot();
  explicit oneshot_receiver(channel_receiver<T> from) noexcept : from_(std::move(from)) {}
  channel_receiver<T> from_;
};

/// The two ends: `auto [tx, rx] = oneshot<int>()`. *Errors*: `std::bad_alloc`.
template <class T>
[[nodiscard]] channel_ends<oneshot_sender<T>, oneshot_receiver<T>> oneshot() {
  auto [tx, rx] = channel<T>(1);
  return {oneshot_sender<T>(std::move(tx)), oneshot_receiver<T>(std::move(rx))};
}

}  // namespace parkring
