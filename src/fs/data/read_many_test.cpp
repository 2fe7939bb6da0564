#include <parkring/fs/read_many.hpp>

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/deadline.hpp>
#include <parkring/runtime.hpp>
#include <parkring/sim/faults.hpp>
#include <parkring/sim/world.hpp>
#include <parkring/spawn.hpp>
#include <parkring/stream.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

constexpr std::size_t size = 200'000;

// Each test runs with reads served inline and with all of them on the ring.
class ReadMany : public ::testing::TestWithParam<inline_mode> {
 protected:
  test_directory dir_;
  std::string pattern_ = test_pattern(size);
  std::filesystem::path path_ = dir_.make("data", pattern_);
  open_options options_{.access = access::read_write, .inline_first = GetParam()};

  [[nodiscard]] std::string expected(const range& r) const {
    return r.offset >= size ? std::string() : pattern_.substr(r.offset, r.length);
  }
  static std::vector<range> random_ranges(std::size_t n, std::size_t longest) {
    std::mt19937 draw(static_cast<unsigned>(n));
    std::vector<range> ranges;
    for (std::size_t i = 0; i < n; ++i) ranges.push_back({draw() % (size + 500), draw() % longest});
    return ranges;
  }
  // Takes all parts and compares them; gives their indexes in the order in which they came.
  task<std::vector<std::size_t>> read_all(std::vector<range> ranges, read_many_options how,
                                          read_many_counts* counts = nullptr) {
    file f = co_await open(path_, options_);
    auto parts = read_many(f, ranges, how);
    std::vector<std::size_t> order;
    while (auto part = co_await parts.next()) {
      order.push_back(part->index);
      EXPECT_EQ(part->range, ranges.at(part->index));
      EXPECT_EQ(text_of(part->bytes()), expected(part->range)) << part->range.offset;
      EXPECT_EQ(part->complete(),
                part->range.offset + part->range.length <= size || part->range.length == 0);
    }
    if (counts != nullptr) *counts = parts.counts();
    auto none = co_await parts.next();
    EXPECT_FALSE(none.has_value()) << "the end stays the end";
    co_return order;
  }
  static void expect_each_once(std::vector<std::size_t> order, std::size_t n) {
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order.size(), n);
    for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
  }
};

TEST_P(ReadMany, every_range_comes_once_with_its_bytes) {
  for (const std::size_t gap : {0u, 100u, 5000u}) {
    for (const std::size_t longest : {0u, 1000u, 262'144u}) {
      for (const std::size_t in_flight : {1u, 3u, 64u}) {
        SCOPED_TRACE(testing::Message() << gap << ", " << longest << ", " << in_flight);
        const auto ranges = random_ranges(300, 700);
        const read_many_options how{
            .max_in_flight = in_flight, .merge_gap = gap, .longest_read = longest};
        expect_each_once(run(read_all(ranges, how)), ranges.size());
      }
    }
  }
}

TEST_P(ReadMany, parts_come_in_the_order_of_the_list_when_asked_to) {
  for (const std::size_t window : {1u, 7u, 100u, 1024u}) {
    for (const std::size_t in_flight : {1u, 8u}) {
      SCOPED_TRACE(testing::Message() << window << ", " << in_flight);
      const auto ranges = random_ranges(250, 700);
      const auto order = run(read_all(ranges, {.max_in_flight = in_flight,
                                               .merge_gap = 200,
                                               .order = part_order::as_requested,
                                               .window = window}));
      ASSERT_EQ(order.size(), ranges.size());
      for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
    }
  }
}

TEST_P(ReadMany, neighbours_are_read_at_once_over_small_gaps_only) {
  const std::vector<range> ranges{{30'000, 100}, {0, 1000}, {1000, 1000}, {2100, 900}, {3101, 10}};
  read_many_counts counts;
  (void)run(read_all(ranges, {.merge_gap = 100}, &counts));
  EXPECT_EQ(counts.reads, 3U) << "0 to 3000; 3101; 30000";
  EXPECT_EQ(counts.merged, 3U);
  EXPECT_EQ(counts.bytes, 3000U + 10 + 100);
  (void)run(read_all(ranges, {.merge_gap = 100, .longest_read = 2500}, &counts));
  EXPECT_EQ(counts.reads, 4U) << "0 to 2000; 2100; 3101 is too far from it; 30000";
  (void)run(read_all(ranges, {.merge_gap = 1 << 20, .longest_read = 0}, &counts));
  EXPECT_EQ(counts.reads, 5U);
  EXPECT_EQ(counts.merged, 0U);
}

TEST_P(ReadMany, no_range_and_empty_ranges_read_nothing) {
  read_many_counts counts;
  EXPECT_TRUE(run(read_all({}, {})).empty());
  expect_each_once(run(read_all({{10, 0}, {10, 0}, {size + 10, 0}}, {}, &counts)), 3);
  EXPECT_EQ(counts.reads, 0U);
  expect_each_once(run(read_all({{10, 0}, {5, 20}, {10, 20}, {12, 0}}, {})), 4);
}

TEST_P(ReadMany, parts_share_memory_and_live_by_themselves) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, options_);
    file copy = co_await open(
        dir_ / "copy",
        {.access = access::write, .creation = creation::must_be_new, .inline_first = GetParam()});
    std::vector<buffer> kept;
    {
      auto parts = read_many(f, {{0, 1000}, {1000, 1000}, {2000, 1000}});
      while (auto part = co_await parts.next()) kept.push_back(std::move(*part).take());
    }
    EXPECT_EQ(kept.at(0).bytes().data() + 1000, kept.at(1).bytes().data());
    kept.erase(kept.begin());
    co_await copy.write_all_at(kept.at(1), 1000);
    co_await copy.write_all_at(kept.at(0), 0);
  };
  run(body());
  EXPECT_EQ(content_of(dir_ / "copy"), pattern_.substr(1000, 2000));
}

