// All values of a stream, in a vector.
#pragma once

#include <utility>
#include <vector>

#include <parkring/detail/stream.hpp>
#include <parkring/task.hpp>

namespace parkring {
namespace detail {

template <class S>
task<std::vector<stream_value_t<S>>> collect_stream(S from) {
  std::vector<stream_value_t<S>> values;
  while (auto v = co_await from.next()) values.push_back(*std::move(v));
  co_return values;
}

}  // namespace detail

/// `co_await (s | collect())`: all values of `s`.
///
/// *Completes when* `s` has ended. *Owns* `s`, if it was given as an rvalue, and the values so far.
/// *Thread*: inside a task. *Drop*: drops them. *Errors*: what `s` throws.
[[nodiscard]] inline auto collect() {
  return detail::stream_pipe{
      []<class S>(S&& s) { return detail::collect_stream<S>(std::forward<S>(s)); }};
}

}  // namespace parkring
