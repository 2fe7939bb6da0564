#include <parkring/proc/signals.hpp>

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

#include "support/child_process.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

struct sigaction disposition(int number) {
  struct sigaction now {};
  EXPECT_EQ(::sigaction(number, nullptr, &now), 0);
  return now;
}

void send(int number) { ASSERT_EQ(::kill(::getpid(), number), 0); }

// The thread sanitizer keeps signals back until it finds it safe to run a handler, and then runs it
// once for several.
constexpr bool counts_are_exact =
#if defined(__SANITIZE_THREAD__)
    false;
#else
    true;
#endif

TEST(Signals, what_arrives_is_told_with_its_sender) {
  auto body = []() -> task<> {
    signals s({SIGUSR1, SIGUSR2});
    auto waiting = spawn([](signals& of) -> task<received_signal> { co_return co_await of.next(); },
                         std::ref(s));
    co_await yield();
    send(SIGUSR2);
    const received_signal got = co_await std::move(waiting);
    EXPECT_EQ(got.number, SIGUSR2);
    EXPECT_EQ(got.count, 1u);
    EXPECT_EQ(got.sender, ::getpid());
  };
  run(body());
}

TEST(Signals, what_arrives_between_two_awaits_is_kept_and_counted) {
  auto body = []() -> task<> {
    signals s({SIGUSR1, SIGUSR2});
    send(SIGUSR2);
    send(SIGUSR1);
    send(SIGUSR1);  // each was delivered before the next was sent
    const received_signal first = co_await s.next();
    EXPECT_EQ(first.number, SIGUSR2);
    const received_signal second = co_await s.next();
    EXPECT_EQ(second.number, SIGUSR1);
    EXPECT_EQ(second.count, 2u);
    EXPECT_FALSE(co_await timeout(1ms, s.next()));
  };
  run(body());
}

TEST(Signals, all_who_subscribe_get_it_also_on_other_threads) {
  std::atomic<int> waiting = 0, told = 0;
  auto body = [&]() -> task<> {
    signals one({SIGUSR1}), two({SIGUSR1, SIGUSR2});
    ++waiting;
    EXPECT_EQ((co_await one.next()).number, SIGUSR1);
    EXPECT_EQ((co_await two.next()).number, SIGUSR1);
    ++told;
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { run(body()); });
  while (waiting != 3) std::this_thread::yield();
  std::this_thread::sleep_for(5ms);  // so that some sleep in the ring; right either way
  send(SIGUSR1);
  for (auto& t : threads) t.join();
  EXPECT_EQ(told, 3);
}

TEST(Signals, a_thread_that_sleeps_in_the_ring_is_woken_by_one_that_another_thread_got) {
  auto body = []() -> task<> {
    signals s({SIGUSR1});
    const pthread_t here = ::pthread_self();
    std::thread other([here] {
      ::pthread_kill(::pthread_self(), SIGUSR1);
      EXPECT_NE(::pthread_equal(here, ::pthread_self()), 1);
    });
    EXPECT_EQ((co_await s.next()).number, SIGUSR1);
    other.join();
  };
  run(body());
}

