#include <parkring/shards.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>

#include <parkring/fs.hpp>
#include <parkring/sync/channel.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

#include "support/scale.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

unsigned which() { return shards::this_shard().value_or(99); }

task<int> ping(shards& all, int n) {
  if (n == 0) co_return 0;
  co_return n + co_await all.on(1 - which(), ping, std::ref(all), n - 1);
}

TEST(Shards, calls_run_where_they_are_sent_and_bring_back_values_and_errors) {
  shards sh({.shards = 3});
  EXPECT_EQ(sh.size(), 3u);
  EXPECT_FALSE(shards::this_shard().has_value());
  run([](shards& s) -> task<> {
    for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(co_await s.on(i, which), i);
    const auto join = [](std::string a, std::unique_ptr<std::string> b) -> task<std::string> {
      co_await yield();
      co_return a + *b;
    };
    EXPECT_EQ(co_await s.on(1, join, std::string("left "), std::make_unique<std::string>("right")),
              "left right");
    bool thrown = false;
    const auto throws = []() -> task<int> {
      co_await yield();
      throw std::logic_error("on purpose");
    };
    try {
      (void)co_await s.on(2, throws);
    } catch (const std::logic_error& e) {
      thrown = std::string(e.what()) == "on purpose";
    }
    EXPECT_TRUE(thrown);
  }(sh));
  EXPECT_EQ(sh.blocking_on(2, which), 2u);
}

TEST(Shards, shards_call_each_other) {
  shards sh({.shards = 2, .pin = false});
  const int sum =
      run([](shards& s) -> task<int> { co_return co_await s.on(0, ping, std::ref(s), 100); }(sh));
  EXPECT_EQ(sum, 5'050);
}

TEST(Shards, everybody_at_once_and_reduced) {
  shards sh({.shards = 4});
  run([](shards& s) -> task<> {
    const auto numbers = co_await s.on_all([](unsigned shard) { return shard * 10; });
    EXPECT_EQ(numbers, (std::vector<unsigned>{0, 10, 20, 30}));
    const auto text = co_await s.map_reduce(
        [](unsigned shard) -> task<std::string> {
          co_await sleep_for(std::chrono::microseconds(100 * (4 - shard)));
          co_return std::to_string(which() + shard);
        },
        std::string("="), [](std::string a, std::string b) { return a + b; });
    EXPECT_EQ(text, "=0246");
    co_await s.on_all([](unsigned) {});
  }(sh));
}

TEST(Shards, each_reads_files_of_its_own) {
  shards sh({.shards = 2});
  const std::size_t total = run([](shards& s) -> task<std::size_t> {
    co_return co_await s.map_reduce(
        [](unsigned) -> task<std::size_t> {
          co_return (co_await fs::read_file("/proc/self/stat")).size();
        },
        std::size_t{0}, std::plus<>());
  }(sh));
  EXPECT_GT(total, 20u);
}

TEST(Shards, a_dropped_call_is_aborted_there) {
  shards sh({.shards = 1});
  auto alive = std::make_shared<int>(0);
  run([](shards& s, std::shared_ptr<int> a) -> task<> {
    const auto endless = [](std::shared_ptr<int> kept) -> task<> {
      ++*kept;
      for (;;) co_await sleep_for(1h);
    };
    EXPECT_FALSE(co_await timeout(5ms, s.on(0, endless, a)));
    while (a.use_count() > 2) co_await sleep_for(1ms);  // ends there, in its own time
  }(sh, alive));
  EXPECT_LE(*alive, 1);
}

TEST(Shards, those_who_wait_for_a_shard_that_ends_are_told) {
  std::atomic<int> told{0};
  std::thread waits;
  {
    shards sh({.shards = 1});
    std::atomic<bool> begun{false};
    waits = std::thread([&sh, &told, &begun] {
      run([](shards& s, std::atomic<int>& t, std::atomic<bool>& b) -> task<> {
        const auto endless = [](std::atomic<bool>& there) -> task<> {
          there = true;
          there.notify_one();
          co_await sleep_for(1h);
        };
        try {
          co_await s.on(0, endless, std::ref(b));
        } catch (const task_aborted&) {
          ++t;
        }
      }(sh, told, begun));
    });
    begun.wait(false);
  }
  waits.join();
  EXPECT_EQ(told, 1);
}

TEST(Shards, a_storm_of_calls_with_drops_leaves_nothing) {
  auto counted = std::make_shared<int>(0);
  {
    shards sh({.shards = 2});
    run([](shards& s, std::shared_ptr<int> c) -> task<> {
      task_group g;
      for (unsigned t = 0; t < 4; ++t)
        g.spawn(
            [](shards& all, std::shared_ptr<int> kept, unsigned seed) -> task<> {
              for (unsigned i = 0; i < 300; ++i) {
                const auto work = [](std::shared_ptr<int>, unsigned n) -> task<unsigned> {
                  if (n % 3 == 0) co_await yield();
                  if (n % 5 == 0) co_await sleep_for(50us);
                  co_return n;
                };
                const auto limit = std::chrono::microseconds((i * 37 + seed) % 200);
                const auto got = co_await timeout(limit, all.on(i % 2, work, kept, i));
                EXPECT_EQ(got.value_or(i), i);
              }
            },
            std::ref(s), c, t);
      co_await g.join();
    }(sh, counted));
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(Shards, shards_that_call_each_other_may_end_at_any_time) {
  for (int round = 0; round < 30; ++round) {
    shards sh({.shards = 2, .pin = false});
    const auto calls = [](shards& all) -> task<> {
      try {
        for (;;) co_await all.on(1 - which(), [] {});
      } catch (const shard_stopped&) {
      } catch (const task_aborted&) {
      }
    };
    for (unsigned i = 0; i < 2; ++i)
      sh.blocking_on(i, [&sh, calls] {
        for (int n = 0; n < 4; ++n) spawn(calls, std::ref(sh)).detach();
      });
    std::this_thread::sleep_for(std::chrono::microseconds(round * 20));
  }
}

TEST(Shards, a_call_that_the_end_of_its_shard_overtakes_is_answered) {
  runtime rt;
  const auto endless = []() -> task<> { co_await sleep_for(1h); };
  auto sh = std::make_unique<shards>(shards_options{.shards = 1});
  std::atomic<bool> busy{false};
  sh->blocking_on(0, [&busy] {
    spawn(
        [](std::atomic<bool>& b) -> task<> {
          b = true;
          b.notify_one();
          std::this_thread::sleep_for(20ms);  // meanwhile the call arrives, and then the end
          co_return;
        },
        std::ref(busy))
        .detach();
  });
  busy.wait(false);
  auto call = rt.spawn(sh->on(0, endless));
  rt.run(yield());  // it is on its way
  sh.reset();
  EXPECT_THROW(rt.run(std::move(call)), task_aborted);
}

TEST(Shards, a_runtime_that_cannot_be_made_is_told) {
  // The check of virtual tables opens a pipe to see whether memory is there, and fails without.
  if (testing::under_asan) GTEST_SKIP() << "the sanitizer itself needs descriptors";
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{3, before.rlim_max};  // no more descriptors than there are
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_THROW(shards({.shards = 2}), std::system_error);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(shards({.shards = 2}).size(), 2u);
}

}  // namespace
}  // namespace parkring
