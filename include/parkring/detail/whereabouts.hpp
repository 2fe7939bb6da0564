// Where a roaming task is, and what its handle wants of it: one word, changed by many threads.
//
// A roaming task (detail/roaming_task.hpp) is either on its way, in a queue from which exactly one
// worker will take it, or placed: it belongs to one worker, whose thread alone runs it, aborts it
// and destroys its frame.
//
//   on its way ──place──> placed ──end──> ended
//        ^                  │
//        └──────leave───────┘
//
//   place    by the worker that took it out of a queue. Serves what was wanted meanwhile.
//   leave    by its worker, where it could as well go on elsewhere. Refused while a message to this
//            worker is under way or something is wanted, so who posts one may rely on the place.
//   end      by its worker: its coroutine has come to an end, or was destroyed.
//   ask      by whoever has the handle, on any thread: abort, stop, or nobody will take the result.
//            Says whether a message must be posted to the task's worker, and it is the only one
//            under way; else the worker that places the task finds the wish.
//   arrived  by its worker: the message has come.
//
// A wish to abort is never taken back, so such a task does not move any more. Every change is a
// read-modify-write of the one word: what was written before one is seen after a later one.
#pragma once

#include <atomic>
#include <cstdint>

namespace parkring::detail {

template <class Word = std::atomic<std::uint32_t>>
class basic_whereabouts {
 public:
  static constexpr std::uint32_t placed = 1;
  static constexpr std::uint32_t message = 2;  // to its worker, under way
  static constexpr std::uint32_t abort = 4;
  static constexpr std::uint32_t stop = 8;
  static constexpr std::uint32_t detached = 16;  // nobody will take its result
  static constexpr std::uint32_t ended = 32;

  /// Asks for `abort` or `stop`. True: post the message.
  [[nodiscard]] bool ask(std::uint32_t wish) noexcept {
    std::uint32_t was = word_.load(std::memory_order_relaxed);
    std::uint32_t now;
    do {
      if ((was & (ended | wish)) != 0) return false;
      now = was | wish;
      if ((was & placed) != 0) now |= message;
    } while (!word_.compare_exchange_weak(was, now, std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    return (now & message) != 0 && (was & message) == 0;
  }
  /// Nobody will take the result. True: it has ended already.
  [[nodiscard]] bool detach() noexcept {
    return (word_.fetch_or(detached, std::memory_order_acq_rel) & ended) != 0;
  }

  /// What was wanted until now: `abort`, `stop`, both or nothing.
  [[nodiscard]] std::uint32_t place() noexcept {
    std::uint32_t was = word_.load(std::memory_order_relaxed);
    while (!word_.compare_exchange_weak(was, (was | placed) & ~stop, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
    }
    return was & (abort | stop);
  }
  /// False: it must stay.
  [[nodiscard]] bool leave() noexcept {
    std::uint32_t was = word_.load(std::memory_order_relaxed);
    do {
      if ((was & (message | abort | stop)) != 0) return false;
    } while (!word_.compare_exchange_weak(was, was & ~placed, std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    return true;
  }
  /// What the message was for.
  [[nodiscard]] std::uint32_t arrived() noexcept {
    return word_.fetch_and(~(message | stop), std::memory_order_acq_rel) & (abort | stop);
  }
  /// Whether it was detached.
  [[nodiscard]] bool end() noexcept {
    return (word_.fetch_or(ended, std::memory_order_acq_rel) & detached) != 0;
  }

  [[nodiscard]] bool has_ended() const noexcept {
    return (word_.load(std::memory_order_acquire) & ended) != 0;  // pairs with `end`
  }

 private:
  Word word_{0};
};

using whereabouts = basic_whereabouts<>;

}  // namespace parkring::detail
