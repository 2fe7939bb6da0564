// Chains with parts behind whose failure Linux would go on: what is behind those is held back.

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "op/test_chain.hpp"
#include "ring/fake_kernel.hpp"

namespace parkring::op {
namespace {

using detail::op_waiter;
using detail::record;
using detail::record_state;
using request = life::request;
using numbers = std::vector<int>;

// A sync in the parts of a chain: of a pipe it fails, of this file it does not.
life sync_of(int fd) { return {.what = request::sync, .fd = fd, .breaks_chain = false}; }
// What Linux would go on behind if it failed; it does not.
life lenient() { return {.breaks_chain = false}; }

class CutChain : public ::testing::Test {
 protected:
  CutChain() { EXPECT_GE(file_, 0); }
  ~CutChain() override { ::close(file_); }

  // Waits for the pipe, then syncs; what follows is held until that has ended.
  std::vector<life> waiting_then(std::vector<life> behind) const {
    std::vector<life> parts{
        {.what = request::read, .fd = pipe_.reader(), .cancel_when_dropped = false},
        sync_of(file_)};
    parts[1].cancel_when_dropped = false;
    for (const life& l : behind) parts.push_back(l);
    return parts;
  }
  static void run(test_driver& d, chain& c) {
    for (auto& w : c.waiters) d.turn_until_woken(w);
  }
  static std::vector<std::int32_t> answers(const chain& c) {
    std::vector<std::int32_t> all;
    for (const auto& w : c.waiters) all.push_back(w.answer);
    return all;
  }
  static void expect_each_ended_once(const chain& c) {
    for (const life& l : c.lives) {
      EXPECT_EQ(l.completed, 1) << l.id;
      EXPECT_EQ(l.destroyed, 1) << l.id;
    }
  }
  static void finish(test_driver& d) {
    for (int i = 0; i < 1000 && d.ops.live() != 0; ++i) d.turn();
    EXPECT_EQ(d.ops.live(), 0U);
  }

