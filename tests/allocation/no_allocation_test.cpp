// Operations in steady state allocate nothing. This program counts every call of malloc.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>

#include "count.hpp"
#include "fs/test_files.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t page = 4096;
constexpr int warm_up = 50, rounds = 500;

class NoAllocation : public ::testing::TestWithParam<fs::inline_mode> {
 protected:
  void SetUp() override {
    if (!allocation::countable) GTEST_SKIP() << "a sanitizer has malloc in this build";
  }
  fs::test_directory dir_;
  std::filesystem::path path_ = dir_.make("data", fs::test_pattern(page * 16));
  runtime rt_;

  fs::file open_file() {
    return rt_.run(fs::open(path_, {.access = fs::access::read_write, .inline_first = GetParam()}));
  }
  // Awaits what `step` makes again and again; gives the allocations once all is warm.
  template <class Step>
  std::uint64_t count(Step&& step) {
    std::uint64_t counted = 0;
    rt_.run([&]() -> task<> {
      for (int i = 0; i < warm_up; ++i) co_await step();
      const auto before = allocation::calls();
      for (int i = 0; i < rounds; ++i) co_await step();
      counted = allocation::calls() - before;
    });
    return counted;
  }
};

TEST(AllocationCount, sees_an_allocation) {
  if (!allocation::countable) GTEST_SKIP() << "a sanitizer has malloc in this build";
  const auto before = allocation::calls();
  auto* v = new std::vector<int>(100);
  EXPECT_EQ(allocation::calls() - before, 2U);
  delete v;
}

TEST_P(NoAllocation, by_requests_that_do_nothing) {
  EXPECT_EQ(count([] { return nop(); }), 0U);
}

TEST_P(NoAllocation, by_reads_into_a_buffer) {
  fs::file f = open_file();
  buffer b(page);
  EXPECT_EQ(count([&] { return f.read_at(b, page); }), 0U);
}

TEST_P(NoAllocation, by_reads_into_a_fresh_pooled_buffer) {
  fs::file f = open_file();
  EXPECT_EQ(count([&]() -> task<> {
              buffer b(page);
              co_await f.read_at(b, page);
            }),
            0U);
}

TEST_P(NoAllocation, by_reads_into_a_copied_span) {
  fs::file f = open_file();
  std::vector<char> into(page);
  EXPECT_EQ(count([&] { return f.read_at(copying(into), 0); }), 0U);
}

TEST_P(NoAllocation, by_reads_into_a_borrowed_span) {
  fs::file f = open_file();
  std::vector<char> into(page);
  EXPECT_EQ(count([&] { return f.read_at(borrowed(into), 0); }), 0U);
}

TEST_P(NoAllocation, by_reads_into_a_vector_that_goes_round) {
  fs::file f = open_file();
  std::vector<char> v(page);
  EXPECT_EQ(count([&]() -> task<> {
              auto r = co_await f.read_at(std::move(v), 0);
              v = std::move(r.memory);
            }),
            0U);
  EXPECT_EQ(v.size(), page);
}

TEST_P(NoAllocation, by_writes_of_a_buffer) {
  fs::file f = open_file();
  buffer b(page);
  fs::fill(b.bytes(), std::string(page, 'w'));
  EXPECT_EQ(count([&] { return f.write_at(b, page * 2); }), 0U);
}

TEST_P(NoAllocation, by_a_timeout_over_a_read) {
  fs::file f = open_file();
  buffer b(page);
  EXPECT_EQ(count([&] { return timeout(1h, f.read_at(b, 0)); }), 0U);
}

TEST_P(NoAllocation, by_two_reads_at_once) {
  fs::file f = open_file();
  buffer a(page), b(page);
  EXPECT_EQ(count([&] { return when_all(f.read_at(a, 0), f.read_at(b, page)); }), 0U);
}

TEST_P(NoAllocation, by_a_race_of_reads) {
  fs::file f = open_file();
  EXPECT_EQ(count([&]() -> task<> {
              buffer a(page), b(page);
              co_await race(f.read_at(a, 0), f.read_at(b, page));
            }),
            0U);
}

TEST_P(NoAllocation, by_sync_and_size) {
  fs::file f = open_file();
  EXPECT_EQ(count([&] { return f.size(); }), 0U);
}

TEST_P(NoAllocation, by_sleeping) {
  EXPECT_EQ(count([] { return sleep_for(1us); }), 0U);
}

TEST_P(NoAllocation, by_yielding) {
  EXPECT_EQ(count([] { return yield(); }), 0U);
}

TEST_P(NoAllocation, by_awaiting_a_child) {
  auto child = [](int n) -> task<int> {
    co_await yield();
    co_return n;
  };
  EXPECT_EQ(count([&] { return child(1); }), 0U);
}

TEST_P(NoAllocation, by_spawning_and_joining) {
  EXPECT_EQ(count([]() -> task<> {
              auto h = spawn([](int n) -> task<int> { co_return n; }, 3);
              const int n = co_await h;
              EXPECT_EQ(n, 3);
            }),
            0U);
}

TEST_P(NoAllocation, by_a_dropped_read) {
  fs::file f = open_file();
  EXPECT_EQ(count([&]() -> task<> {
              {
                buffer b(page);
                auto h = spawn([&]() -> task<> { co_await f.read_at(b, 0); });
                co_await yield();
              }
              co_await nop();  // a turn, in which the dropped one ends
            }),
            0U);
}

INSTANTIATE_TEST_SUITE_P(Path, NoAllocation,
                         ::testing::Values(fs::inline_mode::automatic, fs::inline_mode::never),
                         [](const auto& i) {
                           return i.param == fs::inline_mode::automatic ? "automatic" : "ring";
                         });

}  // namespace
}  // namespace parkring
