// Several awaitables at once, all of them.
#pragma once

#include <coroutine>
#include <cstddef>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <parkring/detail/awaitable_range.hpp>
#include <parkring/detail/branch.hpp>

namespace parkring {
namespace detail {

// Counts the branches that are still running; a failed one ends the wait at once.
struct all_parent : branch_parent {
  std::size_t left = 0;
  std::size_t failed_at = no_failure;
  bool resumed = false;

  static constexpr std::size_t no_failure = ~std::size_t{0};

  explicit all_parent(std::size_t n) noexcept : left(n) {
    finished = [](branch_parent& p, std::size_t index, bool failed) noexcept {
      auto& self = static_cast<all_parent&>(p);
      --self.left;
      if (self.resumed) return false;
      if (failed) self.failed_at = index;
      self.resumed = failed || self.left == 0;
      return self.resumed;
    };
  }
};

template <class... Ts>
class all_awaiter : all_parent {
 public:
  explicit all_awaiter(branch<Ts>&&... b) noexcept
      : all_parent(sizeof...(Ts)), branches_(std::move(b)...) {}
  bool await_ready() const noexcept { return sizeof...(Ts) == 0; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) noexcept {
    wait_in(h, kind_of_wait);
    start(std::index_sequence_for<Ts...>());
  }
  std::tuple<value_or_monostate<Ts>...> await_resume() {
    end_wait();
    return take(std::index_sequence_for<Ts...>());
  }

 private:
  template <std::size_t... I>
  void start(std::index_sequence<I...>) noexcept {
    (std::get<I>(branches_).start(*this, I), ...);
  }
  template <std::size_t... I>
  std::tuple<value_or_monostate<Ts>...> take(std::index_sequence<I...>) {
    if (failed_at != no_failure) {
      ((I == failed_at ? void() : std::get<I>(branches_).reset()), ...);  // the others are aborted
      ((I == failed_at ? void(std::get<I>(branches_).take()) : void()), ...);
    }
    return {take_value(std::get<I>(branches_))...};
  }
  static std::coroutine_handle<> next_branch(frames_owner& owner) noexcept {
    auto& self = static_cast<all_awaiter&>(owner);
    std::coroutine_handle<> next;
    std::apply([&](auto&... b) { (void)(((next = b.give_up()) != nullptr) || ...); },
               self.branches_);
    return next;
  }
  static void visit(frames_owner& owner, frame_visitor& v) {
    std::apply([&](auto&... b) { (v.see(b.peek()), ...); },
               static_cast<all_awaiter&>(owner).branches_);
  }
  static constexpr frames_kind kind_of_wait = {"when_all", &next_branch, &visit};
  std::tuple<branch<Ts>...> branches_;
};

template <class T>
class all_of_awaiter : all_parent {
 public:
  explicit all_of_awaiter(std::vector<branch<T>>&& b) noexcept
      : all_parent(b.size()), branches_(std::move(b)) {}
  bool await_ready() const noexcept { return branches_.empty(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) noexcept {
    wait_in(h, kind_of_wait);
    for (std::size_t i = 0; i < branches_.size(); ++i) branches_[i].start(*this, i);
  }
  auto await_resume() {
    end_wait();
    if (failed_at != no_failure) {
      branch<T> failed = std::move(branches_[failed_at]);
      branches_.clear();
      failed.take();
    }
    if constexpr (!std::is_void_v<T>) {
      std::vector<T> values;
      values.reserve(branches_.size());
      for (auto& b : branches_) values.push_back(b.take());
      return values;
    }
  }

 private:
  static std::coroutine_handle<> next_branch(frames_owner& owner) noexcept {
    auto& self = static_cast<all_of_awaiter&>(owner);
    std::coroutine_handle<> next;
    while (next == nullptr && self.given_up_ < self.branches_.size())
      next = self.branches_[self.given_up_++].give_up();
    return next;
  }
  static void visit(frames_owner& owner, frame_visitor& v) {
    for (auto& b : static_cast<all_of_awaiter&>(owner).branches_) v.see(b.peek());
  }
  static constexpr frames_kind kind_of_wait = {"when_all", &next_branch, &visit};
  std::vector<branch<T>> branches_;
  std::size_t given_up_ = 0;  // while it is destroyed: how many branches are gone
};

template <class... As>
class [[nodiscard("co_await it")]] all_operation {
 public:
  explicit all_operation(As && ... a) : inner_(std::move(a)...) {}
  auto operator co_await()&& {
    return std::apply(
        [](As&... a) {
          return all_awaiter<await_result_t<As>...>(
              make_branch<await_result_t<As>, As>(std::move(a))...);
        },
        inner_);
  }

 private:
  std::tuple<As...> inner_;
};

template <class A>
class [[nodiscard("co_await it")]] all_of_operation {
 public:
  explicit all_of_operation(std::vector<A> && a) : inner_(std::move(a)) {}
  auto operator co_await()&& {
    using T = await_result_t<A>;
    std::vector<branch<T>> branches;
    branches.reserve(inner_.size());
    for (auto& a : inner_) branches.push_back(make_branch<T, A>(std::move(a)));
    return all_of_awaiter<T>(std::move(branches));
  }

 private:
  std::vector<A> inner_;
};

}  // namespace detail

/// Awaits all of `as` at once: `auto [a, b] = co_await when_all(x(), y())`.
///
/// *Completes when* all have, with a tuple of their values (`std::monostate` for void); or when one
/// has thrown: then the others are dropped. *Owns* the awaitables. *Thread*: inside a task. *Drop*:
/// drops all. *Errors*: the first that any of them throws.
template <detail::awaitable... As>
requires((!std::is_lvalue_reference_v<As>)&&...)
    [[nodiscard("co_await it")]] auto when_all(As&&... as) {
  return detail::all_operation<As...>(std::move(as)...);
}

/// Awaits all awaitables of a range at once; gives a vector of their values (nothing for void).
///
/// The range is read, and its awaitables are moved out of it, before this returns. It makes them as
/// it goes (`paths | std::views::transform(read)`), or it is a container that is handed over by
/// `std::move`; what belongs to somebody else is refused. *Completes when* all have, or one has
/// thrown: then the others are dropped. *Owns* the awaitables. *Thread*: inside a task. *Drop*:
/// drops all. *Errors*: the first that one throws; at once what reading the range throws.
template <detail::awaitable_range R>
[[nodiscard("co_await it")]] auto when_all(R&& as) {
  return detail::all_of_operation<std::ranges::range_value_t<R>>(
      detail::moved_out_of(std::forward<R>(as)));
}

}  // namespace parkring
