// What an awaitable is, and what awaiting it gives.
#pragma once

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

namespace parkring::detail {

template <class A>
concept has_member_co_await = requires(A&& a) {
  std::forward<A>(a).operator co_await();
};

template <class A>
concept is_awaiter = requires(A& a, std::coroutine_handle<> h) {
  { a.await_ready() } -> std::convertible_to<bool>;
  a.await_suspend(h);
  a.await_resume();
};

/// A type whose rvalues can be awaited.
template <class A>
concept awaitable = has_member_co_await<A> || is_awaiter<A>;

template <awaitable A>
decltype(auto) awaiter_of(A&& a) {
  if constexpr (has_member_co_await<A>)
    return std::forward<A>(a).operator co_await();
  else
    return std::forward<A>(a);
}

/// An awaiter that can say whether its result is there, so that a combinator may resume its
/// coroutine for another reason and then look.
template <class Awaiter>
concept tells_done = requires(const Awaiter& a) {
  { a.await_done() } -> std::same_as<bool>;
};

template <class A>
struct await_result {
  using awaiter = std::remove_reference_t<decltype(awaiter_of(std::declval<A>()))>;
  using type = decltype(std::declval<awaiter&>().await_resume());
};

/// The type of `co_await std::declval<A>()`.
template <class A>
using await_result_t = typename await_result<A>::type;

}  // namespace parkring::detail
