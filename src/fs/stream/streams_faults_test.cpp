// Readers and writers on a simulated disk that reads and writes short, and fails now and then.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include <parkring/as_result.hpp>
#include <parkring/fs/copy_stream.hpp>
#include <parkring/fs/lines.hpp>
#include <parkring/runtime.hpp>
#include <parkring/sim/world.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

constexpr std::uint64_t seeds = 40;

sim::world faulty(std::uint64_t seed, double short_ones, double errors) {
  sim::faults f;
  f.short_read = short_ones;
  f.short_write = short_ones;
  f.io_error_once = {.probability = errors, .path = "/data"};
  return sim::world(seed, {.faults = f});
}

TEST(ReaderFaults, the_gaps_that_short_reads_leave_are_read) {
  const auto pattern = test_pattern(20'000);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    sim::world w = faulty(seed, 0.4, 0);
    w.write_file("/data", pattern);
    const bool direct = seed % 2 == 0;
    const auto all = w.run([&]() -> task<std::string> {
      reader r(co_await open("/data", {.direct = direct}),
               {.offset = seed, .buffer_size = 1'024, .read_ahead = 4'096});
      std::string text;
      while (auto piece = co_await r.next()) text += piece->text();
      co_return text;
    });
    EXPECT_TRUE(all == pattern.substr(seed)) << "seed " << seed;
  }
}

TEST(ReaderFaults, after_an_error_it_goes_on_where_it_was) {
  const auto pattern = test_pattern(20'000);
  int errors = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    sim::world w = faulty(seed, 0.2, 0.1);
    w.write_file("/data", pattern);
    const auto all = w.run([&]() -> task<std::string> {
      std::string text;
      for (;;) {  // it may not even open
        auto f = co_await as_result(open("/data"));
        if (!f) continue;
        reader r(std::move(*f), {.buffer_size = 1'024, .read_ahead = 4'096});
        for (;;) {
          auto piece = co_await as_result(r.next());
          if (!piece) {
            ++errors;
            EXPECT_EQ(piece.error().number(), EIO);
            EXPECT_EQ(r.position(), text.size());
            continue;
          }
          if (!*piece) co_return text;
          text += (*piece)->text();
        }
      }
    });
    EXPECT_TRUE(all == pattern) << "seed " << seed;
  }
  EXPECT_GT(errors, 20);
}

TEST(WriterFaults, short_writes_are_finished) {
  const auto pattern = test_pattern(20'000);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    sim::world w = faulty(seed, 0.4, 0);
    w.run([&]() -> task<> {
      writer out(co_await open("/new", {.access = access::write, .creation = creation::if_missing}),
                 {.buffer_size = 1'000, .in_flight = 3});
      std::string_view left = pattern;
      while (!left.empty()) {
        const std::size_t n = std::min<std::size_t>(left.size(), seed * 37 % 400 + 1);
        co_await out.write(left.substr(0, n));
        left.remove_prefix(n);
      }
      co_await out.close();
    });
    EXPECT_TRUE(w.read_file("/new") == pattern) << "seed " << seed;
  }
}

TEST(WriterFaults, an_error_tells_where_and_what_is_before_it_is_written) {
  const auto pattern = test_pattern(20'000);
  int errors = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    sim::world w = faulty(seed, 0, 0.1);
    w.write_file("/data", "");
    std::uint64_t failed_at = pattern.size();
    w.run([&]() -> task<> {
      auto f = co_await as_result(open("/data", {.access = access::write}));
      if (!f) co_return;
      writer out(std::move(*f), {.buffer_size = 1'000, .in_flight = 1});
      std::string_view left = pattern;
      for (bool failed = false; !left.empty() && !failed; left.remove_prefix(1'000)) {
        try {
          co_await out.write(left.substr(0, 1'000));
          co_await out.flush();
        } catch (const io_error& e) {
          failed = true;
          ++errors;
          EXPECT_EQ(e.error().number(), EIO);
          failed_at = pattern.size() - left.size();
          const auto where = "offset " + std::to_string(failed_at + e.error().transferred());
          EXPECT_NE(e.error().subject().find(where), std::string::npos) << e.what();
        }
        if (failed) {
          EXPECT_THROW(co_await out.flush(), io_error);
        }
      }
    });
    const auto there = w.read_file("/data");
    const auto sure = std::min<std::size_t>(there.size(), failed_at);
    EXPECT_TRUE(there.substr(0, sure) == pattern.substr(0, sure)) << "seed " << seed;
  }
  EXPECT_GT(errors, 10);
}

}  // namespace
}  // namespace parkring::fs
