// Looking on changes nothing: dumps between any two steps, and recordings over drops and teardowns.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "exec/core.hpp"
#include "exec/dump.hpp"
#include "support/drop_everywhere.hpp"
#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

constexpr pr::fs::open_options in_the_ring{.access = pr::fs::access::read_write,
                                           .inline_first = pr::fs::inline_mode::never};

pr::task<> wait_for(pr::event& e) { co_await e.wait(); }

// Every kind of wait, inside of each other.
pr::task<> mixed(std::filesystem::path data, std::filesystem::path pipe) {
  auto f = co_await pr::fs::open(data, in_the_ring);
  auto p = co_await pr::fs::open(pipe, in_the_ring);
  pr::buffer a(64), b(64), c(64);
  pr::event e;
  pr::task_group g;
  g.spawn(wait_for, std::ref(e));
  auto joined = pr::spawn(wait_for(e));
  (void)co_await pr::timeout(50us, p.read_at(a, 0));
  co_await a.returned();
  (void)co_await pr::timeout(
      100us, pr::when_all(wait_for(e), pr::race(p.read_at(a, 0), pr::sleep_for(20us))));
  co_await a.returned();
  co_await pr::when_all(f.write_at(b, 0), f.read_at(c, 0), pr::yield(), pr::nop());
  std::vector<pr::task<>> many;
  for (int i = 0; i < 3; ++i) many.push_back(wait_for(e));
  auto all = pr::spawn(pr::when_all(std::move(many)));
  (void)co_await pr::as_result(
      pr::link(f.write_at(b, 0), f.datasync()));  // a queue of one has no room
  e.set();
  co_await joined;
  co_await g.join();
  co_await all;
}

TEST(LookingOn, a_dump_may_be_taken_between_any_two_steps) {
  for (const pr::runtime_options& options : every_queue_size().runtimes) {
    scratch dir;
    const auto data = dir.file("data", std::string(4096, 'x'));
    const auto pipe = dir.fifo("pipe");
    stepped_runtime rt(options);
    rt.start(mixed(data, pipe));
    std::size_t waits = 0, steps = 0;
    while (rt.running()) {
      const pr::runtime_dump d = pr::exec::take_dump(rt.core());
      for (const auto& t : d.tasks) waits += t.chain.waits.size();
      EXPECT_LE(d.orphans.size(), d.counters.orphans);
      EXPECT_FALSE(to_string(d).empty());
      rt.step();
      ++steps;
    }
    rt.finish();
    EXPECT_GT(waits, steps / 2);
  }
}

TEST(LookingOn, a_dump_after_a_drop_at_any_step_shows_nothing_that_is_gone) {
  scratch dir;
  const auto data = dir.file("data", std::string(4096, 'x'));
  const auto pipe = dir.fifo("pipe");
  std::size_t drops = 0;
  for (std::size_t at = 0;; ++at) {
    stepped_runtime rt;
    rt.start(mixed(data, pipe));
    for (std::size_t i = 0; i < at && rt.running(); ++i) rt.step();
    if (!rt.running()) {
      rt.finish();
      break;
    }
    rt.abort();
    const pr::runtime_dump d = pr::exec::take_dump(rt.core());
    EXPECT_TRUE(d.tasks.empty()) << d;
    ++drops;
  }
  EXPECT_GT(drops, 20u);
}

TEST(LookingOn, a_recording_outlives_tasks_that_are_dropped_and_runtimes_that_end) {
  scratch dir;
  const auto data = dir.file("data", std::string(4096, 'x'));
  const auto pipe = dir.fifo("pipe");
  const std::filesystem::path out =
      std::filesystem::temp_directory_path() / ("parkring-" + std::to_string(::getpid()) + ".json");
  pr::trace::start(out, {.bytes_per_runtime = 1 << 16});
  for (int round = 0; round < 20; ++round) {
    pr::runtime rt;
    auto left_behind = rt.spawn(mixed(data, pipe));
    rt.run(
        [](int turns) -> pr::task<> {
          for (int i = 0; i < turns; ++i) co_await pr::nop();
        },
        round);
    if (round % 2 == 0) left_behind.abort();
    if (round % 3 == 0) {
      pr::trace::stop();
      pr::trace::start(out);
    }
  }
  pr::trace::stop();
  std::filesystem::remove(out);
}

TEST(LookingOn, threads_may_ask_and_record_while_a_runtime_runs) {
  PARKRING_NEEDS_REAL("threads");
  const std::filesystem::path out =
      std::filesystem::temp_directory_path() / ("parkring-" + std::to_string(::getpid()) + ".json");
  pr::runtime rt({.track_ages = true, .stall_threshold = 60'000ms});
  std::atomic<bool> end{false};
  std::atomic<int> dumps{0};
  std::thread asks([&, far = rt.remote()] {
    while (dumps < 20)
      if (far.dump(60s)) ++dumps;
    end = true;
  });
  std::thread records([&] {
    while (!end) {
      pr::trace::start(out, {.bytes_per_runtime = 1 << 16});
      pr::trace::stop();
    }
  });
  rt.run(
      [](std::atomic<bool>& stop) -> pr::task<> {
        while (!stop) co_await pr::when_all(pr::nop(), pr::yield(), pr::sleep_for(10us));
      },
      std::ref(end));
  asks.join();
  records.join();
  EXPECT_EQ(dumps, 20);
  std::filesystem::remove(out);
}

}  // namespace
