// The work queue: nothing is lost, nothing is taken twice, and what came first goes first.
#include "exec/work_queue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "model/explorer.hpp"
#include "model/scale.hpp"
#include "model/weakened.hpp"

namespace parkring::model {
namespace {

/// Numbers that begin three before they wrap around.
template <class T>
struct wrapping : atomic<T> {
  using atomic<T>::atomic;
};
template <>
struct wrapping<std::uint32_t> : atomic<std::uint32_t> {
  wrapping(std::uint32_t initial) : atomic(initial - 3) {}  // NOLINT: as std::atomic
};

struct item {
  plain<int> number = untouched;  // written by who pushes it: a thief must see it
  static constexpr int untouched = -2;
  static constexpr int taken = -1;
};

// What the owner does is written as one letter each: p pushes the next item, and takes half out if
// that does not fit, o pops. In the end it pops all.
template <template <class> class Atomic, std::uint32_t Capacity>
struct rig {
  using queue = exec::basic_work_queue<item, Capacity, Atomic>;
  static constexpr int most_items = 6;
  struct owner_state {
    int done = 0;  // letters
    int next = 0;  // item
    int last = -1;
  };
  struct thief_state {
    int rounds;
    int last = -1;
  };

  explorer e;
  queue own;
  std::array<queue, 2> thieves;
  std::array<item, most_items> items;
  int pushed = 0;
  item* (*steal)(queue&, queue&) = [](queue& from, queue& to) { return from.steal_into(to); };

  bool owner(const char* program, owner_state& s) {
    if (program[s.done] == 'p') {
      item& i = items[static_cast<std::size_t>(s.next++)];
      i.number = s.next;
      if (!own.push(&i)) {
        std::array<item*, Capacity / 2> out;
        const std::uint32_t n = own.take_half(out);
        for (std::uint32_t k = 0; k < n; ++k) take(out[k], s.last);
        check(own.push(&i), "there is no room although half was taken or stolen");
      }
    } else {
      item* const got = own.pop();
      if (got != nullptr) take(got, s.last);
      if (got == nullptr && program[s.done] == 0) return false;
    }
    if (program[s.done] != 0) ++s.done;
    return true;
  }
  bool thief(queue& to, thief_state& s) {
    if (item* got = to.pop()) return take(got, s.last), true;
    if (s.rounds-- == 0) return false;
    if (item* got = steal(own, to)) take(got, s.last);
    return true;
  }
  static void take(item* i, int& last) {
    check(i != nullptr, "a slot is empty");
    const int number = i->number;
    check(number != item::taken, "taken twice");
    i->number = item::taken;
    check(number > last, "taken out of order");
    last = number;
  }

  outcome run(const char* program, int thieves_there, int rounds) {
    for (const char* c = program; *c != 0; ++c) pushed += *c == 'p' ? 1 : 0;
    e.name(own, "queue");
    e.name(thieves, "thieves");
    e.name(items, "items");
    e.rounds<owner_state>("owner", {},
                          [this, program](owner_state& s) { return owner(program, s); });
    for (int t = 0; t < thieves_there; ++t) {
      queue& to = thieves[static_cast<std::size_t>(t)];
      e.rounds<thief_state>("thief " + std::to_string(t + 1), {rounds, -1},
                            [this, &to](thief_state& s) { return thief(to, s); });
    }
    e.at_end([this] {
      for (int i = 0; i < pushed; ++i)
        check(items[static_cast<std::size_t>(i)].number == item::taken, "an item is lost");
    });
    return e.run();
  }
};

template <template <class> class Atomic, std::uint32_t Capacity>
outcome run(const char* program, int thieves, int rounds) {
  rig<Atomic, Capacity> r;
  return r.run(program, thieves, rounds);
}

TEST(WorkQueueModel, a_thief_and_the_owner_share_what_is_there) {
  EXPECT_PASSED(run<wrapping, 2>("ppopp", 1, 2));
  EXPECT_PASSED(run<wrapping, 2>("pppp", 1, 2));
  EXPECT_PASSED(run<wrapping, 4>("pppppp", 1, 2));
  EXPECT_PASSED(run<wrapping, 4>("pppoopp", 1, 3));
}
TEST(WorkQueueModel, two_thieves_share_with_the_owner) {
  EXPECT_PASSED(run<atomic, 2>("pp", 2, 1));
  EXPECT_PASSED(run<wrapping, 2>("ppp", 2, 1));
  EXPECT_PASSED(run<wrapping, 4>("ppp", 2, 1));
  if (deeper()) EXPECT_PASSED(run<wrapping, 4>("ppppp", 2, 1));
}

// --- It would be found
// ----------------------------------------------------------------------------
TEST(WorkQueueModel, a_push_that_releases_nothing_is_found) {
  EXPECT_FOUND("race: thief 1 reads items", run<relaxed_stores, 2>("pp", 1, 1));
}
TEST(WorkQueueModel, a_steal_that_acquires_nothing_is_found) {
  EXPECT_FOUND("an item is lost", run<relaxed_loads, 2>("pp", 1, 1));
}
TEST(WorkQueueModel, an_exchange_that_does_not_compare_is_found) {
  EXPECT_FOUND("race: ", run<blind_exchanges, 2>("pp", 1, 1));
}

// Makes private members of a queue known here.
using small = exec::basic_work_queue<item, 2, atomic>;
auto head_of(small&) -> atomic<std::uint32_t>&;
auto tail_of(small&) -> atomic<std::uint32_t>&;
auto slots_of(small&) -> std::array<atomic<item*>, 2>&;
template <auto Head, auto Tail, auto Slots>
struct opened {
  friend auto head_of(small& q) -> atomic<std::uint32_t>& { return q.*Head; }
  friend auto tail_of(small& q) -> atomic<std::uint32_t>& { return q.*Tail; }
  friend auto slots_of(small& q) -> std::array<atomic<item*>, 2>& { return q.*Slots; }
};
template struct opened<&small::head_, &small::tail_, &small::slots_>;

// The head may have passed this tail.
item* steal_by_an_old_tail(small& from, small&) {
  const std::uint32_t tail = tail_of(from).load(std::memory_order_acquire);
  std::uint32_t head = head_of(from).load(std::memory_order_acquire);
  if (tail == head) return nullptr;
  item* first = slots_of(from)[head % 2].load(std::memory_order_relaxed);
  return head_of(from).compare_exchange_strong(head, head + 1, std::memory_order_acq_rel,
                                               std::memory_order_relaxed)
             ? first
             : nullptr;
}
TEST(WorkQueueModel, a_steal_that_reads_the_tail_first_is_found) {
  rig<atomic, 2> r;
  r.steal = steal_by_an_old_tail;
  EXPECT_FOUND("taken twice", r.run("po", 1, 1));
}

}  // namespace
}  // namespace parkring::model