TEST_P(ReadMany, several_files_are_read_in_one_list) {
  auto body = [&]() -> task<> {
    const auto other_pattern = test_pattern(5000, 7);
    file a = co_await open(path_, options_);
    file b = co_await open(dir_.make("other", other_pattern), options_);
    std::vector<file_range> ranges;
    for (std::uint64_t i = 0; i < 40; ++i) {
      ranges.push_back({i % 2 == 0 ? a : b, {i * 100, 150}});
      ranges.push_back({i % 3 == 0 ? a : b, {i * 100, 50}});
    }
    auto parts = read_many(ranges, {.max_in_flight = 2, .merge_gap = 1000});
    std::size_t n = 0;
    while (auto part = co_await parts.next()) {
      const bool first = &ranges[part->index].of.get() == &a;
      const auto& text = first ? pattern_ : other_pattern;
      EXPECT_EQ(part->text(), text.substr(part->range.offset, part->range.length));
      ++n;
    }
    EXPECT_EQ(n, ranges.size());
    EXPECT_LT(parts.counts().reads, 10U) << "each file is one stretch";
  };
  run(body());
}

TEST_P(ReadMany, the_file_may_go_while_it_is_read) {
  auto body = [&]() -> task<> {
    std::optional<file> f(co_await open(path_, options_));
    auto parts = read_many(*f, random_ranges(100, 300), {.max_in_flight = 2, .longest_read = 0});
    f.reset();
    std::size_t n = 0;
    while (auto part = co_await parts.next()) n += part->bytes().size() <= 300;
    EXPECT_EQ(n, 100U);
  };
  run(body());
}

TEST_P(ReadMany, a_range_that_cannot_be_read_ends_the_stream_or_fails_alone) {
  const range impossible{INT64_MAX - 10, 20};
  auto body = [&](bool stop) -> task<> {
    file f = co_await open(path_, options_);
    auto parts = read_many(f, {{0, 10}, impossible, {20, 10}},
                           {.order = part_order::as_requested, .stop_at_error = stop});
    auto first = co_await parts.next();
    EXPECT_EQ(first->text(), pattern_.substr(0, 10));
    auto second = co_await as_result(parts.next());
    if (stop) {
      EXPECT_EQ(second.error().number(), EINVAL);
      EXPECT_EQ(second.error().operation(), "read_many");
      EXPECT_NE(second.error().message().find("below 2^63"), std::string::npos);
      auto third = co_await parts.next();
      EXPECT_FALSE(third.has_value());
    } else {
      EXPECT_EQ((*second)->failure()->number(), EINVAL);
      EXPECT_EQ((*second)->index, 1U);
      EXPECT_FALSE((*second)->complete());
      EXPECT_THROW((void)(*second)->bytes(), io_error);
      EXPECT_THROW((void)(*second)->text(), io_error);
      auto third = co_await parts.next();
      EXPECT_EQ(text_of(third->bytes()), pattern_.substr(20, 10));
      EXPECT_EQ(third->failure(), nullptr);
    }
  };
  run(body(true));
  run(body(false));
}

