#include <parkring/fs/confined_directory.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/child_process.hpp"
#include "support/on_machines.hpp"
#include "support/privileges.hpp"

namespace parkring::fs {
namespace {

using path_t = std::filesystem::path;
constexpr open_options anew{.access = access::write, .creation = creation::must_be_new};

task<std::string> content(path_t p) { return read_file(std::move(p)); }

// In `root`: "in", to which everything is confined, and "secret", which lies beside it.
//   in/f, in/d/g, in/d/e/; links: in/out -> ../secret, in/abs -> ROOT/secret, in/d/up -> ../f
// All that a name could lead to lies in `root`, the test's own: a mistake in what is tested must
// not remove or change anything of the machine that runs the test. So no link and no name here
// leads to "/" or to what is always there.
task<confined_directory> make_world(path_t root) {
  co_await fs::create_directories(root / "in/d/e");
  co_await fs::create_directory(root / "secret");
  co_await write_file(root / "secret/s", "secret");
  co_await write_file(root / "in/f", "content");
  co_await write_file(root / "in/d/g", "g");
  co_await symlink("../secret", root / "in/out");
  co_await fs::symlink(root / "secret", root / "in/abs");
  co_await symlink("../f", root / "in/d/up");
  auto opening = open_directory(root / "in");
  co_return confined_directory(co_await std::move(opening));
}

TEST(ConfinedDirectory, does_below_it_what_fs_does_with_paths) {
  on_both_machines([](path_t root) -> task<> {
    const confined_directory in = co_await make_world(root);
    EXPECT_EQ(in.path(), root / "in");
    co_await in.create_directory("d/e/new", 0700);
    EXPECT_EQ((co_await in.stat("d/e/new")).permissions, 0700u);
    co_await in.rename("d/g", "d/e/new/g");
    co_await in.link("d/e/new/g", "d/../h");
    co_await in.symlink("h", "l");
    co_await in.create_fifo("d/e/p");
    EXPECT_EQ(co_await in.read_link("l"), "h");
    EXPECT_EQ(co_await in.read_link("out"), "../secret");
    EXPECT_TRUE((co_await in.stat("out", links::no_follow)).is_symlink());
    EXPECT_EQ((co_await in.stat("d/up")).size, 7u);
    EXPECT_EQ((co_await in.stat("l")).link_count, 2u);
    EXPECT_EQ((co_await in.stat("d/e/p")).type, file_type::fifo);

    co_await in.set_permissions("d/up", 0604);
    EXPECT_EQ((co_await fs::stat(root / "in/f")).permissions, 0604u);
    const file_time then{std::chrono::seconds(1000)};
    const file_times both{.accessed = {}, .modified = then};
    co_await in.set_times("f", both);
    EXPECT_EQ((co_await in.stat("f")).modified, then);
    co_await in.set_times("d/up", both, links::no_follow);
    EXPECT_EQ((co_await in.stat("d/up", links::no_follow)).modified, then);
    co_await in.touch("f");
    EXPECT_GT((co_await in.stat("f")).modified, then);
    const metadata own = co_await in.stat("f");
    const owner same{own.user, own.group};
    co_await in.set_owner("f", same);
    co_await in.set_owner("out", same, links::no_follow);

    const auto set = co_await as_result(in.set_attribute("d/up", "user.a", "v"));
    if (set) {
      EXPECT_EQ(co_await in.get_attribute("f", "user.a"), "v");
      EXPECT_EQ((co_await in.list_attributes("f")).size(), 1u);
      EXPECT_TRUE(co_await in.remove_attribute("f", "user.a"));
      EXPECT_EQ(co_await get_attribute(root / "in/f", "user.a"), std::nullopt);
    } else {
      EXPECT_EQ(set.error().number(), EOPNOTSUPP);
    }

    const confined_directory deeper = co_await in.open_directory("d/e");
    co_await in.rename("h", deeper, "h");
    co_await deeper.link("h", in, "again");
    EXPECT_EQ(co_await content(root / "in/again"), "g");
    file made = co_await deeper.open("new/made", anew);
    co_await std::move(made).close();
    co_await in.remove("d/e/new/made");
    co_await in.remove("d/e/new/g");
    co_await in.remove_directory("d/e/new");
    EXPECT_FALSE(co_await fs::exists(root / "in/d/e/new"));
    const error taken = co_await error_of(in.rename("f", "again", rename_mode::no_replace));
    EXPECT_EQ(taken.number(), EEXIST);
    const error none = co_await error_of(in.remove("d/none"));
    EXPECT_EQ(none.number(), ENOENT);
    EXPECT_EQ(none.subject(), "none in " + (root / "in/d/").native());
  });
}

// Each thing that can be done, to one name.
using act = task<error> (*)(const confined_directory&, path_t);
const std::map<std::string, act> acts{
    {"stat", [](const auto& in, path_t p) { return error_of(in.stat(p)); }},
    {"stat of a link",
     [](const auto& in, path_t p) { return error_of(in.stat(p, links::no_follow)); }},
    {"open", [](const auto& in, path_t p) { return error_of(in.open(p)); }},
    {"open anew", [](const auto& in, path_t p) { return error_of(in.open(p, anew)); }},
    {"open_directory", [](const auto& in, path_t p) { return error_of(in.open_directory(p)); }},
    {"remove", [](const auto& in, path_t p) { return error_of(in.remove(p)); }},
    {"remove_directory", [](const auto& in, path_t p) { return error_of(in.remove_directory(p)); }},
    {"create_directory", [](const auto& in, path_t p) { return error_of(in.create_directory(p)); }},
    {"rename from", [](const auto& in, path_t p) { return error_of(in.rename(p, "moved")); }},
    {"rename to", [](const auto& in, path_t p) { return error_of(in.rename("f", p)); }},
    {"link from", [](const auto& in, path_t p) { return error_of(in.link(p, "linked")); }},
    {"link to", [](const auto& in, path_t p) { return error_of(in.link("f", p)); }},
    {"symlink", [](const auto& in, path_t p) { return error_of(in.symlink("f", p)); }},
    {"create_fifo", [](const auto& in, path_t p) { return error_of(in.create_fifo(p)); }},
    {"read_link", [](const auto& in, path_t p) { return error_of(in.read_link(p)); }},
    {"permissions", [](const auto& in, path_t p) { return error_of(in.set_permissions(p, 0)); }},
    {"owner",
     [](const auto& in, path_t p) {
       return error_of(in.set_owner(p, {1, 1}));
     }},
    {"times", [](const auto& in, path_t p) { return error_of(in.set_times(p, {})); }},
    {"touch", [](const auto& in, path_t p) { return error_of(in.touch(p)); }},
    {"get", [](const auto& in, path_t p) { return error_of(in.get_attribute(p, "user.a")); }},
    {"set", [](const auto& in, path_t p) { return error_of(in.set_attribute(p, "user.a", "b")); }},
    {"list", [](const auto& in, path_t p) { return error_of(in.list_attributes(p)); }},
    {"unset", [](const auto& in, path_t p) { return error_of(in.remove_attribute(p, "user.a")); }},
    {"read_dir", [](const auto& in, path_t p) { return error_of(in.read_dir(p)); }},
    {"walk", [](const auto& in, path_t p) { return error_of(in.walk(p)); }},
    {"remove_all", [](const auto& in, path_t p) { return error_of(in.remove_all(p)); }},
};

TEST(ConfinedDirectory, leads_nowhere_else_whatever_is_done) {
  on_both_machines([](path_t root) -> task<> {
    const confined_directory in = co_await make_world(root);
    const path_t there = root / "secret/s";
    const std::vector<path_t> ways{"out/s",   "../secret/s",   "d/../../secret/s",
                                   there,     "abs/s",         "d/e/../../../secret/s",
                                   "out/new", "../secret/new", root / "secret/new"};
    for (const auto& [name, call] : acts) {
      for (const path_t& way : ways) {
        const error e = co_await call(in, way);
        EXPECT_EQ(e.number(), EXDEV) << name << ", " << way;
        EXPECT_NE(e.advice().find("leads out of the directory"), std::string::npos) << e.message();
        EXPECT_NE(e.message().find("in " + (root / "in").native()), std::string::npos)
            << e.message();
      }
    }
    EXPECT_EQ(co_await content(there), "secret");
    EXPECT_EQ((co_await fs::stat(there)).link_count, 1u);
    EXPECT_FALSE(co_await fs::exists(root / "secret/new"));
    EXPECT_TRUE(co_await fs::exists(root / "in/f"));
  });
}

// What would follow a link at the end of the path must not leave, what takes the link itself may.
TEST(ConfinedDirectory, follows_a_link_at_the_end_only_within) {
  on_both_machines([](path_t root) -> task<> {
    const confined_directory in = co_await make_world(root);
    for (const char* name : {"stat", "open", "permissions", "owner", "times", "touch", "get", "set",
                             "list", "unset", "read_dir", "walk", "open_directory"})
      for (const char* link : {"out", "abs"})
        EXPECT_EQ((co_await acts.at(name)(in, link)).number(), EXDEV) << name << ", " << link;
    const walk_options never{.follow = follow_links::never};
    EXPECT_EQ((co_await error_of(in.walk("out", never))).number(), ENOTDIR);
    EXPECT_EQ((co_await in.remove_all("out")).files, 1u);
    co_await in.remove("abs");
    EXPECT_EQ(co_await content(root / "secret/s"), "secret");
  });
}

TEST(ConfinedDirectory, takes_no_path_whose_last_part_is_no_name) {
  on_both_machines([](path_t root) -> task<> {
    const confined_directory in = co_await make_world(root);
    for (const auto& [name, call] : acts) {
      if (name.starts_with("open")) continue;  // they follow the whole path, and change nothing
      for (const char* const end : {"", ".", "..", "d/", "d/.", "d/..", "d/e/..", "out/", "d//"}) {
        const bool tree = name == "read_dir" || name == "walk";
        if (tree && *end == '\0') continue;  // itself
        const error e = co_await call(in, end);
        EXPECT_EQ(e.number(), EINVAL) << name << ", " << end;
        EXPECT_NE(e.advice().find("ends with a name"), std::string::npos) << e.message();
      }
      const path_t nul(std::string("a\0b", 3));
      EXPECT_EQ((co_await call(in, nul)).number(), EINVAL) << name;
      EXPECT_EQ((co_await call(in, "d" / nul)).number(), EINVAL) << name;
    }
    EXPECT_EQ((co_await error_of(in.open(".."))).number(), EXDEV);
  });
}

TEST(ConfinedDirectory, walks_and_removes_trees_and_follows_no_links_in_them) {
  on_both_machines([](path_t root) -> task<> {
    const confined_directory in = co_await make_world(root);
    auto names = co_await in.read_dir();
    EXPECT_EQ((co_await names.next_batch()).size(), 4u);
    auto below = co_await in.read_dir("d");
    EXPECT_EQ((co_await below.next_batch()).size(), 3u);
    const walk_options sorted{.metadata = true, .order = walk_order::depth_first};
    walk w = co_await in.walk("", sorted);
    std::string all;
    for (;;) {
      auto e = co_await w.next();
      if (!e) break;
      EXPECT_EQ(e->path(), root / "in" / e->relative_path());
      all += e->relative_path().native() + " ";
    }
    EXPECT_EQ(all, "abs d d/e d/g d/up f out ");
    const walk_options always{.follow = follow_links::always};
    EXPECT_EQ((co_await error_of(in.walk("d", always))).number(), EINVAL);
    walk none = co_await in.walk("d");
    (void)none;  // never asked

    // Found, and then somebody puts a link in its way.
    walk held = co_await in.walk("d", sorted);
    co_await fs::rename(root / "in/d", root / "in/was");
    co_await fs::symlink("../secret", root / "in/d");
    auto first = co_await held.next();
    EXPECT_EQ(first->name, "e");

    co_await fs::symlink("../../../secret", root / "in/was/e/link");
    const removal_counts gone = co_await in.remove_all("was");
    EXPECT_EQ(gone.directories, 2u);
    EXPECT_EQ(gone.files, 3u);
    EXPECT_EQ((co_await in.remove_all("was")).files, 0u);
    EXPECT_EQ((co_await error_of(in.remove_all("none/below"))).number(), ENOENT);
    EXPECT_EQ(co_await content(root / "secret/s"), "secret");
  });
}

// "d/e/../x" is asked for while "e" is moved out and back: then ".." leads outside, where an "x"
// lies, too.
TEST(ConfinedDirectory, is_not_led_out_by_a_directory_that_is_moved_meanwhile) {
  const test_directory dir;
  const path_t root = dir / "r";
  for (const char* made : {"in/d/e", "outside"}) std::filesystem::create_directories(root / made);
  std::ofstream(root / "in/d/x") << "in";
  for (const char* name : {"x", "x2"}) std::ofstream(root / "outside" / name) << "outside";
  std::atomic<bool> over{false};
  std::atomic<unsigned> moves{0};
  std::jthread mover([&] {
    while (!over) {
      std::filesystem::rename(root / "in/d/e", root / "outside/e");
      std::filesystem::rename(root / "outside/e", root / "in/d/e");
      ++moves;
    }
  });
  while (moves == 0) std::this_thread::yield();
  auto ask = [](path_t r) -> task<> {
    auto opening = open_directory(r / "in");
    const confined_directory in(co_await std::move(opening));
    unsigned found = 0;
    for (unsigned i = 0; i < 100 || (found == 0 && i < 100'000); ++i) {
      const auto size = co_await as_result(in.stat("d/e/../x"));
      if (size) {
        ++found;
        EXPECT_EQ(size->size, 2u);
      } else {
        const int number = size.error().number();
        EXPECT_TRUE(number == EXDEV || number == ENOENT || number == EAGAIN)
            << size.error().message();
      }
      (void)co_await as_result(in.create_directory("d/e/../made"));
      (void)co_await as_result(in.remove("d/e/../x2"));
    }
    EXPECT_GT(found, 0u);
  };
  try {
    run(ask(root));
  } catch (const std::exception& wrong) {
    ADD_FAILURE() << wrong.what();
  }
  over = true;  // else the mover never ends
  mover.join();
  EXPECT_FALSE(std::filesystem::exists(root / "outside/made"));
  EXPECT_TRUE(std::filesystem::exists(root / "outside/x2"));
}

TEST(ConfinedDirectory, says_so_where_the_kernel_may_not_be_asked_for_it) {
  for (const int number : {ENOSYS, EPERM}) {
    const auto r = testing::in_child([number] {
      const test_directory dir;
      std::filesystem::create_directories(dir / "in/d");
      constexpr long sys_openat2 = 437;  // on all architectures
      if (!testing::deny_syscalls({sys_openat2}, number)) return 77;
      runtime_options by_threads;  // the ring's own are not seen by filters
      by_threads.kernel = kernel_choice::threads;
      runtime rt(by_threads);
      rt.run(
          [](path_t root, int expected) -> task<> {
            auto opening = open_directory(root);
            const confined_directory in(co_await std::move(opening));
            for (const auto& [name, call] : acts) {
              const error e = co_await call(in, "d/x");
              if (e.number() != expected ||
                  e.advice().find("openat2(2) is forbidden here") == std::string::npos)
                throw std::runtime_error(name + ": " + e.message());
            }
          },
          dir / "in", number);
      return std::filesystem::is_empty(dir / "in/d") ? 0 : 1;
    });
    if (r.status == 77) GTEST_SKIP() << "no filter can be installed here";
    EXPECT_EQ(r.status, 0) << r;
  }
}

}  // namespace
}  // namespace parkring::fs
