#include <parkring/hosted.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>

#include <parkring/async_fd.hpp>
#include <parkring/blocking.hpp>
#include <parkring/event.hpp>
#include <parkring/hosts/epoll.hpp>
#include <parkring/nop.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

bool readable(int fd, int timeout_ms = 0) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, timeout_ms) == 1;
}

void settle(hosted& rt) {
  while (rt.turn()) {
  }
}

// What a host does, as simple as it can be. False: it slept for ten seconds in vain.
template <class Done>
bool run_until(hosted& rt, Done done) {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  bool good = true;
  {
    hosts::epoll host(set, rt);
    while (!done() && good) {
      epoll_event e;
      const int ms = host.timeout_ms(10'000);
      good = ::epoll_wait(set, &e, 1, ms) != 0 || ms < 10'000;
      host.turn();
    }
  }
  ::close(set);
  return good;
}

// Linux (6.18 at least) signals a ring's event once and never again for deferred work that comes of
// a write to another event.
TEST(Hosted, polls_of_an_event_that_another_thread_signals_end_again_and_again) {
  hosted rt;
  const int counter = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  ASSERT_GE(counter, 0);
  std::atomic<int> ended{0};
  std::atomic<bool> given_up{false};
  std::thread other([&] {
    for (int i = 0; i < 10; ++i) {
      while (ended != i && !given_up) std::this_thread::yield();
      std::this_thread::sleep_for(1ms);  // it sleeps, mostly
      ::eventfd_write(counter, 1);
    }
  });
  rt.spawn([&]() -> task<> {
      const auto fd = async_fd::borrow(counter);
      while (ended != 10) {
        co_await fd.readable();
        eventfd_t value;
        EXPECT_EQ(::eventfd_read(counter, &value), 0);
        ++ended;
      }
    }).detach();
  EXPECT_TRUE(run_until(rt, [&] { return ended == 10; }));
  given_up = true;
  other.join();
  ::close(counter);
}

TEST(Hosted, does_nothing_outside_of_turns) {
  hosted rt;
  int n = 0;
  rt.spawn([&]() -> task<> {
      ++n;
      co_await yield();
      ++n;
    }).detach();
  EXPECT_EQ(n, 0);
  EXPECT_TRUE(rt.has_work());
  EXPECT_TRUE(rt.has_tasks());
  settle(rt);
  EXPECT_EQ(n, 2);
  EXPECT_FALSE(rt.has_work());
  EXPECT_FALSE(rt.has_tasks());
}

TEST(Hosted, its_descriptor_is_quiet_while_there_is_nothing_to_do) {
  hosted rt;
  EXPECT_FALSE(readable(rt.descriptor()));
  rt.spawn([]() -> task<> {
      for (int i = 0; i < 10; ++i) co_await nop();
    }).detach();
  EXPECT_TRUE(run_until(rt, [&] { return !rt.has_tasks(); }));
  settle(rt);
  EXPECT_FALSE(readable(rt.descriptor()));
  EXPECT_EQ(rt.next_deadline(), std::nullopt);
}

TEST(Hosted, a_spawn_makes_it_readable) {
  hosted rt;
  settle(rt);
  rt.spawn([]() -> task<> { co_return; }).detach();
  EXPECT_TRUE(readable(rt.descriptor(), 10'000));
  settle(rt);
  EXPECT_FALSE(readable(rt.descriptor()));
}

TEST(Hosted, a_post_from_another_thread_makes_it_readable) {
  hosted rt;
  settle(rt);
  for (int i = 0; i < 100; ++i) {
    bool ran = false;
    std::thread other([&] { rt.post([&] { ran = true; }); });
    while (!ran) {
      EXPECT_TRUE(readable(rt.descriptor(), 10'000));
      settle(rt);
    }
    other.join();
  }
}

// The race of a post with the end of a turn: none may be lost.
TEST(Hosted, posts_are_never_missed_by_a_host_that_sleeps) {
  hosted rt;
  constexpr int posts = 20'000;
  int ran = 0;
  std::atomic<int> seen{0};
  std::thread other([&, to = rt.remote()] {
    for (int i = 0; i < posts; ++i) {
      to.post([&] { seen.store(++ran, std::memory_order_release); });
      if (i % 3 == 0)
        while (seen.load(std::memory_order_acquire) <= i) std::this_thread::yield();
    }
  });
  EXPECT_TRUE(run_until(rt, [&] { return ran == posts; }));
  other.join();
}

TEST(Hosted, a_completion_that_nobody_waits_for_in_an_enter_makes_it_readable) {
  hosted rt;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  int seen = 0;
  rt.spawn([&]() -> task<> {
      auto fd = async_fd::borrow(ends[0]);
      for (int i = 0; i < 3; ++i) {
        co_await fd.readable();
        char c;
        EXPECT_EQ(::read(ends[0], &c, 1), 1);
        ++seen;
      }
    }).detach();
  settle(rt);
  for (int i = 1; i <= 3; ++i) {
    EXPECT_FALSE(readable(rt.descriptor()));
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
    while (seen < i) {
      ASSERT_TRUE(readable(rt.descriptor(), 10'000));
      settle(rt);
    }
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Hosted, timers_blocking_calls_and_files_go_on_together) {
  hosted rt;
  int ticks = 0, calls = 0;
  rt.spawn([&]() -> task<> {
      for (; ticks < 5; ++ticks) co_await sleep_for(1ms);
    }).detach();
  rt.spawn([&]() -> task<> {
      for (; calls < 5; ++calls) {
        auto call = [] { std::this_thread::yield(); };
        co_await blocking(call);
      }
    }).detach();
  EXPECT_TRUE(run_until(rt, [&] { return !rt.has_tasks(); }));
  EXPECT_EQ(ticks, 5);
  EXPECT_EQ(calls, 5);
}

TEST(Hosted, a_deadline_beyond_the_clock_never_comes) {
  using clock = std::chrono::steady_clock;
  hosted rt;
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  {
    hosts::epoll host(set, rt);
    rt.spawn([]() -> task<> { co_await sleep_for(clock::duration::max()); }).detach();
    rt.spawn([]() -> task<> { co_await sleep_until(clock::time_point::max()); }).detach();
    settle(rt);
    host.turn();
    EXPECT_EQ(rt.next_deadline(), std::nullopt);
    EXPECT_EQ(host.timeout_ms(), -1);
    // Far off, and not beyond: no host's arithmetic may overflow.
    rt.spawn([]() -> task<> {
        co_await sleep_until(clock::time_point::max() - std::chrono::hours(1));
      }).detach();
    settle(rt);
    host.turn();
    if (const auto deadline = rt.next_deadline()) {
      EXPECT_GT(*deadline, clock::now());
    }
    EXPECT_NE(host.timeout_ms(), 0);
  }
  ::close(set);
}

TEST(Hosted, a_call_acts_inside_the_runtime) {
  hosted rt;
  event happened;
  bool woken = false, spawned = false;
  rt.spawn([&]() -> task<> {
      co_await happened.wait();
      woken = true;
    }).detach();
  settle(rt);
  const int value = rt.call([&] {
    happened.set();
    spawn([&]() -> task<> {
      spawned = true;
      co_return;
    }).detach();
    return 5;
  });
  EXPECT_EQ(value, 5);
  EXPECT_FALSE(woken);
  EXPECT_TRUE(readable(rt.descriptor(), 10'000));
  settle(rt);
  EXPECT_TRUE(woken);
  EXPECT_TRUE(spawned);
}

TEST(Hosted, a_busy_runtime_gives_the_host_its_turn) {
  hosted rt;
  bool stop = false;
  rt.spawn([&]() -> task<> {
      while (!stop) co_await yield();
    }).detach();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(rt.turn()) << "it comes back, and wants more";
  stop = true;
  settle(rt);
  EXPECT_FALSE(rt.has_tasks());
}

TEST(Hosted, host_and_runtime_may_go_in_either_order) {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  std::optional<hosts::epoll> survives;
  {
    hosted rt;
    { const hosts::epoll gone(set, rt); }
    survives.emplace(set, rt);
    rt.spawn([]() -> task<> { co_await sleep_for(1h); }).detach();
    survives->turn();
  }
  survives->turn();
  EXPECT_EQ(survives->timeout_ms(), -1);
  survives.reset();
  EXPECT_FALSE(readable(set));
  ::close(set);
}

TEST(Hosted, a_task_may_destroy_the_host_that_gives_it_its_turn) {
  hosted rt;
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  // Where its memory is ours to look at afterwards.
  alignas(hosts::epoll) std::array<unsigned char, sizeof(hosts::epoll)> place;
  auto* const host = new (place.data()) hosts::epoll(set, rt);
  rt.spawn([&]() -> task<> {
      std::destroy_at(host);
      place.fill(0xa5);
      co_return;
    }).detach();
  host->turn();
  EXPECT_EQ(std::count(place.begin(), place.end(), 0xa5), std::ssize(place));
  EXPECT_FALSE(rt.has_tasks());
  ::close(set);
}

TEST(Hosted, many_completions_are_all_seen) {
  hosted rt({.entries = 4, .completion_entries = 4});
  int ended = 0;
  for (int i = 0; i < 500; ++i)
    rt.spawn([&]() -> task<> {
        co_await nop();
        ++ended;
      }).detach();
  EXPECT_TRUE(run_until(rt, [&] { return ended == 500; }));
}

}  // namespace
}  // namespace parkring
