// Something done with each value of a stream.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/stream.hpp>
#include <parkring/task.hpp>

namespace parkring {
namespace detail {

template <class S, class Fn>
task<> for_each_of_stream(S from, Fn fn) {
  while (auto v = co_await from.next()) {
    if constexpr (awaitable<std::invoke_result_t<Fn&, stream_value_t<S>>>)
      co_await std::invoke(fn, *std::move(v));
    else
      std::invoke(fn, *std::move(v));
  }
}

}  // namespace detail

/// `co_await (s | for_each(f))`: calls `f(value)` for each value, one after another, and awaits
/// what it gives if that can be awaited.
///
/// *Completes when* `s` has ended and `f` with its last value. *Owns* `f`, and `s` if it was given
/// as an rvalue. *Thread*: inside a task. *Drop*: drops them. *Errors*: what `s` or `f` throws.
template <class Fn>
[[nodiscard]] auto for_each(Fn&& fn) {
  return detail::stream_pipe{[fn = std::forward<Fn>(fn)]<class S>(S&& s) mutable {
    return detail::for_each_of_stream<S, std::decay_t<Fn>>(std::forward<S>(s), std::move(fn));
  }};
}

}  // namespace parkring
