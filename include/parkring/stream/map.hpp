// Values of a stream, each made into another.
#pragma once

#include <coroutine>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <parkring/detail/stream.hpp>

namespace parkring {
namespace detail {

template <class S, class Fn>
class [[nodiscard("a stream does nothing until it is asked for its next value")]] map_stream {
  using mapped = std::invoke_result_t<Fn&, stream_value_t<S>>;
  static_assert(!std::is_void_v<mapped>, "map needs a value for each; use for_each at the end");

 public:
  using value_type = std::decay_t<mapped>;

  template <class F>
  map_stream(S && from, F && fn) : from_(std::forward<S>(from)), fn_(std::forward<F>(fn)) {}

  /// *Completes when* the next value is there. *Owns* nothing. *Thread*: inside a task. *Drop*:
  /// loses nothing. *Errors*: those of the stream below and of the function.
  [[nodiscard("co_await it")]] auto next() { return operation{from_.next(), fn_}; }

 private:
  class awaiter {
   public:
    template <class Next>
    awaiter(Next&& next, Fn& fn) : inner_(awaiter_of(std::forward<Next>(next))), fn_(fn) {}
    bool await_ready() { return inner_.await_ready(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> h) {
      return inner_.await_suspend(h);
    }
    std::optional<value_type> await_resume() {
      auto v = inner_.await_resume();
      if (!v) return std::nullopt;
      return std::optional<value_type>(std::in_place, std::invoke(fn_, *std::move(v)));
    }

   private:
    next_awaiter_t<S> inner_;
    Fn& fn_;
  };
  struct [[nodiscard("co_await it")]] operation {
    decltype(std::declval<std::remove_reference_t<S>&>().next()) next;
    Fn& fn;
    awaiter operator co_await()&& { return awaiter(std::move(next), fn); }
  };

  S from_;
  Fn fn_;
};

}  // namespace detail

/// `s | map(f)`: the stream of `f(value)`. What `f` gives is not awaited: put `buffered` behind it.
template <class Fn>
[[nodiscard]] auto map(Fn&& fn) {
  return detail::stream_pipe{[fn = std::forward<Fn>(fn)]<class S>(S&& s) mutable {
    return detail::map_stream<S, std::decay_t<Fn>>(std::forward<S>(s), std::move(fn));
  }};
}

}  // namespace parkring
