// Chains: records that the kernel must run in order.

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "op/test_chain.hpp"
#include "ring/fake_kernel.hpp"

namespace parkring::op {
namespace {

using detail::op_waiter;
using request = life::request;

TEST(Chain, runs_in_order) {
  test_driver d;
  std::vector<int> order;
  chain c(d, 4, order);
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  for (auto& w : c.waiters) d.turn_until_woken(w);
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
  for (auto& w : c.waiters) EXPECT_EQ(w.answer, 0);
  EXPECT_EQ(d.ops.live(), 0U);
}

TEST(Chain, a_failure_cancels_what_is_behind_it) {
  test_driver d;
  std::vector<int> order;
  chain c(d, 3, order);
  c.lives[1].what = request::read;  // of no descriptor
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  for (auto& w : c.waiters) d.turn_until_woken(w);
  EXPECT_EQ(c.waiters[0].answer, 0);
  EXPECT_EQ(c.waiters[1].answer, -EBADF);
  EXPECT_EQ(c.waiters[2].answer, -ECANCELED);
}

TEST(Chain, the_next_request_is_not_linked_to_it) {
  test_driver d;
  std::vector<int> order;
  chain c(d, 2, order);
  c.lives[1].what = request::read;  // fails
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  life next;
  op_waiter w;
  d.submit(next, &w);
  d.turn_until_woken(w);
  EXPECT_EQ(w.answer, 0);
}

TEST(Chain, room_for_all_of_it_is_made_before_its_first_entry_is_taken) {
  ring::fake_kernel k;
  test_driver d(4, 64, k);
  std::vector<int> order;
  std::vector<life> before(3);
  for (auto& l : before) {
    l.id = -1;
    l.order = &order;
    d.submit(l, nullptr);
  }
  chain c(d, 3, order);
  k.enter_error = EBUSY;  // the enter that would make room fails
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  EXPECT_EQ(c.prepared(), 0) << "no part of it was pushed";
  EXPECT_TRUE(d.ops.backlog());
  d.turn();
  EXPECT_EQ(c.prepared(), 0);
  d.ops.fill_queue();
  EXPECT_EQ(c.prepared(), 3) << "then all of it at once";
  EXPECT_EQ(d.ring.unsubmitted(), 3U);
  d.turn();
  EXPECT_EQ(order, (std::vector{-1, -1, -1, 0, 1, 2}));
  EXPECT_EQ(d.ops.live(), 0U);
}

TEST(Chain, what_is_submitted_after_a_waiting_chain_stays_behind_it) {
  ring::fake_kernel k;
  test_driver d(2, 64, k);
  std::vector<int> order;
  life first{.id = -1, .order = &order}, after{.id = 9, .order = &order};
  d.submit(first, nullptr);
  chain c(d, 2, order);
  k.enter_error = EAGAIN;
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  k.enter_error = EAGAIN;
  d.submit(after, nullptr);  // one entry is free, but the chain comes first
  EXPECT_EQ(order, (std::vector{-1}));
  while (d.ops.live() != 0) d.turn();
  EXPECT_EQ(order, (std::vector{-1, 0, 1, 9}));
}

TEST(Chain, one_that_can_never_fit_is_refused_whole) {
  test_driver d(2);
  ASSERT_EQ(d.ring.capacity(), 2U);
  std::vector<int> order;
  chain c(d, 3, order);
  EXPECT_FALSE(d.ops.submit_chain(c.records));
  EXPECT_EQ(c.prepared(), 0);
  EXPECT_FALSE(d.ops.backlog());
}  // the waiters leave, and the records end

TEST(Chain, dropping_all_waiters_of_a_waiting_chain_removes_it) {
  ring::fake_kernel k;
  test_driver d(2, 64, k);
  std::vector<int> order;
  std::vector<life> gone;
  life first{.id = -1, .order = &order}, after{.id = 9, .order = &order};
  d.submit(first, nullptr);
  {
    chain c(d, 2, order);
    k.enter_error = EAGAIN;
    ASSERT_TRUE(d.ops.submit_chain(c.records));
    c.waiters.clear();
    for (auto& l : c.lives) EXPECT_EQ(l.destroyed, 1);
  }
  d.submit(after, nullptr);
  while (d.ops.live() != 0) d.turn();
  EXPECT_EQ(order, (std::vector{-1, 9}));
}

TEST(Chain, a_cancel_of_a_part_that_has_not_begun_is_asked_for_again_when_it_begins) {
  test_driver d;
  test_pipe first, second;
  std::vector<int> order;
  chain c(d, 2, order);
  c.lives[0] = {.what = request::read, .fd = first.reader(), .cancel_when_dropped = false};
  c.lives[1] = {.what = request::poll, .fd = second.reader()};
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  d.turn(0);
  c.waiters.clear();  // the first is left to finish, the second is to be cancelled
  d.turn(0);
  d.turn(0);
  EXPECT_EQ(d.ops.cancels, 1U);
  EXPECT_EQ(c.lives[1].completed, 0) << "the kernel does not find what has not begun";
  first.put();
  for (int i = 0; i < 20 && d.ops.live() != 0; ++i) d.turn();
  EXPECT_EQ(c.lives[0].destroyed, 1);
  EXPECT_EQ(c.lives[1].destroyed, 1) << "it would wait for ever";
  EXPECT_GE(d.ops.cancels, 2U);
}

TEST(Chain, a_part_that_was_interrupted_is_submitted_again_alone) {
  test_driver d;
  std::vector<int> order;
  chain c(d, 2, order);
  c.lives[0].resubmit = 1;
  ASSERT_TRUE(d.ops.submit_chain(c.records));
  for (auto& w : c.waiters) d.turn_until_woken(w);
  EXPECT_EQ(c.lives[0].prepared, 2);
  EXPECT_EQ(c.lives[1].prepared, 1);
  EXPECT_EQ(c.lives[0].destroyed, 1);
  EXPECT_EQ(c.lives[1].destroyed, 1);
  EXPECT_EQ(d.ops.live(), 0U);
}

}  // namespace
}  // namespace parkring::op
