// The first values of a stream.
#pragma once

#include <coroutine>
#include <cstddef>
#include <optional>
#include <utility>

#include <parkring/detail/stream.hpp>
#include <parkring/task.hpp>

namespace parkring {
namespace detail {

template <class S>
class [[nodiscard("a stream does nothing until it is asked for its next value")]] take_stream {
 public:
  using value_type = stream_value_t<S>;

  take_stream(S && from, std::size_t n) : from_(std::forward<S>(from)), left_(n) {}

  /// *Completes when* the next value is there, or enough were. *Owns* nothing. *Thread*: inside a
  /// task. *Drop*: loses nothing. *Errors*: those of the stream below.
  [[nodiscard("co_await it")]] task<std::optional<value_type>> next() {
    if (left_ == 0) co_return std::nullopt;  // the stream below is not even begun
    std::optional<value_type> v = co_await from_.next();
    left_ = v ? left_ - 1 : 0;
    co_return v;
  }

 private:
  S from_;
  std::size_t left_;
};

}  // namespace detail

/// `s | take(n)`: at most the first `n` values; the stream is not asked for more.
[[nodiscard]] inline auto take(std::size_t n) {
  return detail::stream_pipe{
      [n]<class S>(S&& s) { return detail::take_stream<S>(std::forward<S>(s), n); }};
}

}  // namespace parkring
