#include "model/explorer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <iostream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "model/scale.hpp"

namespace parkring::model {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto acq_rel = std::memory_order_acq_rel;
constexpr auto seq_cst = std::memory_order_seq_cst;

// Who says what it wants and then looks at the other: both may enter.
outcome dekker(std::memory_order store, std::memory_order load) {
  explorer e;
  atomic<int> a, b;
  plain<int> inside;
  const auto enter = [&](atomic<int>& mine, atomic<int>& other) {
    mine.store(1, store);
    if (other.load(load) == 0) inside = inside + 1;
  };
  e.thread("a", [&] { enter(a, b); });
  e.thread("b", [&] { enter(b, a); });
  return e.run();
}
TEST(Explorer, stores_are_seen_late) {
  EXPECT_TRUE(dekker(release, acquire).found("race"));
  EXPECT_TRUE(dekker(seq_cst, acquire).found("race"));
  EXPECT_TRUE(dekker(release, seq_cst).found("race"));
  EXPECT_TRUE(dekker(seq_cst, seq_cst).passed());
}

outcome message(std::memory_order store, std::memory_order load) {
  explorer e;
  plain<int> data;
  atomic<int> flag;
  e.name(data, "data");
  e.thread("writer", [&] {
    data = 7;
    flag.store(1, store);
  });
  e.thread("reader", [&] {
    if (flag.load(load) != 0) check(data == 7, "the data is old");
  });
  return e.run();
}
TEST(Explorer, a_message_needs_a_release_and_an_acquire) {
  EXPECT_TRUE(message(relaxed, acquire).found("race: reader reads data"));
  EXPECT_TRUE(message(release, relaxed).found("race: reader reads data"));
  const outcome good = message(release, acquire);
  EXPECT_TRUE(good.passed()) << good;
}

// The reader of a value that was changed after the release still sees what was released.
TEST(Explorer, a_read_modify_write_continues_a_release_and_a_store_does_not) {
  for (const bool store : {false, true}) {
    explorer e;
    plain<int> data;
    atomic<int> flag;
    e.thread("writer", [&] {
      data = 7;
      flag.store(1, release);
    });
    e.thread("other", [&] {
      if (flag.load(relaxed) != 1) return;
      if (store)
        flag.store(2, relaxed);
      else
        (void)flag.fetch_add(1, relaxed);
    });
    e.thread("reader", [&] {
      if (flag.load(acquire) == 2) (void)int{data};
    });
    EXPECT_EQ(e.run().found("race"), store);
  }
}

TEST(Explorer, a_load_and_a_store_lose_what_comes_between) {
  for (const bool whole : {false, true}) {
    explorer e;
    atomic<int> n;
    const auto count = [&] {
      if (whole)
        (void)n.fetch_add(1, relaxed);
      else
        n.store(n.load(relaxed) + 1, relaxed);
    };
    e.thread("a", count);
    e.thread("b", count);
    e.thread("c", count);
    e.at_end([&] { check(n.load() == 3, "a count is lost"); });
    EXPECT_EQ(e.run().found("a count is lost"), !whole);
  }
}

// Four outcomes, and a fifth that no order of the writes explains.
TEST(Explorer, every_outcome_is_found_once_and_values_do_not_grow_younger) {
  explorer e;
  atomic<int> x;
  std::set<int> outcomes;  // outside of what is modelled: it only grows
  e.thread("writer", [&] {
    x.store(1, relaxed);
    x.store(2, relaxed);
  });
  e.thread("reader", [&] {
    const int first = x.load(relaxed);
    const int second = x.load(relaxed);
    outcomes.insert(10 * first + second);
  });
  const outcome o = e.run();
  EXPECT_TRUE(o.passed()) << o;
  EXPECT_EQ(outcomes, (std::set<int>{0, 1, 2, 11, 12, 22}));
}

TEST(Explorer, a_weak_exchange_fails_without_cause) {
  for (const bool weak : {false, true}) {
    explorer e;
    atomic<int> x;
    e.thread("a", [&] {
      int was = 0;
      check(weak ? x.compare_exchange_weak(was, 1, acq_rel, relaxed)
                 : x.compare_exchange_strong(was, 1, acq_rel, relaxed),
            "it failed");
    });
    EXPECT_EQ(e.run().found("it failed"), weak);
  }
}

TEST(Explorer, a_dead_lock_and_a_live_lock_are_told) {
  {
    explorer e;
    atomic<int> a, b;
    e.name(a, "a");
    e.thread("one", [&] {
      (void)a.take();
      b.store(1);
    });
    e.thread("two", [&] {
      (void)b.take();
      a.store(1);
    });
    EXPECT_TRUE(e.run().found("dead-lock: one waits for a"));
  }
  explorer e;
  atomic<int> a;
  e.thread("one", [&] {
    while (a.load(acquire) == 0) {
    }
  });
  EXPECT_TRUE(e.run().found("live-lock"));
}

TEST(Explorer, what_waits_is_woken) {
  explorer e;
  atomic<int> a;
  plain<int> data;
  e.thread("one", [&] {
    (void)a.take();
    data = data + 1;
  });
  e.thread("two", [&] {
    data = 1;
    a.store(1, release);
  });
  e.at_end([&] { check(data == 2, "lost"); });
  const outcome o = e.run();
  EXPECT_TRUE(o.passed()) << o;
}

TEST(Explorer, a_number_is_any) {
  explorer e;
  std::set<unsigned> outcomes;
  e.thread("one", [&] { outcomes.insert(choose(3)); });
  EXPECT_TRUE(e.run().passed());
  EXPECT_EQ(outcomes.size(), 3U);
}

// --- What is left out changes nothing
// -------------------------------------------------------------

struct instruction {
  unsigned what, at, order;
};
using program = std::vector<std::vector<instruction>>;
using outcomes = std::set<std::vector<int>>;

// What all threads read, and what is there in the end.
outcomes outcomes_of(const program& threads, const limits& l, std::uint64_t& steps) {
  constexpr std::array orders = {relaxed, acquire, release, acq_rel, seq_cst};
  explorer e;
  std::array<atomic<int>, 3> places;
  std::array<plain<int>, 3> read;
  outcomes found;
  for (std::size_t t = 0; t < threads.size(); ++t) {
    e.thread("thread " + std::to_string(t), [&, t] {
      int log = 1;
      int next = static_cast<int>(t) + 1;
      for (const instruction& i : threads[t]) {
        atomic<int>& a = places[i.at];
        const std::memory_order load = std::array{relaxed, acquire, seq_cst}[i.order % 3];
        const std::memory_order store = std::array{relaxed, release, seq_cst}[i.order % 3];
        int was = 0;
        if (i.what < 2) log = log * 16 + a.load(load);
        if (i.what == 2 || i.what == 3) a.store(next, store);
        if (i.what == 4) log = log * 16 + a.fetch_add(next, orders[i.order]);
        if (i.what == 5) {
          (void)a.compare_exchange_weak(was, next, orders[i.order], load);
          log = log * 16 + was;
        }
        next += 3;
      }
      read[t] = log;
    });
  }
  e.at_end([&] {
    std::vector<int> all;
    for (const auto& r : read) all.push_back(r);
    for (const auto& p : places) all.push_back(p.load());
    found.insert(all);
  });
  const outcome o = e.run(l);
  EXPECT_TRUE(o.passed()) << o;
  steps += o.steps;
  return found;
}

TEST(Explorer, what_is_left_out_changes_no_outcome_of_any_program) {
  std::minstd_rand random(7);
  std::uint64_t steps = 0;
  std::uint64_t all_steps = 0;
  for (int round = 0; round < 300; ++round) {
    program p(2 + random() % 2);
    for (auto& thread : p)
      for (std::size_t n = 0; n < (p.size() == 2 ? 4 : 3); ++n)
        thread.push_back({static_cast<unsigned>(random() % 6), static_cast<unsigned>(random() % 3),
                          static_cast<unsigned>(random() % 5)});
    ASSERT_EQ(outcomes_of(p, {}, steps), outcomes_of(p, {.plodding = true}, all_steps)) << round;
  }
  EXPECT_LT(2 * steps, all_steps);
  if (tells()) std::cerr << steps << " steps instead of " << all_steps << '\n';
}

}  // namespace
}  // namespace parkring::model
