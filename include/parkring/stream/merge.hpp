// Several streams as one: values as they come.
//
// A generator with a task for each stream, which asks it for a value, puts that into the common
// queue, and waits until it was taken. So the queue has at most one value of each, and no stream
// keeps another from its turn.
#pragma once

#include <coroutine>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <parkring/detail/stream.hpp>
#include <parkring/event.hpp>
#include <parkring/generator.hpp>
#include <parkring/task.hpp>
#include <parkring/task_group.hpp>

namespace parkring {
namespace detail {

template <class T>
struct merge_state {
  struct entry {
    T value;
    event* taken;  // of the stream that it is from
  };
  std::deque<entry> queue;
  event changed;
  std::size_t streams;
  std::exception_ptr error;  // the first

  template <class S>
  static task<> feed(merge_state& all, S& from) {
    struct end {
      merge_state& self;
      ~end() {
        --self.streams;
        self.changed.set();
      }
    } const at_end{all};
    event taken;
    try {
      while (auto v = co_await from.next()) {
        all.queue.push_back({*std::move(v), &taken});
        all.changed.set();
        co_await taken.wait();
        taken.reset();
      }
    } catch (...) {
      if (all.error == nullptr) all.error = std::current_exception();
    }
  }
};

template <class T, class... Ss>
generator<T> merge_streams(std::tuple<Ss...> streams) {
  merge_state<T> all{.queue = {}, .changed = {}, .streams = sizeof...(Ss), .error = nullptr};
  task_group feeders;
  std::apply(
      [&](auto&... s) {
        (feeders.spawn(&merge_state<T>::template feed<std::remove_reference_t<decltype(s)>>,
                       std::ref(all), std::ref(s)),
         ...);
      },
      streams);
  for (;;) {
    while (all.queue.empty() && all.streams != 0 && all.error == nullptr) {
      all.changed.reset();
      co_await all.changed.wait();
    }
    if (all.queue.empty()) break;
    T value = std::move(all.queue.front().value);
    if (all.error == nullptr)
      all.queue.front().taken->set();
    else
      feeders.abort_all();  // else their values would keep the error from its turn
    all.queue.pop_front();
    co_yield std::move(value);
  }
  if (all.error != nullptr) std::rethrow_exception(all.error);
}

}  // namespace detail

/// `merge(a, b, ...)`: the values of all, in the order in which they come; they have one type. Each
/// stream is asked for one value ahead. It ends when all have; the first error that one throws ends
/// it, after the values that came before, and drops the others.
template <detail::stream_like... Ss>
requires(sizeof...(Ss) > 0) [[nodiscard]] auto merge(Ss&&... streams) {
  using T = std::tuple_element_t<0, std::tuple<detail::stream_value_t<Ss>...>>;
  static_assert((std::is_same_v<T, detail::stream_value_t<Ss>> && ...),
                "the streams to merge must have values of one type; map them to one");
  return detail::merge_streams<T, Ss...>(std::tuple<Ss...>(std::forward<Ss>(streams)...));
}

}  // namespace parkring
