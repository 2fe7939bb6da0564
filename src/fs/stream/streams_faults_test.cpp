// Readers and writers on a simulated disk that reads and writes short, fails now and then and gets
// full; and copies of a file that is cut meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>

#include <parkring/as_result.hpp>
#include <parkring/fs/copy_stream.hpp>
#include <parkring/fs/lines.hpp>
#include <parkring/fs/writer.hpp>
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

TEST(Writer, on_a_disk_that_gets_full_what_lies_before_the_error_is_in_the_file) {
  const auto pattern = test_pattern(3'000'000);
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    sim::world_options small;
    small.disk.capacity = 1U << 20;
    sim::world w(seed, small);
    std::size_t offset = 0;
    w.run([&]() -> task<> {
      const open_options anew{.access = access::write, .creation = creation::must_be_new};
      file f = co_await open("/a", anew);
      writer to(f, {.buffer_size = 50'000, .in_flight = 3});
      error first(0, "", "");
      for (std::size_t at = 0; at < pattern.size() && first.number() == 0; at += 10'000) {
        const auto r = co_await as_result(to.write(std::string_view(pattern).substr(at, 10'000)));
        if (!r) first = r.error();
      }
      EXPECT_EQ(first.number(), ENOSPC);
      const auto named = first.subject().find("offset ");
      EXPECT_NE(named, std::string::npos) << first.message();
      if (named != std::string::npos) offset = std::stoul(first.subject().substr(named + 7));
      const auto again = co_await as_result(to.flush());
      EXPECT_FALSE(again.has_value());
      if (!again) {
        EXPECT_EQ(again.error().message(), first.message());
      }
    });
    const std::string now = w.read_file("/a");
    EXPECT_GT(offset, 500'000u);
    EXPECT_GE(now.size(), offset);
    EXPECT_TRUE(now.substr(0, offset) == pattern.substr(0, offset)) << seed;
  }
}

TEST(CopyStream, of_a_file_that_is_cut_meanwhile_tells_what_was_missing) {
  const test_directory dir;
  const auto pattern = test_pattern(5'000'000);
  for (const bool into_nothing : {false, true}) {
    const auto path = dir.make("a", pattern);
    auto body = [](std::filesystem::path from_path, std::filesystem::path to_path,
                   bool nothing) -> task<copied> {
      file from = co_await open(from_path);
      copy_stream_options o;
      o.from.length = 5'000'000;
      o.progress = [from_path](std::uint64_t) { std::filesystem::resize_file(from_path, 100'000); };
      if (nothing) {
        file null = co_await open("/dev/null", {.access = access::write});
        co_return co_await copy_stream(from, null, std::move(o));
      }
      const open_options anew{.access = access::write, .creation = creation::if_missing};
      file to = co_await open(to_path, anew);
      co_return co_await copy_stream(from, to, std::move(o));
    };
    const copied c = run(body(path, dir / "b", into_nothing));
    EXPECT_EQ(c.bytes + c.missing, 5'000'000u);
    EXPECT_GT(c.missing, 0u);
    if (!into_nothing) {
      EXPECT_TRUE(content_of(dir / "b") == pattern.substr(0, c.bytes));
    }
  }
}

}  // namespace
}  // namespace parkring::fs
