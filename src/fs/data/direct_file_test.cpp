#include <parkring/fs/direct_file.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/runtime.hpp>
#include <parkring/sim/faults.hpp>
#include <parkring/sim/world.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

constexpr open_options rw{.access = access::read_write};

class DirectFile : public ::testing::Test {
 protected:
  test_directory dir_;
  std::string pattern_ = test_pattern(600'123);
  std::filesystem::path path_ = dir_.make("data", pattern_);

  [[nodiscard]] std::string expected(std::uint64_t offset, std::size_t length) const {
    return offset >= pattern_.size() ? std::string() : pattern_.substr(offset, length);
  }
  static buffer filled(std::string_view with, alignment a = {4096}) {
    buffer b(with.size(), a);
    fill(b.bytes(), with);
    return b;
  }
};

TEST_F(DirectFile, any_range_is_read) {
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(path_);
    EXPECT_EQ(f.size(), pattern_.size());
    buffer whole(400'000, aligned(4096));
    buffer odd = whole.split_off(1);  // memory that does not fit
    std::mt19937 draw(1);
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t offset = draw() % 610'000;
      const std::size_t length = draw() % (i % 2 == 0 ? 9'000 : odd.size());
      const auto n = co_await f.read_at(odd, offset, length);
      EXPECT_EQ(odd.text(0, n), expected(offset, length)) << offset << ", " << length;
    }
    buffer even(400'000, aligned(4096));
    for (const std::uint64_t offset :
         {0u, 4096u, 5u, 4095u, 300'001u, 599'999u, 600'123u, 700'000u})
      for (const std::size_t length : {0u, 1u, 4096u, 262'144u, 300'000u}) {
        const auto n = co_await f.read_at(even, offset, length);
        EXPECT_EQ(even.text(0, n), expected(offset, length)) << offset << ", " << length;
      }
  };
  run(body());
}

TEST_F(DirectFile, what_is_aligned_goes_straight_and_the_rest_is_counted) {
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(path_, rw);
    if (!f.is_direct()) co_return;
    buffer b(1 << 18, aligned(4096));
    (void)co_await f.read_at(b, 8192);
    co_await f.write_at(b, 8192);
    EXPECT_EQ(f.counts().straight, 2U);
    EXPECT_EQ(f.counts().bounced, 0U);
    EXPECT_EQ(f.counts().copied, 0U);
    (void)co_await f.read_at(b, 8192 + 7, 100);
    EXPECT_EQ(f.counts().bounced, 1U);
    EXPECT_EQ(f.counts().copied, 100U);
    co_await f.write_at(b, 8192 + 7, 100);
    EXPECT_EQ(f.counts().edges, 1U);
    EXPECT_EQ(f.counts().bounced, 2U);
    // The middle goes straight, the edge does not.
    (void)co_await f.read_at(b, 0, (1 << 18) - 1);
    EXPECT_EQ(f.counts().straight, 3U);
    EXPECT_EQ(f.counts().bounced, 3U);
  };
  run(body());
}

TEST_F(DirectFile, any_range_is_written_and_nothing_beside_it) {
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(path_, rw);
    std::mt19937 draw(2);
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t offset = draw() % 620'000;
      const std::size_t length = draw() % (i % 3 == 0 ? 300'000 : 6'000);
      const auto text = test_pattern(length, static_cast<std::uint64_t>(i));
      const buffer from = filled(text);
      co_await f.write_at(from, offset);
      if (length == 0) continue;
      if (pattern_.size() < offset + length) pattern_.resize(offset + length, '\0');
      pattern_.replace(offset, length, text);
      EXPECT_EQ(f.size(), pattern_.size());
    }
  };
  run(body());
  EXPECT_TRUE(content_of(path_) == pattern_);
}

TEST_F(DirectFile, writes_that_share_blocks_lose_nothing) {
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(dir_ / "new",
                                  {.access = access::write, .creation = creation::must_be_new});
    const auto some = [](direct_file& to, std::uint64_t i, std::size_t length) -> task<> {
      buffer b(length);
      fill(b.bytes(), std::string(length, static_cast<char>('a' + i % 26)));
      co_await to.write_at(b, i * length);
    };
    task_group group;
    for (std::uint64_t i = 0; i < 200; ++i) group.spawn(some, std::ref(f), i * 37 % 200, 100);
    co_await group.join();
    EXPECT_EQ(f.size(), 20'000U);
  };
  run(body());
  std::string text;
  for (int i = 0; i < 200; ++i) text += std::string(100, static_cast<char>('a' + i % 26));
  EXPECT_EQ(content_of(dir_ / "new"), text);
}