TEST_P(ReadMany, files_that_cannot_be_read_say_why) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, {.access = access::write, .inline_first = GetParam()});
    auto parts = read_many(f, {{0, 10}, {10, 10}, {5000, 1}}, {.stop_at_error = false});
    std::size_t failed = 0;
    while (auto part = co_await parts.next()) failed += part->failure()->number() == EBADF;
    EXPECT_EQ(failed, 3U);

    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    file pipe = adopt_descriptor(ends[0], "a pipe");
    ::close(ends[1]);
    auto of_pipe = read_many(pipe, {{0, 10}});
    auto part = co_await as_result(of_pipe.next());
    EXPECT_EQ(part.error().number(), ESPIPE);

    file closed = co_await open(path_, options_);
    auto of_closed = read_many(closed, {{0, 10}, {5000, 1}});
    auto closing = spawn(std::move(closed).close());
    co_await yield();
    auto none = co_await as_result(of_closed.next());
    EXPECT_EQ(none.error().number(), EBADF);
    EXPECT_NE(none.error().message().find("closed"), std::string::npos);
    co_await closing;  // the stream has let go of the file
  };
  run(body());
}

TEST_P(ReadMany, a_file_that_shrinks_meanwhile_gives_shorter_parts) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, options_);
    std::vector<range> ranges;
    for (std::uint64_t i = 0; i < 100; ++i) ranges.push_back({i * 2000, 2000});
    auto parts = read_many(f, ranges, {.max_in_flight = 1, .longest_read = 0});
    std::size_t n = 0, whole = 0;
    while (auto part = co_await parts.next()) {
      if (n++ == 0) co_await f.truncate(100'500);
      whole += part->complete();
      EXPECT_EQ(text_of(part->bytes()), pattern_.substr(part->range.offset, part->bytes().size()));
    }
    EXPECT_EQ(n, 100U);
    EXPECT_GE(whole, 50U);
    EXPECT_LT(whole, 60U) << "what was read ahead";
  };
  run(body());
}

TEST_P(ReadMany, a_dropped_next_loses_no_part) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, options_);
    const auto ranges = random_ranges(60, 300);
    auto parts = read_many(f, ranges, {.max_in_flight = 2, .longest_read = 0});
    std::vector<std::size_t> order;
    for (int patience = 0;; patience = (patience + 1) % 4) {
      auto asking = spawn(parts.next());
      for (int i = 0; i < patience; ++i) co_await yield();
      std::optional<read_part> part;
      if (asking.done()) {
        part = co_await asking;
      } else {
        asking.abort();
        part = co_await parts.next();
      }
      if (!part) break;
      order.push_back(part->index);
    }
    expect_each_once(std::move(order), ranges.size());
  };
  run(body());
}

TEST_P(ReadMany, files_of_direct_io_take_any_range) {
  auto body = [&]() -> task<> {
    auto f = co_await as_result(open(path_, {.direct = true}));
    if (!f) co_return;  // not here
    for (const std::size_t longest : {0u, 100'000u}) {
      auto ranges = random_ranges(50, 3000);
      ranges.push_back({INT64_MAX - 100, 100});
      ranges.push_back({size - 1, 5000});
      auto parts = read_many(*f, ranges, {.merge_gap = 1000, .longest_read = longest});
      std::size_t n = 0;
      while (auto part = co_await parts.next()) {
        EXPECT_EQ(text_of(part->bytes()), expected(part->range)) << part->range.offset;
        ++n;
      }
      EXPECT_EQ(n, ranges.size());
    }
  };
  run(body());
}

TEST_P(ReadMany, a_deadline_of_who_asks_first_is_none_of_the_stream) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, options_);
    const auto ranges = random_ranges(40, 300);
    auto parts = read_many(f, ranges, {.max_in_flight = 4, .longest_read = 0});
    std::vector<std::size_t> order;
    for (bool hurry = true;; hurry = !hurry) {
      std::optional<read_part> part;
      if (hurry) {
        auto in_time = co_await with_timeout(std::chrono::nanoseconds(1), parts.next());
        if (!in_time) continue;
        part = std::move(*in_time);
      } else {
        part = co_await parts.next();
      }
      if (!part) break;
      order.push_back(part->index);
    }
    expect_each_once(std::move(order), ranges.size());
  };
  run(body());
}

