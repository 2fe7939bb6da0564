// Locks for tasks: they wait without blocking their thread.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include <parkring/detail/permit_queue.hpp>

namespace parkring {
namespace detail {

/// A lock that somebody has; it is given back with this object.
template <class Mutex, std::size_t Permits>
class [[nodiscard("the lock is given back when this object goes")]] lock_guard_of {
 public:
  lock_guard_of() noexcept = default;
  lock_guard_of(lock_guard_of && other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
  lock_guard_of& operator=(lock_guard_of&& other) noexcept {
    if (this != &other) {
      unlock();
      of_ = std::exchange(other.of_, nullptr);
    }
    return *this;
  }
  ~lock_guard_of() { unlock(); }

  /// Gives it back now.
  void unlock() noexcept {
    if (of_ != nullptr) std::exchange(of_, nullptr)->queue_.give(Permits);
  }
  /// Whether it has the lock: not after `unlock`, nor once it was moved from.
  [[nodiscard]] bool owns_lock() const noexcept { return of_ != nullptr; }
  [[nodiscard]] Mutex* mutex() const noexcept { return of_; }

 private:
  friend Mutex;
  template <class, std::size_t>
  friend class lock_operation;
  explicit lock_guard_of(Mutex & of) noexcept : of_(&of) {}
  Mutex* of_ = nullptr;
};

template <class Mutex, std::size_t Permits>
class [[nodiscard("co_await it")]] lock_operation {
 public:
  using guard = lock_guard_of<Mutex, Permits>;
  struct awaiter : permit_queue::awaiter {
    explicit awaiter(Mutex& m) noexcept : permit_queue::awaiter(m.queue_, Permits), mutex_(m) {}
    guard await_resume() noexcept {
      take();
      return guard(mutex_);
    }
    Mutex& mutex_;
  };
  explicit lock_operation(Mutex & of) noexcept : of_(of) {}
  awaiter operator co_await()&& noexcept { return awaiter(of_); }

 private:
  Mutex& of_;
};

}  // namespace detail

/// One at a time, first come first served.
///
/// It may be held over awaits. *Owns* nothing. *Thread*: any, also several runtimes at once, and
/// threads without a runtime by `blocking_lock`. *Drop*: nobody may hold it or wait for it any
/// more.
class mutex {
 public:
  using guard = detail::lock_guard_of<mutex, 1>;

  mutex() noexcept = default;
  ~mutex() { PARKRING_CHECK(queue_.available() == 1, "a mutex is destroyed when nobody holds it"); }

  /// Waits for the lock; `auto held = co_await m.lock()`.
  ///
  /// *Completes when* everybody who came before has given it back. *Owns* nothing. *Thread*: inside
  /// a task; awaiting it while holding it never ends. *Drop*: at once; a lock that was handed over
  /// meanwhile passes on to the next. *Errors*: none.
  [[nodiscard("co_await it")]] auto lock() noexcept {
    return detail::lock_operation<mutex, 1>(*this);
  }
  /// The lock, if nobody has it.
  [[nodiscard]] std::optional<guard> try_lock() noexcept {
    if (!queue_.try_take(1)) return std::nullopt;
    return guard(*this);
  }
  /// As `lock`, for a thread without a runtime: blocks it.
  [[nodiscard]] guard blocking_lock() noexcept {
    detail::lock_operation<mutex, 1>::awaiter a(*this);
    a.wait_blocking();
    return a.await_resume();
  }

 private:
  friend guard;
  template <class, std::size_t>
  friend class detail::lock_operation;
  detail::permit_queue queue_{1};
};

/// Many readers or one writer, first come first served: readers that come after a writer wait for
/// it, so neither starves the other.
///
/// As `mutex` in all else.
class shared_mutex {
  static constexpr std::size_t all = std::size_t{1} << 30;

 public:
  using guard = detail::lock_guard_of<shared_mutex, all>;
  using shared_guard = detail::lock_guard_of<shared_mutex, 1>;

  shared_mutex() noexcept = default;
  ~shared_mutex() {
    PARKRING_CHECK(queue_.available() == all, "a mutex is destroyed when nobody holds it");
  }

  /// Waits to be the only one.
  ///
  /// *Completes when* everybody who came before has given it back. *Owns* nothing. *Thread*: inside
  /// a task; awaiting it while holding it, in either way, never ends. *Drop*: as `mutex::lock`.
  /// *Errors*: none.
  [[nodiscard("co_await it")]] auto lock() noexcept {
    return detail::lock_operation<shared_mutex, all>(*this);
  }
  /// Waits to be one of those who only read.
  ///
  /// *Completes when* every writer that came before has given it back. *Owns* nothing. *Thread*:
  /// inside a task; awaiting it again while holding it may never end, when a writer came between.
  /// *Drop*: as `mutex::lock`. *Errors*: none.
  [[nodiscard("co_await it")]] auto lock_shared() noexcept {
    return detail::lock_operation<shared_mutex, 1>(*this);
  }
  /// The lock, if nobody has it, in either way, or waits for it.
  [[nodiscard]] std::optional<guard> try_lock() noexcept {
    if (!queue_.try_take(all)) return std::nullopt;
    return guard(*this);
  }
  /// The lock for reading, if no writer has it or waits for it.
  [[nodiscard]] std::optional<shared_guard> try_lock_shared() noexcept {
    if (!queue_.try_take(1)) return std::nullopt;
    return shared_guard(*this);
  }
  /// As `lock`, for a thread without a runtime: blocks it.
  [[nodiscard]] guard blocking_lock() noexcept {
    detail::lock_operation<shared_mutex, all>::awaiter a(*this);
    a.wait_blocking();
    return a.await_resume();
  }
  /// As `lock_shared`, for a thread without a runtime: blocks it.
  [[nodiscard]] shared_guard blocking_lock_shared() noexcept {
    detail::lock_operation<shared_mutex, 1>::awaiter a(*this);
    a.wait_blocking();
    return a.await_resume();
  }

 private:
  friend guard;
  friend shared_guard;
  template <class, std::size_t>
  friend class detail::lock_operation;
  detail::permit_queue queue_{all};
};

}  // namespace parkring
