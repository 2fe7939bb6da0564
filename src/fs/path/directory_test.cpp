#include <parkring/fs/directory.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include <parkring/link.hpp>
#include <parkring/sim/explore.hpp>

#include "support/on_machines.hpp"

namespace parkring::fs {
namespace {

using path_t = std::filesystem::path;

TEST(Directory, does_with_names_in_it_what_fs_does_with_paths) {
  on_both_machines([](path_t root) -> task<> {
    directory dir = co_await open_directory(root);
    EXPECT_EQ(dir.path(), root);
    EXPECT_TRUE((co_await dir.metadata()).is_directory());
    co_await dir.create_directory("d", 0700);
    directory below = co_await dir.open_directory("d");
    const open_options anew{.access = access::read_write, .creation = creation::must_be_new};
    file f = co_await below.open("f", anew);
    EXPECT_EQ(f.path(), root / "d/f");
    (void)co_await f.write_at(std::string("content"), 0);
    co_await below.link("f", "g");
    co_await below.symlink("f", "l");
    EXPECT_EQ(co_await below.read_link("l"), "f");
    EXPECT_EQ((co_await below.stat("l")).size, 7u);
    EXPECT_TRUE((co_await below.stat("l", links::no_follow)).is_symlink());
    EXPECT_EQ((co_await dir.stat("d/f")).link_count, 2u);
    co_await below.rename("g", dir, "h");
    co_await dir.link("h", below, "i");
    EXPECT_EQ((co_await error_of(dir.rename("h", below, "i", rename_mode::no_replace))).number(),
              EEXIST);
    co_await below.sync();
    co_await dir.sync();
    EXPECT_EQ(co_await fs::read_file(root / "h"), "content");
    for (const char* name : {"f", "l", "i"}) co_await below.remove(name);
    co_await dir.remove_directory("d");
    co_await std::move(below).close();
    EXPECT_FALSE(below);
    EXPECT_EQ((co_await error_of(fs::open_directory(root / "h"))).number(), ENOTDIR);
    EXPECT_EQ((co_await error_of(dir.open("."))).number(), EISDIR);
  });
}

TEST(Directory, is_the_same_one_whatever_happens_to_its_name) {
  on_both_machines([](path_t root) -> task<> {
    co_await fs::create_directories(root / "mine");
    directory mine = co_await open_directory(root / "mine");
    co_await fs::rename(root / "mine", root / "moved");
    co_await fs::create_directory(root / "mine");  // somebody else's
    const open_options anew{.access = access::write, .creation = creation::must_be_new};
    file f = co_await mine.open("f", anew);
    co_await mine.create_directory("d");
    EXPECT_TRUE(co_await fs::exists(root / "moved/f"));
    EXPECT_TRUE(co_await fs::exists(root / "moved/d"));
    EXPECT_FALSE(co_await fs::exists(root / "mine/f"));
  });
}

TEST(Directory, keeps_what_is_opened_beneath_it_if_told_so) {
  on_both_machines([](path_t root) -> task<> {
    co_await fs::create_directories(root / "d/e");
    co_await fs::write_file(root / "secret", "x");
    co_await fs::write_file(root / "d/f", "content");
    co_await fs::symlink("../secret", root / "d/out");
    co_await fs::symlink("../f", root / "d/e/in");
    directory dir = co_await open_directory(root / "d");
    const auto beneath = within::beneath;
    file f = co_await dir.open("e/in", {}, beneath);
    EXPECT_EQ(co_await f.size(), 7u);
    directory e = co_await dir.open_directory("e", beneath);
    for (const char* name : {"out", "../secret", "e/../../secret", "/etc"}) {
      const error out = co_await error_of(dir.open(name, {}, beneath));
      EXPECT_EQ(out.number(), EXDEV) << name;
      EXPECT_NE(out.advice().find("leads out of the directory"), std::string::npos);
    }
    EXPECT_EQ((co_await error_of(e.open_directory("..", beneath))).number(), EXDEV);
    file plain = co_await dir.open("out");
    EXPECT_EQ(co_await plain.size(), 1u);
  });
}

TEST(Directory, says_what_is_wrong_with_names_and_where_they_start) {
  on_both_machines([](path_t root) -> task<> {
    directory dir = co_await open_directory(root);
    co_await dir.create_directory("d");
    directory other = co_await dir.open_directory("d");
    const error missing = co_await error_of(dir.remove("none"));
    EXPECT_EQ(missing.number(), ENOENT);
    EXPECT_EQ(missing.subject(), "none in " + root.native());
    const error moved = co_await error_of(dir.rename("a", other, "b"));
    EXPECT_EQ(moved.subject(), "a in " + root.native() + ", b in " + (root / "d").native());
    const error nul = co_await error_of(dir.open(std::string("a\0b", 3)));
    EXPECT_EQ(nul.number(), EINVAL);
    EXPECT_NE(nul.message().find("a\\0b"), std::string::npos);
    auto late = dir.remove("d");
    auto task_late = other.read_link("x");
    EXPECT_EQ((co_await error_of(std::move(task_late))).number(), ENOENT);
    (void)late;
  });
}

TEST(Directory, names_in_it_are_links_of_chains_and_durable_after_its_sync) {
  sim::explore_options o;
  o.seeds = 2;
  o.threads = 1;
  const auto found = sim::explore_power_cuts(
      o,
      [](sim::world& w) {
        w.create_directory("/d");
        w.write_file("/d/a", "old");
        (void)w.until_power_cut([&]() -> task<> {
          directory dir = co_await open_directory("/d");
          const open_options anew{.access = access::write, .creation = creation::must_be_new};
          file f = co_await dir.open("b", anew);
          co_await parkring::link(f.write_at(std::string("new"), 0), f.sync(), dir.rename("b", "a"),
                                  dir.sync());
          w.note("durable");
          w.write_file("/done", "");
        });
      },
      [](sim::world& w) {
        const std::string content = w.read_file("/d/a");
        sim::require(content == "new" || (content == "old" && !w.exists("/done")),
                     "the file has " + content);
      });
  EXPECT_TRUE(found.ok()) << found.text();
}

}  // namespace
}  // namespace parkring::fs