TEST_F(DirectFile, an_aligned_write_and_one_beside_it_lose_nothing) {
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(path_, rw);
    const auto write = [](direct_file& to, std::uint64_t at, std::size_t n, char c) -> task<> {
      buffer b(n, aligned(4096));
      fill(b.bytes(), std::string(n, c));
      co_await to.write_at(b, at);
    };
    for (std::uint64_t at = 0; at < 100'000; at += 4096) {
      task_group group;
      group.spawn(write, std::ref(f), at + 100, 50, 'u');  // reads the block, and writes all of it
      group.spawn(write, std::ref(f), at, 4096, 'a');
      co_await group.join();
    }
  };
  run(body());
  const auto text = content_of(path_);
  for (std::size_t at = 0; at < 100'000; at += 4096) {
    EXPECT_EQ(text.substr(at, 100), std::string(100, 'a')) << at;
    EXPECT_EQ(text.substr(at + 150, 3946), std::string(3946, 'a')) << at;
  }
}

TEST_F(DirectFile, a_dropped_write_with_edges_goes_on) {
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(path_, rw);
    {
      const buffer b = filled(std::string(10, 'x'));
      auto writing = spawn(f.write_at(b, 5));
      co_await yield();
    }
    const buffer b = filled(std::string(10, 'y'));
    co_await f.write_at(b, 30);  // in the same block, so behind it
  };
  run(body());
  const auto text = content_of(path_);
  EXPECT_EQ(text.substr(5, 10), std::string(10, 'x'));
  EXPECT_EQ(text.substr(30, 10), std::string(10, 'y'));
  EXPECT_EQ(text.substr(40), pattern_.substr(40));
}

TEST_F(DirectFile, a_truncate_and_a_write_beside_it_take_turns) {
  const auto prefix = pattern_.substr(0, 50);
  for (int patience = 0; patience < 8; ++patience) {
    const auto path = dir_.make("small", pattern_.substr(0, 9000));
    auto body = [&]() -> task<> {
      auto f = co_await open_direct(path, rw);
      const buffer b = filled(std::string(100, 'x'));
      auto writing = spawn(f.write_at(b, 100));
      for (int i = 0; i < patience; ++i) co_await yield();
      co_await f.truncate(50);
      co_await writing;
      EXPECT_EQ(f.size(), content_of(path).size());
    };
    run(body());
    const auto text = content_of(path);
    if (text.size() == 50)
      EXPECT_EQ(text, prefix);
    else
      EXPECT_TRUE(text == prefix + std::string(50, '\0') + std::string(100, 'x'))
          << "what was cut came back";
  }
}

TEST_F(DirectFile, what_was_dropped_while_it_changed_the_size_is_known) {
  const auto path = dir_.make("small", pattern_.substr(0, 9000));
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(path, rw);
    const buffer few = filled(std::string(20, 'x'));
    auto cutting = spawn(f.truncate(10));
    for (int i = 0; i < 3; ++i) co_await yield();
    cutting.abort();
    co_await f.write_at(few, 0);
    EXPECT_EQ(f.size(), 20U);
    EXPECT_EQ(content_of(path), std::string(20, 'x'));

    const buffer page = filled(std::string(8192, 'p'));
    auto writing = spawn(f.write_at(page, 0));
    for (int i = 0; i < 2; ++i) co_await yield();
    writing.abort();
    co_await f.write_at(few, 100);
    EXPECT_EQ(f.size(), 8192U);
  };
  run(body());
  auto text = std::string(8192, 'p');
  EXPECT_TRUE(content_of(path) == text.replace(100, 20, 20, 'x'));
}

TEST_F(DirectFile, what_was_written_by_its_handle_is_not_cut_off) {
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(dir_ / "new",
                                  {.access = access::write, .creation = creation::must_be_new});
    const buffer page = filled(std::string(8192, 'p'));
    co_await f.handle().write_all_at(page, 0);
    const buffer few = filled(std::string(20, 'x'));
    co_await f.write_at(few, 100);
  };
  run(body());
  auto text = std::string(8192, 'p');
  EXPECT_TRUE(content_of(dir_ / "new") == text.replace(100, 20, 20, 'x'));
}

