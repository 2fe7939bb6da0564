// A runtime on a machine that is not real: its clock, its threads, and its end.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "exec/core.hpp"
#include "ring/fake_machine.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

struct Simulated : testing::Test {
  ring::fake_machine machine;
  runtime make(runtime_options o = {}) { return exec::runtime_access::make(machine, o); }
};

TEST_F(Simulated, a_thread_in_a_world_makes_its_runtimes_there) {
  const kernel::this_thread_kernel_scope world(machine);
  runtime rt({.kernel = kernel_choice::io_uring});  // a world comes before what is asked for
  EXPECT_EQ(rt.kernel(), "fake machine");
  EXPECT_NE(rt.kernel_reason().find("simulated world"), std::string_view::npos)
      << rt.kernel_reason();
}

TEST_F(Simulated, sleeping_takes_virtual_time_only) {
  runtime rt = make();
  const auto before = machine.clock_ns;
  rt.run([]() -> task<> { co_await sleep_for(1h); });
  EXPECT_GE(machine.clock_ns, before + 3'600'000'000'000U);
}

TEST_F(Simulated, now_is_the_virtual_clock_of_the_runtime_and_outside_of_the_thread) {
  using time = std::chrono::steady_clock::time_point;
  const auto reading = [this] { return time(std::chrono::nanoseconds(machine.clock_ns)); };
  runtime rt = make();
  rt.run([&]() -> task<> {
    EXPECT_EQ(now(), reading());
    const auto due = now() + 10min;
    co_await sleep_until(due);
    EXPECT_GE(now(), due);
    EXPECT_EQ(now(), reading());
  });
  EXPECT_NE(now(), reading());
  const kernel::this_thread_kernel_scope world(machine);
  EXPECT_EQ(now(), reading());
}

TEST_F(Simulated, an_interval_ticks_in_virtual_time) {
  runtime rt = make();
  rt.run([]() -> task<> {
    const auto start = now();
    interval every(1min);
    for (int i = 1; i <= 3; ++i) {
      co_await every.tick();
      EXPECT_GE(now(), start + i * 1min);
    }
    co_await sleep_for(10min);
    co_await every.tick();
    EXPECT_GE(every.missed(), 9U);
  });
}

TEST_F(Simulated, blocking_runs_on_the_runtimes_own_thread_in_order) {
  runtime rt = make();
  std::vector<int> order;
  std::vector<std::thread::id> ran_on;
  rt.run([&]() -> task<> {
    auto one = [&](int i) -> task<int> {
      auto fn = [&order, &ran_on, i] {
        order.push_back(i);
        ran_on.push_back(std::this_thread::get_id());
        return 10 * i;
      };
      const int got = co_await blocking(fn);
      co_return got;
    };
    auto a = spawn(one, 1);
    auto b = spawn(one, 2);
    co_await yield();
    EXPECT_TRUE(order.empty()) << "not in the turn that asks";
    const int third = co_await one(3);
    EXPECT_EQ(third, 30);
    const int first = co_await std::move(a);
    const int second = co_await std::move(b);
    EXPECT_EQ(first, 10);
    EXPECT_EQ(second, 20);
  });
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
  EXPECT_EQ(std::ranges::count(ran_on, std::this_thread::get_id()), 3);
}

TEST_F(Simulated, blocking_that_was_dropped_is_not_run_and_throws_as_elsewhere) {
  runtime rt = make();
  bool ran = false;
  rt.run([&]() -> task<> {
    auto fn = [&ran] { ran = true; };
    {
      auto dropped = spawn([&]() -> task<> { co_await blocking(fn); });
      co_await yield();
    }
    auto bad = []() -> int { throw std::runtime_error("from the function"); };
    bool caught = false;
    try {
      (void)co_await blocking(bad);
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
  });
  EXPECT_FALSE(ran);
}

TEST_F(Simulated, truncate_is_a_request_and_the_file_closes_where_it_came_from) {
  const int fd = base::first_simulated_descriptor + 7;
  fs::file outliving;
  {
    runtime rt = make();
    rt.run([&]() -> task<> {
      fs::file f = fs::adopt_descriptor(fd, "simulated", {.inline_first = fs::inline_mode::always});
      co_await f.truncate(12'345);
      buffer b(64);
      (void)co_await f.read_at(b, 0);
      outliving = std::move(f);
    });
    const auto saw = [&](unsigned opcode) {
      return std::ranges::count(machine.seen, opcode, &kernel::abi::sqe::opcode);
    };
    EXPECT_EQ(saw(kernel::abi::op_ftruncate), 1);
    EXPECT_EQ(rt.counters().inline_hits, 0U) << "no system call on a simulated descriptor";
    EXPECT_EQ(rt.counters().inline_misses, 0U);
  }
  EXPECT_EQ(std::ranges::count(machine.closed, fd), 0);
  outliving = {};
  EXPECT_EQ(std::ranges::count(machine.closed, fd), 1);
}

// ---- the machine stops ----

TEST_F(Simulated, a_machine_that_stops_ends_the_run_by_an_exception_each_time) {
  runtime rt = make();
  machine.stop_at_enter = 3;
  bool resumed_after = false;
  const auto work = [&]() -> task<> {
    for (;;) {
      co_await nop();
      resumed_after = machine.stopped;
    }
  };
  EXPECT_THROW(rt.run(work), machine_stopped);
  EXPECT_TRUE(machine.stopped);
  EXPECT_FALSE(resumed_after) << "nothing runs in a machine without power";
  EXPECT_THROW(rt.run(work), machine_stopped);
  EXPECT_FALSE(resumed_after);
  try {
    rt.run([]() -> task<> { co_return; });
    ADD_FAILURE() << "it ran";
  } catch (const std::exception& e) {
    EXPECT_NE(std::string(e.what()).find("power cut"), std::string::npos);
  }
}

TEST_F(Simulated, the_teardown_after_a_stop_gives_everything_back_without_patience) {
  machine.keeps_requests = true;
  std::uint64_t enters_before;
  {
    runtime rt = make({.shutdown_patience = std::chrono::hours(1)});
    for (int i = 0; i < 20; ++i) {
      rt.spawn([]() -> task<> { co_await nop(); }).detach();
      rt.spawn([]() -> task<> { co_await sleep_for(1h); }).detach();
    }
    machine.stop_at_enter = 2;
    EXPECT_THROW(rt.run([]() -> task<> { co_await nop(); }), machine_stopped);
    EXPECT_EQ(rt.counters().operations, 0U);
    enters_before = machine.enters;
  }
  EXPECT_LE(machine.enters, enters_before + 6);
}

TEST_F(Simulated, requests_made_while_a_stopped_machine_is_torn_down_end_too) {
  struct closes_late {
    fs::file f;
    ~closes_late() { f = {}; }  // a request of the teardown
  };
  constexpr int fd = base::first_simulated_descriptor + 11;
  {
    runtime rt = make();
    auto hold = []() -> task<> {
      closes_late c{fs::adopt_descriptor(fd, "held")};
      co_await sleep_for(1h);
    };
    rt.spawn(hold).detach();
    machine.stop_at_enter = 1;
    EXPECT_THROW(rt.run([]() -> task<> { co_await sleep_for(2h); }), machine_stopped);
  }
  EXPECT_EQ(std::ranges::count(machine.closed, fd), 1)
      << "closed by its owner, since no request did it";
}

}  // namespace
}  // namespace parkring