  test_pipe pipe_;
  int file_ = ::memfd_create("synced", MFD_CLOEXEC);
  numbers order_;
};
using answers_of = std::vector<std::int32_t>;

TEST_F(CutChain, a_failing_sync_cancels_what_is_behind_it) {
  test_driver d;
  chain c(d, {{}, sync_of(pipe_.reader()), {}, sync_of(file_), {}}, order_);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  run(d, c);
  EXPECT_EQ(answers(c), (answers_of{0, -EINVAL, -ECANCELED, -ECANCELED, -ECANCELED}));
  EXPECT_EQ(order_, (numbers{0, 1})) << "the kernel never heard of the others";
  expect_each_ended_once(c);
  EXPECT_EQ(d.ops.live(), 0U);
}

TEST_F(CutChain, a_failure_before_the_cut_cancels_what_is_behind_it) {
  test_driver d;
  chain c(d, {{.what = request::read}, sync_of(file_), {}}, order_);  // a read of no descriptor
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  run(d, c);
  EXPECT_EQ(answers(c), (answers_of{-EBADF, -ECANCELED, -ECANCELED}));
  EXPECT_EQ(c.lives[2].prepared, 0);
  expect_each_ended_once(c);
}

TEST_F(CutChain, a_failure_behind_the_cut_leaves_what_was_before) {
  test_driver d;
  chain c(d, {sync_of(file_), {.what = request::read}, {}}, order_);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  run(d, c);
  EXPECT_EQ(answers(c), (answers_of{0, -EBADF, -ECANCELED}));
}

TEST_F(CutChain, runs_in_order_across_every_cut) {
  test_driver d;
  chain c(d, {{}, sync_of(file_), {}, {}, sync_of(file_), sync_of(file_), lenient(), {}}, order_);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  run(d, c);
  EXPECT_EQ(answers(c), answers_of(8, 0));
  EXPECT_EQ(order_, (numbers{0, 1, 2, 3, 4, 5, 6, 7}));
  expect_each_ended_once(c);
  EXPECT_EQ(d.ops.live(), 0U);
}

TEST_F(CutChain, each_segment_goes_to_the_kernel_when_the_one_before_has_ended) {
  test_driver d;
  chain c(d, waiting_then({{}, lenient(), {}}), order_);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  d.turn(0);
  EXPECT_EQ(order_, (numbers{0, 1}));
  EXPECT_FALSE(d.ops.backlog()) << "what is held waits for no room";
  EXPECT_EQ(c.records[2]->state, record_state::held);
  EXPECT_EQ(d.ops.live(), 5U);
  pipe_.put();
  d.turn_until_woken(c.waiters[1]);
  EXPECT_EQ(c.records[3]->state, record_state::held);
  run(d, c);
  EXPECT_EQ(order_, (numbers{0, 1, 2, 3, 4}));
}

TEST_F(CutChain, a_part_that_was_interrupted_goes_again_and_then_the_rest) {
  test_driver d;
  chain c(d, {{}, sync_of(file_), {}}, order_);
  c.lives[1].resubmit = 1;
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  run(d, c);
  EXPECT_EQ(order_, (numbers{0, 1, 1, 2}));
  EXPECT_EQ(answers(c), (answers_of{0, 0, 0}));
}

TEST_F(CutChain, needs_no_waiters) {
  test_driver d;
  chain c(d, {sync_of(file_), lenient(), {}}, order_);
  for (std::size_t i = 0; i < 3; ++i) {
    operations::attach(*c.records[i], nullptr);
    c.waiters[i].rec = nullptr;
  }
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  finish(d);
  EXPECT_EQ(order_, (numbers{0, 1, 2}));
}

// ---- dropped ----

TEST_F(CutChain, dropped_before_it_has_begun_it_ends_at_once) {
  ring::fake_kernel k;
  test_driver d(4, 64, k);
  std::vector<life> before(3);
  for (auto& l : before) d.submit(l, nullptr);
  {
    chain c(d, {{}, lenient(), lenient(), {}}, order_);
    for (auto& l : c.lives) l.cancel_when_dropped = false;
    k.enter_error = EAGAIN;
    ASSERT_TRUE(d.ops.submit_chain(c.records));
    c.waiters.clear();
    for (auto& l : c.lives) EXPECT_EQ(l.destroyed, 1);
  }
  EXPECT_EQ(d.ops.live(), 3U);
  finish(d);
  EXPECT_TRUE(order_.empty());
}

TEST_F(CutChain, dropped_in_flight_a_held_part_that_is_to_be_cancelled_ends_at_once) {
  test_driver d;
  chain c(d, waiting_then({{}, lenient()}), order_);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  d.turn(0);
  c.waiters.clear();
  EXPECT_EQ(c.lives[2].destroyed, 1);
  EXPECT_EQ(c.lives[3].destroyed, 1);
  EXPECT_EQ(d.ops.live(), 2U);
  pipe_.put();
  finish(d);
  EXPECT_EQ(order_, (numbers{0, 1})) << "what had begun was finished";
}

TEST_F(CutChain, dropped_in_flight_a_held_part_that_is_to_finish_has_its_turn) {
  test_driver d;
  chain c(d, waiting_then({lenient(), {}}), order_);
  c.lives[2].cancel_when_dropped = c.lives[3].cancel_when_dropped = false;
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  d.turn(0);
  c.waiters.clear();
  EXPECT_EQ(d.ops.orphans(), 4U);
  EXPECT_EQ(d.ops.abandoned, 4U);
  pipe_.put();
  finish(d);
  EXPECT_EQ(order_, (numbers{0, 1, 2, 3}));
  expect_each_ended_once(c);
}

TEST_F(CutChain, a_dropped_part_that_has_its_turn_has_none_behind_a_failure) {
  test_driver d;
  chain c(d, {sync_of(pipe_.reader()), lenient(), {}}, order_);
  for (auto& l : c.lives) l.cancel_when_dropped = false;
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  c.waiters.clear();
  finish(d);
  EXPECT_EQ(order_, (numbers{0}));
  expect_each_ended_once(c);
}

TEST_F(CutChain, what_is_behind_a_dropped_part_never_runs) {
  test_driver d;
  chain c(d, waiting_then({{}, {}, lenient(), {}}), order_);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  d.turn(0);
  c.waiters[3].abandon();
  EXPECT_EQ(c.lives[3].destroyed, 1);
  EXPECT_TRUE(c.waiters[4].linked() && c.waiters[5].linked());
  EXPECT_EQ(c.waiters[4].answer, -ECANCELED);
  EXPECT_EQ(c.waiters[5].answer, -ECANCELED);
  EXPECT_EQ(d.ops.live(), 3U);
  pipe_.put();
  d.turn_until_woken(c.waiters[2]);
  EXPECT_EQ(c.waiters[2].answer, 0);
  EXPECT_EQ(order_, (numbers{0, 1, 2}));
}

TEST_F(CutChain, a_released_part_that_waits_for_room_is_dropped_like_a_held_one) {
  for (const bool cancelled : {true, false}) {
    ring::fake_kernel k;
    test_driver d(2, 64, k);
    order_.clear();
    chain c(d, {lenient(), {}}, order_);
    c.lives[1].cancel_when_dropped = cancelled;
    ASSERT_TRUE(d.ops.submit_chain(c.records));
    d.turn();
    ASSERT_TRUE(d.ops.backlog()) << "released, and not yet pushed";
    c.waiters.clear();
    EXPECT_EQ(c.lives[1].destroyed, cancelled ? 1 : 0);
    finish(d);
    EXPECT_EQ(order_, cancelled ? (numbers{0}) : (numbers{0, 1}));
  }
}

TEST_F(CutChain, a_segment_that_waits_for_room_closes_up_behind_a_dropped_part) {
  ring::fake_kernel k;
  test_driver d(4, 64, k);
  std::vector<life> before(3);
  for (auto& l : before) d.submit(l, nullptr);
  life after{.id = 9, .order = &order_};
  chain c(d, 3, order_);
  k.enter_error = EAGAIN;
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  c.waiters[1].abandon();
  EXPECT_EQ(c.waiters[2].answer, -ECANCELED);
  k.enter_error = EAGAIN;
  d.submit(after, nullptr);
  finish(d);
  EXPECT_EQ(order_, (numbers{0, 9}));
  EXPECT_EQ(c.waiters[0].answer, 0);
}

// The slot of a dropped part is used again many times, until its generation is the same.
TEST_F(CutChain, the_end_of_a_part_does_not_touch_later_users_of_a_dropped_one) {
  test_driver d;
  chain c(d, waiting_then({{}}), order_);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  d.turn(0);
  c.waiters[2].abandon();
  for (int i = 0; i < 255; ++i) {
    life l;
    op_waiter w;
    ASSERT_EQ(&d.submit(l, &w), c.records[2]);
    d.turn_until_woken(w);
  }
  test_pipe other;
  life l{.what = request::poll, .fd = other.reader()};
  op_waiter w;
  ASSERT_EQ(&d.submit(l, &w), c.records[2]);
  d.turn(0);
  pipe_.put();
  d.turn_until_woken(c.waiters[1]);
  EXPECT_EQ(c.waiters[1].answer, 0);
  d.turn(0);
  EXPECT_EQ(l.prepared, 1);
  EXPECT_EQ(l.completed, 0);
  EXPECT_EQ(d.ops.live(), 1U);
  other.put();
  d.turn_until_woken(w);
  EXPECT_EQ(l.completed, 1);
}

// ---- teardown ----

TEST_F(CutChain, the_end_leaves_to_their_turn_those_that_are_to_finish_for_their_effect) {
  test_driver d;
  std::vector<life> parts{lenient(), lenient(), lenient(), {}, lenient()};
  parts[0] = sync_of(file_);
  for (auto& l : parts) l.cancel_when_dropped = false;
  chain c(d, parts, order_);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  d.ops.orphan_all();
  for (auto& w : c.waiters) EXPECT_EQ(w.rec, nullptr);
  EXPECT_EQ(d.ops.live(), 3U) << "one without an effect is not begun, nor what is behind it";
  EXPECT_EQ(d.ops.cancels, 0U);
  finish(d);
  EXPECT_EQ(order_, (numbers{0, 1, 2}));
}

TEST_F(CutChain, the_end_of_patience_ends_what_is_held) {
  test_driver d;
  chain c(d, waiting_then({lenient(), lenient()}), order_);
  for (auto& l : c.lives) l.cancel_when_dropped = false;
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  d.turn(0);
  d.ops.orphan_all();
  EXPECT_EQ(d.ops.live(), 4U);
  EXPECT_GE(d.ops.cancel_all(), 2U);
  EXPECT_EQ(d.ops.live(), 2U);
  finish(d);
  EXPECT_EQ(order_, (numbers{0, 1}));
  for (auto& l : c.lives) EXPECT_EQ(l.destroyed, 1) << l.id;
}

TEST_F(CutChain, a_chain_that_has_not_begun_does_not_outlast_the_end) {
  ring::fake_kernel k;
  test_driver d(2, 64, k);
  life first;
  d.submit(first, nullptr);
  chain c(d, {lenient(), lenient()}, order_);
  for (auto& l : c.lives) l.cancel_when_dropped = false;
  k.enter_error = EAGAIN;
  life second;
  d.submit(second, nullptr);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  ASSERT_TRUE(d.ops.backlog());
  d.ops.orphan_all();
  for (auto& l : c.lives) EXPECT_EQ(l.destroyed, 1) << l.id;
  finish(d);
  EXPECT_TRUE(order_.empty());
}

// ---- little room ----

TEST_F(CutChain, a_queue_of_two_and_others_that_fill_it_do_not_disturb_the_order) {
  test_driver d(2);
  for (int round = 0; round < 100; ++round) {
    order_.clear();
    chain c(d, {sync_of(file_), {}}, order_), e(d, {{}, sync_of(pipe_.reader())}, order_);
    std::vector<life> others(10);
    ASSERT_TRUE(d.ops.submit_chain(c.records));
    for (auto& l : others) d.submit(l, nullptr);
    ASSERT_TRUE(d.ops.submit_chain(e.records));
    for (auto& l : others) d.submit(l, nullptr);
    run(d, c);
    run(d, e);
    EXPECT_EQ(answers(c), (answers_of{0, 0}));
    EXPECT_EQ(answers(e), (answers_of{0, -EINVAL}));
    finish(d);
    for (auto& l : others) ASSERT_EQ(l.destroyed, 2);
  }
}

TEST_F(CutChain, a_queue_of_one_takes_a_chain_of_one) {
  test_driver d(1);
  ASSERT_EQ(d.ring.capacity(), 1U);
  chain one(d, {sync_of(file_)}, order_), two(d, {sync_of(file_), {}}, order_);
  EXPECT_FALSE(d.ops.submit_chain(two.records)) << "though its segments would fit one by one";
  ASSERT_TRUE(d.ops.submit_chain(one.records));
  run(d, one);
  EXPECT_EQ(answers(one), (answers_of{0}));
}

TEST_F(CutChain, goes_on_when_there_are_no_more_records) {
  test_driver d(8, 4);
  chain c(d, waiting_then({{}, lenient()}), order_);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  life more;
  op_waiter w;
  w.restart = [](op_waiter&) noexcept {};
  EXPECT_EQ(d.make(more), nullptr);
  d.ops.starve(w);
  pipe_.put();
  run(d, c);
  EXPECT_EQ(answers(c), (answers_of{1, 0, 0, 0}));
}

TEST_F(CutChain, a_million_of_them_need_no_more_records_than_one) {
  test_driver d(8, 3);
  std::uint64_t ended = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    life lives[3] = {lenient(), lenient(), {}};
    op_waiter waiters[3];
    record* records[3];
    if (i % 4 == 1) lives[1] = {.what = request::read};  // fails: there is no such descriptor
    for (int k = 0; k < 3; ++k) {
      records[k] = d.make(lives[k]);
      ASSERT_NE(records[k], nullptr);
      operations::attach(*records[k], &waiters[k]);
    }
    ASSERT_TRUE(d.ops.submit_chain(records));
    if (i % 4 == 2) waiters[2].abandon();
    if (i % 4 == 3) {
      for (auto& w : waiters)  // the drop of one may have ended the next
        if (w.rec != nullptr) w.abandon();
      while (d.ops.live() != 0) d.turn();
    } else {
      for (int k = 0; k < 2; ++k) d.turn_until_woken(waiters[k]);
      while (d.ops.live() != 0) d.turn();
    }
    for (auto& l : lives) ended += static_cast<unsigned>(l.destroyed);
  }
  EXPECT_EQ(ended, 3'000'000U);
}

}  // namespace
}  // namespace parkring::op
