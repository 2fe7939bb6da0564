// Who makes work and who sleeps: no work lies in a queue while every worker sleeps.
#include "exec/sleepers.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include "base/park_state.hpp"
#include "model/explorer.hpp"
#include "model/scale.hpp"
#include "model/weakened.hpp"

namespace parkring::model {
namespace {

constexpr auto acquire = std::memory_order_acquire;
constexpr auto acq_rel = std::memory_order_acq_rel;

struct scenario {
  int workers = 2;
  int publishers = 1;  // threads that are no workers
  int pushes = 1;      // of each
  int first = 0;       // pushes of the first worker, before it looks for other work
  int spurious = 0;    // sleeps of each worker that something else ends
  unsigned searchers = 2;
  unsigned failures = 0;  // of weak exchanges
  bool looks_again = true;
};

struct publisher_state {
  int left;
};
// What a worker does next. Each is a round, so that a worker remembers little.
enum class next : int {
  push,
  take,
  search,
  wake_another,
  say_sleep,
  look_again,
  park,
  wait,
  leave_park,
  say_awake
};
struct worker_state {
  next what;
  int me;
  int left;  // to push
  int searches;
  int spurious;
};

template <class Sleepers, class Word>
struct rig {
  // What is pushed is a number that grows; who takes moves the other one.
  struct queue {
    atomic<int> head;
    atomic<int> tail;
  };
  struct place {
    base::basic_park_state<atomic<int>> state;
    atomic<std::uint64_t> event;
  };

  explorer e;
  Sleepers sleepers;
  Word& bits = *Word::last;
  std::array<queue, 2> queues;  // of the publishers, or of the first worker
  std::array<place, 2> parks;
  scenario what;

  explicit rig(const scenario& s) : what(s) {
    e.name(sleepers, "sleepers");
    e.name(queues, "queues");
    e.name(parks, "parks");
  }

