#include "op/operations.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <numeric>
#include <vector>

#include "op/test_records.hpp"
#include "ring/fake_kernel.hpp"

namespace parkring::op {
namespace {

using detail::op_waiter;
using detail::record;
using detail::record_state;
using request = life::request;

TEST(Operations, a_record_is_prepared_completed_and_destroyed_once) {
  test_driver d;
  life l;
  op_waiter w;
  record& r = d.submit(l, &w);
  EXPECT_EQ(w.rec, &r);
  EXPECT_EQ(d.ops.live(), 1U);
  EXPECT_EQ(l.destroyed, 0);
  d.turn_until_woken(w);
  EXPECT_TRUE(w.linked());
  EXPECT_EQ(w.rec, nullptr);
  EXPECT_EQ(w.answer, 0);
  EXPECT_EQ(l.prepared, 1);
  EXPECT_EQ(l.completed, 1);
  EXPECT_EQ(l.completed_unseen, 0);
  EXPECT_EQ(l.destroyed, 1);
  EXPECT_EQ(d.ops.live(), 0U);
  EXPECT_EQ(d.ops.submissions(), 1U);
  EXPECT_EQ(d.ops.completions, 1U);
}

TEST(Operations, the_waiter_gets_the_kernels_answer) {
  test_driver d;
  life good{.what = request::read}, bad{.what = request::read, .fd = -1};
  test_pipe p;
  p.put('q');
  good.fd = p.reader();
  op_waiter a, b;
  d.submit(good, &a);
  d.submit(bad, &b);
  d.turn_until_woken(a);
  d.turn_until_woken(b);
  EXPECT_EQ(a.answer, 1);
  EXPECT_EQ(good.byte, 'q');
  EXPECT_EQ(b.answer, -EBADF);
}

TEST(Operations, requests_reach_the_kernel_in_the_order_of_submission) {
  for (const unsigned entries : {1U, 2U, 8U, 64U}) {
    test_driver d(entries);
    std::vector<int> order, expected(40);
    std::iota(expected.begin(), expected.end(), 0);
    std::vector<life> lives(expected.size());
    std::vector<op_waiter> waiters(expected.size());
    for (std::size_t i = 0; i < lives.size(); ++i) {
      lives[i].id = static_cast<int>(i);
      lives[i].order = &order;
      d.submit(lives[i], &waiters[i]);
    }
    for (auto& w : waiters) d.turn_until_woken(w);
    EXPECT_EQ(order, expected) << entries;
    for (auto& l : lives) EXPECT_EQ(l.destroyed, 1);
    EXPECT_EQ(d.ops.live(), 0U);
    EXPECT_EQ(d.ops.deferrals == 0, entries == 64) << entries;
  }
}

TEST(Operations, a_waiter_that_leaves_a_prepared_record_ends_it_at_once) {
  test_driver d(4);
  ASSERT_EQ(d.ring.capacity(), 4U);
  life l;
  record* r = d.make(l);
  auto w = std::make_unique<op_waiter>();
  operations::attach(*r, w.get());
  EXPECT_EQ(r->state, record_state::prepared);
  w.reset();
  EXPECT_EQ(l.destroyed, 1);
  EXPECT_EQ(l.prepared, 0);
  EXPECT_EQ(d.ops.live(), 0U);
  EXPECT_EQ(d.ops.abandoned, 0U) << "the kernel never heard of it";
}

TEST(Operations, a_waiter_that_leaves_in_flight_makes_an_orphan_that_is_cancelled) {
  test_driver d;
  test_pipe p;
  life l{.what = request::read, .fd = p.reader()};
  auto w = std::make_unique<op_waiter>();
  record& r = d.submit(l, w.get());
  d.turn(0);
  const auto enters = d.ring.enters;
  w.reset();
  EXPECT_EQ(d.ring.enters, enters) << "a drop makes no system call";
  EXPECT_EQ(r.state, record_state::in_flight);
  EXPECT_EQ(d.ops.orphans(), 1U);
  EXPECT_EQ(d.ops.abandoned, 1U);
  EXPECT_EQ(l.destroyed, 0) << "the kernel may still write to it";
  for (int i = 0; i < 100 && d.ops.live() != 0; ++i) d.turn();
  EXPECT_EQ(l.completed_unseen, 1);
  EXPECT_EQ(l.destroyed, 1);
  EXPECT_EQ(d.ops.cancels, 1U);
  EXPECT_TRUE(d.ready.empty());
}

TEST(Operations, a_request_that_must_finish_is_left_alone_when_dropped) {
  test_driver d;
  test_pipe p;
  life l{.what = request::read, .fd = p.reader(), .cancel_when_dropped = false};
  {
    op_waiter w;
    d.submit(l, &w);
    d.turn(0);
  }
  for (int i = 0; i < 5; ++i) d.turn(0);
  EXPECT_EQ(d.ops.cancels, 0U);
  EXPECT_EQ(l.completed, 0);
  p.put('k');
  for (int i = 0; i < 100 && d.ops.live() != 0; ++i) d.turn();
  EXPECT_EQ(l.byte, 'k');
  EXPECT_EQ(l.destroyed, 1);
}

TEST(Operations, a_waiter_may_leave_between_the_push_and_the_enter) {
  test_driver d;
  test_pipe p;
  life l{.what = request::read, .fd = p.reader()};
  {
    op_waiter w;
    d.submit(l, &w);
  }
  for (int i = 0; i < 100 && d.ops.live() != 0; ++i) d.turn();
  EXPECT_EQ(l.prepared, 1);
  EXPECT_EQ(l.destroyed, 1);
}

TEST(Operations, a_waiter_may_leave_between_its_completion_and_its_turn) {
  test_driver d;
  life l;
  {
    op_waiter w;
    d.submit(l, &w);
    d.turn_until_woken(w);
    ASSERT_TRUE(w.linked());
  }
  EXPECT_TRUE(d.ready.empty());
  EXPECT_EQ(l.destroyed, 1);
  EXPECT_EQ(d.ops.abandoned, 0U);
}

TEST(Operations, cancel_is_sent_once_and_the_requests_own_completion_ends_it) {
  for (const unsigned entries : {1U, 8U}) {
    test_driver d(entries);
    test_pipe p;
    life l{.what = request::read, .fd = p.reader()};
    op_waiter w;
    record& r = d.submit(l, &w);
    d.turn(0);
    for (int i = 0; i < 3; ++i) d.ops.cancel(r);
    d.turn_until_woken(w);
    EXPECT_EQ(w.answer, -ECANCELED);
    EXPECT_EQ(d.ops.cancels, 1U);
    EXPECT_EQ(l.completed, 1);
    EXPECT_EQ(l.destroyed, 1);
    for (int i = 0; i < 3; ++i) d.turn(0);  // the cancel's own answer belongs to nobody
    EXPECT_EQ(l.completed, 1);
    EXPECT_EQ(d.ops.live(), 0U);
  }
}

TEST(Operations, cancels_with_a_full_queue_are_not_lost) {
  constexpr std::size_t many = 20;
  test_driver d(1);
  test_pipe p;
  std::vector<life> lives(many);
  {
    std::vector<op_waiter> waiters(many);
    for (std::size_t i = 0; i < many; ++i) {
      lives[i] = {.what = request::poll, .fd = p.reader()};
      d.submit(lives[i], &waiters[i]);
    }
    d.turn(0);
  }
  EXPECT_TRUE(d.ops.backlog());
  for (int i = 0; i < 1000 && d.ops.live() != 0; ++i) d.turn();
  EXPECT_EQ(d.ops.cancels, many);
  for (auto& l : lives) EXPECT_EQ(l.destroyed, 1);
}

TEST(Operations, a_cancel_not_yet_sent_is_dropped_when_its_request_completes) {
  test_driver d;
  test_pipe p;
  life l{.what = request::read, .fd = p.reader()};
  op_waiter w;
  record& r = d.submit(l, &w);
  d.turn(0);
  p.put();
  d.ring.enter(1);  // the completion is in the queue, unread
  d.ops.cancel(r);
  d.ops.reap();
  EXPECT_EQ(w.answer, 1) << "what has completed is never turned into cancelled";
  EXPECT_FALSE(d.ops.backlog());
  EXPECT_EQ(d.ops.cancels, 0U);
}

TEST(Operations, a_multishot_record_lives_until_its_last_completion) {
  test_driver d;
  test_pipe p;
  life l{.what = request::poll_multishot, .fd = p.reader()};
  op_waiter w;
  record& r = d.submit(l, &w);
  d.turn(0);
  for (int i = 1; i <= 3; ++i) {
    p.put();
    d.turn();
    EXPECT_EQ(l.completed, i);
    EXPECT_FALSE(w.linked()) << "more is to come";
    EXPECT_EQ(l.destroyed, 0);
    p.take();
  }
  EXPECT_EQ(l.prepared, 1);
  d.ops.cancel(r);
  d.turn_until_woken(w);
  EXPECT_EQ(w.answer, -ECANCELED);
  EXPECT_EQ(l.completed, 4);
  EXPECT_EQ(l.destroyed, 1);
}

TEST(Operations, an_interrupted_request_is_submitted_again) {
  for (const unsigned entries : {1U, 8U}) {
    test_driver d(entries);
    life l{.resubmit = 3};
    op_waiter w;
    d.submit(l, &w);
    d.turn_until_woken(w);
    EXPECT_EQ(l.prepared, 4);
    EXPECT_EQ(l.completed, 4);
    EXPECT_EQ(l.destroyed, 1);
    EXPECT_EQ(d.ops.resubmissions, 3U);
  }
}

TEST(Operations, a_waiter_may_leave_while_its_record_waits_to_be_submitted_again) {
  test_driver d;
  life l{.resubmit = 1};
  {
    op_waiter w;
    d.submit(l, &w);
    while (l.completed == 0) d.turn();
    ASSERT_NE(w.rec, nullptr);
  }
  EXPECT_EQ(l.destroyed, 1);
  EXPECT_EQ(l.prepared, 1);
  EXPECT_EQ(d.ops.live(), 0U);
}

struct starving : op_waiter {
  test_driver* driver = nullptr;
  life l;
  std::vector<int>* served = nullptr;
  void start() {
    if (record* r = driver->make(l))
      driver->ops.submit(*r, this);
    else
      driver->ops.starve(*this);
  }
  static void again(op_waiter& w) noexcept {
    auto& self = static_cast<starving&>(w);
    self.served->push_back(self.l.id);
    self.start();
  }
};

TEST(Operations, starved_requests_are_served_first_come_first_served) {
  test_driver d(8, 2);
  std::vector<int> served;
  std::vector<starving> all(10);
  for (int i = 0; auto& s : all) {
    s.driver = &d;
    s.served = &served;
    s.restart = &starving::again;
    s.l.id = i++;
    s.start();
  }
  EXPECT_EQ(d.ops.starvations, 8U);
  EXPECT_EQ(d.ops.live(), 2U);
  all[4].unlink();  // one that gives up does not hold up the others
  while (served.size() < 7) {
    d.turn();
    EXPECT_LE(d.ops.live(), 2U);
    if (served.size() < 7) {
      // Who comes while others starve queues behind them, even if a record is free.
      EXPECT_EQ(d.make(all[4].l), nullptr);
    }
  }
  EXPECT_EQ(served, (std::vector{2, 3, 5, 6, 7, 8, 9}));
  while (d.ops.live() != 0) d.turn();
  for (auto& s : all) EXPECT_EQ(s.l.destroyed, s.l.id == 4 ? 0 : 1);
}

TEST(Operations, orphan_all_detaches_every_waiter_and_ends_every_request) {
  test_driver d(2, 6);
  test_pipe p;
  std::vector<life> lives(6);
  std::vector<op_waiter> waiters(6);
  for (std::size_t i = 0; i < lives.size(); ++i) {
    lives[i] = {.what = i % 2 == 0 ? request::read : request::poll,
                .fd = p.reader(),
                .cancel_when_dropped = i < 3};
    d.submit(lives[i], &waiters[i]);
  }
  op_waiter starved;
  d.ops.starve(starved);
  d.ops.orphan_all();
  for (auto& w : waiters) EXPECT_EQ(w.rec, nullptr);
  EXPECT_FALSE(starved.linked());
  for (int i = 0; i < 100 && d.ops.live() != 0; ++i) d.turn();
  EXPECT_EQ(d.ops.live(), 0U);
  EXPECT_TRUE(d.ready.empty());
  for (auto& l : lives) {
    EXPECT_EQ(l.destroyed, 1);
    EXPECT_EQ(l.completed, l.completed_unseen);
  }
}

TEST(Operations, cancel_all_ends_what_was_to_be_submitted_again) {
  test_driver d;
  test_pipe p;
  life l{.what = request::poll,
         .fd = p.reader(),
         .resubmit = 1,
         .cancel_when_dropped = false,
         .breaks_chain = false};
  d.submit(l, nullptr);
  d.turn(0);
  d.ops.orphan_all();
  EXPECT_EQ(d.ops.live(), 1U) << "it has an effect, so it is left to finish";
  p.put();
  for (int i = 0; i < 1000 && l.completed == 0; ++i) d.turn();
  p.take();
  EXPECT_EQ(d.ops.resubmissions, 1U);
  EXPECT_EQ(d.ops.cancel_all(), 1U);
  EXPECT_EQ(d.ops.live(), 0U) << "the kernel has nothing of it";
  EXPECT_EQ(l.prepared, 1);
  EXPECT_EQ(l.destroyed, 1);
}

TEST(Operations, cancel_all_lets_what_disposes_of_something_go_to_the_kernel) {
  ring::fake_kernel k;
  test_driver d(1, 64, k);
  life filler, closing{.cancel_when_dropped = false};
  d.submit(filler, nullptr);  // takes the only entry
  k.enter_error = EAGAIN;     // so that no other becomes free
  d.submit(closing, nullptr);
  EXPECT_EQ(closing.prepared, 0);
  EXPECT_EQ(d.ops.cancel_all(), 1U) << "the filler, which is in flight";
  for (int i = 0; i < 10 && d.ops.live() != 0; ++i) d.turn(0);
  EXPECT_EQ(closing.prepared, 1);
  EXPECT_EQ(closing.destroyed, 1);
}

TEST(Operations, wait_for_blocks_until_the_kernel_has_let_go) {
  test_driver d;
  test_pipe p;
  life l{.what = request::read, .fd = p.reader()}, other;
  op_waiter bystander;
  auto w = std::make_unique<op_waiter>();
  record& r = d.submit(l, w.get());
  d.submit(other, &bystander);
  d.turn(0);
  w.reset();  // asks for the cancel
  d.ops.wait_for(r);
  EXPECT_EQ(l.destroyed, 1);
  EXPECT_EQ(d.ready.front(), &bystander) << "others are made ready meanwhile, not lost";
}

TEST(Operations, wait_for_sends_a_cancel_that_finds_the_queue_full) {
  test_driver d(1);
  test_pipe p;
  life l{.what = request::read, .fd = p.reader()}, filler{.what = request::poll, .fd = p.reader()};
  auto w = std::make_unique<op_waiter>();
  record& r = d.submit(l, w.get());
  d.turn(0);
  d.submit(filler, nullptr);  // takes the only entry, and does not end by itself
  w.reset();
  d.ops.wait_for(r);
  EXPECT_EQ(l.destroyed, 1);
  EXPECT_EQ(filler.destroyed, 0);
}

TEST(Operations, a_record_can_be_given_back_unused) {
  test_driver d;
  life l;
  record* r = d.make(l);
  d.ops.release_unused(*r);
  EXPECT_EQ(d.ops.live(), 0U);
  EXPECT_EQ(l.destroyed, 0);
}

}  // namespace
}  // namespace parkring::op
