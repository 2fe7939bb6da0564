// A roaming task, its handle, and two workers: it is ended once, by the worker that has it, no wish
// is lost, and a message finds the task where it was sent.
#include "parkring/detail/whereabouts.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "model/explorer.hpp"
#include "model/scale.hpp"
#include "model/weakened.hpp"

namespace parkring::model {
namespace {

using number = std::uint32_t;

// What the handle does is written as one letter each: a asks for an abort, s for a stop, d detaches
// and ends, r looks whether the task has ended and reads its result.
struct scenario {
  const char* handle;
  const char* other = "";  // another thread that has the handle
  int leaves = 1;          // of each worker
  bool ends_by_itself = false;
  bool ends_on_stop = false;
};

enum frame_state : int { alive, finished, aborted };

struct worker_state {
  int me;
  int leaves;
  int has;    // the task is placed here
  int ended;  // here
};

template <class Where>
struct rig {
  explorer e;
  Where where;
  atomic<number> way;                     // 1: the task is in the queue
  std::array<atomic<number>, 2> mailbox;  // of each worker: messages
  plain<int> at_home = 0;                 // by who places; read by who posts
  plain<int> frame = alive;               // by who has it
  plain<int> stops = 0;                   // delivered
  plain<int> freed = 0;                   // the result, by the last who knows of it
  scenario what;

  explicit rig(const scenario& s) : what(s) {
    e.name(where, "whereabouts");
    e.name(way, "way");
    e.name(mailbox, "mailbox");
    e.name(at_home, "at_home");
    e.name(frame, "frame");
    (void)where.place();
  }

  // --- Workers ---
  bool worker(worker_state& s) {
    const auto me = static_cast<std::size_t>(s.me);
    if (s.ended != 0) {
      (void)mailbox[me].take();
      (void)where.arrived();  // too late
      return true;
    }
    if (s.has == 0) {
      (void)way.take();
      at_home = s.me;
      s.has = 1;
      serve(s, where.place());
      return true;
    }
    check(frame == alive, "a frame runs that has ended");
    frame = alive;
    if (what.ends_by_itself && choose(2) == 0) {
      end(s, finished);
    } else if (s.leaves != 0 && where.leave()) {
      --s.leaves;
      s.has = 0;
      way.store(1, std::memory_order_release);
    } else {
      check(mailbox[me].take() == 1, "two messages are under way");
      serve(s, where.arrived());
    }
    return true;
  }
  void serve(worker_state& s, number wish) {
    if ((wish & Where::abort) != 0) return end(s, aborted);
    if ((wish & Where::stop) == 0) return;
    stops = stops + 1;
    if (what.ends_on_stop) end(s, finished);
  }
  void end(worker_state& s, frame_state how) {
    check(frame == alive, "a frame ends twice");
    frame = how;
    s.ended = 1;
    if (where.end()) freed = freed + 1;
  }

  // --- Handles ---
  bool handle(const char* program, int& at) {
    const char wish = program[at++];
    if (wish == 'a') ask(Where::abort);
    if (wish == 's') ask(Where::stop);
    if (wish == 'd' && where.detach()) freed = freed + 1;
    if (wish == 'r' && where.has_ended()) check(frame != alive, "it has not ended");
    return program[at] != 0;
  }
  void ask(number wish) {
    if (!where.ask(wish)) return;
    const auto to = static_cast<std::size_t>(int{at_home});
    check(mailbox[to].fetch_add(1, std::memory_order_acq_rel) == 0, "two messages are under way");
  }

  [[nodiscard]] bool asks(char wish) const {
    return std::strchr(what.handle, wish) != nullptr || std::strchr(what.other, wish) != nullptr;
  }
  void at_end() {
    const bool ended = frame != alive;
    if (asks('a')) check(ended, "an abort is lost");
    if (asks('s')) check(ended || stops > 0, "a stop is lost");
    if (frame == aborted) check(asks('a'), "an abort that nobody asked for");
    for (const auto& m : mailbox) check(m.load() == 0, "a message lies where the task is not");
    if (asks('d')) check(freed == (ended ? 1 : 0), "the result is not freed once");
    if (ended) check(way.load() == 0, "a task that has ended is on its way");
  }

