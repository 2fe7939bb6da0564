// Names: what takes several steps, and what is wrong with them.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <string>
#include <vector>

#include <parkring/fs/file.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/fs/paths.hpp>

#include "support/on_machines.hpp"
#include "support/privileges.hpp"

namespace parkring::fs {
namespace {

using path_t = std::filesystem::path;

TEST(Rename, keeps_or_exchanges_what_has_the_name_if_told_so) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "a");
    co_await fs::write_file(dir / "b", "b");
    const error taken =
        co_await error_of(fs::rename(dir / "a", dir / "b", rename_mode::no_replace));
    EXPECT_EQ(taken.number(), EEXIST);
    EXPECT_NE(taken.advice().find("taken"), std::string::npos);
    co_await fs::rename(dir / "a", dir / "b", rename_mode::exchange);
    EXPECT_EQ(co_await fs::read_file(dir / "a"), "b");
    EXPECT_EQ(co_await fs::read_file(dir / "b"), "a");
    co_await fs::rename(dir / "a", dir / "c", rename_mode::no_replace);
    EXPECT_FALSE(co_await fs::exists(dir / "a"));
    const error missing =
        co_await error_of(fs::rename(dir / "b", dir / "none", rename_mode::exchange));
    EXPECT_EQ(missing.number(), ENOENT);
    EXPECT_NE(missing.advice().find("both names"), std::string::npos);
  });
}

TEST(Symlink, leads_where_it_says_and_says_where) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::create_directory(dir / "d");
    co_await fs::write_file(dir / "d/f", "content");
    co_await fs::symlink("d/f", dir / "near");
    co_await fs::symlink(dir / "d", dir / "far");
    co_await fs::symlink("nowhere", dir / "dangling");
    EXPECT_EQ(co_await fs::read_link(dir / "near"), "d/f");
    EXPECT_EQ(co_await fs::read_link(dir / "dangling"), "nowhere");
    EXPECT_EQ(co_await fs::read_file(dir / "near"), "content");
    EXPECT_EQ(co_await fs::canonical(dir / "far/./../near"), dir / "d/f");
    EXPECT_EQ(co_await fs::canonical(dir / "far" / ".."), dir);
    EXPECT_EQ(co_await fs::canonical("/"), "/");
    EXPECT_EQ((co_await error_of(fs::symlink("x", dir / "near"))).number(), EEXIST);
    EXPECT_EQ((co_await error_of(fs::symlink("", dir / "empty"))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(fs::canonical(dir / "dangling"))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(fs::canonical(dir / "d/f/.."))).number(), ENOTDIR);
    const error none = co_await error_of(fs::read_link(dir / "d"));
    EXPECT_EQ(none.number(), EINVAL);
    EXPECT_EQ(none.advice(), "this is no symbolic link");
  });
}

TEST(CreateDirectories, makes_what_is_missing_and_nothing_else) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::create_directories(dir / "a/b/c");
    co_await fs::create_directories(dir / "a/b/c");
    co_await fs::create_directories(dir / "a/b/d/", 0700);
    EXPECT_TRUE((co_await fs::stat(dir / "a/b/c")).is_directory());
    EXPECT_EQ((co_await fs::stat(dir / "a/b/d")).permissions, 0700u);
    co_await fs::symlink("a", dir / "l");
    co_await fs::create_directories(dir / "l/e");
    EXPECT_TRUE(co_await fs::exists(dir / "a/e"));
    co_await fs::write_file(dir / "f", "");
    EXPECT_EQ((co_await error_of(fs::create_directories(dir / "f"))).number(), EEXIST);
    const error below = co_await error_of(fs::create_directories(dir / "f/g/h"));
    EXPECT_EQ(below.number(), ENOTDIR);
    EXPECT_EQ(below.operation(), "create_directories");
    EXPECT_EQ(below.subject(), (dir / "f/g/h").native());
  });
}

TEST(BadNames, loops_of_links_are_errors_wherever_they_are_followed) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::symlink("two", dir / "one");
    co_await fs::symlink("one", dir / "two");
    std::vector<error> all;
    all.push_back(co_await error_of(fs::stat(dir / "one")));
    all.push_back(co_await error_of(fs::canonical(dir / "one")));
    all.push_back(co_await error_of(fs::create_directories(dir / "one/d")));
    all.push_back(co_await error_of(fs::open(dir / "one")));
    all.push_back(co_await error_of(fs::rename(dir / "one/x", dir / "y")));
    all.push_back(co_await error_of(fs::read_link(dir / "one/x")));
    for (const error& e : all) {
      EXPECT_EQ(e.number(), ELOOP) << e.message();
      EXPECT_FALSE(e.advice().empty()) << e.message();
    }
    EXPECT_EQ(co_await fs::read_link(dir / "one"), "two");
    co_await fs::remove(dir / "one");
  });
}

