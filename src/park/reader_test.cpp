// The three ways to read completions, by one set of tests: nothing above the driver can tell them
// apart.
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "op/test_records.hpp"
#include "park/driver.hpp"
#include "park/test_timer.hpp"

namespace parkring::park {
namespace {

using detail::op_waiter;
using op::life;
using op::test_pipe;
using request = life::request;

enum class design { park_layer, reader_thread, reactor };

using timer = test_timer;

struct rig {
  detail::waiter_list ready;
  driver d;
  explicit rig(design how, unsigned entries = 8, unsigned cq_entries = 0)
      : d(op::kernel_at_hand(),
          {.entries = entries,
           .cq_entries = cq_entries,
           .entered_by_others = how == design::reader_thread,
           .deferred = how != design::reactor},
          1024, ready) {
    EXPECT_EQ(d.ring.bind_to_this_thread(), 0);
    if (how == design::reader_thread) d.read_by_thread();
    if (how == design::reactor) d.read_by_reactor();
  }
  ~rig() { tear_down(); }
  void tear_down() {
    d.end_reader();
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
    ASSERT_NE(r, nullptr);
    r->emplace<life*>(&l);
    d.ops.submit(*r, w);
  }
  /// Takes who is ready, as a run loop does, and parks, until `done`; not for ever.
  template <class Done>
  [[nodiscard]] bool turn_until(Done done) {
    timer patience(d.timers, d.now_ns() + 20'000'000'000u);
    for (;;) {
      while (detail::waiter* w = ready.pop_front())
        if (w == &patience) return done();
      if (done()) return true;
      d.park(true);
    }
  }
};

class Reader : public testing::TestWithParam<design> {
 protected:
  void SetUp() override {
    if (!op::kernel_at_hand().direct() && GetParam() != design::park_layer)
      GTEST_SKIP() << "only io_uring can be read in another place";
  }
};

TEST_P(Reader, a_request_that_ends_at_once_and_one_that_ends_later_both_wake) {
  rig r(GetParam());
  test_pipe p;
  life now, later{.what = request::read, .fd = p.reader()};
  op_waiter a, b;
  r.submit(now, &a);
  r.submit(later, &b);
  EXPECT_TRUE(r.turn_until([&] { return now.destroyed == 1; }));
  EXPECT_EQ(later.completed, 0);
  std::thread other([&] { p.put('z'); });
  EXPECT_TRUE(r.turn_until([&] { return later.destroyed == 1; }));
  other.join();
  EXPECT_EQ(later.byte, 'z');
}

TEST_P(Reader, thousands_of_requests_end_once_each) {
  rig r(GetParam(), 16);
  std::vector<life> lives(64);
  for (int round = 0; round < 50; ++round) {
    std::vector<op_waiter> waiters(lives.size());
    for (std::size_t i = 0; i < lives.size(); ++i) r.submit(lives[i], &waiters[i]);
    std::size_t woken = 0;
    ASSERT_TRUE(r.turn_until([&] {
      woken = 0;
      for (const life& l : lives) woken += l.destroyed == round + 1;
      return woken == lives.size();
    })) << woken;
  }
  for (const life& l : lives) EXPECT_EQ(l.completed, 50);
}

TEST_P(Reader, an_unpark_before_a_park_and_one_during_it_end_it) {
  rig r(GetParam());
  r.d.wake.unpark();
  r.d.park(true);  // for ever, if the unpark were lost
  std::thread other([&] { r.d.wake.unpark(); });
  r.d.park(true);
  other.join();
  SUCCEED();
}

TEST_P(Reader, no_unpark_is_lost_between_threads) {
  constexpr int rounds = 2'000;
  rig r(GetParam());
  std::atomic<int> sent{0}, seen{0};
  std::thread other([&] {
    for (int i = 1; i <= rounds; ++i) {
      sent = i;
      r.d.wake.unpark();
      while (seen != i) std::this_thread::yield();
    }
  });
  while (seen != rounds) {
    r.d.park(true);
    seen = sent.load();
  }
  other.join();
}

TEST_P(Reader, unparks_and_completions_at_the_same_time_are_both_seen) {
  rig r(GetParam());
  test_pipe p;
  std::atomic<int> unparks{0};
  constexpr int rounds = 500;
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      p.put();
      ++unparks;
      r.d.wake.unpark();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    life l{.what = request::read, .fd = p.reader()};
    op_waiter w;
    r.submit(l, &w);
    ASSERT_TRUE(r.turn_until([&] { return l.destroyed == 1; })) << i;
  }
  EXPECT_TRUE(r.turn_until([&] { return unparks == rounds; }));
  other.join();
}

TEST_P(Reader, a_deadline_ends_the_park_and_no_timer_fires_early) {
  rig r(GetParam());
  const std::uint64_t deadline = r.d.now_ns() + 3'000'000;
  timer t(r.d.timers, deadline);
  while (r.ready.empty()) r.d.park(true);
  EXPECT_GE(r.d.now_ns(), deadline);
  EXPECT_EQ(r.ready.pop_front(), &t);
}

TEST_P(Reader, a_dropped_request_is_cancelled_by_the_turns_that_follow) {
  rig r(GetParam());
  test_pipe p;
  life dropped{.what = request::read, .fd = p.reader()};
  auto w = std::make_unique<op_waiter>();
  r.submit(dropped, w.get());
  r.d.park(false);
  w.reset();
  EXPECT_TRUE(r.turn_until([&] { return dropped.destroyed == 1; }));
  EXPECT_EQ(dropped.completed_unseen, 1);
}

TEST_P(Reader, more_completions_at_once_than_the_queue_holds_all_arrive) {
  rig r(GetParam(), 2, 2);
  test_pipe p;
  std::vector<life> lives(300, life{.what = request::poll, .fd = p.reader()});
  for (life& l : lives) r.submit(l, nullptr);
  r.d.park(false);
  p.put();  // ends all of them
  EXPECT_TRUE(r.turn_until([&] {
    for (const life& l : lives)
      if (l.destroyed != 1) return false;
    return true;
  }));
  for (const life& l : lives) EXPECT_EQ(l.completed, 1);
}

TEST_P(Reader, bursts_of_multishot_requests_all_arrive) {
  PARKRING_CHECK(op::kernel_at_hand().real(), "events are the process's");
  rig r(GetParam(), 4, 8);
  const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ASSERT_GE(event, 0);
  std::vector<life> lives(64, life{.what = request::poll_multishot, .fd = event});
  for (life& l : lives) r.submit(l, nullptr);
  r.d.park(false);
  std::thread other([&] {
    for (int i = 0; i < 50; ++i) {
      ::eventfd_write(event, 1);
      std::this_thread::yield();
    }
  });
  // The kernel ends a multishot request whose completion does not fit: an end counts too.
  EXPECT_TRUE(r.turn_until([&] {
    for (const life& l : lives)
      if (l.completed == 0) return false;
    return true;
  }));
  other.join();
  r.tear_down();
  for (const life& l : lives) EXPECT_EQ(l.destroyed, 1);
  ::close(event);
}

TEST_P(Reader, the_thread_may_block_until_one_request_has_ended) {
  rig r(GetParam());
  test_pipe p;
  life l{.what = request::read, .fd = p.reader()};
  detail::record* rec = r.d.ops.acquire(op::test_type());
  rec->emplace<life*>(&l);
  r.d.ops.submit(*rec, nullptr);
  r.d.wake.unpark();  // is not meant for this wait, and outlives it
  std::thread other([&] { p.put(); });
  r.d.ops.wait_for(*rec);
  other.join();
  EXPECT_EQ(l.destroyed, 1);
  r.d.park(true);
}

// Linux (6.18 at least) signals a ring's event once and never again for deferred work that comes of
// a write to another event.
TEST_P(Reader, polls_of_an_event_that_another_thread_signals_end_again_and_again) {
  rig r(GetParam());
  const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ASSERT_GE(event, 0);
  std::atomic<int> ended{0};
  std::thread other([&] {
    for (int i = 0; i < 20; ++i) {
      while (ended != i) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::microseconds(200));  // it sleeps, mostly
      ::eventfd_write(event, 1);
    }
  });
  for (int i = 0; i < 20; ++i) {
    life l{.what = request::poll, .fd = event};
    op_waiter w;
    r.submit(l, &w);
    EXPECT_TRUE(r.turn_until([&] { return l.destroyed == 1; })) << i;
    eventfd_t value;
    ::eventfd_read(event, &value);
    ++ended;
  }
  other.join();
  ::close(event);
}

TEST_P(Reader, its_end_loses_no_completion_wherever_it_is) {
  for (int parks = 0; parks < 4; ++parks) {
    rig r(GetParam(), 4, 4);
    test_pipe p;
    std::vector<life> lives(40), waiting(10, life{.what = request::read, .fd = p.reader()});
    for (life& l : lives) r.submit(l, nullptr);
    for (life& l : waiting) r.submit(l, nullptr);
    for (int i = 0; i < parks; ++i) r.d.park(false);
    r.tear_down();
    for (const life& l : lives) {  // those that were not begun end without a completion
      EXPECT_EQ(l.destroyed, 1);
      EXPECT_LE(l.completed, 1);
    }
    for (const life& l : waiting) EXPECT_EQ(l.destroyed, 1);
  }
}

std::string name_of(const testing::TestParamInfo<design>& which) {
  switch (which.param) {
    case design::park_layer:
      return "park_layer";
    case design::reader_thread:
      return "reader_thread";
    default:
      return "reactor";
  }
}

INSTANTIATE_TEST_SUITE_P(Designs, Reader,
                         testing::Values(design::park_layer, design::reader_thread,
                                         design::reactor),
                         name_of);

TEST(ReaderThread, stops_at_a_full_queue_and_goes_on_when_there_is_room) {
  if (!op::kernel_at_hand().direct()) GTEST_SKIP() << "needs io_uring";
  rig r(design::reader_thread, 2, 2);
  std::vector<life> lives(20);
  for (life& l : lives) r.submit(l, nullptr);
  // Nobody reaps: two are handed over, and the reader wants to hand over more.
  while (r.d.reader_if_any()->waits_for_room == 0) {
    r.d.ops.fill_queue();
    r.d.ring.enter(0, nullptr, 0);
    std::this_thread::yield();
  }
  EXPECT_TRUE(r.turn_until([&] {
    for (const life& l : lives)
      if (l.destroyed != 1) return false;
    return true;
  }));
}

TEST(ReaderThread, its_ring_may_be_entered_by_two_threads) {
  if (!op::kernel_at_hand().direct()) GTEST_SKIP() << "needs io_uring";
  rig r(design::reader_thread);
  EXPECT_EQ(r.d.ring.setup_flags() &
                (kernel::abi::setup_single_issuer | kernel::abi::setup_defer_taskrun),
            0u);
}

TEST(Reactor, its_watches_fire_once_for_each_time_they_are_armed) {
  if (!op::kernel_at_hand().direct()) GTEST_SKIP() << "needs the process's own descriptors";
  const int event = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  test_pipe p, q;
  reactor r(event);
  struct counting : reactor::watch {
    int n = 0;
    counting() {
      fired = [](watch& w) noexcept { ++static_cast<counting&>(w).n; };
    }
  } a, b;
  const kernel::abi::timespec64 at_once{0, 0};
  EXPECT_EQ(r.wait(&at_once), -ETIME);
  ASSERT_EQ(r.arm(a, p.reader()), 0);
  EXPECT_EQ(r.arm(b, p.reader()), -EEXIST) << "one watch for each descriptor";
  ASSERT_EQ(r.arm(b, q.reader()), 0);
  p.put();
  EXPECT_EQ(r.wait(nullptr), 0);
  EXPECT_EQ(r.wait(&at_once), -ETIME) << "one-shot";
  EXPECT_EQ(a.n, 1);
  ASSERT_EQ(r.arm(a, p.reader()), 0);  // what is left over counts
  EXPECT_EQ(r.wait(nullptr), 0);
  EXPECT_EQ(a.n, 2);
  ASSERT_EQ(r.arm(a, p.reader()), 0);
  r.disarm(a);
  EXPECT_EQ(r.wait(&at_once), -ETIME);
  EXPECT_EQ(b.n, 0);
  EXPECT_EQ(r.arm(b, -1), -EBADF);
  ::close(event);
}

}  // namespace
}  // namespace parkring::park
