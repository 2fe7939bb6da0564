#include <parkring/fs/file.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/when_all.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

constexpr open_options on_the_ring{.inline_first = inline_mode::never};

TEST(File, tells_its_size_and_can_be_cut_and_extended) {
  test_directory dir;
  const auto path = dir.make("a", "0123456789");
  auto body = [&]() -> task<> {
    file f = co_await open(path, {.access = access::read_write});
    const auto ten = co_await f.size();
    EXPECT_EQ(ten, 10U);
    co_await f.truncate(4);
    const auto four = co_await f.size();
    EXPECT_EQ(four, 4U);
    co_await f.truncate(1 << 20);
    const auto more = co_await f.size();
    EXPECT_EQ(more, 1U << 20);
    auto wrong = co_await as_result(f.truncate(~std::uint64_t{0}));
    EXPECT_FALSE(wrong.has_value());
    co_await f.sync();
    co_await f.datasync();
    co_await std::move(f).close();
    EXPECT_FALSE(static_cast<bool>(f));
  };
  run(body());
  EXPECT_EQ(content_of(path).substr(0, 5), std::string("0123\0", 5));
}

TEST(File, errors_about_the_file_name_operation_and_path) {
  test_directory dir;
  const auto path = dir.make("a", "x");
  auto body = [&]() -> task<std::string> {
    file f = co_await open(path);
    auto r = co_await as_result(f.truncate(0));
    co_return r ? "" : r.error().message();
  };
  const auto message = run(body());
  EXPECT_EQ(message.find("truncate(" + path.native() + "): EINVAL"), 0U) << message;
}

TEST(File, requests_on_other_files_are_not_disturbed_by_a_truncate) {
  // A descriptor that was closed twice would take somebody else's file away.
  test_directory dir;
  const auto path = dir.make("a", "x"), other = dir.make("b", "other");
  auto body = [&]() -> task<> {
    file f = co_await open(path, {.access = access::write});
    task_group g;
    for (int i = 0; i < 20; ++i) {
      g.spawn([&]() -> task<> { co_await f.truncate(5); });
      g.spawn([&]() -> task<> {
        for (int k = 0; k < 5; ++k) {
          file o = co_await open(other, on_the_ring);
          auto [s, n] = co_await o.read_at(std::string(5, ' '), 0);
          EXPECT_EQ(s, "other");
          co_await std::move(o).close();
        }
      });
    }
    co_await g.join();
  };
  run(body());
}

TEST(File, close_waits_for_the_requests_before_it) {
  test_directory dir;
  const auto pattern = test_pattern(32 * 4096);
  const auto path = dir.make("a", pattern);
  auto body = [&]() -> task<> {
    file f = co_await open(path, on_the_ring);
    int done = 0;
    std::vector<join_handle<void>> readers;
    for (std::size_t i = 0; i < 32; ++i)
      readers.push_back(
          spawn([&, op = f.read_at(std::string(4096, ' '), i * 4096), i]() mutable -> task<> {
            auto [s, n] = co_await std::move(op);
            EXPECT_EQ(s, pattern.substr(i * 4096, 4096));
            ++done;
          }));
    co_await yield();
    co_await std::move(f).close();
    EXPECT_EQ(done, 32);
    for (auto& r : readers) co_await r;
  };
  run(body());
}

TEST(File, a_request_made_before_close_and_awaited_after_it_is_refused) {
  test_directory dir;
  const auto path = dir.make("a", "x");
  auto body = [&]() -> task<> {
    file f = co_await open(path);
    buffer b(10);
    std::optional<rw_operation<locking>> late;
    late.emplace(f.read_at(b, 0));
    auto closing = spawn([&]() -> task<> { co_await std::move(f).close(); });
    co_await yield();
    auto n = co_await as_result(std::move(*late));
    EXPECT_FALSE(n.has_value());
    if (!n) {
      EXPECT_EQ(n.error().number(), EBADF);
    }
    late.reset();
    co_await closing;
    EXPECT_FALSE(b.locked());
  };
  run(body());
}

TEST(File, dropping_handles_leaves_no_descriptor_open) {
  test_directory dir;
  const auto path = dir.make("a", test_pattern(4096));
  run([](const std::filesystem::path& p) -> task<> { co_await open(p); }(path));
  const int before = lowest_free_descriptor();
  {
    runtime rt;
    std::optional<file> outlives;
    rt.run([&]() -> task<> {
      for (int i = 0; i < 50; ++i) {
        file f = co_await open(path, on_the_ring);
        buffer b(4096);
        for (int k = 0; k < i % 8; ++k) co_await f.read_at(b, 0);
        if (i % 3 == 0) co_await std::move(f).close();
        if (i == 20) outlives = std::move(f);
        if (i == 30) std::thread([moved = std::move(f)] {}).join();
      }
    });
  }
  EXPECT_EQ(lowest_free_descriptor(), before);
}

