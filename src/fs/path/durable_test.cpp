#include <parkring/fs/durable.hpp>

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include <parkring/fs/attributes.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/link.hpp>
#include <parkring/sim/explore.hpp>
#include <parkring/sim/faults.hpp>

#include "support/child_process.hpp"
#include "support/on_machines.hpp"
#include "support/privileges.hpp"

namespace parkring::fs {
namespace {

using path_t = std::filesystem::path;

TEST(WriteFileDurably, replaces_or_makes_a_file_and_leaves_nothing_else) {
  on_both_machines([](path_t dir) -> task<> {
    co_await write_file_durably(dir / "a", "first");
    EXPECT_EQ(co_await fs::read_file(dir / "a"), "first");
    co_await fs::set_permissions(dir / "a", 0640);
    co_await fs::link(dir / "a", dir / "other");
    co_await write_file_durably(dir / "a", std::string(3'000'000, 'x'));
    EXPECT_EQ((co_await fs::stat(dir / "a")).size, 3'000'000u);
    EXPECT_EQ((co_await fs::stat(dir / "a")).permissions, 0640u);
    EXPECT_EQ(co_await fs::read_file(dir / "other"), "first");
    durable_options other_mode;
    other_mode.keep_permissions = false;
    other_mode.mode = 0600;
    co_await write_file_durably(dir / "a", "", other_mode);
    EXPECT_EQ((co_await fs::stat(dir / "a")).permissions, 0600u);
    EXPECT_EQ((co_await fs::stat(dir / "a")).size, 0u);
    for (const char* name : {"a", "other"}) co_await fs::remove(dir / name);
    co_await fs::remove_directory(dir);  // else it is not empty
    co_await fs::create_directory(dir);
  });
}

TEST(WriteFileDurably, follows_links_or_replaces_them) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::create_directory(dir / "d");
    co_await fs::symlink("d/a", dir / "l");
    co_await fs::symlink("l", dir / "m");
    co_await write_file_durably(dir / "m", "one");
    EXPECT_EQ(co_await fs::read_file(dir / "d/a"), "one");
    EXPECT_TRUE((co_await fs::stat(dir / "l", links::no_follow)).is_symlink());
    durable_options itself;
    itself.how = links::no_follow;
    co_await write_file_durably(dir / "m", "two", itself);
    EXPECT_TRUE((co_await fs::stat(dir / "m", links::no_follow)).is_regular());
    EXPECT_EQ(co_await fs::read_file(dir / "d/a"), "one");
    co_await fs::symlink("loop", dir / "loop");
    EXPECT_EQ((co_await error_of(write_file_durably(dir / "loop", "x"))).number(), ELOOP);
    EXPECT_EQ((co_await error_of(write_file_durably(dir / "d", "x"))).number(), EISDIR);
    EXPECT_EQ((co_await error_of(write_file_durably(dir / "no/a", "x"))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(write_file_durably(std::string("a\0b", 3), "x"))).number(),
              EINVAL);
    durable_options fresh;
    fresh.must_be_new = true;
    EXPECT_EQ((co_await error_of(write_file_durably(dir / "m", "x", fresh))).number(), EEXIST);
    co_await write_file_durably(dir / "n", "x", fresh);
  });
}

TEST(WriteFileDurably, what_writes_the_content_may_fail_and_the_old_one_stays) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "old");
    auto write = [](file& f) -> task<> {
      (void)co_await f.write_at(std::string("new"), 0);
      throw std::runtime_error("no more content");
    };
    bool failed = false;
    try {
      co_await write_file_durably(dir / "a", write);
    } catch (const std::runtime_error& e) {
      failed = std::string(e.what()) == "no more content";
    }
    EXPECT_TRUE(failed);
    EXPECT_EQ(co_await fs::read_file(dir / "a"), "old");
    auto well = [](file& f) -> task<> { (void)co_await f.write_at(std::string("new"), 0); };
    co_await write_file_durably(dir / "a", well);
    EXPECT_EQ(co_await fs::read_file(dir / "a"), "new");
  });
}

task<> write_and_note(sim::world& w, std::string content) {
  co_await write_file_durably("/d/a", std::move(content));
  w.write_file("/done", "");
}

// At every step of it; afterwards the old content or the new, and the new one if it was told so.
TEST(WriteFileDurably, after_a_power_cut_anywhere_there_is_the_old_content_or_the_new) {
  const std::string old_content = test_pattern(9'000, 1), content = test_pattern(12'345, 2);
  sim::explore_options o;
  o.seeds = 20;
  o.threads = 2;
  o.world.disk.strict_directories = true;
  const auto found = sim::explore_power_cuts(
      o,
      [&](sim::world& w) {
        w.create_directory("/d");
        w.write_file("/d/a", old_content);
        (void)w.until_power_cut([&] { return write_and_note(w, content); });
      },
      [&](sim::world& w) {
        const std::string now = w.read_file("/d/a");
        sim::require(now == content || now == old_content, "it is neither");
        sim::require(now == content || !w.exists("/done"), "what was told durable is lost");
        for (const std::string& name : w.list("/d"))
          sim::require(name == "a" || name.starts_with(".a.new-"), "left over: " + name);
      });
  EXPECT_TRUE(found.ok()) << found.text();
  EXPECT_GT(found.steps, 100u);
}

