// How many system calls things cost, by the runtime's own counters.

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include <parkring/parkring.hpp>

#include "fs/test_files.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t page = 4096, pages = 256;
constexpr fs::open_options on_the_ring{.inline_first = fs::inline_mode::never};

class Syscalls : public ::testing::Test {
 protected:
  fs::test_directory dir_;
  std::filesystem::path path_ = dir_.make("data", fs::test_pattern(page* pages));
  runtime rt_;
};

TEST_F(Syscalls, thirty_two_readers_share_their_enters) {
  fs::file f = rt_.run(fs::open(path_, on_the_ring));
  constexpr std::uint64_t tasks = 32, each = 200;
  const auto read_all = [&](std::uint64_t count) -> task<> {
    task_group g;
    for (std::uint64_t t = 0; t < tasks; ++t)
      g.spawn(
          [&f, count](std::uint64_t first) -> task<> {
            buffer b(page);
            for (std::uint64_t i = 0; i < count; ++i) {
              const std::size_t n = co_await f.read_at(b, (first * 7 + i) % pages * page);
              EXPECT_EQ(n, page);
            }
          },
          t);
    co_await g.join();
  };
  rt_.run(read_all(5));  // brings the pages into the cache, registers the file and the memory
  const auto before = rt_.counters();
  rt_.run(read_all(each));
  const auto after = rt_.counters();
  EXPECT_EQ(after.submissions - before.submissions, tasks * each);
  EXPECT_EQ(after.unregistered_files, before.unregistered_files);
  EXPECT_LE((after.enters - before.enters) * 24, tasks * each);
}

TEST_F(Syscalls, a_drop_in_flight_makes_none_of_its_own) {
  fs::file f = rt_.run(fs::open(path_, on_the_ring));
  rt_.run([&]() -> task<> {
    for (int i = 0; i < 20; ++i) {
      buffer b(page);
      std::optional<join_handle<void>> reader, opener, sleeper;
      reader.emplace(spawn([&]() -> task<> { co_await f.read_at(b, 0); }));
      opener.emplace(spawn([&]() -> task<> { co_await fs::open(path_); }));
      sleeper.emplace(spawn(sleep_for(1h)));
      co_await yield();
      EXPECT_EQ(rt_.counters().operations, 2U);
      const auto before = rt_.counters().enters;
      reader.reset();
      opener.reset();
      sleeper.reset();
      EXPECT_EQ(rt_.counters().enters, before);
      EXPECT_EQ(rt_.counters().orphans, 2U);
      while (rt_.counters().operations != 0) co_await yield();
    }
  });
  EXPECT_EQ(rt_.counters().abandoned, 40U);
}

TEST_F(Syscalls, tasks_that_only_compute_and_talk_make_none) {
  rt_.run(yield());
  const auto before = rt_.counters().enters;
  rt_.run([]() -> task<> {
    for (int i = 0; i < 1000; ++i) {
      co_await yield();
      auto h = spawn([]() -> task<int> { co_return 1; });
      co_await h;
      co_await when_all(yield(), yield());
    }
  });
  EXPECT_EQ(rt_.counters().enters, before);
}

TEST_F(Syscalls, many_sleepers_share_their_enters) {
  const auto before = rt_.counters();
  rt_.run([]() -> task<> {
    task_group g;
    const auto until = std::chrono::steady_clock::now() + 1ms;
    for (int i = 0; i < 500; ++i) g.spawn(sleep_until(until));
    co_await g.join();
  });
  const auto after = rt_.counters();
  EXPECT_LE(after.enters - before.enters, 50U);
}

}  // namespace
}  // namespace parkring