TEST(BadNames, bytes_that_are_no_utf8_are_names_too) {
  on_both_machines([](path_t dir) -> task<> {
    const path_t odd = dir / "\xff\xfe \n\x80", other = dir / "\xc3\x28";
    co_await fs::create_directories(odd / "\x80");
    co_await fs::write_file(odd / "\x80\x81", "content");
    co_await fs::symlink(odd, other);
    EXPECT_EQ(co_await fs::canonical(other / "\x80\x81"), odd / "\x80\x81");
    EXPECT_EQ(co_await fs::read_link(other), odd);
    EXPECT_EQ((co_await fs::stat(other / "\x80\x81")).size, 7u);
  });
}

TEST(BadNames, long_ones_empty_ones_and_those_with_a_nul_are_refused) {
  on_both_machines([](path_t dir) -> task<> {
    const path_t name = dir / std::string(256, 'n');
    std::string deep = dir.native();
    while (deep.size() < 5'000) deep += "/d";
    for (const path_t& p : {name, path_t(deep)}) {
      EXPECT_EQ((co_await error_of(fs::create_directory(p))).number(), ENAMETOOLONG);
      EXPECT_EQ((co_await error_of(fs::create_directories(p))).number(), ENAMETOOLONG);
      EXPECT_EQ((co_await error_of(fs::symlink("x", p))).number(), ENAMETOOLONG);
      EXPECT_EQ((co_await error_of(fs::read_link(p))).number(), ENAMETOOLONG);
      EXPECT_EQ((co_await error_of(fs::canonical(p))).number(), ENAMETOOLONG);
    }
    EXPECT_EQ((co_await error_of(fs::stat(""))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(fs::canonical(""))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(fs::read_link(""))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(fs::create_directories(""))).number(), ENOENT);
    const path_t nul = dir / std::string("a\0b", 3);
    std::vector<error> all;
    all.push_back(co_await error_of(fs::symlink("x", nul)));
    all.push_back(co_await error_of(fs::symlink(nul, dir / "x")));
    all.push_back(co_await error_of(fs::read_link(nul)));
    all.push_back(co_await error_of(fs::canonical(nul)));
    all.push_back(co_await error_of(fs::create_directories(nul)));
    for (const error& e : all) {
      EXPECT_EQ(e.number(), EINVAL) << e.message();
      EXPECT_NE(e.message().find("a\\0b"), std::string::npos) << e.message();
    }
  });
}

TEST(BadNames, missing_parents_are_told_of) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "f", "");
    std::vector<error> all;
    all.push_back(co_await error_of(fs::create_directory(dir / "none/d")));
    all.push_back(co_await error_of(fs::symlink("x", dir / "none/l")));
    all.push_back(co_await error_of(fs::rename(dir / "f", dir / "none/f")));
    all.push_back(co_await error_of(fs::link(dir / "f", dir / "none/f")));
    all.push_back(co_await error_of(fs::read_link(dir / "none/l")));
    all.push_back(co_await error_of(fs::canonical(dir / "none/f")));
    for (const error& e : all) {
      EXPECT_EQ(e.number(), ENOENT) << e.message();
      EXPECT_FALSE(e.advice().empty()) << e.message();
    }
  });
}

TEST(BadNames, a_rename_to_another_file_system_says_to_copy) {
  const test_directory here, there("/dev/shm");
  auto body = [](path_t from, path_t to) -> task<> {
    const auto one = co_await fs::stat(from.parent_path());
    const auto other = co_await fs::stat(to.parent_path());
    if (one.device == other.device) co_return;
    std::vector<error> all;
    all.push_back(co_await error_of(fs::rename(from, to)));
    all.push_back(co_await error_of(fs::link(from, to)));
    for (const error& e : all) {
      EXPECT_EQ(e.number(), EXDEV);
      EXPECT_NE(e.advice().find("copy the file"), std::string::npos);
    }
    EXPECT_EQ(co_await fs::read_file(from), "content");
    EXPECT_FALSE(co_await fs::exists(to));
  };
  run(body(here.make("a", "content"), there / "a"));
}

TEST(BadNames, what_the_user_may_not_enter_is_told_of) {
  const test_directory dir;
  std::filesystem::create_directory(dir / "closed");
  dir.make("closed/a", "content");
  std::filesystem::permissions(dir / "closed", std::filesystem::perms::none);
  std::filesystem::permissions((dir / "x").parent_path(), std::filesystem::perms::all);
  // In a child, which is no longer root.
  const pid_t child = ::fork();
  if (child == 0) {
    if (!testing::drop_privileges()) ::_exit(77);
    auto body = [](path_t d) -> task<bool> {
      bool right = true;
      std::vector<error> all;
      all.push_back(co_await error_of(fs::stat(d / "closed/a")));
      all.push_back(co_await error_of(fs::canonical(d / "closed/a")));
      all.push_back(co_await error_of(fs::remove(d / "closed/a")));
      all.push_back(co_await error_of(fs::create_directories(d / "closed/b/c")));
      all.push_back(co_await error_of(fs::read_link(d / "closed/a")));
      for (const error& e : all) right = right && e.number() == EACCES && !e.advice().empty();
      co_return right;
    };
    ::_exit(run(body((dir / "x").parent_path())) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  std::filesystem::permissions(dir / "closed", std::filesystem::perms::owner_all);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
    GTEST_SKIP() << "the process may not become an ordinary user";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace parkring::fs