// A sync that fails is an error, and says what is in place.
TEST(WriteFileDurably, an_error_says_which_content_is_in_place) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    sim::world w(seed);
    w.create_directory("/d");
    w.write_file("/d/a", "old");
    sim::faults f;
    f.failed_sync.probability = 0.3;
    f.no_space.probability = 0.1;
    w.set_faults(f);
    error e(0, "", "");
    w.run([&]() -> task<> { e = co_await error_of(write_file_durably("/d/a", "new")); });
    w.set_faults({});
    const std::string now = w.read_file("/d/a");
    if (e.number() == 0) {
      EXPECT_EQ(now, "new");
    } else if (e.advice().find("the new content is in place") != std::string::npos) {
      EXPECT_EQ(now, "new");
    } else {
      EXPECT_EQ(now, "old") << e.message();
    }
  }
}

// All of the disk but a part: the new content does not fit beside the old one.
TEST(WriteFileDurably, on_a_disk_that_is_full_the_old_content_stays_and_nothing_else) {
  sim::world_options small;
  small.disk.capacity = 1U << 20;
  sim::world w(1, small);
  w.create_directory("/d");
  const std::string old_content = test_pattern(400'000, 1), fits = test_pattern(300'000, 2);
  w.write_file("/d/a", old_content);
  w.run([&]() -> task<> {
    for (int i = 0; i < 3; ++i) {  // what is given up takes no room
      const error e = co_await error_of(write_file_durably("/d/a", std::string(900'000, 'n')));
      EXPECT_EQ(e.number(), ENOSPC);
      EXPECT_NE(e.advice().find("the old content is in place"), std::string::npos) << e.message();
      const error fresh = co_await error_of(write_file_durably("/d/b", std::string(900'000, 'n')));
      EXPECT_EQ(fresh.number(), ENOSPC);
    }
  });
  EXPECT_EQ(w.list("/d"), std::vector<std::string>{"a"});
  EXPECT_TRUE(w.read_file("/d/a") == old_content);
  w.run([&]() -> task<> { co_await write_file_durably("/d/a", fits); });
  EXPECT_TRUE(w.read_file("/d/a") == fits);
}

// Of somebody else's file a user who may replace it cannot hand owner and group on: then nobody may
// do with the new file what he could not do with the old one.
TEST(WriteFileDurably, who_cannot_hand_the_owner_on_gives_nobody_more_permissions) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make files of others";
  constexpr unsigned nobody = 65534, other_user = 1111, other_group = 2222, shared_group = 3333;
  struct {
    const char* what;
    unsigned group, before, after, group_after;
  } const cases[] = {
      {"neither", other_group, 06751, 0711, nobody},
      {"neither, and others may more", other_group, 0604, 0644, nobody},
      {"the group, which it is anyway", nobody, 02750, 0750, nobody},
      {"the group, as one of its own", shared_group, 06771, 0771, shared_group},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    const test_directory dir;
    ASSERT_EQ(::chmod((dir / "").c_str(), 0777), 0);
    const auto path = dir.make("a", "old");
    ASSERT_EQ(::chown(path.c_str(), other_user, c.group), 0);
    ASSERT_EQ(::chmod(path.c_str(), c.before), 0);
    const auto r = testing::in_child([&] {
      const gid_t groups[] = {shared_group};
      if (::setgroups(1, groups) != 0 || !testing::drop_privileges()) return 77;
      run(write_file_durably(path, "new"));
      return 0;
    });
    if (r.status == 77) GTEST_SKIP() << "privileges cannot be given up here";
    ASSERT_EQ(r.status, 0) << r;
    struct stat now {};
    ASSERT_EQ(::stat(path.c_str(), &now), 0);
    EXPECT_EQ(content_of(path), "new");
    EXPECT_EQ(now.st_uid, nobody);
    EXPECT_EQ(now.st_gid, c.group_after);
    EXPECT_EQ(now.st_mode & 07777U, c.after) << std::oct << (now.st_mode & 07777U);
  }
}

TEST(Chain, each_part_tells_what_became_of_it) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "x");
    const open_options writing{.access = access::write};
    file f = co_await open(dir / "a", writing);
    auto [wrote, synced, renamed] =
        co_await parkring::link(f.write_at(std::string("new"), 0), f.datasync(),
                                fs::rename(dir / "a", dir / "b"))
            .each();
    EXPECT_EQ(wrote->count, 3u);
    EXPECT_EQ(wrote->memory, "new");
    EXPECT_TRUE(synced && renamed);
    auto [missing, never] =
        co_await parkring::link(fs::rename(dir / "none", dir / "c"), f.datasync()).each();
    EXPECT_EQ(missing.error().number(), ENOENT);
    EXPECT_EQ(never.error().number(), ECANCELED);
    const path_t nul(std::string("a\0b", 3));
    auto [not_run, refused] = co_await parkring::link(f.datasync(), fs::remove(nul)).each();
    EXPECT_EQ(not_run.error().number(), ECANCELED);
    EXPECT_EQ(refused.error().number(), EINVAL);
  });
}

TEST(Chain, a_part_that_ends_short_tells_its_count_and_the_rest_is_not_run) {
  sim::world w(1);
  sim::faults f;
  f.short_write.probability = 1;
  w.run([&]() -> task<> {
    const open_options anew{.access = access::write, .creation = creation::must_be_new};
    file out = co_await open("/a", anew);
    w.set_faults(f);
    auto [wrote, synced] =
        co_await parkring::link(out.write_at(std::string(100, 'x'), 0), out.datasync()).each();
    w.set_faults({});
    EXPECT_TRUE(wrote.has_value());
    EXPECT_GT(wrote->count, 0u);
    EXPECT_LT(wrote->count, 100u);
    EXPECT_EQ(synced.error().number(), ECANCELED);
  });
}

}  // namespace
}  // namespace parkring::fs
