// Who reads completions, seen from a program: all three do the same.
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <parkring/async_fd.hpp>
#include <parkring/blocking.hpp>
#include <parkring/event.hpp>
#include <parkring/guests/epoll.hpp>
#include <parkring/hosted.hpp>
#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/sim/world.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

#include "exec/reader_choice.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;
using enum completion_reader;

struct counter {
  int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  counter() = default;
  counter(const counter&) = delete;
  ~counter() { ::close(fd); }
  void signal() const { EXPECT_EQ(::eventfd_write(fd, 1), 0); }
  bool clear() const {
    eventfd_t value;
    return ::eventfd_read(fd, &value) == 0;
  }
};

TEST(ReaderChoice, the_options_come_before_the_environment) {
  using exec::choose_reader;
  EXPECT_EQ(choose_reader({}, true, nullptr), park_layer);
  EXPECT_EQ(choose_reader({}, true, ""), park_layer);
  EXPECT_EQ(choose_reader({}, true, "park"), park_layer);
  EXPECT_EQ(choose_reader({}, true, "thread"), reader_thread);
  EXPECT_EQ(choose_reader({}, true, "task"), driving_task);
  EXPECT_EQ(choose_reader(driving_task, true, "thread"), driving_task);
  EXPECT_EQ(choose_reader(park_layer, true, "thread"), park_layer);
  EXPECT_EQ(choose_reader(park_layer, true, "nonsense"), park_layer);
}

TEST(ReaderChoice, an_environment_that_names_no_reader_is_an_error_that_says_what_to_set) {
  try {
    (void)exec::choose_reader({}, true, "threads");
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_NE(std::string(e.what()).find("park, thread or task"), std::string::npos) << e.what();
  }
}

TEST(ReaderChoice, only_io_uring_has_a_choice) {
  EXPECT_EQ(exec::choose_reader(reader_thread, false, nullptr), park_layer);
  EXPECT_EQ(exec::choose_reader({}, false, "task"), park_layer);
  runtime threads({.kernel = kernel_choice::threads, .reader = reader_thread});
  EXPECT_EQ(threads.reader(), park_layer);
  threads.run(nop());
}

TEST(ReaderChoice, a_simulated_world_has_none) {
  sim::world w(1);
  w.run([] { EXPECT_EQ(runtime({.reader = driving_task}).reader(), park_layer); });
}

TEST(ReaderChoice, a_hosted_runtime_takes_no_other_place_to_sleep) {
  for (const auto r : {reader_thread, driving_task})
    EXPECT_THROW(hosted({.reader = r}), std::system_error);
  hosted rt({.reader = park_layer});
  EXPECT_FALSE(rt.turn());
}

class CompletionReader : public testing::TestWithParam<completion_reader> {
 protected:
  void SetUp() override {
    if (runtime().kernel() != "linux") GTEST_SKIP() << "only io_uring has a choice";
  }
  static runtime_options options() { return {.reader = GetParam()}; }
};

TEST_P(CompletionReader, is_the_one_that_was_asked_for) {
  runtime rt(options());
  EXPECT_EQ(rt.reader(), GetParam());
  rt.run(sleep_for(1ms));
  const auto c = rt.counters();
  EXPECT_EQ(c.reader_enters != 0, GetParam() == reader_thread);
  EXPECT_EQ(c.other_sleeps != 0, GetParam() != park_layer);
}

TEST_P(CompletionReader, requests_and_timers_go_on_beside_each_other) {
  runtime rt(options());
  int nops = 0, ticks = 0;
  rt.run([&]() -> task<> {
    task_group g;
    for (int i = 0; i < 20; ++i)
      g.spawn([&]() -> task<> {
        for (int k = 0; k < 100; ++k, ++nops) co_await nop();
      });
    g.spawn([&]() -> task<> {
      for (; ticks < 20; ++ticks) co_await sleep_for(100us);
    });
    co_await g.join();
  });
  EXPECT_EQ(nops, 2000);
  EXPECT_EQ(ticks, 20);
}

TEST_P(CompletionReader, a_wait_ends_when_another_thread_makes_a_descriptor_ready) {
  counter c;
  runtime rt(options());
  auto fd = async_fd::borrow(c.fd);
  std::thread other([&] {
    for (int i = 0; i < 50; ++i) {
      c.signal();
      std::this_thread::sleep_for(20us);
    }
  });
  auto body = [&]() -> task<> {
    co_await fd.readable();
    EXPECT_TRUE(c.clear());
  };
  rt.run(body());
  other.join();
}

TEST_P(CompletionReader, posts_from_other_threads_wake_it) {
  runtime rt(options());
  constexpr int posts = 500;
  int seen = 0;
  event all;
  std::vector<std::thread> others;
  for (int t = 0; t < 2; ++t)
    others.emplace_back([&, remote = rt.remote()] {
      for (int i = 0; i < posts; ++i) {
        EXPECT_TRUE(remote.post([&] {
          if (++seen == 2 * posts) all.set();
        }));
        if (i % 16 == 0) std::this_thread::sleep_for(50us);
      }
    });
  rt.run(all.wait());  // nothing else wakes it
  for (auto& t : others) t.join();
  EXPECT_EQ(seen, 2 * posts);
}

