// Permits that tasks take and give back.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include <parkring/detail/permit_queue.hpp>

namespace parkring {

class semaphore;

/// Permits that somebody has; they go back with this object.
class [[nodiscard("the permit goes back when this object goes")]] semaphore_permit {
 public:
  semaphore_permit() noexcept = default;
  semaphore_permit(semaphore_permit && other) noexcept
      : of_(std::exchange(other.of_, nullptr)), n_(std::exchange(other.n_, 0)) {}
  semaphore_permit& operator=(semaphore_permit&& other) noexcept {
    if (this != &other) {
      release();
      of_ = std::exchange(other.of_, nullptr);
      n_ = std::exchange(other.n_, 0);
    }
    return *this;
  }
  ~semaphore_permit() { release(); }

  /// How many these are.
  [[nodiscard]] std::size_t count() const noexcept { return n_; }
  /// Gives them back now.
  void release() noexcept {
    if (of_ != nullptr) std::exchange(of_, nullptr)->give(std::exchange(n_, 0));
  }
  /// Lets them go without giving them back: the semaphore has so many fewer.
  void forget() noexcept {
    of_ = nullptr;
    n_ = 0;
  }

 private:
  friend semaphore;
  semaphore_permit(detail::permit_queue & of, std::size_t n) noexcept : of_(&of), n_(n) {}
  detail::permit_queue* of_ = nullptr;
  std::size_t n_ = 0;
};

/// Permits, handed out first come first served.
///
/// *Owns* the permits that nobody has. *Thread*: any, also several runtimes at once, and threads
/// without a runtime by `blocking_acquire`. *Drop*: nobody may wait for it any more, nor have a
/// permit of it.
class semaphore {
  struct awaiter : detail::permit_queue::awaiter {
    using detail::permit_queue::awaiter::awaiter;
    semaphore_permit await_resume() noexcept {
      take();
      return {of_, wanted_};
    }
  };
  struct [[nodiscard("co_await it")]] acquire_operation {
    detail::permit_queue& of;
    std::size_t n;
    awaiter operator co_await()&& noexcept { return awaiter(of, n); }
  };

 public:
  using permit = semaphore_permit;

  explicit semaphore(std::size_t permits) noexcept : queue_(permits) {}

  /// Takes `n` permits.
  ///
  /// *Completes when* they are there and nobody has waited longer. *Owns* nothing: the semaphore is
  /// the caller's to keep. *Thread*: inside a task. *Drop*: at once; permits that were handed over
  /// meanwhile pass on to the next. *Errors*: none.
  [[nodiscard("co_await it")]] auto acquire(std::size_t n = 1) noexcept {
    return acquire_operation{queue_, n};
  }
  /// As `acquire`, if that has not to wait.
  [[nodiscard]] std::optional<permit> try_acquire(std::size_t n = 1) noexcept {
    if (!queue_.try_take(n)) return std::nullopt;
    return permit(queue_, n);
  }
  /// As `acquire`, for a thread without a runtime: blocks it.
  [[nodiscard]] permit blocking_acquire(std::size_t n = 1) noexcept {
    awaiter a(queue_, n);
    a.wait_blocking();
    return a.await_resume();
  }

  /// Adds `n` permits, which nobody had to have.
  void release(std::size_t n = 1) noexcept { queue_.give(n); }
  /// How many permits nobody has; may have changed already.
  [[nodiscard]] std::size_t available() noexcept { return queue_.available(); }

 private:
  detail::permit_queue queue_;
};

}  // namespace parkring
