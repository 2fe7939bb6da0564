#include <parkring/fs/walk.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/detail/stream.hpp>
#include <parkring/fs/read_dir.hpp>
#include <parkring/runtime.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

namespace stdfs = std::filesystem;

static_assert(detail::stream_like<walk> && detail::stream_like<directory_entries>);

struct walked {
  std::vector<std::string> paths;  // in the order in which they came
  std::map<std::string, walk_entry> entries;
  std::vector<std::string> failures;  // messages
};

walked walk_through(const stdfs::path& root, walk_options options = {},
                    std::function<void(walk&, const walk_entry&)> on = {}) {
  return run([&]() -> task<walked> {
    walked all;
    walk w(root, options);
    for (;;) {
      auto e = co_await w.next();
      if (!e) break;
      if (on) on(w, *e);
      const std::string path = e->relative_path().native();
      if (e->failure) {
        all.failures.push_back(e->failure->message());
        continue;
      }
      all.paths.push_back(path);
      all.entries.emplace(path, std::move(*e));
    }
    co_return all;
  }());
}

std::vector<std::string> sorted(std::vector<std::string> v) {
  std::ranges::sort(v);
  return v;
}

class Walk : public ::testing::Test {
 protected:
  void SetUp() override {
    stdfs::create_directories(dir / "b/c");
    dir.make("a", "12345");
    dir.make("b/x", "1");
    dir.make("b/c/deep", "");
    dir.make("b/z", "");
    stdfs::create_symlink("b/c", dir / "link");
    ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  }
  test_directory dir;
  const stdfs::path root = dir / "";
  const std::vector<std::string> in_order = {"a",   "b",   "b/c",  "b/c/deep",
                                             "b/x", "b/z", "link", "pipe"};
};

TEST_F(Walk, finds_every_name_in_every_order) {
  for (const walk_order order : {walk_order::any, walk_order::by_name, walk_order::depth_first}) {
    const walked all = walk_through(root, {.order = order});
    EXPECT_EQ(sorted(all.paths), in_order);
    EXPECT_TRUE(all.failures.empty());
    const auto place = [&](const char* p) { return std::ranges::find(all.paths, p); };
    EXPECT_LT(place("b"), place("b/c")) << "a directory came after what is in it";
    if (order == walk_order::depth_first) {
      EXPECT_EQ(all.paths, in_order);
    }
    if (order == walk_order::by_name) {
      EXPECT_LT(place("b/c"), place("b/x"));
    }
    EXPECT_EQ(all.entries.at("b/c/deep").depth, 3U);
    EXPECT_EQ(all.entries.at("b/c/deep").path(), root / "b/c/deep");
    EXPECT_EQ(all.entries.at("a").type, file_type::regular);
    EXPECT_EQ(all.entries.at("b").type, file_type::directory);
    EXPECT_EQ(all.entries.at("link").type, file_type::symlink);
    EXPECT_EQ(all.entries.at("pipe").type, file_type::fifo);
    EXPECT_FALSE(all.entries.at("a").metadata.has_value());
  }
}

TEST_F(Walk, asks_about_each_entry_where_that_is_wanted) {
  const walked all = walk_through(root, {.metadata = true});
  EXPECT_EQ(all.entries.at("a").metadata->size, 5U);
  EXPECT_TRUE(all.entries.at("link").metadata->is_symlink());
  struct stat s {};
  ASSERT_EQ(::stat((dir / "a").c_str(), &s), 0);
  EXPECT_EQ(all.entries.at("a").inode, s.st_ino);
}

TEST_F(Walk, goes_as_deep_as_it_is_told_and_not_where_it_is_told) {
  EXPECT_EQ(sorted(walk_through(root, {.max_depth = 1}).paths),
            (std::vector<std::string>{"a", "b", "link", "pipe"}));
  EXPECT_TRUE(walk_through(root, {.max_depth = 0}).paths.empty());
  const auto not_c = [](const walk_entry& e) { return e.name != "c"; };
  EXPECT_EQ(walk_through(root, {.descend = not_c}).entries.count("b/c/deep"), 0U);
  for (const walk_order order : {walk_order::any, walk_order::by_name, walk_order::depth_first}) {
    // Whatever was listed in advance.
    const walked all = walk_through(root, {.order = order}, [](walk& w, const walk_entry& e) {
      if (e.name == "b") w.skip();
    });
    EXPECT_EQ(sorted(all.paths), (std::vector<std::string>{"a", "b", "link", "pipe"}));
  }
}

