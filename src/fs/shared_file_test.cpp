// One file, used by tasks of several workers at once.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <parkring/fs.hpp>
#include <parkring/link.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn_anywhere.hpp>
#include <parkring/sync/channel.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/when_all.hpp>

#include "fs/test_files.hpp"
#include "support/scale.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;
using testing::scaled;

constexpr std::size_t block = 4'096, blocks = 64;

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

class SharedFile : public ::testing::TestWithParam<fs::inline_mode> {
 protected:
  runtime rt{{.entries = 16, .workers = 3}};
  fs::test_directory dir;
  std::filesystem::path path = dir.make("file", [] {
    std::string all;
    for (std::size_t i = 0; i < blocks; ++i)
      all += std::string(block, static_cast<char>('A' + i % 26));
    return all;
  }());
  [[nodiscard]] static fs::open_options options(fs::access how = fs::access::read) {
    return {.access = how, .inline_first = GetParam()};
  }
};

INSTANTIATE_TEST_SUITE_P(, SharedFile,
                         ::testing::Values(fs::inline_mode::automatic, fs::inline_mode::always,
                                           fs::inline_mode::never),
                         [](const auto& of) -> std::string {
                           switch (of.param) {
                             case fs::inline_mode::always:
                               return "inline";
                             case fs::inline_mode::never:
                               return "ring";
                             default:
                               return "automatic";
                           }
                         });

task<int> reads_well(std::shared_ptr<fs::file> f, int seed, int times) {
  int wrong = 0;
  for (int k = 0; k < times; ++k) {
    buffer b(block);
    const std::size_t i = static_cast<std::size_t>(seed * 31 + k * 7) % blocks;
    const std::size_t n = co_await f->read_at(b, i * block);
    if (n != block || static_cast<char>(b.bytes()[block / 2]) != static_cast<char>('A' + i % 26))
      ++wrong;
    if (k % 16 == 0) co_await yield_anywhere();
  }
  co_return wrong;
}

TEST_P(SharedFile, is_read_by_tasks_of_all_workers) {
  const int times = scaled(400);
  const auto body = [&]() -> task<int> {
    auto f = std::make_shared<fs::file>(co_await fs::open(path, options()));
    std::vector<remote_handle<int>> readers;
    for (int i = 0; i < 6; ++i) readers.push_back(spawn_anywhere(reads_well, f, i, times));
    int wrong = co_await reads_well(f, 99, times);
    for (auto& r : readers) wrong += co_await r;
    co_return wrong;
  };
  EXPECT_EQ(rt.run(body), 0);
}