TEST(File, a_handle_may_outlive_its_runtime) {
  test_directory dir;
  const auto path = dir.make("a", "x");
  run([](const std::filesystem::path& p) -> task<> { co_await open(p); }(path));
  const int before = lowest_free_descriptor();
  {
    std::optional<file> f;
    {
      runtime rt;
      f = rt.run(open(path));
      EXPECT_EQ(rt.run(f->size()), 1U);
    }
    EXPECT_EQ(f->path(), path);
  }
  EXPECT_EQ(lowest_free_descriptor(), before);
}

// ---- The table of registered files ----

TEST(FileTable, a_file_is_registered_after_a_few_uses) {
  test_directory dir;
  const auto path = dir.make("a", test_pattern(4096));
  runtime rt;
  rt.run([&]() -> task<> {
    file f = co_await open(path, on_the_ring);
    buffer b(4096);
    for (int i = 0; i < 20; ++i) co_await f.read_at(b, 0);
    const auto learnt = rt.counters().unregistered_files;
    EXPECT_GT(learnt, 0U) << "it has to prove itself first";
    EXPECT_LT(learnt, 20U);
    for (int i = 0; i < 20; ++i) co_await f.read_at(b, 0);
    EXPECT_EQ(rt.counters().unregistered_files, learnt);
  });
}

TEST(FileTable, files_that_do_not_want_it_and_runtimes_without_it_work_too) {
  test_directory dir;
  const auto pattern = test_pattern(4096);
  const auto path = dir.make("a", pattern);
  for (const bool by_file : {true, false}) {
    runtime rt({.registered_files = by_file ? 16U : 0U});
    rt.run([&]() -> task<> {
      file f = co_await open(path, {.inline_first = inline_mode::never, .registered = !by_file});
      buffer b(4096);
      for (int i = 0; i < 20; ++i) co_await f.read_at(b, 0);
      EXPECT_EQ(b.text(), pattern);
    });
    EXPECT_EQ(rt.counters().unregistered_files, 20U);
  }
}

TEST(FileTable, a_freed_slot_serves_the_next_file_and_never_the_old_one) {
  test_directory dir;
  std::vector<std::string> patterns;
  for (std::uint64_t i = 0; i < 6; ++i) {
    patterns.push_back(test_pattern(4096, i));
    dir.make(std::to_string(i), patterns.back());
  }
  runtime rt({.registered_files = 1});
  rt.run([&]() -> task<> {
    for (std::size_t round = 0; round < 30; ++round) {
      const std::size_t which = round % patterns.size();
      file f = co_await open(dir / std::to_string(which), on_the_ring);
      buffer b(4096);
      for (int i = 0; i < 8; ++i) {
        fill(b.bytes(), std::string(4096, '?'));
        co_await f.read_at(b, 0);
        EXPECT_EQ(b.text(), patterns[which]);
      }
      if (round % 2 == 0) co_await std::move(f).close();
    }
  });
  // With one slot for all, most reads found their file registered: the slot came back each time.
  EXPECT_LT(rt.counters().unregistered_files, 30U * 8 * 3 / 4);
}

TEST(FileTable, many_files_beyond_the_table_are_read_right) {
  test_directory dir;
  constexpr std::size_t count = 24;
  runtime rt({.registered_files = 4});
  rt.run([&]() -> task<> {
    std::vector<file> files;
    std::vector<std::string> patterns;
    for (std::size_t i = 0; i < count; ++i) {
      patterns.push_back(test_pattern(1000, i));
      dir.make(std::to_string(i), patterns.back());
      files.push_back(co_await open(dir / std::to_string(i), on_the_ring));
    }
    for (std::size_t round = 0; round < 12; ++round) {
      task_group g;
      for (std::size_t i = 0; i < files.size(); ++i)
        g.spawn(
            [&](std::size_t k) -> task<> {
              auto [s, n] = co_await files[k].read_at(std::string(1000, ' '), 0);
              EXPECT_EQ(s, patterns[k]);
            },
            i);
      co_await g.join();
      // Some go, others come.
      const std::size_t gone = round * 5 % files.size();
      files[gone] = co_await open(dir / std::to_string(gone), on_the_ring);
    }
  });
  EXPECT_GT(rt.counters().unregistered_files, 0U);
}

}  // namespace
}  // namespace parkring::fs
