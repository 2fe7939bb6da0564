// Walks, copies and removals of trees, dropped at every point.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;

namespace {

using path = std::filesystem::path;

pr::task<> make_tree(path root) {
  co_await pr::fs::create_directory(root);
  co_await pr::fs::create_directory(root / "d");
  co_await pr::fs::create_directory(root / "d" / "e");
  co_await pr::fs::write_file(root / "a", std::string(10, 'a'));
  co_await pr::fs::write_file(root / "d" / "b", std::string(20'000, 'b'));
  co_await pr::fs::link(root / "d" / "b", root / "d" / "e" / "b");
  co_await pr::fs::write_file(root / "d" / "e" / "c", "");
}

class DroppedTrees : public ::testing::Test {
 protected:
  void SetUp() override { pr::run(make_tree(tree)); }
  scratch dir;
  const path tree = dir / "tree";
};

TEST_F(DroppedTrees, a_walk_leaves_nothing) {
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](path p) -> pr::task<> {
                pr::fs::walk w(p, {.metadata = true, .concurrency = 2, .batch = 1});
                std::size_t n = 0;
                for (;;) {
                  auto e = co_await w.next();
                  if (!e) break;
                  ++n;
                }
                EXPECT_EQ(n, 6U);
                pr::fs::walk none(p / "none");
                (void)co_await pr::as_result(none.next());
              }(tree);
            }),
            5u);
}

// Visits that are under way go on; what they use is theirs.
TEST_F(DroppedTrees, a_walk_that_visits_leaves_nothing) {
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](path p) -> pr::task<> {
                auto sizes = std::make_shared<std::atomic<std::size_t>>(0);
                pr::fs::walk_options how{.concurrency = 2, .batch = 1};
                how.visit = [sizes](pr::fs::walk_visit& v) {
                  std::vector<std::byte> memory(4096);
                  for (std::size_t at = 0; v.wanted();) {
                    const std::size_t n = v.read_at(memory, at);
                    if (n == 0) break;
                    *sizes += n;
                    at += n;
                  }
                  return true;
                };
                pr::fs::walk w(p, how);
                std::size_t n = 0;
                for (;;) {
                  auto e = co_await w.next();
                  if (!e) break;
                  ++n;
                }
                EXPECT_EQ(n, 6U);
                EXPECT_EQ(*sizes, 40'010U);
              }(tree);
            }),
            5u);
}

TEST_F(DroppedTrees, a_list_of_a_directory_leaves_nothing) {
  drop_everywhere([&]() -> pr::task<> {
    return [](path p) -> pr::task<> {
      auto names = pr::fs::read_dir(p);
      auto one = co_await names.next();
      EXPECT_TRUE(one.has_value());
      const auto rest = co_await names.next_batch();
      EXPECT_EQ(rest.size(), 1U);
    }(tree);
  });
}

// A dropped one may still be at its last call when the next begins.
TEST_F(DroppedTrees, a_copy_of_a_file_leaves_nothing_or_all_of_it) {
  const path from = tree / "d" / "b", to = dir / "copy";
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](path a, path b) -> pr::task<> {
                pr::fs::copy_options o;
                o.existing = pr::fs::existing::replace;
                o.permissions = o.times = true;
                (void)co_await pr::as_result(pr::fs::copy(a, b, o));
                const auto size = co_await pr::as_result(pr::fs::file_size(b));
                if (size) {
                  EXPECT_EQ(*size, 20'000U);
                }
              }(from, to);
            }),
            4u);
}

TEST_F(DroppedTrees, a_copy_and_a_removal_of_a_tree_leave_no_descriptor) {
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](path a, path b) -> pr::task<> {
                pr::fs::copy_options o;
                o.existing = pr::fs::existing::replace;
                o.permissions = o.times = true;
                o.concurrency = 2;
                o.on_error = [](const pr::error&) { return true; };
                (void)co_await pr::as_result(pr::fs::copy_all(a, b, o));
                pr::fs::removal_options r;
                r.on_error = o.on_error;
                (void)co_await pr::as_result(pr::fs::remove_all(b, r));
              }(tree, dir / "copy");
            }),
            6u);
}

// Between two pieces of a large file its job has come home: what is begun must be removed all the
// same.
TEST_F(DroppedTrees, a_part_of_a_copy_is_removed) {
  const path from = dir / "large", out = dir / "out";
  pr::run([](path f, path o) -> pr::task<> {
    auto file = co_await pr::fs::open(
        f, {.access = pr::fs::access::write, .creation = pr::fs::creation::if_missing});
    co_await file.truncate(9U << 20);
    co_await pr::fs::create_directory(o);
  }(from, out));
  pr::run([](path f, path o) -> pr::task<> {
    auto one = [](path a, path b) -> pr::task<> {
      pr::fs::copy_options options;
      options.holes = false;
      options.progress = [](const pr::fs::copy_counts&) { throw 1; };  // as good as a drop
      try {
        (void)co_await pr::fs::copy(a, b, options);
        ADD_FAILURE() << "it went on";
      } catch (int) {
      }
    };
    co_await one(f, o / "copy");
    for (int i = 0; i < 2000; ++i) {
      auto names = pr::fs::read_dir(o);
      const auto all = co_await names.next_batch();
      if (all.empty()) co_return;
      co_await pr::sleep_for(std::chrono::milliseconds(1));
    }
    ADD_FAILURE() << "a part of a copy stayed";
  }(from, out));
}

}  // namespace
