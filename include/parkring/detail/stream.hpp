// What a stream is, how it is kept by what is built on it, and the pipe that builds.
#pragma once

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>

namespace parkring::detail {

template <class X>
inline constexpr bool is_optional = false;
template <class X>
inline constexpr bool is_optional<std::optional<X>> = true;

/// Whatever has a `next()` that is awaited and gives an optional, empty at the end.
template <class S>
concept stream_like = requires(std::remove_reference_t<S>& s) {
  s.next();
  requires awaitable<decltype(s.next())>;
  requires is_optional<std::remove_cvref_t<await_result_t<decltype(s.next())>>>;
};

/// The type of a stream's values.
template <class S>
using stream_value_t = typename std::remove_cvref_t<
    await_result_t<decltype(std::declval<std::remove_reference_t<S>&>().next())>>::value_type;

/// The awaiter of its `next()`.
template <class S>
using next_awaiter_t =
    std::remove_cvref_t<decltype(awaiter_of(std::declval<std::remove_reference_t<S>&>().next()))>;

// Adaptors keep an rvalue as a member and an lvalue by reference: template parameter `S` is then
// `stream` or `stream&`.

/// Something to put behind a `|`: called with a stream, it gives what is built on it.
template <class F>
struct stream_pipe {
  F build;
};
template <class F>
stream_pipe(F) -> stream_pipe<F>;

template <stream_like S, class F>
auto operator|(S&& s, stream_pipe<F> p) {
  return std::move(p.build).template operator()<S>(std::forward<S>(s));
}

}  // namespace parkring::detail
