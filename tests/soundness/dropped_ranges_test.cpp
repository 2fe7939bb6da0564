// Lists of ranges, several pieces of memory, space and direct files, dropped at every point.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;

namespace {

class DroppedRanges : public ::testing::Test {
 protected:
  // Runs `use` on a fresh handle to a file of 8 KiB.
  template <class Use>
  std::size_t drop(Use use, pr::fs::inline_mode mode = pr::fs::inline_mode::never,
                   std::filesystem::path path = {}) {
    const pr::fs::open_options options{.access = pr::fs::access::read_write, .inline_first = mode};
    return drop_everywhere([use, options, path = path.empty() ? data : path] {
      return [](std::filesystem::path p, pr::fs::open_options o, Use u) -> pr::task<> {
        auto f = co_await pr::fs::open(p, o);
        co_await u(f);
      }(path, options, use);
    });
  }
  scratch dir;
  const std::filesystem::path data = dir.file("data", std::string(8192, 'd'));
};

pr::task<> read_some(pr::fs::file& f, pr::fs::read_many_options how) {
  const std::vector<pr::fs::range> ranges{{4096, 100}, {0, 512},    {1024, 512}, {512, 512},
                                          {8000, 500}, {6000, 100}, {4000, 200}};
  std::size_t n = 0;
  {
    auto parts = pr::fs::read_many(f, ranges, how);
    while (auto part = co_await parts.next()) n += part->bytes().size();
    EXPECT_EQ(n, 100U + 3 * 512 + 192 + 100 + 200);
  }
  // Left half-way, with reads in flight.
  auto parts = pr::fs::read_many(f, ranges, how);
  auto first = co_await parts.next();
  EXPECT_TRUE(first.has_value());
}

TEST_F(DroppedRanges, a_list_of_ranges_leaves_nothing) {
  for (const auto mode : {pr::fs::inline_mode::never, pr::fs::inline_mode::always}) {
    for (const auto order : {pr::fs::part_order::as_read, pr::fs::part_order::as_requested}) {
      const auto drops = drop(
          [order](pr::fs::file& f) {
            return read_some(f, {.max_in_flight = 2, .order = order, .window = 3});
          },
          mode);
      EXPECT_GT(drops, 20u);
    }
  }
}

TEST_F(DroppedRanges, a_list_with_ranges_that_fail_leaves_nothing) {
  drop([](pr::fs::file& f) -> pr::task<> {
    const std::vector<pr::fs::range> ranges{{0, 10}, {INT64_MAX - 1, 20}, {20, 10}};
    auto parts = pr::fs::read_many(f, ranges);
    for (int i = 0; i < 3; ++i) (void)co_await pr::as_result(parts.next());
    pr::fs::file closed = std::move(f);
    auto of_closed = pr::fs::read_many(closed, ranges, {.stop_at_error = false});
    auto closing = pr::spawn(std::move(closed).close());
    co_await pr::yield();
    while (auto part = co_await of_closed.next()) EXPECT_NE(part->failure(), nullptr);
    co_await closing;
  });
}

TEST_F(DroppedRanges, several_pieces_of_memory_leave_nothing) {
  const auto drops = drop([](pr::fs::file& f) -> pr::task<> {
    pr::buffer a(512), b(100);
    auto n = co_await pr::fs::readv_at(f, pr::fs::parts(a, b), 0);
    EXPECT_EQ(n, 612U);
    n = co_await pr::fs::writev_at(f, pr::fs::parts(a, b), 100, {.dsync = true});
    EXPECT_EQ(n, 612U);
    std::vector<std::string> strings(3, std::string(10, ' '));
    auto read = co_await pr::fs::readv_at(f, std::move(strings), 0);
    EXPECT_EQ(read.count, 30U);
    auto written = co_await pr::fs::writev_at(f, std::move(read.memory), 0, {.dontcache = true});
    EXPECT_EQ(written.count, 30U);
    auto mixed = std::make_tuple(std::string("head"), std::move(a));
    auto whole = co_await pr::fs::writev_all_at(f, std::move(mixed), 0);
    EXPECT_EQ(whole.count, 516U);
    co_await pr::fs::writev_all_at(f, pr::fs::parts(b, b), 0);
    auto one = co_await pr::fs::write_all_at(f, std::string(100, 'x'), 0);
    one = co_await pr::fs::read_exactly_at(f, std::move(one.memory), 0);
    EXPECT_EQ(one.memory, std::string(100, 'x'));
    auto never_awaited = pr::fs::readv_at(f, pr::fs::parts(b), 0);
    auto failed = co_await pr::as_result(
        pr::fs::readv_at(f, std::vector<std::string>(2000, std::string(1, ' ')), 0));
    EXPECT_FALSE(failed.has_value());
  });
  EXPECT_GT(drops, 40u);
}

TEST_F(DroppedRanges, appends_leave_nothing) {
  drop([](pr::fs::file& f) -> pr::task<> {
    pr::buffer b(16);
    std::fill(b.bytes().begin(), b.bytes().end(), std::byte{'x'});
    (void)co_await pr::fs::append(f, b);
    (void)co_await pr::fs::append(f, std::string(16, 'y'));
    auto limits = co_await pr::fs::atomic_write_limits(f);
    EXPECT_LE(limits.smallest, limits.largest);
    co_await f.truncate(8192);
  });
}

TEST_F(DroppedRanges, a_vectored_write_to_a_pipe_leaves_nothing) {
  drop(
      [](pr::fs::file& f) -> pr::task<> {
        auto written = co_await pr::fs::writev_at(f, std::vector<std::string>(2, "ab"), 0);
        EXPECT_EQ(written.count, 4U);
        auto refused =
            co_await pr::as_result(pr::fs::readv_at(f, std::vector<std::string>(2, "ab"), 0));
        EXPECT_EQ(refused.error().number(), ESPIPE);
      },
      pr::fs::inline_mode::never, dir.fifo("pipe"));
}

TEST_F(DroppedRanges, requests_about_space_leave_nothing) {
  const auto drops = drop([](pr::fs::file& f) -> pr::task<> {
    co_await pr::fs::allocate(f, 0, 16'384, pr::fs::allocate_size::keep);
    co_await pr::fs::punch_hole(f, 4096, 4096);
    (void)co_await pr::as_result(pr::fs::collapse_range(f, 1, 1));
    co_await pr::fs::advise(f, 0, 0, pr::fs::advice::random);
    co_await pr::fs::sync_range(f, 0, std::uint64_t{5} << 30, pr::fs::range_sync::wait);
    auto never_awaited = pr::fs::allocate(f, 0, 10);
  });
  EXPECT_GT(drops, 25u);
}

TEST_F(DroppedRanges, a_direct_file_leaves_nothing) {
  const auto drops = drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      auto f = co_await pr::fs::open_direct(p, {.access = pr::fs::access::read_write});
      pr::buffer page(4096, pr::aligned(4096));
      co_await f.read_at(page, 0);
      co_await f.write_at(page, 4096);
      co_await f.read_at(page, 7, 600);
      co_await f.write_at(page, 100, 50);
      pr::buffer other(100);
      // Two that share a block, and both the end of the file.
      co_await pr::when_all(f.write_at(other, 8150), f.write_at(page, 8192, 10));
      auto never_awaited = f.write_at(other, 0);
      co_await f.truncate(8192);
    }(data);
  });
  EXPECT_GT(drops, 40u);
}

}  // namespace