TEST_P(ReadMany, the_deadline_of_one_next_ends_no_reads) {
  using namespace std::chrono_literals;
  auto body = [&]() -> task<> {
    file f = co_await open(path_, options_);
    const auto ranges = random_ranges(100, 300);
    auto parts = read_many(f, ranges, {.max_in_flight = 2, .longest_read = 0});
    std::size_t n = 0;
    {
      const auto first = co_await with_timeout(1ms, parts.next());
      n += first.has_value() && first->has_value();
    }
    co_await sleep_for(2ms);
    const auto rest = [](read_many_stream& from, std::size_t& count) -> task<> {
      while (auto part = co_await from.next()) ++count;
    };
    EXPECT_TRUE(co_await with_timeout(10s, rest(parts, n)));
    EXPECT_EQ(n, ranges.size());
  };
  run(body());
}

TEST_P(ReadMany, is_a_stream_as_any) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, options_);
    auto lengths =
        read_many(f, {{0, 10}, {size - 5, 10}, {size, 10}}, {.order = part_order::as_requested}) |
        parkring::map([](read_part p) { return p.bytes().size(); });
    const auto all = co_await (lengths | collect());
    const std::vector<std::size_t> lengths_expected{10, 5, 0};
    EXPECT_EQ(all, lengths_expected);
  };
  run(body());
}

TEST_P(ReadMany, a_stream_that_goes_tells_who_waits) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, {.inline_first = inline_mode::never});
    std::optional<read_many_stream> parts(read_many(f, {{0, 10}}));
    auto asking = spawn(parts->next());
    co_await yield();
    parts.reset();
    bool told = false;
    try {
      (void)co_await asking;
    } catch (const task_aborted&) {
      told = true;
    }
    EXPECT_TRUE(told);
  };
  run(body());
}

INSTANTIATE_TEST_SUITE_P(, ReadMany,
                         ::testing::Values(inline_mode::always, inline_mode::never,
                                           inline_mode::automatic));

TEST(ReadManyOnASimulatedDisk, a_block_that_cannot_be_read_fails_the_ranges_in_it_and_no_other) {
  sim::world w(1);
  const auto pattern = test_pattern(64'000);
  w.write_file("/data", pattern);
  sim::faults bad;
  bad.callback = [](const sim::operation& o) -> std::optional<sim::injected> {
    const bool touches =
        o.kind == sim::operation_kind::read && o.offset < 9000 && o.offset + o.length > 8500;
    if (!touches) return std::nullopt;
    return sim::injected{.what = sim::fault::error, .error = EIO};
  };
  w.set_faults(bad);
  w.run([&]() -> task<> {
    file f = co_await open("/data");
    std::vector<range> ranges;
    for (std::uint64_t i = 0; i < 64; ++i) ranges.push_back({i * 1000, 1000});
    auto parts = read_many(f, ranges, {.stop_at_error = false});
    std::size_t failed = 0, good = 0;
    while (auto part = co_await parts.next()) {
      if (part->failure() != nullptr) {
        EXPECT_EQ(part->index, 8U);
        EXPECT_EQ(part->failure()->number(), EIO);
        EXPECT_NE(part->failure()->message().find("offset 8000, 1000 bytes"), std::string::npos);
        ++failed;
      } else {
        EXPECT_EQ(text_of(part->bytes()), pattern.substr(part->range.offset, 1000));
        ++good;
      }
    }
    EXPECT_EQ(failed, 1U);
    EXPECT_EQ(good, 63U);
  });
}

TEST(ReadManyOnASimulatedDisk, short_reads_are_finished) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    sim::world w(seed);
    const auto pattern = test_pattern(64'000);
    w.write_file("/data", pattern);
    sim::faults shorter;
    shorter.short_read = 0.5;
    shorter.interrupted = 0.1;
    w.set_faults(shorter);
    w.run([&]() -> task<> {
      file f = co_await open("/data");
      std::vector<range> ranges;
      for (std::uint64_t i = 0; i < 30; ++i) ranges.push_back({i * 7'001 % 60'000, 3000});
      auto parts = read_many(f, ranges, {.max_in_flight = 3, .merge_gap = 100});
      std::size_t n = 0;
      while (auto part = co_await parts.next()) {
        EXPECT_EQ(text_of(part->bytes()), pattern.substr(part->range.offset, 3000));
        ++n;
      }
      EXPECT_EQ(n, ranges.size());
    });
  }
}

}  // namespace
}  // namespace parkring::fs
