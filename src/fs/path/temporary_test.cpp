#include <parkring/fs/temporary.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>

#include <parkring/fs/metadata.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

#include "fs/path/parting_job.hpp"
#include "fs/path/temporary_name.hpp"
#include "kernel/file_calls.hpp"
#include "support/on_machines.hpp"

namespace parkring::fs {
namespace {

using path_t = std::filesystem::path;
namespace stdfs = std::filesystem;

std::size_t count_in(const path_t& dir) {
  return static_cast<std::size_t>(
      std::distance(stdfs::directory_iterator(dir), stdfs::directory_iterator()));
}

TEST(TemporaryFile, has_no_name_until_it_is_given_one) {
  on_both_machines([](path_t dir) -> task<> {
    temporary_file t = co_await create_temporary_file(dir);
    EXPECT_TRUE(t.nameless());
    (void)co_await t->write_at(std::string("content"), 0);
    EXPECT_EQ((co_await t->metadata()).link_count, 0u);
    EXPECT_EQ((co_await t->metadata()).permissions, 0600u);
    co_await fs::write_file(dir / "taken", "x");
    const error taken = co_await error_of(t.link_to(dir / "taken"));
    EXPECT_EQ(taken.number(), EEXIST);
    EXPECT_NE(taken.advice().find("rename that over it"), std::string::npos);
    EXPECT_EQ((co_await error_of(t.link_to(dir / "none/a"))).number(), ENOENT);
    co_await t.link_to(dir / "a");
    co_await t.link_to(dir / "b");
    EXPECT_EQ(co_await fs::read_file(dir / "b"), "content");
    t = temporary_file();
    EXPECT_EQ(co_await fs::read_file(dir / "a"), "content");
  });
}

TEST(TemporaryFile, where_there_are_no_nameless_ones_the_error_is_that_of_making_one_with_a_name) {
  // sysfs has none, and takes no files at all.
  auto body = []() -> task<> {
    const error e = co_await error_of(create_temporary_file("/sys/kernel"));
    EXPECT_TRUE(e.number() == EACCES || e.number() == EPERM) << e.message();
  };
  run(body());
}

TEST(TemporaryName, is_removed_when_it_goes_unless_it_is_kept) {
  const test_directory dir;
  stdfs::create_directories(dir / "d/e/f");
  dir.make("d/e/g", "x");
  dir.make("d/h", "x");
  dir.make("outside", "x");
  stdfs::create_symlink(dir / "outside", dir / "d/e/l");
  stdfs::create_directory_symlink((dir / "x").parent_path(), dir / "d/up");
  auto& calls = kernel::system_file_calls();
  {
    // Without a runtime it is removed in place.
    const detail::temporary_name name(calls, true, false, (dir / "d/h").native());
  }
  EXPECT_FALSE(stdfs::exists(dir / "d/h"));
  auto body = [&]() -> task<> {
    const detail::temporary_name name(calls, true, true, (dir / "d").native());
    co_return;
  };
  run(body());  // waits for it at its end
  EXPECT_FALSE(stdfs::exists(dir / "d"));
  EXPECT_EQ(content_of(dir / "outside"), "x");
  {
    detail::temporary_name name(calls, true, false, (dir / "outside").native());
    name.kept = true;
  }
  EXPECT_TRUE(stdfs::exists(dir / "outside"));
}

TEST(TemporaryDirectory, goes_with_all_that_is_in_it) {
  on_both_machines([](path_t root) -> task<> {
    path_t kept, dropped;
    {
      temporary_directory d = co_await create_temporary_directory(root);
      temporary_directory other = co_await create_temporary_directory(root, "other-");
      EXPECT_NE(d.path(), other.path());
      EXPECT_TRUE(other.path().filename().native().starts_with("other-"));
      EXPECT_EQ((co_await fs::stat(d.path())).permissions, 0700u);
      co_await fs::create_directories(d / "a/b");
      co_await fs::write_file(d / "a/b/c", "x");
      co_await fs::symlink(root, d / "a/up");
      co_await std::move(d).remove();
      EXPECT_FALSE(co_await fs::exists(root / "a"));
      co_await fs::write_file(other / "f", "x");
      dropped = other.path();
      kept = std::move(co_await create_temporary_directory(root)).keep();
    }
    EXPECT_TRUE(co_await fs::exists(kept));
    for (int i = 0; i < 5'000; ++i) {  // in the background
      const bool there = co_await fs::exists(dropped);
      if (!there) break;
      co_await sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_FALSE(co_await fs::exists(dropped));
    EXPECT_EQ((co_await error_of(create_temporary_directory(root / "none"))).number(), ENOENT);
  });
}

TEST(TemporaryDirectory, is_gone_when_the_runtime_has_ended) {
  const test_directory dir;
  auto body = [](path_t d) -> task<> {
    temporary_directory t = co_await create_temporary_directory(d);
    co_await fs::write_file(t / "f", "x");
    temporary_file file = co_await create_temporary_file(d);
  };
  run(body((dir / "x").parent_path()));
  EXPECT_EQ(count_in((dir / "x").parent_path()), 0u);
}

TEST(TemporaryDirectory, a_removal_that_has_begun_is_waited_for_by_a_runtime_without_patience) {
  std::atomic<bool> begun{false}, removed{false};
  auto body = [](std::atomic<bool>& has_begun, std::atomic<bool>& done) -> task<> {
    in_parting([&has_begun, &done]() noexcept {
      has_begun = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      done = true;
    });
    while (!has_begun) co_await yield();
  };
  {
    runtime rt({.shutdown_patience = std::chrono::milliseconds(1)});
    rt.run(body(begun, removed));
  }
  EXPECT_TRUE(removed);
}

}  // namespace
}  // namespace parkring::fs