TEST_F(Walk, gives_what_next_has_left_of_a_batch) {
  const auto n = run([&]() -> task<std::size_t> {
    walk w(root, {.max_depth = 1});
    std::size_t found = 0;
    auto first = co_await w.next();
    if (first) ++found;
    for (;;) {
      const auto batch = co_await w.next_batch();
      if (batch.empty()) break;
      found += batch.size();
    }
    co_return found;
  }());
  EXPECT_EQ(n, 4U);
}

TEST_F(Walk, follows_links_where_it_is_told_and_never_in_a_circle) {
  const walked followed = walk_through(root, {.metadata = true, .follow = follow_links::always});
  EXPECT_EQ(followed.entries.at("link").type, file_type::directory);
  EXPECT_EQ(followed.entries.count("link/deep"), 1U);

  stdfs::create_symlink("..", dir / "b/up");
  stdfs::create_symlink("nowhere", dir / "dangling");
  stdfs::create_symlink("self", dir / "self");
  const walked circle = walk_through(root, {.follow = follow_links::always});
  EXPECT_EQ(circle.entries.count("b/up/a"), 0U);
  EXPECT_EQ(circle.entries.at("dangling").type, file_type::symlink);
  EXPECT_EQ(circle.entries.at("self").type, file_type::symlink);
  ASSERT_EQ(circle.failures.size(), 1U);
  EXPECT_NE(circle.failures[0].find("ELOOP"), std::string::npos) << circle.failures[0];
  EXPECT_EQ(circle.entries.count("link/deep"), 1U) << "the rest did not come";

  EXPECT_EQ(walk_through(dir / "link").paths, std::vector<std::string>{"deep"});
  EXPECT_THROW(walk_through(dir / "link", {.follow = follow_links::never}), io_error);
}