  outcome run() {
    for (const char* program : {what.handle, what.other})
      if (*program != 0)
        e.rounds<int>(program == what.handle ? "handle" : "other", 0,
                      [this, program](int& at) { return handle(program, at); });
    const auto round = [this](worker_state& s) { return worker(s); };
    e.rounds<worker_state>("worker 0", {0, what.leaves, 1, 0}, round);
    e.may_wait();
    e.rounds<worker_state>("worker 1", {1, what.leaves, 0, 0}, round);
    e.may_wait();
    e.at_end([this] { at_end(); });
    return e.run();
  }
};

template <class Where = detail::basic_whereabouts<atomic<number>>>
outcome run(const scenario& s) {
  rig<Where> r(s);
  return r.run();
}

TEST(WhereaboutsModel, an_abort_ends_the_task_wherever_it_is) {
  EXPECT_PASSED(run({.handle = "a"}));
  EXPECT_PASSED(run({.handle = "a", .leaves = 2}));
  EXPECT_PASSED(run({.handle = "a", .leaves = 2, .ends_by_itself = true}));
}
TEST(WhereaboutsModel, a_stop_is_delivered_wherever_it_is) {
  EXPECT_PASSED(run({.handle = "s", .leaves = 2}));
  EXPECT_PASSED(run({.handle = "ss", .leaves = 2}));
  EXPECT_PASSED(run({.handle = "s", .leaves = 2, .ends_on_stop = true}));
}
TEST(WhereaboutsModel, a_stop_and_an_abort_share_a_message) {
  EXPECT_PASSED(run({.handle = "sa", .leaves = 2}));
  EXPECT_PASSED(run({.handle = "as", .leaves = 2}));
  EXPECT_PASSED(run({.handle = "sa", .leaves = 2, .ends_by_itself = true, .ends_on_stop = true}));
  EXPECT_PASSED(run({.handle = "s", .other = "a"}));
  EXPECT_PASSED(run({.handle = "s", .other = "s"}));
  if (deeper()) EXPECT_PASSED(run({.handle = "sa", .other = "s", .ends_by_itself = true}));
}
TEST(WhereaboutsModel, the_result_is_freed_once) {
  EXPECT_PASSED(run({.handle = "d", .leaves = 1, .ends_by_itself = true}));
  EXPECT_PASSED(run({.handle = "sad", .leaves = 1, .ends_by_itself = true}));
  EXPECT_PASSED(run({.handle = "rad", .leaves = 2, .ends_by_itself = true}));
  EXPECT_PASSED(run({.handle = "d", .other = "a", .ends_by_itself = true}));
}

// --- It would be found
// ----------------------------------------------------------------------------
using word = exposed<number>;
using real = detail::basic_whereabouts<word>;

struct faulty : real {
  word& bits = *word::last;
};
struct leaves_a_message_behind : faulty {
  bool leave() {
    number was = bits.load(std::memory_order_relaxed);
    do {
      if ((was & abort) != 0) return false;
    } while (!bits.compare_exchange_weak(was, was & ~placed, std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
    return true;
  }
};
struct leaves_at_any_time : faulty {
  bool leave() { return bits.fetch_and(~placed, std::memory_order_acq_rel), true; }
};
struct places_without_looking : faulty {
  number place() {
    const number was = bits.load(std::memory_order_acquire);
    (void)bits.fetch_or(placed, std::memory_order_acq_rel);
    return was & (abort | stop);
  }
};
struct asks_in_two_steps : faulty {
  bool ask(number wish) {
    const number was = bits.load(std::memory_order_acquire);
    if ((was & (ended | wish)) != 0) return false;
    if ((was & placed) != 0) wish |= message;
    (void)bits.fetch_or(wish, std::memory_order_acq_rel);
    return (was & (placed | message)) == placed;
  }
};
struct ends_without_looking : faulty {
  bool end() {
    const bool nobody = (bits.load(std::memory_order_acquire) & detached) != 0;
    (void)bits.fetch_or(ended, std::memory_order_acq_rel);
    return nobody;
  }
};
struct posts_always : faulty {
  bool ask(number wish) {
    return (bits.fetch_or(wish | message, std::memory_order_acq_rel) & (ended | placed)) == placed;
  }
};

TEST(WhereaboutsModel, a_leave_that_ignores_a_message_is_found) {
  EXPECT_FOUND("race: ", run<leaves_a_message_behind>({.handle = "s"}));
  EXPECT_FOUND("race: ", run<leaves_at_any_time>({.handle = "a"}));
}
TEST(WhereaboutsModel, a_look_apart_from_the_change_is_found) {
  EXPECT_FOUND("is lost", run<places_without_looking>({.handle = "s"}));
  EXPECT_FOUND("race: ", run<asks_in_two_steps>({.handle = "a"}));
  EXPECT_FOUND("not freed once",
               run<ends_without_looking>({.handle = "d", .ends_by_itself = true}));
}
TEST(WhereaboutsModel, a_second_message_is_found) {
  EXPECT_FOUND("two messages", run<posts_always>({.handle = "sa"}));
}
TEST(WhereaboutsModel, changes_that_order_nothing_are_found) {
  using relaxed = detail::basic_whereabouts<relaxed_changes<number>>;
  EXPECT_FOUND("race: handle reads at_home", run<relaxed>({.handle = "a", .leaves = 1}));
  EXPECT_FOUND("race: handle reads frame", run<relaxed>({.handle = "r", .ends_by_itself = true}));
}

}  // namespace
}  // namespace parkring::model
