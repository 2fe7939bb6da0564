// Those values of a stream that fulfil a condition.
#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <parkring/detail/stream.hpp>
#include <parkring/task.hpp>

namespace parkring {
namespace detail {

template <class S, class Fn>
class [[nodiscard("a stream does nothing until it is asked for its next value")]] filter_stream {
 public:
  using value_type = stream_value_t<S>;

  template <class F>
  filter_stream(S && from, F && fn) : from_(std::forward<S>(from)), fn_(std::forward<F>(fn)) {}

  /// *Completes when* the next value is there. *Owns* nothing. *Thread*: inside a task. *Drop*:
  /// loses nothing. *Errors*: those of the stream below and of the condition.
  [[nodiscard("co_await it")]] task<std::optional<value_type>> next() {
    for (;;) {
      std::optional<value_type> v = co_await from_.next();
      if (!v || std::invoke(fn_, std::as_const(*v))) co_return v;
    }
  }

 private:
  S from_;
  Fn fn_;
};

}  // namespace detail

/// `s | filter(f)`: the values for which `f(value)` is true.
template <class Fn>
[[nodiscard]] auto filter(Fn&& fn) {
  return detail::stream_pipe{[fn = std::forward<Fn>(fn)]<class S>(S&& s) mutable {
    return detail::filter_stream<S, std::decay_t<Fn>>(std::forward<S>(s), std::move(fn));
  }};
}

}  // namespace parkring
