// Which workers sleep and how many search for work: one word, so that no work waits for nobody.
//
// A worker without work searches the queues of the others, then sleeps. Who makes work shows it in
// a queue first, and then looks here:
//   * somebody searches: that one finds it, or is seen to have stopped searching;
//   * nobody searches and somebody sleeps: one sleeper is taken out, counted as searching from here
//     on, and woken. One only: it wakes the next one if it finds more than it takes;
//   * nobody does either: all are busy, and look when they have run out of their own.
// A worker says here that it sleeps and after that looks at all queues once more. Both sides change
// the one word, so one of them comes first: either who made work sees the sleeper, or the sleeper
// sees the work. The rest is between a park and an unpark (park/waker.hpp), which loses nothing.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

namespace parkring::exec {

template <class Word = std::atomic<std::uint64_t>>
class basic_sleepers {
 public:
  static constexpr unsigned most_workers = 48;
  static constexpr unsigned nobody = ~0U;

  /// Work was made. The worker to wake, or nobody.
  [[nodiscard]] unsigned work_made() noexcept {
    // A change that changes nothing: it comes before or after a sleeper's.
    std::uint64_t was = word_.fetch_or(0, std::memory_order_acq_rel);
    for (;;) {
      if (was >= one_searcher || was == 0) return nobody;
      const unsigned who = static_cast<unsigned>(std::countr_zero(was));
      if (word_.compare_exchange_weak(was, (was & (was - 1)) + one_searcher,
                                      std::memory_order_acq_rel, std::memory_order_acquire))
        return who;
    }
  }

  /// A worker that was not asleep begins to search. False: enough do.
  [[nodiscard]] bool begin_search(unsigned at_most) noexcept {
    std::uint64_t was = word_.load(std::memory_order_relaxed);
    do {
      if (was / one_searcher >= at_most) return false;
    } while (!word_.compare_exchange_weak(was, was + one_searcher, std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    return true;
  }
  /// A searcher has found something. True: it was the last one, so another may be needed.
  [[nodiscard]] bool end_search() noexcept {
    return word_.fetch_sub(one_searcher, std::memory_order_acq_rel) / one_searcher == 1;
  }
  /// A worker, which searched or did not, is about to sleep. It looks at all queues after this.
  void sleep(unsigned who, bool searched) noexcept {
    word_.fetch_add((std::uint64_t{1} << who) - (searched ? one_searcher : 0),
                    std::memory_order_acq_rel);
  }
  /// It does not sleep any more. True: it was taken out by `work_made`, and searches.
  [[nodiscard]] bool awake(unsigned who) noexcept {
    const std::uint64_t mine = std::uint64_t{1} << who;
    return (word_.fetch_and(~mine, std::memory_order_acq_rel) & mine) == 0;
  }

  /// Whether somebody sleeps or searches. Cheap; may lag behind.
  [[nodiscard]] bool any_idle() const noexcept {
    return word_.load(std::memory_order_relaxed) != 0;
  }

 private:
  static constexpr std::uint64_t one_searcher = std::uint64_t{1} << most_workers;

  Word word_{0};
};

using sleepers = basic_sleepers<>;

}  // namespace parkring::exec