  void push(queue& q) {
    q.tail.store(q.tail.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    wake_one();
  }
  void wake_one() {
    const unsigned who = sleepers.work_made();
    if (who == Sleepers::nobody) return;
    place& p = parks[who];
    if (p.state.unpark()) (void)p.event.fetch_add(1, acq_rel);
  }
  bool take_from(queue& q) {
    int head = q.head.load(acquire);
    while (head < q.tail.load(acquire))
      if (q.head.compare_exchange_strong(head, head + 1, acq_rel, acquire)) return true;
    return false;
  }
  bool take() {
    for (int i = 0; i < used(); ++i)
      if (take_from(queues[static_cast<std::size_t>(i)])) return true;
    return false;
  }
  bool any_work() {
    for (int i = 0; i < used(); ++i) {
      const queue& q = queues[static_cast<std::size_t>(i)];
      if (q.head.load(acquire) < q.tail.load(acquire)) return true;
    }
    return false;
  }
  [[nodiscard]] int used() const { return what.first != 0 ? 1 : what.publishers; }

  next worker(worker_state& s) {
    const auto me = static_cast<unsigned>(s.me);
    place& mine = parks[me];
    switch (s.what) {
      case next::push:
        push(queues[0]);
        return --s.left != 0 ? next::push : next::take;
      case next::take:
        if (!take()) return s.searches != 0 ? next::say_sleep : next::search;
        return std::exchange(s.searches, 0) != 0 ? next::wake_another : next::take;
      case next::wake_another:
        if (sleepers.end_search()) wake_one();
        return next::take;
      case next::search:
        s.searches = sleepers.begin_search(what.searchers) ? 1 : 0;
        return s.searches != 0 ? next::take : next::say_sleep;
      case next::say_sleep:
        sleepers.sleep(me, s.searches != 0);
        return what.looks_again ? next::look_again : next::park;
      case next::look_again:
        return any_work() ? next::say_awake : next::park;
      case next::park:
        return mine.state.begin_sleep() ? next::wait : next::say_awake;
      case next::wait:
        if (s.spurious != 0 && choose(2) == 0)
          --s.spurious;
        else
          (void)mine.event.take();
        return next::leave_park;
      case next::leave_park:
        mine.state.end_sleep();
        return next::say_awake;
      case next::say_awake:
        s.searches = sleepers.awake(me) ? 1 : 0;
        return next::take;
    }
    return next::take;
  }

  outcome run() {
    for (int i = 0; i < (what.first != 0 ? 0 : what.publishers); ++i) {
      queue& q = queues[static_cast<std::size_t>(i)];
      e.rounds<publisher_state>("publisher " + std::to_string(i), {what.pushes},
                                [this, &q](publisher_state& s) {
                                  push(q);
                                  return --s.left != 0;
                                });
    }
    for (int i = 0; i < what.workers; ++i) {
      const bool pushes = i == 0 && what.first != 0;
      e.rounds<worker_state>("worker " + std::to_string(i),
                             {pushes ? next::push : next::take, i, what.first, 0, what.spurious},
                             [this](worker_state& s) { return s.what = worker(s), true; });
      e.may_wait();
    }
    e.at_end([this] {
      for (const queue& q : queues)
        check(q.head.load() == q.tail.load(), "work lies in a queue and every worker sleeps");
      check(bits.load() == (1U << what.workers) - 1,
            "not all sleep, or somebody is counted who does not search");
    });
    return e.run({.spurious = what.failures});
  }
};

using word = exposed<std::uint64_t>;
template <class Sleepers = exec::basic_sleepers<word>, class Word = word>
outcome run(const scenario& s) {
  rig<Sleepers, Word> r(s);
  return r.run();
}

TEST(SleepersModel, work_that_is_pushed_from_outside_is_taken) {
  EXPECT_PASSED(run({.pushes = 1}));
  EXPECT_PASSED(run({.pushes = 1, .searchers = 1}));
  EXPECT_PASSED(run({.workers = 1, .pushes = 3, .spurious = 1, .failures = 1}));
  EXPECT_PASSED(run({.workers = 1, .publishers = 2, .spurious = 1}));
  if (deeper()) {
    EXPECT_PASSED(run({.pushes = 1, .failures = 1}));
    EXPECT_PASSED(run({.pushes = 1, .spurious = 1}));
    EXPECT_PASSED(run({.pushes = 2, .searchers = 1}));
    EXPECT_PASSED(run({.workers = 1, .publishers = 2, .pushes = 2, .spurious = 1, .failures = 1}));
  }
}
TEST(SleepersModel, work_that_a_worker_pushes_is_taken) {
  EXPECT_PASSED(run({.first = 1}));
  EXPECT_PASSED(run({.first = 2}));
  EXPECT_PASSED(run({.first = 2, .spurious = 1}));
  EXPECT_PASSED(run({.first = 2, .searchers = 1, .failures = 1}));
  if (deeper()) EXPECT_PASSED(run({.first = 3, .spurious = 1, .failures = 1}));
}

// --- It would be found
// ----------------------------------------------------------------------------
constexpr const char* lost = "work lies in a queue";

struct faulty : exec::basic_sleepers<word> {
  word& bits = *word::last;
  static constexpr std::uint64_t one = std::uint64_t{1} << most_workers;
};
struct looks_only : faulty {
  unsigned work_made() {
    std::uint64_t was = bits.load(std::memory_order_acquire);
    while (was < one && was != 0) {
      const unsigned who = static_cast<unsigned>(std::countr_zero(was));
      if (bits.compare_exchange_weak(was, (was & (was - 1)) + one, acq_rel, acquire)) return who;
    }
    return nobody;
  }
};
struct searches_while_it_sleeps : faulty {
  void sleep(unsigned who, bool) { (void)bits.fetch_or(std::uint64_t{1} << who, acq_rel); }
};
struct wakes_nobody_beside_a_sleeper : faulty {
  unsigned work_made() {
    const std::uint64_t was = bits.fetch_or(0, acq_rel);
    return was == 1 || was == 2 ? basic_sleepers::work_made() : nobody;
  }
};
using relaxed_word = exposed<std::uint64_t, relaxed_changes<std::uint64_t>>;

TEST(SleepersModel, a_publisher_that_only_loads_is_found) {
  EXPECT_FOUND(lost, run<looks_only>({}));
}
TEST(SleepersModel, a_sleeper_that_does_not_look_again_is_found) {
  EXPECT_FOUND(lost, run({.looks_again = false}));
}
TEST(SleepersModel, a_count_that_stays_is_found) {
  EXPECT_FOUND("somebody is counted", run<searches_while_it_sleeps>({}));
}
TEST(SleepersModel, a_wake_that_is_left_out_is_found) {
  EXPECT_FOUND(lost, run<wakes_nobody_beside_a_sleeper>({}));
}
TEST(SleepersModel, changes_that_order_nothing_are_found) {
  EXPECT_FOUND(lost, run<exec::basic_sleepers<relaxed_word>, relaxed_word>({}));
}

}  // namespace
}  // namespace parkring::model
