// What is done to names, dropped at every point.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;

namespace {

class DroppedPaths : public ::testing::Test {
 protected:
  scratch dir;
  const std::filesystem::path root = dir.root();
};

TEST_F(DroppedPaths, a_sync_of_a_directory_leaves_no_descriptor) {
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](std::filesystem::path p) -> pr::task<> {
                co_await pr::fs::sync_directory(p);
                (void)co_await pr::as_result(pr::fs::sync_directory(p / "none"));
                // Opens, and fails to sync.
                (void)co_await pr::as_result(pr::fs::sync_directory("/proc/self/fd"));
              }(root);
            }),
            40u);
}

TEST_F(DroppedPaths, two_syncs_of_a_directory_at_once_leave_no_descriptor) {
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      co_await pr::when_all(pr::fs::sync_directory(p), pr::fs::sync_directory(p));
    }(root);
  });
}

// Dropped anywhere, the names before are any of those on the way; so each step forgives.
TEST_F(DroppedPaths, changes_of_names_leave_nothing) {
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](std::filesystem::path p) -> pr::task<> {
                (void)co_await pr::as_result(pr::fs::create_directory(p / "d"));
                co_await pr::fs::write_file(p / "d" / "a", "content");
                (void)co_await pr::as_result(pr::fs::link(p / "d" / "a", p / "b"));
                co_await pr::fs::rename(p / "d" / "a", p / "c");
                (void)co_await pr::as_result(pr::fs::remove(p / "b"));
                (void)co_await pr::as_result(pr::fs::remove_directory(p / "d"));
              }(root);
            }),
            100u);
}

TEST_F(DroppedPaths, links_of_changes_of_names_leave_nothing) {
  EXPECT_GT(
      drop_everywhere([&]() -> pr::task<> {
        return [](std::filesystem::path p) -> pr::task<> {
          co_await pr::fs::write_file(p / "a", "content");
          auto f = co_await pr::fs::open(p / "a", {.access = pr::fs::access::write});
          (void)co_await pr::as_result(pr::link(f.datasync(), pr::fs::rename(p / "a", p / "b")));
          (void)co_await pr::as_result(
              pr::link(pr::fs::create_directory(p / "d"), f.write_at(std::string("C"), 0), f.sync(),
                       pr::fs::rename(p / "b", p / "d" / "a"), pr::fs::link(p / "d" / "a", p / "a"),
                       pr::fs::remove(p / "d" / "a"), pr::fs::remove_directory(p / "d")));
          (void)co_await pr::as_result(
              pr::link(pr::fs::rename(p / "none", p / "a"), pr::fs::remove(p / "a")));
          (void)co_await pr::as_result(pr::fs::remove(p / "b"));
          (void)co_await pr::as_result(pr::fs::remove(p / "d" / "a"));
          (void)co_await pr::as_result(pr::fs::remove_directory(p / "d"));
        }(root);
      }),
      150u);
}

TEST_F(DroppedPaths, what_is_confined_to_a_directory_leaves_nothing) {
  pr::run(pr::fs::create_directories(root / "in" / "d"));
  pr::run(pr::fs::write_file(root / "in" / "d" / "f", "content"));
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](std::filesystem::path p) -> pr::task<> {
                auto opening = pr::fs::open_directory(p);
                const pr::fs::confined_directory in(co_await std::move(opening));
                (void)co_await in.stat("d/f");
                (void)co_await pr::as_result(in.stat("../d/f"));
                co_await in.set_permissions("d/f", 0600);
                (void)co_await pr::as_result(in.create_directory("d/new"));
                (void)co_await pr::as_result(in.rename("d/new", "d/old"));
                (void)co_await pr::as_result(in.create_fifo("d/old/p"));
                auto w = co_await in.walk("d");
                (void)co_await w.next_batch();
                (void)co_await pr::as_result(in.remove_all("d/old"));
              }(root / "in");
            }),
            60u);
}

TEST_F(DroppedPaths, questions_about_names_leave_nothing) {
  const auto file = dir.file("f", "1234");
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      EXPECT_EQ(co_await pr::fs::file_size(p), 4u);
      EXPECT_TRUE(co_await pr::fs::exists(p));
      EXPECT_FALSE(co_await pr::fs::exists(p / "below"));
    }(file);
  });
}

}  // namespace
