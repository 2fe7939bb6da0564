#include <parkring/fs/mapping.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <semaphore>
#include <string>

#include <parkring/blocking.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>

#include "support/on_machines.hpp"

namespace parkring::fs {
namespace {

using path_t = std::filesystem::path;

TEST(Mapping, has_the_bytes_of_any_part_and_no_more_than_there_are) {
  on_both_machines([](path_t dir) -> task<> {
    const std::string content = test_pattern(3'000'000);
    co_await fs::write_file(dir / "a", content);
    file f = co_await open(dir / "a");
    const map_options all{.populate = true}, behind{.offset = 5'000'000},
        part{.offset = 4'097, .length = 10'000, .pattern = access_pattern::sequential},
        beyond{.offset = 2'999'990, .length = 1'000};
    const mapping whole = co_await fs::map(f, all);
    const mapping some = co_await fs::map(f, part);
    const mapping last = co_await fs::map(f, beyond);
    const mapping none = co_await fs::map(f, behind);
    co_await std::move(f).close();
    EXPECT_TRUE(whole.text() == content);
    EXPECT_EQ(some.text(), std::string_view(content).substr(4'097, 10'000));
    EXPECT_EQ(some.offset(), 4'097u);
    EXPECT_EQ(last.text(), std::string_view(content).substr(2'999'990));
    EXPECT_EQ(none.size(), 0u);
    co_await whole.load(1'000, 100'000);
    co_await none.load(0, 0);
    EXPECT_EQ((co_await error_of(some.load(1, 10'000))).number(), EINVAL);
  });
}

TEST(Mapping, stays_when_the_name_goes_and_moves_with_its_owner) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "content");
    file f = co_await open(dir / "a");
    mapping m = co_await fs::map(f);
    co_await fs::remove(dir / "a");
    mapping moved = std::move(m);
    EXPECT_EQ(moved.text(), "content");
    EXPECT_EQ(m.size(), 0u);  // NOLINT: moved from is empty
    m = std::move(moved);
    EXPECT_EQ(m.text(), "content");
    auto load = m.load(0, 7);
    m = mapping();
    co_await std::move(load);  // has a share of its own
  });
}

bool is_mapped(const path_t& p) {
  return content_of("/proc/self/maps").find(p.native()) != std::string::npos;
}

// The only thread of the pool is kept busy: so what is unmapped meanwhile is unmapped here.
class busy_pool {
 public:
  void let_go() { ready_.release(); }
  task<> keep_busy() {
    auto wait = [this] { ready_.acquire(); };
    co_await blocking(std::move(wait));
  }

 private:
  std::counting_semaphore<> ready_{0};
};

TEST(Mapping, whoever_has_a_large_one_last_does_not_unmap_it_on_the_runtime) {
  const test_directory dir;
  const auto path = dir.make("large", test_pattern(3'000'000));
  runtime_options one_thread;
  one_thread.blocking_threads = 1;
  runtime rt(one_thread);
  rt.run(
      [](path_t p) -> task<> {
        const auto nothing = [] {};
        busy_pool pool;
        file f = co_await open(p);
        {
          mapping m = co_await fs::map(f);
          auto busy = spawn(pool.keep_busy());
          co_await yield();
          m = mapping();
          EXPECT_TRUE(is_mapped(p)) << "the handle";
          pool.let_go();
          co_await std::move(busy);
          co_await blocking(nothing);  // after it
          EXPECT_FALSE(is_mapped(p));
        }
        {
          mapping m = co_await fs::map(f);
          std::optional<task<>> load(m.load(0, m.size()));
          m = mapping();
          EXPECT_TRUE(is_mapped(p));
          auto busy = spawn(pool.keep_busy());
          co_await yield();
          load.reset();
          EXPECT_TRUE(is_mapped(p)) << "the frame of a load";
          pool.let_go();
          co_await std::move(busy);
          co_await blocking(nothing);
          EXPECT_FALSE(is_mapped(p));
        }
        // Dropped while it is loaded, at any moment: whoever is the last, it is gone in the end.
        for (int i = 0; i < 20; ++i) {
          mapping m = co_await fs::map(f);
          auto loading = spawn(m.load(0, m.size()));
          m = mapping();
          for (int k = 0; k < i % 4; ++k) co_await yield();
          loading.abort();
        }
        do {
          co_await blocking(nothing);
        } while (is_mapped(p));
      },
      path);
}

TEST(Mapping, of_a_file_that_shrinks_is_not_loaded_and_says_why) {
  const test_directory dir;
  const auto path = dir.make("a", test_pattern(100'000));
  auto body = [](path_t p) -> task<> {
    file f = co_await open(p);
    const mapping m = co_await fs::map(f);
    std::filesystem::resize_file(p, 10'000);
    co_await m.load(0, 10'000);
    EXPECT_EQ(m.text().substr(0, 10'000), test_pattern(100'000).substr(0, 10'000));
    const error e = co_await error_of(m.load(0, 100'000));
    EXPECT_TRUE(e.number() == EFAULT || e.number() == EIO) << e.message();
    EXPECT_NE(e.message().find("become shorter"), std::string::npos) << e.message();
  };
  run(body(path));
}

TEST(Mapping, of_what_cannot_be_mapped_is_an_error) {
  const test_directory dir;
  dir.make("a", "x");
  auto body = [](path_t a) -> task<> {
    file null = co_await open("/dev/null");
    EXPECT_EQ((co_await error_of(fs::map(null))).number(), ENODEV);
    const open_options writing{.access = access::write};
    file f = co_await open(a, writing);
    const error e = co_await error_of(fs::map(f));
    EXPECT_EQ(e.number(), EACCES);
    EXPECT_NE(e.advice().find("open for reading"), std::string::npos);
  };
  run(body(dir / "a"));
}

}  // namespace
}  // namespace parkring::fs
