// Reads and writes of the background that are cut.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>

#include <parkring/as_result.hpp>
#include <parkring/fs.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

#include "fs/test_files.hpp"
#include "support/scratch.hpp"

namespace parkring::fs {
namespace {

using namespace std::chrono_literals;

constexpr open_options by_ring{.access = access::read_write, .inline_first = inline_mode::never};

// No looks at the foreground alone, and a window that stays at its 64 KiB.
io_scheduler_options with_a_target() { return {.latency_target = 1h}; }

std::uint64_t turns(const io_scheduler& s) { return s.counters(io_class::background).operations; }

TEST(IoPieces, a_read_is_cut_beside_a_foreground_and_comes_back_whole) {
  testing::scratch dir;
  const auto pattern = test_pattern(300'000);
  const auto path = dir.file("a", pattern);
  auto body = [&]() -> task<> {
    io_scheduler s(with_a_target());
    auto f = co_await open(path, by_ring);
    buffer b(300'000);
    EXPECT_EQ(co_await s.run(io_class::background, f.read_at(b, 0)), 300'000u);
    EXPECT_EQ(turns(s), 1u) << "alone";
    EXPECT_TRUE(b.text() == pattern);
    const auto front = co_await s.acquire(io_class::foreground, 4096);
    buffer again(300'000);
    EXPECT_EQ(co_await s.run(io_class::background, f.read_at(again, 0)), 300'000u);
    EXPECT_EQ(turns(s), 1u + 5);
    EXPECT_TRUE(again.text() == pattern);
    EXPECT_FALSE(again.locked());
    EXPECT_EQ(co_await s.run(io_class::background, f.read_at(again, 200'000)), 100'000u)
        << "short at the end of the file";
    EXPECT_EQ(co_await s.run(io_class::background, f.read_at(again, 300'000)), 0u);
    EXPECT_EQ(s.counters(io_class::background).in_flight, 0u);
    EXPECT_EQ(co_await s.run(io_class::sync, f.read_at(again, 0)), 300'000u);
    EXPECT_EQ(s.counters(io_class::sync).operations, 1u) << "only the background is cut";
  };
  run(body());
}

TEST(IoPieces, a_write_is_cut_and_arrives_whole) {
  testing::scratch dir;
  const auto pattern = test_pattern(200'000);
  const auto path = dir.file("a", ""), appended = dir.file("b", "begin");
  auto body = [&]() -> task<> {
    io_scheduler s(with_a_target());
    auto f = co_await open(path, by_ring);
    auto to_end = co_await open(appended, {.access = access::write, .append = true});
    buffer b(pattern.size());
    std::memcpy(b.bytes().data(), pattern.data(), pattern.size());
    const auto front = co_await s.acquire(io_class::foreground, 4096);
    EXPECT_EQ(co_await s.run(io_class::background, f.write_at(b, 0)), 200'000u);
    EXPECT_EQ(turns(s), 4u);
    EXPECT_EQ(co_await s.run(io_class::background, to_end.write_at(b, 0)), 200'000u);
    EXPECT_EQ(turns(s), 4u + 1) << "others may append in between";
  };
  run(body());
  EXPECT_TRUE(testing::content_of(path) == pattern);
  EXPECT_TRUE(testing::content_of(appended) == "begin" + pattern);
}

TEST(IoPieces, a_limit_of_operations_is_one_of_requests_and_a_limit_of_bytes_holds_for_pieces) {
  testing::scratch dir;
  const auto path = dir.file("a", test_pattern(300'000));
  auto body = [&]() -> task<> {
    auto options = with_a_target();
    options.background.operations_per_second = 100'000;
    io_scheduler by_operations(options);
    auto f = co_await open(path, by_ring);
    buffer b(300'000);
    {
      const auto front = co_await by_operations.acquire(io_class::foreground, 4096);
      EXPECT_EQ(co_await by_operations.run(io_class::background, f.read_at(b, 0)), 300'000u);
      EXPECT_EQ(turns(by_operations), 1u);
    }
    options = with_a_target();
    options.background.bytes_per_second = 10'000'000;
    io_scheduler by_bytes(options);
    const auto begin = now();
    const auto front = co_await by_bytes.acquire(io_class::foreground, 4096);
    EXPECT_EQ(co_await by_bytes.run(io_class::background, f.read_at(b, 0)), 300'000u);
    EXPECT_EQ(turns(by_bytes), 5u);
    // The last piece has to wait until the others are paid for: no clock may be faster.
    EXPECT_GE(now() - begin, 20ms);
  };
  run(body());
}

TEST(IoPieces, an_error_is_told_when_nothing_was_done_before_it) {
  testing::scratch dir;
  const auto path = dir.file("a", test_pattern(100));
  auto body = [&]() -> task<> {
    io_scheduler s(with_a_target());
    auto f = co_await open(path, {.inline_first = inline_mode::never});
    buffer b(300'000);
    const auto front = co_await s.acquire(io_class::foreground, 4096);
    const auto failed = co_await as_result(s.run(io_class::background, f.write_at(b, 0)));
    EXPECT_FALSE(failed) << "it is open for reading";
    EXPECT_EQ(failed.error().number(), EBADF);
    EXPECT_FALSE(b.locked());
  };
  run(body());
}

TEST(IoPieces, dropped_the_piece_with_the_device_goes_on_and_the_rest_never_begins) {
  testing::scratch dir;
  const auto path = dir.file("a", test_pattern(300'000));
  auto body = [&]() -> task<> {
    io_scheduler s(with_a_target());
    auto f = co_await open(path, by_ring);
    buffer b(300'000);
    const auto front = co_await s.acquire(io_class::foreground, 4096);
    auto reading = spawn(s.run(io_class::background, f.read_at(b, 0)));
    EXPECT_TRUE(b.locked()) << "from the call on";
    while (turns(s) == 0) co_await yield();
    const auto begun = turns(s);
    reading.abort();
    co_await b.returned();
    EXPECT_FALSE(b.locked());
    while (s.counters(io_class::background).in_flight != 0) co_await yield();
    EXPECT_EQ(turns(s), begun);
    EXPECT_EQ(co_await s.run(io_class::background, f.read_at(b, 0)), 300'000u);
  };
  run(body());
}

}  // namespace
}  // namespace parkring::fs
