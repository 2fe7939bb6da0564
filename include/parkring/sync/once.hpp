// Something that is done once, by whoever comes first.
#pragma once

#include <atomic>
#include <functional>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/sync/mutex.hpp>
#include <parkring/task.hpp>

namespace parkring {

/// As std::once_flag, for tasks. *Owns* nothing. *Thread*: any. *Drop*: nobody may be in `call`.
class once {
 public:
  /// Runs `fn` unless that was done before; those who come meanwhile wait for it.
  ///
  /// `fn` gives an awaitable (a task), or nothing. *Completes when* it has run to its end once. If
  /// it throws, or is dropped midway, it has not run, and the next one runs its own. *Owns* `fn`.
  /// *Thread*: inside a task. *Drop*: at once. *Errors*: what `fn` throws, to the one who ran it.
  template <class Fn>
  [[nodiscard]] task<> call(Fn fn) {
    if (done()) co_return;
    const auto turn = co_await running_.lock();
    if (done()) co_return;
    if constexpr (std::is_void_v<std::invoke_result_t<Fn&>>)
      std::invoke(fn);
    else
      co_await std::invoke(fn);
    done_.store(true, std::memory_order_release);
  }
  /// Whether it was done; then what it did is visible to the caller.
  [[nodiscard]] bool done() const noexcept {
    return done_.load(std::memory_order_acquire);  // pairs with the release in `call`
  }

 private:
  mutex running_;
  std::atomic<bool> done_{false};
};

}  // namespace parkring
