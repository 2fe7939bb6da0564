// When a request is served at once and when it goes through the ring; told by the counters.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <parkring/fs/file.hpp>
#include <parkring/runtime.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

constexpr std::size_t page = 4096, pages = 64;

class Inline : public ::testing::Test {
 protected:
  test_directory dir_;
  std::string pattern_ = test_pattern(page * pages);
  std::filesystem::path path_ = dir_.make("data", pattern_);
  runtime rt_;

  // Whether a cached file can be read without blocking here; tmpfs cannot tell.
  bool supported() {
    file f = rt_.run(open(path_, {.inline_first = inline_mode::always}));
    read(f, 4);
    return rt_.counters().inline_hits != 0;
  }
  void read(file& f, std::size_t count) {
    rt_.run([&]() -> task<> {
      buffer b(page);
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = i % pages * page;
        const auto n = co_await f.read_at(b, at);
        EXPECT_EQ(n, page);
        EXPECT_EQ(b.text(), pattern_.substr(at, page));
      }
    });
  }
  file open_file(open_options o = {}) { return rt_.run(open(path_, o)); }
};

TEST_F(Inline, a_cached_file_read_one_by_one_needs_no_ring) {
  if (!supported()) GTEST_SKIP() << "this file system has no reads that never block";
  file f = open_file();
  const auto before = rt_.counters();
  read(f, 300);
  const auto after = rt_.counters();
  EXPECT_EQ(after.inline_hits - before.inline_hits, 300U);
  EXPECT_EQ(after.submissions, before.submissions);
}

TEST_F(Inline, never_means_never) {
  file f = open_file({.inline_first = inline_mode::never});
  const auto before = rt_.counters();
  read(f, 100);
  const auto after = rt_.counters();
  EXPECT_EQ(after.inline_hits, before.inline_hits);
  EXPECT_EQ(after.inline_misses, before.inline_misses);
  EXPECT_GE(after.submissions - before.submissions, 100U);
}

TEST_F(Inline, many_at_once_go_through_the_ring_in_batches) {
  file f = open_file();
  const auto before = rt_.counters();
  constexpr std::uint64_t tasks = 32, each = 30;
  rt_.run([&]() -> task<> {
    task_group g;
    for (std::uint64_t t = 0; t < tasks; ++t)
      g.spawn([&](std::uint64_t first) -> task<> {
        buffer b(page);
        for (std::uint64_t i = 0; i < each; ++i) {
          const std::size_t at = (first + i) % pages * page;
          const auto n = co_await f.read_at(b, at);
          EXPECT_EQ(b.text(0, n), pattern_.substr(at, page));
        }
      }, t);
    co_await g.join();
  });
  const auto after = rt_.counters();
  EXPECT_GE(after.submissions - before.submissions, tasks * each * 9 / 10);
  EXPECT_EQ(after.completions - before.completions, after.submissions - before.submissions);
}

TEST_F(Inline, always_tries_even_among_many) {
  if (!supported()) GTEST_SKIP() << "this file system has no reads that never block";
  file f = open_file({.inline_first = inline_mode::always});
  const auto before = rt_.counters();
  rt_.run([&]() -> task<> {
    task_group g;
    for (std::size_t t = 0; t < 32; ++t)
      g.spawn([&](std::size_t at) -> task<> {
        buffer b(page);
        const auto n = co_await f.read_at(b, at);
        EXPECT_EQ(n, page);
      }, t * page);
    co_await g.join();
  });
  EXPECT_EQ(rt_.counters().inline_hits - before.inline_hits, 32U);
}

TEST_F(Inline, writes_to_cached_pages_are_served_at_once_or_counted_as_misses) {
  if (!supported()) GTEST_SKIP() << "this file system has no reads that never block";
  file f = open_file({.access = access::read_write, .inline_first = inline_mode::always});
  const auto before = rt_.counters();
  rt_.run([&]() -> task<> {
    buffer b(page);
    fill(b.bytes(), std::string(page, 'i'));
    for (std::size_t i = 0; i < 20; ++i) {
      const auto n = co_await f.write_at(b, i * page);
      EXPECT_EQ(n, page);
    }
  });
  const auto after = rt_.counters();
  EXPECT_GE(after.inline_hits - before.inline_hits + after.inline_misses - before.inline_misses,
            20U);
  EXPECT_EQ(content_of(path_).substr(0, 20 * page), std::string(20 * page, 'i'));
}

TEST_F(Inline, direct_files_are_never_served_inline) {
  runtime& rt = rt_;
  const auto before = rt.counters();
  try {
    file f = open_file({.direct = true, .inline_first = inline_mode::always});
    rt.run([&]() -> task<> {
      buffer b(page, aligned(f));
      const auto n = co_await f.read_at(b, 0);
      EXPECT_EQ(b.text(0, n), pattern_.substr(0, page));
    });
  } catch (const io_error& e) {
    GTEST_SKIP() << e.what();
  }
  EXPECT_EQ(rt.counters().inline_hits, before.inline_hits);
}

TEST_F(Inline, the_end_of_the_file_is_told_by_the_ring_and_is_right) {
  file f = open_file({.inline_first = inline_mode::always});
  rt_.run([&]() -> task<> {
    buffer b(page * 2);
    const auto last = co_await f.read_at(b, page * (pages - 1));
    EXPECT_EQ(last, page);
    const auto none = co_await f.read_at(b, page * pages);
    EXPECT_EQ(none, 0U);
  });
}

}  // namespace
}  // namespace parkring::fs
