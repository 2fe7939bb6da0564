// When a request is served at once and when it goes through the ring; told by the counters.

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>

#include "exec/core.hpp"
#include "fs/test_files.hpp"
#include "support/faulty_kernel.hpp"

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
      g.spawn(
          [&](std::uint64_t first) -> task<> {
            buffer b(page);
            for (std::uint64_t i = 0; i < each; ++i) {
              const std::size_t at = (first + i) % pages * page;
              const auto n = co_await f.read_at(b, at);
              EXPECT_EQ(b.text(0, n), pattern_.substr(at, page));
            }
          },
          t);
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
      g.spawn(
          [&](std::size_t at) -> task<> {
            buffer b(page);
            const auto n = co_await f.read_at(b, at);
            EXPECT_EQ(n, page);
          },
          t* page);
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

TEST_F(Inline, a_kernel_that_must_see_every_request_sees_it) {
  testing::faulty_kernel indirect;  // without faults, but not by calls in place
  ASSERT_FALSE(indirect.direct());
  runtime rt = exec::runtime_access::make(indirect);
  file f = rt.run(open(path_, {.inline_first = inline_mode::always}));
  rt.run([&]() -> task<> {
    buffer b(page);
    for (std::size_t i = 0; i < 20; ++i) {
      const auto n = co_await f.read_at(b, i * page);
      EXPECT_EQ(b.text(0, n), pattern_.substr(i * page, page));
    }
  });
  EXPECT_EQ(rt.counters().inline_hits, 0U);
  EXPECT_EQ(rt.counters().inline_misses, 0U);
  EXPECT_GE(rt.counters().submissions, 20U);
}

TEST_F(Inline, what_is_served_at_once_spends_the_budget_and_lets_others_run) {
  if (!supported()) GTEST_SKIP() << "this file system has no reads that never block";
  file f = open_file({.inline_first = inline_mode::always});
  rt_.run([&]() -> task<> {
    bool stop = false;
    std::size_t turns_of_other = 0;
    auto other = spawn([&]() -> task<> {
      while (!stop) {
        ++turns_of_other;
        co_await yield();
      }
    });
    buffer b(page);
    constexpr std::size_t reads = 10 * detail::core_base::full_budget;
    for (std::size_t i = 0; i < reads; ++i) {
      const std::size_t at = i % pages * page;
      const auto n = co_await f.read_at(b, at);
      EXPECT_FALSE(b.locked());
      EXPECT_EQ(n, page);
      EXPECT_EQ(b.text(0, 16), pattern_.substr(at, 16));
    }
    stop = true;
    co_await std::move(other);
    EXPECT_GE(turns_of_other, reads / (detail::core_base::full_budget + 1));
  });
}

TEST_F(Inline, an_object_comes_back_also_when_the_budget_ran_out) {
  if (!supported()) GTEST_SKIP() << "this file system has no reads that never block";
  file f = open_file({.inline_first = inline_mode::always});
  rt_.run([&]() -> task<> {
    std::string memory(page, '.');
    for (std::size_t i = 0; i < 3 * detail::core_base::full_budget; ++i) {
      const std::size_t at = i % pages * page;
      auto [back, n] = co_await f.read_at(std::move(memory), at);
      EXPECT_EQ(n, page);
      EXPECT_EQ(back, pattern_.substr(at, page));
      memory = std::move(back);
    }
    std::string span(page, '.');
    for (std::size_t i = 0; i < 3 * detail::core_base::full_budget; ++i) {
      const std::size_t at = i % pages * page;
      const auto n = co_await f.read_at(copying(span), at);
      EXPECT_EQ(n, page);
      EXPECT_EQ(span, pattern_.substr(at, page));
    }
  });
}

TEST_F(Inline, an_operation_in_a_variable_lets_go_of_buffer_and_file_when_it_was_awaited) {
  for (const auto mode : {inline_mode::always, inline_mode::never}) {
    file f = open_file({.inline_first = mode});
    rt_.run([&]() -> task<> {
      buffer b(page);
      auto op = f.read_at(b, page);
      EXPECT_TRUE(b.locked());
      const auto n = co_await std::move(op);
      EXPECT_FALSE(b.locked());
      EXPECT_EQ(b.text(0, n), pattern_.substr(page, page));
      co_await std::move(f).close();  // would wait for ever for an operation that kept the file
    });
  }
}

TEST_F(Inline, an_operation_may_die_once_its_await_is_suspended) {
  file f = open_file({.inline_first = inline_mode::never});
  rt_.run([&]() -> task<> {
    buffer b(page);
    auto op = std::make_unique<rw_operation<locking>>(f.read_at(b, page));
    auto reader = spawn([&]() -> task<std::size_t> { co_return co_await std::move(*op); });
    co_await yield();  // it waits for the ring now
    op.reset();
    const auto n = co_await std::move(reader);
    EXPECT_EQ(b.text(0, n), pattern_.substr(page, page));
    std::string memory(page, '.');
    auto owned =
        std::make_unique<rw_operation<owning<std::string>>>(f.read_at(std::move(memory), page));
    auto owner = spawn([&]() -> task<std::string> {
      auto [back, count] = co_await std::move(*owned);
      co_return back.substr(0, count);
    });
    co_await yield();
    owned.reset();
    EXPECT_EQ(co_await std::move(owner), pattern_.substr(page, page));
  });
}

TEST_F(Inline, what_cannot_be_is_refused_on_either_way) {
  for (const auto mode : {inline_mode::always, inline_mode::never}) {
    file f = open_file({.inline_first = mode});
    rt_.run([&]() -> task<> {
      buffer b(page);
      auto r = co_await as_result(f.read_at(b, ~std::uint64_t{0}));
      EXPECT_FALSE(r.has_value());
      if (!r) {
        EXPECT_EQ(r.error().number(), EINVAL);
        EXPECT_NE(r.error().advice().find("2^63"), std::string::npos);
      }
      EXPECT_FALSE(b.locked());
      auto late = f.read_at(b, 0);
      auto closing = spawn([](file g) -> task<> { co_await std::move(g).close(); }, std::move(f));
      co_await yield();
      auto refused = co_await as_result(std::move(late));
      EXPECT_FALSE(refused.has_value());
      if (!refused) {
        EXPECT_EQ(refused.error().number(), EBADF);
      }
      EXPECT_FALSE(b.locked());
      co_await std::move(closing);
    });
  }
}

TEST_F(Inline, an_operation_of_another_runtime_is_refused) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        runtime other;
        file f = other.run(open(path_, {.inline_first = inline_mode::always}));
        rt_.run([&]() -> task<> {
          buffer b(page);
          (void)co_await f.read_at(b, 0);
        });
      },
      "await a file's requests on the runtime it belongs to");
}

}  // namespace
}  // namespace parkring::fs
