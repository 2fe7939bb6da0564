#include <parkring/fs/walk_visit.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/runtime.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

namespace stdfs = std::filesystem;

constexpr std::array every_order = {walk_order::any, walk_order::by_name, walk_order::depth_first};

std::vector<walk_entry> entries_of(const stdfs::path& root, walk_options options) {
  return run([&]() -> task<std::vector<walk_entry>> {
    std::vector<walk_entry> all;
    walk w(root, options);
    for (;;) {
      auto batch = co_await w.next_batch();
      if (batch.empty()) break;
      std::ranges::move(batch, std::back_inserter(all));
    }
    co_return all;
  }());
}

std::vector<std::string> paths_of(const std::vector<walk_entry>& entries) {
  std::vector<std::string> all;
  for (const auto& e : entries) all.push_back(e.relative_path().native());
  std::ranges::sort(all);
  return all;
}

std::string content(walk_visit& v) {
  std::string text;
  std::array<char, 3> part;
  while (const std::size_t n = v.read_at(std::as_writable_bytes(std::span(part)), text.size()))
    text.append(part.data(), n);
  return text;
}

class WalkVisit : public ::testing::Test {
 protected:
  void SetUp() override {
    stdfs::create_directories(dir / "b/c");
    dir.make("a", "of a");
    dir.make("b/x", "of b/x");
    dir.make("b/c/deep", "of b/c/deep");
    stdfs::create_symlink("a", dir / "link");
  }
  test_directory dir;
  const stdfs::path root = dir / "";
};

TEST_F(WalkVisit, reads_the_file_of_each_entry_and_leaves_out_what_it_is_told_to) {
  for (const walk_order order : every_order) {
    std::mutex mutex;
    std::map<std::string, std::string> read;
    walk_options how{.order = order};
    how.visit = [&](walk_visit& v) {
      EXPECT_NE(v.entry().type, file_type::directory);
      if (v.entry().type != file_type::regular) return true;
      std::string text = content(v);
      const std::lock_guard lock(mutex);
      read[v.entry().relative_path().native()] = std::move(text);
      return v.entry().name == "x";
    };
    EXPECT_EQ(paths_of(entries_of(root, how)),
              (std::vector<std::string>{"b", "b/c", "b/x", "link"}));
    EXPECT_EQ(read, (std::map<std::string, std::string>{
                        {"a", "of a"}, {"b/x", "of b/x"}, {"b/c/deep", "of b/c/deep"}}));
  }
}

TEST_F(WalkVisit, comes_with_what_it_has_changed_and_behind_its_directory) {
  walk_options how{.batch = 1};
  how.visit = [](walk_visit& v) {
    v.entry().inode = v.entry().name.size();
    return true;
  };
  const auto all = entries_of(root, how);
  const auto place = [&](const char* path) {
    return std::ranges::find(all, path, [](const auto& e) { return e.relative_path().native(); });
  };
  ASSERT_EQ(all.size(), 6U);
  EXPECT_EQ(place("b/c/deep")->inode, 4U);
  EXPECT_LT(place("b"), place("b/x"));
  EXPECT_LT(place("b/c"), place("b/c/deep"));
}

TEST_F(WalkVisit, an_io_error_becomes_the_entrys_failure) {
  for (const walk_order order : every_order) {
    walk_options how{.order = order};
    // A link is not followed, so it cannot be read.
    how.visit = [](walk_visit& v) {
      return v.entry().type == file_type::symlink && content(v) == "";
    };
    const auto all = entries_of(root, how);
    EXPECT_EQ(paths_of(all), (std::vector<std::string>{"b", "b/c", "link"}));
    const auto failed = std::ranges::find(all, "link", &walk_entry::name);
    ASSERT_TRUE(failed != all.end() && failed->failure);
    EXPECT_NE(failed->failure->message().find("open(" + (dir / "link").native() + "): ELOOP"),
              std::string::npos)
        << failed->failure->message();
  }
}

TEST_F(WalkVisit, follows_links_where_the_walk_does) {
  std::string read;
  walk_options how{.follow = follow_links::always};
  how.visit = [&](walk_visit& v) {
    if (v.entry().name == "link") read = content(v);
    return false;
  };
  EXPECT_EQ(paths_of(entries_of(root, how)), (std::vector<std::string>{"b", "b/c"}));
  EXPECT_EQ(read, "of a");
}

TEST_F(WalkVisit, a_file_that_is_gone_does_not_come) {
  walk_options how;
  how.visit = [this](walk_visit& v) {
    if (v.entry().name == "a") stdfs::remove(dir / "a");
    if (v.entry().type == file_type::regular) (void)content(v);
    return true;
  };
  EXPECT_EQ(paths_of(entries_of(root, how)),
            (std::vector<std::string>{"b", "b/c", "b/c/deep", "b/x", "link"}));
}

TEST_F(WalkVisit, anything_else_that_it_throws_ends_the_walk) {
  for (int i = 0; i < 100; ++i) {
    const std::string name = "d" + std::to_string(i);
    stdfs::create_directory(dir / name);
    dir.make(name + "/f", "");
  }
  auto visits = std::make_shared<std::atomic<unsigned>>(0);
  walk_options how{.concurrency = 1, .batch = 8};
  how.visit = [visits](walk_visit&) -> bool {
    if (++*visits == 3) throw std::runtime_error("enough");
    return true;
  };
  run([](stdfs::path of, walk_options options) -> task<> {
    walk w(of, options);
    bool thrown = false;
    for (bool over = false; !over;) {
      try {
        over = (co_await w.next_batch()).empty();
      } catch (const std::runtime_error&) {
        EXPECT_FALSE(thrown);
        thrown = true;
      }
    }
    EXPECT_TRUE(thrown);
  }(root, how));
  EXPECT_EQ(*visits, 3U);  // what that job had taken is lost, so nothing goes on behind it
}

// More than a group, and than a buffer of names.
TEST(WalkVisitOfMany, comes_to_every_file_once) {
  test_directory dir;
  constexpr int directories = 140, files = 150;
  std::vector<std::string> names;
  for (int i = 0; i < directories; ++i) {
    const std::string name = "d" + std::to_string(i);
    stdfs::create_directory(dir / name);
    names.push_back(name + "/f");
    dir.make(names.back(), name);
  }
  for (int i = 0; i < files; ++i) {
    names.push_back(std::string(240, 'f') + std::to_string(i));
    dir.make(names.back(), "");
  }
  std::ranges::sort(names);
  for (const walk_order order : every_order) {
    std::atomic<std::size_t> bytes{0};
    walk_options how{.order = order, .batch = 32};
    how.visit = [&](walk_visit& v) {
      bytes += content(v).size();
      return true;
    };
    auto all = entries_of(dir / "", how);
    std::erase_if(all, [](const auto& e) { return e.type == file_type::directory; });
    EXPECT_EQ(paths_of(all), names);
    EXPECT_EQ(bytes, 10U * 2 + 90U * 3 + 40U * 4);
  }
}

}  // namespace
}  // namespace parkring::fs
