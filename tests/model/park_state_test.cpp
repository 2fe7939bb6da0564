// Park and unpark: a thread that looks, and sleeps when it has found nothing, misses nothing.
#include "base/park_state.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>

#include "model/explorer.hpp"
#include "model/scale.hpp"
#include "model/weakened.hpp"

namespace parkring::model {
namespace {

struct sleeper_state {
  int spurious;  // sleeps that something else ends
};

template <template <class> class Word>
outcome run(int unparkers, int times, int spurious) {
  explorer e;
  base::basic_park_state<Word<int>> state;
  atomic<std::uint64_t> event;
  std::array<atomic<int>, 2> made;  // by each unparker
  e.name(state, "state");
  e.name(event, "event");
  e.name(made, "made");
  for (int u = 0; u < unparkers; ++u) {
    atomic<int>& mine = made[static_cast<std::size_t>(u)];
    e.thread("unparker " + std::to_string(u + 1), [&state, &event, &mine, times] {
      for (int i = 1; i <= times; ++i) {
        mine.store(i, std::memory_order_release);
        if (state.unpark()) (void)event.fetch_add(1, std::memory_order_acq_rel);
      }
    });
  }
  e.rounds<sleeper_state>("sleeper", {spurious}, [&](sleeper_state& s) {
    bool all = true;
    for (int u = 0; u < unparkers; ++u)
      all = made[static_cast<std::size_t>(u)].load(std::memory_order_acquire) == times && all;
    if (all) return false;
    if (!state.begin_sleep()) return true;
    if (s.spurious != 0 && choose(2) == 0)
      --s.spurious;
    else
      (void)event.take();
    state.end_sleep();
    return true;
  });
  return e.run();
}

TEST(ParkStateModel, a_thread_that_looks_before_it_sleeps_misses_nothing) {
  EXPECT_PASSED(run<atomic>(1, 1, 0));
  EXPECT_PASSED(run<atomic>(1, 4, 2));
  EXPECT_PASSED(run<atomic>(2, 2, 2));
}

// --- It would be found
// ----------------------------------------------------------------------------
constexpr const char* sleeps_on = "dead-lock: sleeper waits for event";

// To be awake is stored, not exchanged: an unpark that saw `notified` is covered, and the look that
// follows may have been before what it was for.
template <class T>
struct stored_for_one : atomic<T> {
  using atomic<T>::atomic;
  T exchange(T v, std::memory_order o) {
    if (o == std::memory_order_acq_rel) return atomic<T>::exchange(v, o);
    return atomic<T>::store(v, std::memory_order_relaxed), T{};
  }
};
TEST(ParkStateModel, a_sleep_whose_end_is_stored_is_found) {
  EXPECT_PASSED(run<stored_for_one>(1, 1, 1));
  EXPECT_FOUND(sleeps_on, run<stored_for_one>(1, 2, 0));
  EXPECT_FOUND(sleeps_on, run<stored_for_one>(2, 1, 0));
}
TEST(ParkStateModel, exchanges_that_order_nothing_are_found) {
  EXPECT_FOUND(sleeps_on, run<relaxed_changes>(1, 1, 0));
}

}  // namespace
}  // namespace parkring::model