TEST_P(SharedFile, requests_are_dropped_and_the_file_closes) {
  const auto before = open_descriptors();
  for (int i = 0; i < scaled(100); ++i) {
    const auto body = [&]() -> task<> {
      auto f = std::make_shared<fs::file>(co_await fs::open(path, options()));
      std::vector<remote_handle<int>> readers;
      for (int k = 0; k < 4; ++k) readers.push_back(spawn_anywhere(reads_well, f, k, 10'000));
      f.reset();
      if (i % 2 == 0) co_await sleep_for(100us);
      for (auto& r : readers) r.abort();
      for (auto& r : readers) co_await r.ended();
    };
    rt.run(body);
  }
  // The last reference may go on another worker, which posts the file home.
  for (int i = 0; i < 1'000 && open_descriptors() > before; ++i) rt.run(sleep_for(1ms));
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(SharedFile, is_closed_on_another_worker) {
  const auto before = open_descriptors();
  const auto body = [&]() -> task<> {
    for (int i = 0; i < 50; ++i) {
      fs::file f = co_await fs::open(path, options());
      buffer b(block);
      for (int k = 0; k < 6; ++k) (void)co_await f.read_at(b, 0);  // it is registered then
      co_await spawn_anywhere(
          [](fs::file mine) -> task<> {
            buffer c(block);
            (void)co_await mine.read_at(c, 0);
            co_await std::move(mine).close();
          },
          std::move(f));
    }
  };
  rt.run(body);
  EXPECT_LE(open_descriptors(), before + 1);
}

TEST_P(SharedFile, a_dropped_close_closes_all_the_same) {
  const auto before = open_descriptors();
  const auto body = [&]() -> task<> {
    for (int i = 0; i < 50; ++i) {
      auto h = spawn_anywhere([](fs::file mine) -> task<> { co_await std::move(mine).close(); },
                              co_await fs::open(path, options()));
      if (i % 2 == 0) co_await sleep_for(20us);
      h.abort();
      co_await h.ended();
    }
  };
  rt.run(body);
  for (int i = 0; i < 1'000 && open_descriptors() > before; ++i) rt.run(sleep_for(1ms));
  EXPECT_LE(open_descriptors(), before);
}

TEST_P(SharedFile, is_written_synced_and_measured_elsewhere) {
  const auto body = [&]() -> task<std::uint64_t> {
    auto f = std::make_shared<fs::file>(co_await fs::open(path, options(fs::access::read_write)));
    std::vector<remote_handle<void>> writers;
    for (int i = 0; i < 4; ++i)
      writers.push_back(spawn_anywhere(
          [](std::shared_ptr<fs::file> to, int n) -> task<> {
            std::vector<std::byte> bytes(block, static_cast<std::byte>('a' + n));
            const auto at = static_cast<std::uint64_t>(n) * block;
            auto write = to->write_at(std::move(bytes), at);
            (void)co_await std::move(write);
            buffer b(block);
            b.bytes()[0] = static_cast<std::byte>('0' + n);
            co_await link(to->write_at(b, at + 1, 1), to->datasync());
            co_await to->sync();
            co_await to->write_all_at(b, at + 2, 1);
            co_await to->truncate(blocks * block);
          },
          f, i));
    for (auto& w : writers) co_await w;
    co_return co_await f->size();
  };
  EXPECT_EQ(rt.run(body), blocks * block);
  const std::string all = rt.run(fs::read_file(path));
  for (int i = 0; i < 4; ++i) {
    const std::string begin = {static_cast<char>('a' + i), static_cast<char>('0' + i),
                               static_cast<char>('0' + i), static_cast<char>('a' + i)};
    EXPECT_EQ(all.substr(static_cast<std::size_t>(i) * block, 4), begin);
  }
}

TEST_P(SharedFile, a_request_described_before_a_move_is_made_after_it) {
  const auto body = [&]() -> task<int> {
    auto f = std::make_shared<fs::file>(co_await fs::open(path, options()));
    std::vector<remote_handle<int>> all;
    for (int i = 0; i < 6; ++i)
      all.push_back(spawn_anywhere(
          [](std::shared_ptr<fs::file> of) -> task<int> {
            int moved = 0;
            for (int k = 0; k < 300; ++k) {
              buffer b(block);
              const unsigned first = this_task::worker();
              auto read = of->read_at(b, 0);
              co_await yield_anywhere();
              moved += this_task::worker() != first;
              (void)co_await std::move(read);
              EXPECT_EQ(b.bytes()[0], std::byte{'A'});
            }
            co_return moved;
          },
          f));
    int moved = 0;
    for (auto& h : all) moved += co_await h;
    co_return moved;
  };
  (void)rt.run(body);
}

TEST_P(SharedFile, outlives_its_runtime) {
  const auto before = open_descriptors();
  {
    std::shared_ptr<fs::file> f;
    {
      runtime other({.workers = 2});
      f = std::make_shared<fs::file>(
          other.spawn_anywhere([this] { return fs::open(path, options()); }).blocking_join());
    }
  }
  EXPECT_EQ(open_descriptors(), before);
}

void read_a_pipe_on_another_worker() {
  int ends[2];
  if (::pipe(ends) != 0) return;
  runtime rt({.workers = 2});
  auto h = rt.spawn_anywhere([fd = ends[0]]() -> task<std::shared_ptr<fs::file>> {
    co_return std::make_shared<fs::file>(fs::adopt_descriptor(fd, "pipe"));
  });
  const auto f = h.blocking_join();
  rt.run([f]() -> task<> {
    buffer b(1);
    (void)co_await f->read_at(b, 0);
  });
}

TEST(SharedPipe, belongs_to_the_worker_that_opened_it) {
  EXPECT_DEATH(read_a_pipe_on_another_worker(), "on the worker that opened it");
}

}  // namespace
}  // namespace parkring