TEST_F(DirectFile, closing_waits_for_a_dropped_write_and_who_comes_later_hears_of_it) {
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(path_, rw);
    const buffer bytes = filled("abc", {});
    {
      auto dropped = spawn(f.write_at(bytes, 100));
      co_await yield();
    }
    auto late = f.write_at(bytes, 200);
    co_await std::move(f).close();
    const auto refused = co_await as_result(std::move(late));
    EXPECT_TRUE(!refused && refused.error().number() == EBADF);
    EXPECT_FALSE(f);
    const std::string content = co_await read_file(path_);
    EXPECT_EQ(content.substr(100, 3), "abc");
  };
  run(body());
}

TEST_F(DirectFile, bad_requests_say_why) {
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(path_);
    buffer b(100);
    auto beyond = co_await as_result(f.read_at(b, INT64_MAX - 10));
    EXPECT_EQ(beyond.error().number(), EINVAL);
    auto written = co_await as_result(f.write_at(b, 0));
    EXPECT_EQ(written.error().number(), EBADF);
    EXPECT_FALSE(b.locked());
    EXPECT_THROW((void)f.read_at(b, 0, 101), std::out_of_range);
    auto described = f.read_at(b, 0);
    EXPECT_THROW((void)f.read_at(b, 0), buffer_locked);
    auto none = co_await as_result(open_direct(dir_ / "none"));
    EXPECT_EQ(none.error().number(), ENOENT);
    auto appending = co_await as_result(open_direct(path_, {.append = true}));
    EXPECT_EQ(appending.error().number(), EINVAL);
  };
  run(body());
}

TEST_F(DirectFile, without_direct_io_the_page_cache_is_used) {
  const std::filesystem::path memory = "/dev/shm";
  std::error_code problem;
  if (!std::filesystem::is_directory(memory, problem)) GTEST_SKIP() << "no tmpfs";
  test_directory dir(memory);
  auto body = [&]() -> task<> {
    auto f = co_await open_direct(
        dir / "new", {.access = access::read_write, .creation = creation::must_be_new});
    const buffer b = filled(std::string(5000, 'm'));
    co_await f.write_at(b, 3);
    buffer into(6000);
    const auto n = co_await f.read_at(into, 0);
    EXPECT_EQ(n, 5003U);
    co_await f.truncate(10);
    EXPECT_EQ(f.size(), 10U);
  };
  run(body());
  EXPECT_EQ(content_of(dir / "new"), std::string(3, '\0') + std::string(7, 'm'));
}

TEST(DirectFileOnASimulatedDisk, short_transfers_and_interruptions_lose_nothing) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    sim::world w(seed);
    auto pattern = test_pattern(20'000);
    w.write_file("/data", pattern);
    sim::faults bad;
    bad.short_read = bad.short_write = 0.3;
    bad.interrupted = 0.1;
    w.set_faults(bad);
    w.run([&]() -> task<> {
      auto f = co_await open_direct("/data", rw);
      const auto write = [](direct_file& to, std::uint64_t at, std::string text) -> task<> {
        buffer b(text.size());
        fill(b.bytes(), text);
        co_await to.write_at(b, at);
      };
      task_group group;
      for (std::uint64_t i = 0; i < 30; ++i) {
        const std::string text(i % 5 == 0 ? 2048 : 333, static_cast<char>('a' + i % 26));
        const std::uint64_t at = i % 5 == 0 ? 512 * i : 9'000 + i * 400;
        if (pattern.size() < at + text.size()) pattern.resize(at + text.size(), '\0');
        if (i % 5 != 0 || at + text.size() <= 9'000) {
          pattern.replace(at, text.size(), text);
          group.spawn(write, std::ref(f), at, text);
        }
      }
      co_await group.join();
      buffer whole(30'000);
      const auto n = co_await f.read_at(whole, 0);
      EXPECT_EQ(n, pattern.size());
      EXPECT_TRUE(whole.text(0, n) == pattern);
    });
    EXPECT_TRUE(w.read_file("/data") == pattern);
  }
}

}  // namespace
}  // namespace parkring::fs
