#include "park/driver.hpp"
#include "park/test_timer.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "op/test_records.hpp"
#include "ring/fake_kernel.hpp"

namespace parkring::park {
namespace {

using detail::op_waiter;
using op::life;
using op::test_pipe;
using request = life::request;

using timer = test_timer;

struct rig {
  detail::waiter_list ready;
  driver d;
  explicit rig(unsigned entries = 8, kernel::kernel& k = op::kernel_at_hand())
      : d(k, {.entries = entries}, 64, ready) {
    EXPECT_EQ(d.ring.bind_to_this_thread(), 0);
  }
  ~rig() {
    d.wake.stop();
    while (d.ops.live() != 0) {
      d.ops.orphan_all();
      d.park(false);
    }
    while (ready.pop_front() != nullptr) {
    }
  }
  void submit(life& l, op_waiter* w) {
    detail::record* r = d.ops.acquire(op::test_type());
    r->emplace<life*>(&l);
    d.ops.submit(*r, w);
  }
};

TEST(Driver, an_unpark_before_a_park_makes_it_return_at_once) {
  rig r;
  r.d.wake.unpark();
  r.d.park(true);  // for ever, if the unpark were lost
  SUCCEED();
}

TEST(Driver, an_unpark_from_another_thread_ends_a_park) {
  rig r;
  std::thread other([&] { r.d.wake.unpark(); });
  r.d.park(true);
  other.join();
  r.d.wake.unpark();
  r.d.park(true);
  EXPECT_TRUE(r.ready.empty());
}

TEST(Driver, a_park_that_may_not_block_returns_although_nothing_is_ready) {
  rig r;
  test_pipe p;
  life l{.what = request::read, .fd = p.reader()};
  op_waiter w;
  r.submit(l, &w);
  for (int i = 0; i < 3; ++i) r.d.park(false);
  EXPECT_FALSE(w.linked());
}

TEST(Driver, it_does_not_sleep_while_a_waiter_is_ready) {
  rig r;
  detail::waiter w;
  r.ready.push_back(w);
  r.d.park(true);
  EXPECT_TRUE(w.linked());
}

TEST(Driver, it_does_not_sleep_while_a_completion_is_unread) {
  rig r;
  test_pipe p;
  p.put();
  life l{.what = request::read, .fd = p.reader()};
  op_waiter w;
  r.submit(l, &w);
  r.d.ring.enter(1);
  r.d.park(true);
  EXPECT_TRUE(w.linked());
}

TEST(Driver, a_park_without_work_makes_no_system_call) {
  rig r;
  const auto before = r.d.ring.enters;
  r.d.park(false);
  EXPECT_EQ(r.d.ring.enters, before);
}

TEST(Driver, one_enter_submits_a_whole_turn_and_waits_for_it) {
  rig r(64);
  std::vector<life> lives(32);
  std::vector<op_waiter> waiters(32);
  for (int turn = 0; turn < 3; ++turn) {
    for (std::size_t i = 0; i < lives.size(); ++i) r.submit(lives[i], &waiters[i]);
    const auto before = r.d.ring.enters;
    r.d.park(true);
    EXPECT_EQ(r.d.ring.enters, before + 1);
    for (auto& w : waiters) EXPECT_TRUE(w.linked());
    while (r.ready.pop_front() != nullptr) {
    }
  }
}

TEST(Driver, a_deadline_ends_the_park_and_no_timer_fires_early) {
  rig r;
  const std::uint64_t deadline = r.d.now_ns() + 3'000'000;
  timer t(r.d.timers, deadline);
  while (r.ready.empty()) r.d.park(true);
  EXPECT_GE(r.d.now_ns(), deadline);
  EXPECT_EQ(r.ready.pop_front(), &t);
  EXPECT_TRUE(r.d.timers.empty());
}

TEST(Driver, a_deadline_in_the_past_does_not_block) {
  rig r;
  timer t(r.d.timers, 1);
  r.d.park(true);
  EXPECT_EQ(r.ready.pop_front(), &t);
}

TEST(Driver, timers_fire_although_work_never_ends) {
  rig r;
  detail::waiter w;
  r.ready.push_back(w);
  timer t(r.d.timers, r.d.now_ns() + 100'000);
  while (!r.ready.longer_than(1)) r.d.park(false);
  EXPECT_EQ(r.ready.pop_front(), &w);
  EXPECT_EQ(r.ready.pop_front(), &t);
}

TEST(Driver, completions_become_ready_before_timers_of_the_same_turn) {
  rig r;
  life l;
  op_waiter w;
  r.submit(l, &w);
  timer t(r.d.timers, 1);
  r.d.park(true);
  EXPECT_EQ(r.ready.pop_front(), &w);
  EXPECT_EQ(r.ready.pop_front(), &t);
}

TEST(Driver, a_cancel_that_found_the_queue_full_is_sent_before_the_thread_sleeps) {
  rig r(1);
  test_pipe p;
  life dropped{.what = request::read, .fd = p.reader()},
      filler{.what = request::poll, .fd = p.reader()};
  auto w = std::make_unique<op_waiter>();
  r.submit(dropped, w.get());
  r.d.park(false);
  r.submit(filler, nullptr);  // takes the only entry
  w.reset();
  timer patience(r.d.timers, r.d.now_ns() + 10'000'000'000u);  // ends it if the cancel is forgotten
  while (dropped.destroyed == 0 && r.ready.empty()) r.d.park(true);
  EXPECT_EQ(dropped.destroyed, 1);
  EXPECT_TRUE(r.ready.empty());
}

TEST(Driver, an_unpark_while_a_host_may_not_sleep_is_not_lost) {
  rig r;
  ASSERT_GE(r.d.wake.share_with_host(), 0);
  detail::waiter w;
  r.ready.push_back(w);
  EXPECT_FALSE(r.d.leave_to_host());
  r.d.wake.unpark();
  r.d.return_from_host();
  EXPECT_EQ(r.ready.pop_front(), &w);
  EXPECT_FALSE(r.d.leave_to_host()) << "nobody has looked since the unpark";
  r.d.return_from_host();
  EXPECT_TRUE(r.d.leave_to_host());
  r.d.return_from_host();
}

TEST(Driver, a_refused_enter_loses_no_request) {
  for (const int refusal : {EAGAIN, EBUSY, EINTR}) {
    ring::fake_kernel k;
    rig r(8, k);
    life l;
    op_waiter w;
    r.submit(l, &w);
    k.enter_error = refusal;
    r.d.park(false);
    EXPECT_FALSE(w.linked());
    EXPECT_EQ(r.d.refusals, refusal == EINTR ? 0U : 1U);
    r.d.park(false);
    EXPECT_TRUE(w.linked());
    EXPECT_EQ(l.prepared, 1);
  }
}

}  // namespace
}  // namespace parkring::park
