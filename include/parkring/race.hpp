// Several awaitables at once, the first of them.
#pragma once

#include <coroutine>
#include <cstddef>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <parkring/detail/awaitable_range.hpp>
#include <parkring/detail/branch.hpp>

namespace parkring {

/// Who won a race of awaitables of one type, and its value.
template <class T>
struct race_winner {
  std::size_t index = 0;
  T value;
};

namespace detail {

struct race_parent : branch_parent {
  std::size_t winner = none;
  static constexpr std::size_t none = ~std::size_t{0};
  race_parent() noexcept {
    finished = [](branch_parent& p, std::size_t index, bool) noexcept {
      auto& self = static_cast<race_parent&>(p);
      if (self.winner != none) return false;
      self.winner = index;
      return true;
    };
  }
};

template <class... Ts>
class race_awaiter : race_parent {
  using first = std::tuple_element_t<0, std::tuple<Ts...>>;
  static constexpr bool same = (std::is_same_v<first, Ts> && ...);

 public:
  using value_type = std::conditional_t<same, race_winner<value_or_monostate<first>>,
                                        std::variant<value_or_monostate<Ts>...>>;

  explicit race_awaiter(branch<Ts>&&... b) noexcept : branches_(std::move(b)...) {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) noexcept {
    wait_in(h, kind_of_wait);
    start(std::index_sequence_for<Ts...>());
  }
  value_type await_resume() {
    end_wait();
    return take(std::index_sequence_for<Ts...>());
  }

 private:
  template <std::size_t... I>
  void start(std::index_sequence<I...>) noexcept {
    (std::get<I>(branches_).start(*this, I), ...);
  }
  template <std::size_t... I>
  value_type take(std::index_sequence<I...>) {
    // The losers first: when the value is out, nothing of them is left.
    ((I == winner ? void() : std::get<I>(branches_).reset()), ...);
    return take_from<0>();
  }
  template <std::size_t I>
  value_type take_from() {
    if constexpr (I + 1 < sizeof...(Ts)) {
      if (I != winner) return take_from<I + 1>();
    }
    if constexpr (same)
      return {I, take_value(std::get<I>(branches_))};
    else
      return value_type(std::in_place_index<I>, take_value(std::get<I>(branches_)));
  }
  static std::coroutine_handle<> next_branch(frames_owner& owner) noexcept {
    auto& self = static_cast<race_awaiter&>(owner);
    std::coroutine_handle<> next;
    std::apply([&](auto&... b) { (void)(((next = b.give_up()) != nullptr) || ...); },
               self.branches_);
    return next;
  }
  static void visit(frames_owner& owner, frame_visitor& v) {
    std::apply([&](auto&... b) { (v.see(b.peek()), ...); },
               static_cast<race_awaiter&>(owner).branches_);
  }
  static constexpr frames_kind kind_of_wait = {"race", &next_branch, &visit};
  std::tuple<branch<Ts>...> branches_;
};

template <class T>
class race_of_awaiter : race_parent {
 public:
  explicit race_of_awaiter(std::vector<branch<T>>&& b) noexcept : branches_(std::move(b)) {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> h) noexcept {
    wait_in(h, kind_of_wait);
    for (std::size_t i = 0; i < branches_.size(); ++i) branches_[i].start(*this, i);
  }
  race_winner<value_or_monostate<T>> await_resume() {
    end_wait();
    branch<T> first = std::move(branches_[winner]);
    branches_.clear();  // the losers first: when the value is out, nothing of them is left
    return {winner, take_value(first)};
  }

 private:
  static std::coroutine_handle<> next_branch(frames_owner& owner) noexcept {
    auto& self = static_cast<race_of_awaiter&>(owner);
    std::coroutine_handle<> next;
    while (next == nullptr && self.given_up_ < self.branches_.size())
      next = self.branches_[self.given_up_++].give_up();
    return next;
  }
  static void visit(frames_owner& owner, frame_visitor& v) {
    for (auto& b : static_cast<race_of_awaiter&>(owner).branches_) v.see(b.peek());
  }
  static constexpr frames_kind kind_of_wait = {"race", &next_branch, &visit};
  std::vector<branch<T>> branches_;
  std::size_t given_up_ = 0;  // while it is destroyed: how many branches are gone
};

template <class... As>
class [[nodiscard("co_await it")]] race_operation {
 public:
  explicit race_operation(As && ... a) : inner_(std::move(a)...) {}
  auto operator co_await()&& {
    return std::apply(
        [](As&... a) {
          return race_awaiter<await_result_t<As>...>(
              make_branch<await_result_t<As>, As>(std::move(a))...);
        },
        inner_);
  }

 private:
  std::tuple<As...> inner_;
};

template <class A>
class [[nodiscard("co_await it")]] race_of_operation {
 public:
  explicit race_of_operation(std::vector<A> && a) : inner_(std::move(a)) {}
  auto operator co_await()&& {
    using T = await_result_t<A>;
    std::vector<branch<T>> branches;
    branches.reserve(inner_.size());
    for (auto& a : inner_) branches.push_back(make_branch<T, A>(std::move(a)));
    return race_of_awaiter<T>(std::move(branches));
  }

 private:
  std::vector<A> inner_;
};

}  // namespace detail

/// Awaits the first of `as` to finish; the others are dropped before the await returns.
///
/// Gives `race_winner{index, value}` when all have one type, else a variant whose index says who
/// won. *Completes when* the first has finished or thrown. *Owns* the awaitables. *Thread*: inside
/// a task. *Drop*: drops all. *Errors*: what the first to finish throws.
template <detail::awaitable... As>
requires((!std::is_lvalue_reference_v<As>)&&... && (sizeof...(As) > 0))
    [[nodiscard("co_await it")]] auto race(As&&... as) {
  return detail::race_operation<As...>(std::move(as)...);
}

/// Awaits the first of a range of awaitables to finish; gives `race_winner{index, value}`
/// (`std::monostate` for void). The others are dropped before the await returns.
///
/// The range is read, and its awaitables are moved out of it, before this returns. It makes them as
/// it goes (`ids | std::views::transform(ask)`), or it is a container that is handed over by
/// `std::move`; what belongs to somebody else is refused. *Completes when* the first has finished
/// or thrown. *Owns* the awaitables. *Thread*: inside a task. *Drop*: drops all. *Errors*: what the
/// first to finish throws; at once what reading the range throws; an empty range, of which none
/// could ever finish, fails a check.
template <detail::awaitable_range R>
[[nodiscard("co_await it")]] auto race(R&& as) {
  auto all = detail::moved_out_of(std::forward<R>(as));
  PARKRING_CHECK(!all.empty(), "a race needs somebody to win it; do not race an empty range");
  return detail::race_of_operation<std::ranges::range_value_t<R>>(std::move(all));
}

}  // namespace parkring
