// The first values of a stream.
#pragma once

#include <coroutine>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

#include <parkring/detail/stream.hpp>

namespace parkring {
namespace detail {

template <class S>
class [[nodiscard("a stream does nothing until it is asked for its next value")]] take_stream {
 public:
  using value_type = stream_value_t<S>;

  take_stream(S && from, std::size_t n) : from_(std::forward<S>(from)), left_(n) {}

  /// *Completes when* the next value is there, or enough were. *Owns* nothing. *Thread*: inside a
  /// task. *Drop*: loses nothing. *Errors*: those of the stream below.
  [[nodiscard("co_await it")]] auto next() { return operation{from_.next(), left_}; }

 private:
  class awaiter {
   public:
    template <class Next>
    awaiter(Next&& next, std::size_t& left)
        : inner_(awaiter_of(std::forward<Next>(next))), left_(left) {}
    bool await_ready() { return left_ == 0 || inner_.await_ready(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> h) {
      return inner_.await_suspend(h);
    }
    std::optional<value_type> await_resume() {
      if (left_ == 0) return std::nullopt;
      std::optional<value_type> v = inner_.await_resume();
      left_ = v ? left_ - 1 : 0;
      return v;
    }

   private:
    next_awaiter_t<S> inner_;
    std::size_t& left_;
  };
  struct [[nodiscard("co_await it")]] operation {
    decltype(std::declval<std::remove_reference_t<S>&>().next()) next;
    std::size_t& left;
    awaiter operator co_await()&& { return awaiter(std::move(next), left); }
  };

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