TEST(Signals, the_former_disposition_is_back_after_the_last_subscriber) {
  struct sigaction ignored {};
  ignored.sa_handler = SIG_IGN;
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGUSR1, &ignored, &before), 0);
  {
    signals one({SIGUSR1});
    EXPECT_NE(disposition(SIGUSR1).sa_handler, SIG_IGN);
    {
      signals two({SIGUSR1});
      signals moved(std::move(two));
    }
    EXPECT_NE(disposition(SIGUSR1).sa_handler, SIG_IGN) << "one still subscribes";
    send(SIGUSR1);
    EXPECT_TRUE(one.try_next());
    EXPECT_FALSE(one.try_next());
  }
  EXPECT_EQ(disposition(SIGUSR1).sa_handler, SIG_IGN);
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(Signals, a_handler_that_others_installed_meanwhile_stays) {
  struct sigaction theirs {};
  theirs.sa_handler = [](int) {};
  struct sigaction before = disposition(SIGUSR1);
  {
    signals s({SIGUSR1});
    ASSERT_EQ(::sigaction(SIGUSR1, &theirs, nullptr), 0);
  }
  EXPECT_EQ(disposition(SIGUSR1).sa_handler, theirs.sa_handler);
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(Signals, no_mask_is_touched) {
  signals s({SIGUSR1, SIGTERM});
  sigset_t mask;
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
  EXPECT_EQ(::sigismember(&mask, SIGUSR1), 0);
  EXPECT_EQ(::sigismember(&mask, SIGTERM), 0);
}

TEST(Signals, real_time_signals_are_counted_one_by_one) {
  if (!counts_are_exact) GTEST_SKIP() << "the thread sanitizer merges signals";
  const int number = SIGRTMIN + 1;
  signals s({number});
  sigset_t only, before;
  ::sigemptyset(&only);
  ::sigaddset(&only, number);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &only, &before), 0);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(::pthread_kill(::pthread_self(), number), 0);
  EXPECT_FALSE(s.try_next());
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
  const auto got = s.try_next();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->count, 5u);
}

