// A child coroutine of a combinator: runs one awaitable beside others and reports to the parent
// that awaits them all.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>
#include <variant>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/detail/nested_frames.hpp>
#include <parkring/detail/outcome.hpp>
#include <parkring/task.hpp>

namespace parkring::detail {

/// What a finished branch tells its parent's awaiter, which lives in the parent's frame and owns
/// the branches. Returns whether the parent should go on now.
struct branch_parent : frames_owner {
  std::coroutine_handle<> frame;
  frame_link* link = nullptr;  // of `frame`, while it waits
  bool (*finished)(branch_parent&, std::size_t index, bool failed) noexcept = nullptr;

  branch_parent() noexcept = default;
  branch_parent(const branch_parent&) = delete;
  branch_parent& operator=(const branch_parent&) = delete;
  ~branch_parent() { end_wait(); }

  /// The frame begins to wait for the branches of this combinator.
  template <class Promise>
  void wait_in(std::coroutine_handle<Promise> h, const frames_kind& combinator) noexcept {
    frame = h;
    kind = &combinator;
    if constexpr (linked_promise<Promise>) {
      link = &h.promise();
      link->awaiting = this;
    }
  }
  /// It has been resumed.
  void end_wait() noexcept {
    if (link != nullptr) std::exchange(link, nullptr)->awaiting = nullptr;
  }
};

struct branch_promise_base : frame_link, recycled_frame {
  branch_parent* parent = nullptr;
  std::size_t index = 0;

  struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) const noexcept {
      auto& p = h.promise();
      if (p.parent->finished(*p.parent, p.index, p.result.failed()))
        return transfer(p.parent->frame);
      return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return {}; }
};

/// The owner of a branch's frame.
template <class T>
class branch {
 public:
  struct promise_type : branch_promise_base, returned<T> {
    static_assert(alignof(outcome<T>) <= alignof(std::max_align_t),
                  "results with extended alignment are not supported here; box the value");
    branch get_return_object() noexcept {
      return branch(std::coroutine_handle<promise_type>::from_promise(*this));
    }
  };

  branch() noexcept = default;
  branch(branch&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  branch& operator=(branch&& other) noexcept {
    if (this != &other) {
      reset();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~branch() { reset(); }

  /// Destroys the frame, wherever it waits.
  void reset() noexcept {
    if (const auto frame = give_up(); frame != nullptr) destroy_frame(frame);
  }
  /// The frame, for the caller to destroy; null when there is none any more.
  [[nodiscard]] std::coroutine_handle<> give_up() noexcept {
    start_.unlink();
    return std::exchange(frame_, nullptr);
  }

  /// The frame, or null.
  [[nodiscard]] std::coroutine_handle<> peek() const noexcept { return frame_; }

  /// Makes it ready: it begins at its turn, on behalf of the current task.
  void start(branch_parent& parent, std::size_t index) noexcept {
    frame_.promise().parent = &parent;
    frame_.promise().index = index;
    running_core().make_ready(start_, frame_);
  }
  /// Begins at once: what the parent's await_suspend returns.
  std::coroutine_handle<> enter(branch_parent& parent, std::size_t index) noexcept {
    frame_.promise().parent = &parent;
    frame_.promise().index = index;
    return transfer(frame_);
  }
  [[nodiscard]] bool done() const noexcept { return frame_.promise().result.ready(); }
  T take() { return frame_.promise().take(); }

 private:
  explicit branch(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
  waiter start_;
};

template <class T, class A>
branch<T> make_branch(A awaitable) {
  co_return co_await std::move(awaitable);
}

template <class A>
using branch_of = branch<await_result_t<std::decay_t<A>>>;

/// `void` as a value.
template <class T>
using value_or_monostate = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
value_or_monostate<T> take_value(branch<T>& b) {
  if constexpr (std::is_void_v<T>) {
    b.take();
    return {};
  } else {
    return b.take();
  }
}

}  // namespace parkring::detail
