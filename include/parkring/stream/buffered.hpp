// The awaitables of a stream, several at once, their values in order.
//
// A generator with a second task beside it. The feeder asks the stream below and spawns what it
// gives, while there is room; the generator joins the oldest, yields its value, and makes room.
// Both belong to the generator's frame, so dropping that ends all of it; a dropped `next` leaves it
// as it is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

#include <parkring/detail/stream.hpp>
#include <parkring/event.hpp>
#include <parkring/generator.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task.hpp>

namespace parkring {
namespace detail {

template <class S>
struct buffered_state {
  using awaited = stream_value_t<S>;
  using value = await_result_t<awaited>;

  std::remove_reference_t<S>& from;
  std::size_t at_most;
  std::deque<join_handle<value>> running;  // the oldest first
  event arrived, room;
  bool ended = false;

  task<> feed() {
    struct end {  // also by an exception, which the generator meets when it joins
      buffered_state& self;
      ~end() {
        self.ended = true;
        self.arrived.set();
      }
    } const at_end{*this};
    for (;;) {
      room.reset();
      while (running.size() >= at_most) {
        co_await room.wait();
        room.reset();
      }
      auto a = co_await from.next();
      if (!a) co_return;
      running.push_back(spawn(*std::move(a)));
      arrived.set();
    }
  }
};

template <class S>
generator<typename buffered_state<S>::value> buffered_stream(S kept, std::size_t at_most) {
  using state = buffered_state<S>;
  static_assert(!std::is_void_v<typename state::value>,
                "buffered gives values, so what it awaits must give some; see for_each");
  state all{.from = kept, .at_most = at_most, .running = {}, .arrived = {}, .room = {}};
  auto feeder = spawn([](state& of) { return of.feed(); }, std::ref(all));
  for (;;) {
    while (all.running.empty() && !all.ended) {
      all.arrived.reset();
      co_await all.arrived.wait();
    }
    if (all.running.empty()) break;
    auto value = co_await all.running.front();
    all.running.pop_front();
    all.room.set();
    co_yield std::move(value);
  }
  co_await std::move(feeder);  // throws what the stream threw
}

}  // namespace detail

/// `s | buffered(n)`: awaits the awaitables that `s` gives, up to `n` at once, and gives their
/// values in the order of `s`. They run also while nobody asks, as tasks. An error, of `s` or of an
/// awaitable, is thrown in its place and ends the stream; the others are dropped.
[[nodiscard]] inline auto buffered(std::size_t n) {
  PARKRING_CHECK(n > 0, "let at least one run at a time");
  return detail::stream_pipe{
      [n]<class S>(S&& s) { return detail::buffered_stream<S>(std::forward<S>(s), n); }};
}

}  // namespace parkring