TEST(Signals, one_after_the_other_reaches_every_subscriber) {
  constexpr int rounds = 200;
  std::atomic<int> ready = 0, told = 0;
  auto body = [&]() -> task<> {
    signals s({SIGUSR1});
    ++ready;
    for (int i = 0; i < rounds; ++i) {
      co_await s.next();
      ++told;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { run(body()); });
  while (ready != 3) std::this_thread::sleep_for(100us);
  for (int i = 1; i <= rounds; ++i) {
    send(SIGUSR1);
    while (told != 3 * i) std::this_thread::sleep_for(10us);
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(told, 3 * rounds);
}

TEST(Signals, every_subscriber_counts_all_of_a_storm) {
  if (!counts_are_exact) GTEST_SKIP() << "the thread sanitizer merges signals";
  const int number = SIGRTMIN + 1;
  constexpr std::uint32_t many = 2000;
  std::atomic<int> ready = 0, complete = 0;
  auto body = [&]() -> task<> {
    signals s({number});
    ++ready;
    std::uint32_t sum = 0;
    while (sum < many) {
      // Some awaits are dropped, at whatever moment that is.
      const auto got = co_await timeout(sum % 3 == 0 ? 50us : 10'000'000us, s.next());
      if (got) sum += got->count;
      if (!got) co_await yield();
    }
    EXPECT_EQ(sum, many);
    ++complete;
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { run(body()); });
  while (ready != 3) std::this_thread::yield();
  for (std::uint32_t i = 0; i < many; ++i)
    while (::sigqueue(::getpid(), number, {}) != 0 && errno == EAGAIN) std::this_thread::yield();
  for (auto& t : threads) t.join();
  EXPECT_EQ(complete, 3);
}

TEST(Signals, those_that_cannot_be_caught_are_refused_and_change_nothing) {
  const auto usr1 = disposition(SIGUSR1);
  for (const int bad : {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, 32, 0, -1, 65}) {
    try {
      const signals s({SIGHUP, SIGUSR1, bad});
      ADD_FAILURE() << bad << " was taken";
    } catch (const io_error& e) {
      EXPECT_EQ(e.error().number(), EINVAL) << e.what();
    }
  }
  EXPECT_EQ(disposition(SIGUSR1).sa_handler, usr1.sa_handler);
  EXPECT_EQ(disposition(SIGHUP).sa_handler, SIG_DFL);
}

TEST(Signals, two_who_wait_for_one_object_get_one_each) {
  auto body = []() -> task<> {
    signals s({SIGUSR1});
    auto wait = [](signals& of) -> task<std::uint32_t> { co_return (co_await of.next()).count; };
    auto first = spawn(wait, std::ref(s));
    auto second = spawn(wait, std::ref(s));
    co_await yield();
    send(SIGUSR1);
    EXPECT_EQ(co_await std::move(first), 1u);
    EXPECT_FALSE(second.done());
    send(SIGUSR1);
    EXPECT_EQ(co_await std::move(second), 1u);
  };
  run(body());
}

TEST(Signals, one_that_was_handed_over_and_dropped_goes_to_the_next) {
  auto body = []() -> task<> {
    signals mine({SIGUSR1}), theirs({SIGUSR1});
    auto wait = [](signals& of) -> task<std::uint32_t> { co_return (co_await of.next()).count; };
    std::optional<join_handle<std::uint32_t>> first, second;
    // Served before them, so it runs when they have been given theirs and were not resumed.
    auto dropper = spawn([&]() -> task<> {
      co_await mine.next();
      EXPECT_FALSE(first->done());
      first.reset();
    });
    co_await yield();
    first = spawn(wait, std::ref(theirs));
    second = spawn(wait, std::ref(theirs));
    co_await yield();
    send(SIGUSR1);
    co_await std::move(dropper);
    EXPECT_EQ(co_await *second, 1u);
    EXPECT_FALSE(theirs.try_next());
  };
  run(body());
}

TEST(Signals, who_waits_for_an_object_that_goes_waits_until_dropped) {
  auto body = []() -> task<> {
    auto s = std::make_unique<signals>(std::initializer_list<int>{SIGUSR1});
    const signals other({SIGUSR1});
    auto waiting = spawn([](signals& of) -> task<> { co_await of.next(); }, std::ref(*s));
    co_await yield();
    s = nullptr;
    send(SIGUSR1);
    co_await sleep_for(1ms);
    EXPECT_FALSE(waiting.done());
  };
  run(body());
}

TEST(Signals, an_object_serves_one_runtime_after_another) {
  signals s({SIGUSR1});
  auto body = [&]() -> task<> {
    EXPECT_FALSE(co_await timeout(1ms, s.next()));
    send(SIGUSR1);
    EXPECT_EQ((co_await s.next()).number, SIGUSR1);
  };
  run(body());
  std::thread([&] { run(body()); }).join();
  runtime rt;
  rt.run(body());
  EXPECT_EQ(rt.counters().tasks, 0u);
}

TEST(Signals, a_runtime_without_waiters_has_no_request_left) {
  runtime rt;
  auto body = []() -> task<> {
    signals s({SIGUSR1});
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(co_await timeout(100us, s.next()));
    send(SIGUSR1);
    co_await s.next();
    for (int i = 0; i < 20; ++i) co_await nop();
  };
  rt.run(body());
  EXPECT_EQ(rt.counters().operations, 0u);
}

TEST(Signals, ready_ones_leave_others_their_turn) {
  auto body = []() -> task<> {
    signals s({SIGUSR1});
    bool other_ran = false;
    auto other = spawn([&]() -> task<> {
      other_ran = true;
      co_return;
    });
    for (int i = 0; i < 300 && !other_ran; ++i) {
      send(SIGUSR1);
      co_await s.next();
    }
    EXPECT_TRUE(other_ran);
    co_await std::move(other);
  };
  run(body());
}

TEST(Signals, a_forked_child_has_its_own_arrivals_and_its_own_runtime) {
  signals of_parent({SIGUSR1});
  const testing::child_result r = testing::in_child([&] {
    send(SIGUSR1);
    if (!of_parent.try_next()) return 1;
    auto body = []() -> task<int> {
      signals s({SIGUSR1, SIGUSR2});
      send(SIGUSR2);
      const received_signal got = co_await s.next();
      co_return got.number == SIGUSR2&& got.sender == ::getpid() ? 0 : 2;
    };
    return run(body());
  });
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_FALSE(of_parent.try_next()) << "the child's signals are not ours";
}

TEST(Signals, a_simulated_machine_says_that_it_has_none) {
  sim::world w(1);
  w.run([]() -> task<> {
    signals s({SIGUSR1});
    const auto got = co_await as_result(s.next());
    EXPECT_FALSE(got);
    if (!got) {
      EXPECT_EQ(got.error().number(), ENOTSUP) << got.error().message();
    }
  });
}

}  // namespace
}  // namespace parkring
