// A time limit on each value of a stream.
#pragma once

#include <chrono>
#include <optional>
#include <type_traits>
#include <utility>

#include <parkring/detail/stream.hpp>
#include <parkring/task.hpp>
#include <parkring/timeout.hpp>

namespace parkring {
namespace detail {

template <class S>
class [[nodiscard("a stream does nothing until it is asked for its next value")]] timeout_stream {
 public:
  using value_type = std::optional<stream_value_t<S>>;

  timeout_stream(S && from, std::chrono::nanoseconds d) : from_(std::forward<S>(from)), limit_(d) {}

  /// *Completes when* the next value is there or the time is up. *Owns* a timer. *Thread*: inside a
  /// task. *Drop*: loses nothing. *Errors*: those of the stream below.
  [[nodiscard("co_await it")]] task<std::optional<value_type>> next() {
    auto in_time = co_await parkring::timeout(limit_, from_.next());
    if (!in_time) co_return std::optional<value_type>(std::in_place);
    if (!*in_time) co_return std::nullopt;
    co_return std::optional<value_type>(std::in_place, std::move(**in_time));
  }

 private:
  S from_;
  std::chrono::nanoseconds limit_;
};

}  // namespace detail

/// `s | timeout(d)`: each value as an optional, empty where it took longer than `d`. The value that
/// is late is not lost: it is the next, or a later one, to be given.
template <class Rep, class Period>
[[nodiscard]] auto timeout(std::chrono::duration<Rep, Period> d) {
  const std::chrono::nanoseconds limit(static_cast<std::int64_t>(detail::ns_of(d)));
  return detail::stream_pipe{
      [limit]<class S>(S&& s) { return detail::timeout_stream<S>(std::forward<S>(s), limit); }};
}

}  // namespace parkring