TEST_F(Walk, says_what_is_wrong_with_the_root) {
  const auto message = [&](const stdfs::path& p) -> std::string {
    try {
      walk_through(p);
    } catch (const io_error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_NE(message(dir / "none").find("walk(" + (dir / "none").native() + "): ENOENT"),
            std::string::npos);
  EXPECT_NE(message(dir / "a").find("ENOTDIR"), std::string::npos);
}

// As somebody else removes them: between the listing of the one above and their own.
TEST_F(Walk, takes_a_batch_of_nothing_for_one_of_one) {
  std::size_t n = 0;
  auto body = [&]() -> task<> {
    walk w(root, {.batch = 0});
    while (auto e = co_await w.next()) ++n;
  };
  run(body());
  EXPECT_GT(n, 0U);
}

TEST_F(Walk, does_not_mind_what_vanishes) {
  const auto vanish = [this](const walk_entry& e) {
    if (e.name == "c") stdfs::remove_all(dir / "b/c");
    return true;
  };
  const walked all = walk_through(root, {.descend = vanish});
  EXPECT_TRUE(all.failures.empty());
  EXPECT_EQ(all.entries.count("b/c/deep"), 0U);
  EXPECT_EQ(all.entries.count("b/z"), 1U);
}

TEST_F(Walk, reports_a_directory_that_it_may_not_read_and_goes_on) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  ASSERT_EQ(::chmod((dir / "b/c").c_str(), 0), 0);
  const walked all = walk_through(root);
  EXPECT_EQ(::chmod((dir / "b/c").c_str(), 0700), 0);
  ASSERT_EQ(all.failures.size(), 1U);
  EXPECT_NE(all.failures[0].find("EACCES"), std::string::npos);
  EXPECT_EQ(all.entries.count("b/z"), 1U);
}

TEST_F(Walk, stays_on_one_file_system_where_it_is_told) {
  // No other file system is below; so all comes, and nothing is taken for another one.
  EXPECT_EQ(walk_through(root, {.one_file_system = true}).paths.size(), in_order.size());
  const walked over = walk_through("/dev", {.one_file_system = true});
  struct stat dev {
  }, shm{};
  if (::stat("/dev", &dev) != 0 || ::stat("/dev/pts", &shm) != 0 || dev.st_dev == shm.st_dev)
    GTEST_SKIP() << "/dev/pts is no file system of its own here";
  EXPECT_EQ(over.entries.count("pts"), 1U);
  EXPECT_EQ(over.entries.count("pts/ptmx"), 0U);
}

TEST(WalkOfMany, takes_names_of_any_bytes_and_more_than_a_buffer_has_room_for) {
  test_directory dir;
  std::vector<std::string> names = {"two\nlines", "\xff\xfe", std::string(255, 'n')};
  for (int i = 0; i < 1500; ++i) names.push_back("name-" + std::to_string(i));
  for (const auto& n : names) dir.make(n, "");
  stdfs::create_directory(dir / "d");
  dir.make("d/below", "");
  names.insert(names.end(), {"d", "d/below"});
  for (const walk_order order : {walk_order::any, walk_order::by_name, walk_order::depth_first})
    EXPECT_EQ(sorted(walk_through(dir / "", {.order = order, .batch = 16}).paths), sorted(names));
}

// Longer than any path may be, and deeper than directories keep their descriptors.
TEST(WalkOfMany, goes_deeper_than_a_path_can_name) {
  test_directory dir;
  int at = ::open((dir / "").c_str(), O_DIRECTORY | O_CLOEXEC);
  constexpr unsigned levels = 150;
  const std::string name(40, 'd');
  for (unsigned i = 0; i < levels; ++i) {
    ASSERT_EQ(::mkdirat(at, name.c_str(), 0700), 0);
    ASSERT_EQ(::mkdirat(at, "side", 0700), 0);  // so that the one above has more to be opened
    const int next = ::openat(at, name.c_str(), O_DIRECTORY | O_CLOEXEC);
    ::close(at);
    at = next;
  }
  ::close(at);
  for (const walk_order order : {walk_order::any, walk_order::depth_first}) {
    unsigned deepest = 0;
    std::size_t longest = 0;
    const auto n = run([&]() -> task<std::size_t> {
      std::size_t found = 0;
      walk w(dir / "", {.order = order});
      for (;;) {
        const auto batch = co_await w.next_batch();
        if (batch.empty()) break;
        found += batch.size();
        for (const auto& e : batch) {
          EXPECT_FALSE(e.failure) << e.failure->message();
          deepest = std::max(deepest, e.depth);
          longest = std::max(longest, e.path().native().size());
        }
      }
      co_return found;
    }());
    EXPECT_EQ(n, 2U * levels);
    EXPECT_EQ(deepest, levels);
    EXPECT_GT(longest, 6'000U);
  }
}

TEST(ReadDir, gives_the_names_with_their_types) {
  test_directory dir;
  dir.make("f", "x");
  stdfs::create_directory(dir / "d");
  dir.make("d/not-this", "");
  const auto found = run([&]() -> task<std::map<std::string, file_type>> {
    std::map<std::string, file_type> all;
    auto entries = read_dir(dir / "");
    for (;;) {
      auto e = co_await entries.next();
      if (!e) break;
      EXPECT_NE(e->inode, 0U);
      all[e->name] = e->type;
    }
    co_return all;
  }());
  EXPECT_EQ(found, (std::map<std::string, file_type>{{"d", file_type::directory},
                                                     {"f", file_type::regular}}));
  auto wrong = [&]() -> task<std::string> {
    auto entries = read_dir(dir / "f");
    auto batch = co_await as_result(entries.next_batch());
    co_return batch ? "" : batch.error().message();
  };
  EXPECT_NE(run(wrong()).find("read_dir(" + (dir / "f").native() + "): ENOTDIR"),
            std::string::npos);
}

}  // namespace
}  // namespace parkring::fs
