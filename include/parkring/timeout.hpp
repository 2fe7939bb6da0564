// A time limit on any awaitable.
#pragma once

#include <chrono>
#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include <parkring/detail/branch.hpp>
#include <parkring/detail/timer.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace detail {

// The parent resumes once: when the branch has finished, or when the timer has fired. A timer that
// has fired stands on the ready list; a branch that finishes after that, in the same turn, takes it
// off and resumes the parent itself.
template <class T>
class timeout_awaiter : branch_parent {
 public:
  timeout_awaiter(branch<T>&& b, wake_time t) noexcept : branch_(std::move(b)), timer_(t) {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
    auto& core = running_core();
    wait_in(h, kind_of_wait);
    finished = [](branch_parent& p, std::size_t, bool) noexcept {
      auto& self = static_cast<timeout_awaiter&>(p);
      self.timer_.disarm();
      return true;
    };
    timer_.arm(core, h);
    return branch_.enter(*this, 0);
  }
  auto await_resume() {
    end_wait();
    if constexpr (std::is_void_v<T>) {
      if (!branch_.done()) {
        branch_.reset();
        return false;
      }
      branch_.take();
      return true;
    } else {
      if (!branch_.done()) {
        branch_.reset();  // the drop: here, not later, so that what follows can rely on it
        return std::optional<T>();
      }
      return std::optional<T>(branch_.take());
    }
  }

 private:
  static std::coroutine_handle<> give_branch_up(frames_owner& owner) noexcept {
    return static_cast<timeout_awaiter&>(owner).branch_.give_up();
  }
  static void visit(frames_owner& owner, frame_visitor& v) {
    v.see(static_cast<timeout_awaiter&>(owner).branch_.peek());
  }
  static constexpr frames_kind kind_of_wait = {"timeout", &give_branch_up, &visit};

  branch<T> branch_;
  timed_waiter timer_;
};

template <class T>
using timeout_result = std::conditional_t<std::is_void_v<T>, bool, std::optional<T>>;

// The short way, for awaiters that tell whether they are done: no coroutine in between. The inner
// awaiter and the timer both wake the awaiting coroutine; the first to do so resumes it, and
// `await_resume` ends both before anything else can run.
template <class Awaiter, class T>
class direct_timeout_awaiter {
 public:
  template <class A>
  direct_timeout_awaiter(A&& a, wake_time t) : timer_(t), alive_(true) {
    ::new (static_cast<void*>(&inner_)) Awaiter(awaiter_of(std::forward<A>(a)));
  }
  direct_timeout_awaiter(const direct_timeout_awaiter&) = delete;
  direct_timeout_awaiter& operator=(const direct_timeout_awaiter&) = delete;
  ~direct_timeout_awaiter() { drop(); }

  bool await_ready() { return inner_.await_ready(); }
  void await_suspend(std::coroutine_handle<> h) {
    auto& core = running_core();
    timer_.arm(core, h);
    inner_.await_suspend(h);
  }
  timeout_result<T> await_resume() {
    timer_.disarm();
    if (!inner_.await_done()) {
      drop();  // here, not later, so that what follows can rely on it
      return {};
    }
    // It may still stand on the ready list, when the timer resumed us: it must not do so again.
    const at_end leave{*this};
    if constexpr (std::is_void_v<T>) {
      inner_.await_resume();
      return true;
    } else {
      return timeout_result<T>(inner_.await_resume());
    }
  }

 private:
  struct at_end {
    direct_timeout_awaiter& self;
    ~at_end() { self.drop(); }
  };
  void drop() noexcept {
    if (std::exchange(alive_, false)) inner_.~Awaiter();
  }
  union {
    Awaiter inner_;
  };
  timed_waiter timer_;
  bool alive_;
};

template <class A>
class [[nodiscard("co_await it")]] timeout_operation {
 public:
  timeout_operation(wake_time t, A && a) : time_(t), inner_(std::move(a)) {}
  auto operator co_await()&& {
    using T = await_result_t<A>;
    using awaiter = std::remove_cvref_t<decltype(awaiter_of(std::declval<A>()))>;
    if constexpr (tells_done<awaiter>)
      return direct_timeout_awaiter<awaiter, T>(std::move(inner_), time_);
    else
      return timeout_awaiter<T>(make_branch<T, A>(std::move(inner_)), time_);
  }

 private:
  wake_time time_;
  A inner_;
};

}  // namespace detail

/// Awaits `a`, but no longer than until `t`: an empty optional (`false` for void) when time is up.
///
/// *Completes when* `a` does or the time has come, whatever the device does; then `a` is dropped
/// before the await returns. A result that has been produced is not thrown away for the timeout.
/// *Owns* `a`. *Thread*: inside a task. *Drop*: drops `a`. *Errors*: what `a` throws.
template <detail::awaitable A>
requires(!std::is_lvalue_reference_v<A>)
    [[nodiscard("co_await it")]] auto timeout_at(std::chrono::steady_clock::time_point t, A&& a) {
  return detail::timeout_operation<A>(detail::wake_at(t), std::move(a));
}

/// Awaits `a`, but no longer than `d` from now. As `timeout_at`.
///
/// *Completes when* `a` does or the time is up; it counts and is rounded as that of `sleep_for`.
/// *Owns* `a`. *Thread*: inside a task. *Drop*: drops `a`. *Errors*: what `a` throws.
template <class Rep, class Period, detail::awaitable A>
requires(!std::is_lvalue_reference_v<A>)
    [[nodiscard("co_await it")]] auto timeout(std::chrono::duration<Rep, Period> d, A&& a) {
  return detail::timeout_operation<A>(detail::wake_after(d), std::move(a));
}

}  // namespace parkring