TEST_P(CompletionReader, results_of_blocking_calls_come_home) {
  runtime rt(options());
  auto body = []() -> task<int> {
    int sum = 0;
    for (int i = 0; i < 20; ++i) sum += co_await blocking([i] { return i; });
    co_return sum;
  };
  EXPECT_EQ(rt.run(body()), 190);
}

TEST_P(CompletionReader, waits_that_are_dropped_leave_nothing) {
  counter never;
  runtime rt(options());
  auto fd = async_fd::borrow(never.fd);
  auto body = [&]() -> task<> {
    for (int i = 0; i < 50; ++i) {
      auto late = timeout(100us, fd.readable());
      EXPECT_FALSE((co_await std::move(late)).has_value());
    }
    co_await fd.release();
  };
  rt.run(body());
  EXPECT_EQ(rt.counters().operations, 0u);
  EXPECT_GE(rt.counters().abandoned, 50u);
}

TEST_P(CompletionReader, a_teardown_with_requests_in_flight_ends_them) {
  counter never;
  for (const int turns : {0, 1, 3}) {
    auto held = std::make_shared<int>(0);
    {
      runtime rt({.entries = 4, .completion_entries = 4, .reader = GetParam()});
      std::vector<join_handle<void>> waits;
      for (int i = 0; i < 40; ++i)
        rt.spawn([&never, held]() -> task<> {
            auto fd = async_fd::borrow(never.fd);
            co_await fd.readable();
          }).detach();
      for (int i = 0; i < turns; ++i) rt.run(nop());
      EXPECT_EQ(held.use_count(), 41);
    }
    EXPECT_EQ(held.use_count(), 1);
  }
}

TEST_P(CompletionReader, a_runtime_without_patience_ends_as_soon) {
  counter never;
  runtime rt({.shutdown_patience = 0ms, .reader = GetParam()});
  auto fd = async_fd::borrow(never.fd);
  auto wait = rt.spawn(fd.readable());
  rt.run(nop());
  EXPECT_EQ(rt.counters().operations, 1u);
}

TEST_P(CompletionReader, the_smallest_queues_only_slow_it_down) {
  counter all_at_once;
  runtime rt({.entries = 1, .completion_entries = 1, .reader = GetParam()});
  int done = 0;
  rt.run([&]() -> task<> {
    auto fd = async_fd::borrow(all_at_once.fd);
    task_group g;
    for (int i = 0; i < 200; ++i)
      g.spawn([&]() -> task<> {
        co_await fd.readable();
        co_await nop();
        ++done;
      });
    co_await sleep_for(1ms);
    all_at_once.signal();
    co_await g.join();
  });
  EXPECT_EQ(done, 200);
}

TEST_P(CompletionReader, guests_have_their_turns_also_two_with_one_descriptor) {
  counter c;
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event e{};
  e.events = EPOLLIN;
  ASSERT_EQ(::epoll_ctl(set, EPOLL_CTL_ADD, c.fd, &e), 0);
  {
    runtime rt(options());
    int first = 0, second = 0;
    event both;
    const auto look = [&] {
      if (first == 0 || second == 0) return;
      c.clear();
      both.set();
    };
    guest a = guests::epoll(set, [&](const epoll_event&) { ++first, look(); });
    guest b = guests::epoll(set, [&](const epoll_event&) { ++second, look(); });
    rt.park_on(a);
    rt.park_on(b);
    std::thread other([&] {
      std::this_thread::sleep_for(1ms);
      c.signal();
    });
    rt.run(both.wait());  // nothing else wakes it
    other.join();
    EXPECT_GT(first, 0);
    EXPECT_GT(second, 0);
  }
  ::close(set);
}

TEST_P(CompletionReader, several_runtimes_of_one_thread_and_several_threads_do_not_mix) {
  const auto work = [] {
    runtime a({.entries = 4, .reader = GetParam()}), b({.entries = 4});
    for (int i = 0; i < 20; ++i) {
      a.run(nop());
      b.run(sleep_for(50us));
    }
    EXPECT_EQ(a.counters().operations, 0u);
  };
  std::thread other(work);
  work();
  other.join();
}

std::string name_of(const testing::TestParamInfo<completion_reader>& which) {
  switch (which.param) {
    case reader_thread:
      return "reader_thread";
    case driving_task:
      return "driving_task";
    default:
      return "park_layer";
  }
}

INSTANTIATE_TEST_SUITE_P(Designs, CompletionReader,
                         testing::Values(park_layer, reader_thread, driving_task), name_of);

}  // namespace
}  // namespace parkring
