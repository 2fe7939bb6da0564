// What is done to files as a whole, and what is made of several requests, dropped at every point.
#include <gtest/gtest.h>

#include <string>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;

namespace {

constexpr pr::fs::open_options rw{.access = pr::fs::access::read_write,
                                  .inline_first = pr::fs::inline_mode::never};

class DroppedFiles : public ::testing::Test {
 protected:
  // Runs `use` on a fresh handle to a file of 8 KiB.
  template <class Use>
  std::size_t drop(Use use, const std::filesystem::path& path) {
    return drop_everywhere([use, &path] {
      return [](std::filesystem::path p, Use u) -> pr::task<> {
        auto f = co_await pr::fs::open(p, rw);
        co_await u(f);
      }(path, use);
    });
  }
  scratch dir;
  const std::filesystem::path data = dir.file("data", std::string(8192, 'd'));
};

// case 17: an open dropped at any point leaves no descriptor
TEST_F(DroppedFiles, an_open_leaves_no_descriptor) {
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](std::filesystem::path p) -> pr::task<> {
                { auto one = co_await pr::fs::open(p, rw); }
                auto two = co_await pr::as_result(pr::fs::open(p, rw));
                auto none = co_await pr::as_result(pr::fs::open(p / "none", rw));
                EXPECT_TRUE(two.has_value() && !none.has_value());
              }(data);
            }),
            20u);
}

TEST_F(DroppedFiles, a_failing_open_leaves_nothing) {
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      try {
        auto f = co_await pr::fs::open(p);
        ADD_FAILURE() << "a missing file was opened";
      } catch (const pr::io_error&) {
      }
    }(dir / "missing");
  });
}

TEST_F(DroppedFiles, a_close_closes_all_the_same) {
  EXPECT_GT(drop([](pr::fs::file& f) -> pr::task<> { co_await std::move(f).close(); }, data), 20u);
  drop([](pr::fs::file& f) -> pr::task<> { (void)co_await pr::as_result(std::move(f).close()); },
       data);
}

TEST_F(DroppedFiles, a_close_behind_a_read_in_flight_leaves_nothing) {
  drop(
      [](pr::fs::file& f) -> pr::task<> {
        pr::buffer b(4096);
        auto reader = pr::spawn(f.read_at(b, 0));
        co_await pr::yield();
        co_await std::move(f).close();
        EXPECT_EQ(co_await std::move(reader), 4096u);
      },
      data);
}

TEST_F(DroppedFiles, syncs_leave_nothing) {
  EXPECT_GT(drop(
                [](pr::fs::file& f) -> pr::task<> {
                  co_await f.sync();
                  co_await f.datasync();
                  (void)co_await pr::as_result(f.datasync());
                },
                data),
            40u);
}

TEST_F(DroppedFiles, a_size_leaves_nothing) {
  drop(
      [](pr::fs::file& f) -> pr::task<> {
        EXPECT_EQ(co_await f.size(), 8192u);
        (void)co_await pr::as_result(f.size());
      },
      data);
}

TEST_F(DroppedFiles, a_truncate_leaves_nothing) {
  drop([](pr::fs::file& f) -> pr::task<> { co_await f.truncate(8192); }, data);
  drop([](pr::fs::file& f) -> pr::task<> { (void)co_await pr::as_result(f.truncate(8192)); }, data);
}

TEST_F(DroppedFiles, composite_reads_and_writes_leave_nothing) {
  drop(
      [](pr::fs::file& f) -> pr::task<> {
        pr::buffer b(4096);
        co_await f.read_exactly_at(b, 0);
        co_await f.write_all_at(b, 0);
        (void)co_await pr::as_result(f.read_exactly_at(b, 8000));
      },
      data);
}

TEST_F(DroppedFiles, a_composite_that_was_only_described_leaves_nothing) {
  drop(
      [](pr::fs::file& f) -> pr::task<> {
        pr::buffer b(4096);
        auto never_awaited = f.read_exactly_at(b, 0);
        co_await pr::yield();
      },
      data);
}

TEST_F(DroppedFiles, a_composite_read_of_a_pipe_leaves_nothing) {
  const auto pipe = dir.fifo("pipe");
  drop(
      [](pr::fs::file& f) -> pr::task<> {
        auto writer = pr::spawn(
            [](pr::fs::file& file) -> pr::task<> {
              for (int i = 0; i < 4; ++i) {
                co_await pr::nop();
                (void)co_await file.write_at(std::string(8, 'x'), 0);
              }
            },
            std::ref(f));
        pr::buffer b(32);
        co_await f.read_exactly_at(b, 0);
        co_await std::move(writer);
      },
      pipe);
}

TEST_F(DroppedFiles, whole_files_leave_nothing) {
  const auto copy = dir / "copy";
  const std::string content(200'000, 'c');
  const auto big = dir.file("big", content);
  drop_options once = every_queue_size();
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path from, std::filesystem::path to) -> pr::task<> {
      std::string text = co_await pr::fs::read_file(from);
      EXPECT_EQ(text.size(), 200'000u);
      co_await pr::fs::write_file(to, std::move(text));
    }(big, copy);
  });
  EXPECT_EQ(content_of(copy).size(), content.size());
}

TEST_F(DroppedFiles, links_leave_nothing) {
  drop_options most = every_queue_size();
  std::erase_if(most.runtimes, [](const pr::runtime_options& o) { return o.entries < 2; });
  pr::runtime_options few;
  few.entries = 2;
  few.max_operations = 3;
  most.runtimes.push_back(few);
  const auto drops = drop_everywhere(
      [&]() -> pr::task<> {
        return [](std::filesystem::path p) -> pr::task<> {
          auto f = co_await pr::fs::open(p, rw);
          pr::buffer page(4096);
          co_await pr::link(f.write_at(page, 0), f.datasync());
          co_await pr::link(f.write_at(std::string(12, 's'), 0),
                            f.read_at(std::string(12, ' '), 0));
          (void)co_await pr::as_result(pr::link(f.read_at(page, 8000), f.datasync()));
          auto never_awaited = pr::link(f.write_at(page, 0), f.datasync());
          // Two at once: with few records one of them has to wait.
          co_await pr::when_all(pr::link(f.datasync(), f.datasync()),
                                pr::link(f.datasync(), f.datasync()));
        }(data);
      },
      most);
  EXPECT_GT(drops, 60u);
}

// Behind a sync the rest of a chain is held back until the sync has ended.
TEST_F(DroppedFiles, links_that_go_on_behind_a_sync_leave_nothing) {
  const auto pipe = dir.fifo("pipe");
  const auto drops = drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p, std::filesystem::path fifo) -> pr::task<> {
      auto f = co_await pr::fs::open(p, rw);
      auto unsyncable = co_await pr::fs::open(fifo, rw);
      pr::buffer page(4096);
      std::byte area[16]{};
      const std::span<std::byte> here(area);
      // In a queue that is too short nothing of it runs; dropping that must be right too.
      (void)co_await pr::as_result(pr::link(f.datasync(), f.write_at(page, 0)));
      (void)co_await pr::as_result(pr::link(f.datasync(), f.write_at(std::string(12, 's'), 0),
                                            f.sync(), f.sync(), f.read_at(page, 0), f.datasync(),
                                            f.write_at(std::string(12, 's'), 0)));
      (void)co_await pr::as_result(pr::link(f.sync(), f.write_at(pr::borrowed(here), 0)));
      (void)co_await pr::as_result(pr::link(f.sync(), unsyncable.write_at(std::string(1, 'x'), 0)));
      // Fails, and what is behind ends without the kernel.
      (void)co_await pr::as_result(
          pr::link(unsyncable.sync(), f.write_at(page, 0), f.write_at(std::string(12, 's'), 0)));
      (void)co_await pr::as_result(
          pr::link(f.read_at(page, 8000), f.sync(), f.write_at(pr::borrowed(here), 0)));
      co_await pr::when_all(pr::as_result(pr::link(f.datasync(), f.datasync())),
                            pr::as_result(pr::link(unsyncable.sync(), f.datasync())));
    }(data, pipe);
  });
  EXPECT_GT(drops, 100u);
}

}  // namespace
