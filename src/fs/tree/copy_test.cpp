#include <parkring/fs/copy.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/fs/remove_all.hpp>
#include <parkring/runtime.hpp>
#include <parkring/sim/world.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

namespace stdfs = std::filesystem;

copy_counts copied(const stdfs::path& from, const stdfs::path& to, copy_options o = {}) {
  return run(fs::copy(from, to, std::move(o)));
}
copy_counts tree_copied(const stdfs::path& from, const stdfs::path& to, copy_options o = {}) {
  return run(copy_all(from, to, std::move(o)));
}
template <class Run>
error error_of(Run what) {
  try {
    what();
  } catch (const io_error& e) {
    return e.error();
  }
  return {0, "", ""};
}
std::vector<std::string> names_in(const stdfs::path& p) {
  std::vector<std::string> names;
  for (const auto& e : stdfs::directory_iterator(p)) names.push_back(e.path().filename().native());
  std::ranges::sort(names);
  return names;
}
struct stat facts_of(const stdfs::path& p) {
  struct stat s {};
  EXPECT_EQ(::lstat(p.c_str(), &s), 0) << p;
  return s;
}

TEST(Copy, makes_a_file_of_the_same_content) {
  test_directory dir;
  for (const std::size_t size : {0UL, 1UL, 4096UL, 300'000UL, (9UL << 20) + 1}) {
    const std::string content = test_pattern(size, size);
    const auto from = dir.make("from", content);
    const auto counts = copied(from, dir / "to", {.existing = existing::replace});
    EXPECT_EQ(counts.files, 1U);
    if (counts.cloned == 0) {
      EXPECT_EQ(counts.bytes, size);
    }
    EXPECT_TRUE(content_of(dir / "to") == content) << size;
  }
  EXPECT_EQ(names_in(dir / ""), (std::vector<std::string>{"from", "to"}));
}

TEST(Copy, keeps_a_name_that_is_taken_unless_it_is_told_to_replace_it) {
  test_directory dir;
  dir.make("from", "new");
  dir.make("to", "old");
  const auto taken = error_of([&] { copied(dir / "from", dir / "to"); });
  EXPECT_EQ(taken.number(), EEXIST);
  EXPECT_EQ(taken.message().find("copy(" + (dir / "to").native() + "): EEXIST"), 0U)
      << taken.message();
  EXPECT_EQ(copied(dir / "from", dir / "to", {.existing = existing::skip}).skipped, 1U);
  EXPECT_EQ(content_of(dir / "to"), "old");
  copied(dir / "from", dir / "to", {.existing = existing::replace});
  EXPECT_EQ(content_of(dir / "to"), "new");
  EXPECT_EQ(error_of([&] { copied(dir / "none", dir / "x"); }).number(), ENOENT);
  EXPECT_EQ(error_of([&] { copied(dir / "", dir / "x"); }).number(), EISDIR);
  EXPECT_EQ(names_in(dir / ""), (std::vector<std::string>{"from", "to"}));
}

TEST(Copy, keeps_what_it_is_told_to_keep) {
  test_directory dir;
  const auto from = dir.make("from", "x");
  ASSERT_EQ(::chmod(from.c_str(), 0467), 0);
  const timespec times[2] = {{1000, 5}, {2000, 7}};
  ASSERT_EQ(::utimensat(AT_FDCWD, from.c_str(), times, 0), 0);
  copied(from, dir / "to", {.permissions = true, .times = true});
  const auto s = facts_of(dir / "to");
  EXPECT_EQ(s.st_mode & 07777U, 0467U);
  EXPECT_EQ(s.st_mtim.tv_sec, 2000);
  EXPECT_EQ(s.st_mtim.tv_nsec, 7);
  copied(from, dir / "plain");
  EXPECT_EQ(facts_of(dir / "plain").st_mode & 0777U & 0022U, 0U) << "the umask was not asked";
  EXPECT_NE(facts_of(dir / "plain").st_mtim.tv_sec, 2000);
}

TEST(Copy, keeps_holes) {
  test_directory dir;
  const auto from = dir.make("from", "");
  const int fd = ::open(from.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(::pwrite(fd, "data", 4, 1 << 20), 4);
  ASSERT_EQ(::ftruncate(fd, 8 << 20), 0);
  ::close(fd);
  if (facts_of(from).st_blocks * 512 > 1 << 20) GTEST_SKIP() << "this file system keeps no holes";
  const auto counts = copied(from, dir / "to");
  EXPECT_TRUE(content_of(from) == content_of(dir / "to"));
  EXPECT_LE(facts_of(dir / "to").st_blocks, facts_of(from).st_blocks + 16);
  if (counts.cloned == 0) {
    EXPECT_LE(counts.bytes, 65536U);
  }
}

// The first piece is 8 MiB; then it is told how far it is.
TEST(Copy, takes_a_file_that_shrinks_as_far_as_it_goes) {
  test_directory dir;
  const auto from = dir.make("from", test_pattern(12U << 20));
  bool once = false;
  copy_options o;
  o.cloning = cloning::never;
  o.progress = [&](const copy_counts& so_far) {
    if (std::exchange(once, true)) return;
    EXPECT_GE(so_far.bytes, 8U << 20);
    ASSERT_EQ(::truncate(from.c_str(), 10 << 20), 0);
  };
  copied(from, dir / "to", o);
  EXPECT_TRUE(once);
  EXPECT_TRUE(content_of(dir / "to") == test_pattern(12U << 20).substr(0, 10U << 20));
}

TEST(Copy, goes_to_another_file_system) {
  test_directory dir;
  const stdfs::path shm = "/dev/shm";
  if (!stdfs::exists(shm) || facts_of(shm).st_dev == facts_of(dir / "").st_dev)
    GTEST_SKIP() << "no other file system is here";
  test_directory other(shm);
  const std::string content = test_pattern(600'000);
  copied(dir.make("from", content), other / "to");
  EXPECT_TRUE(content_of(other / "to") == content);
  const auto refused =
      error_of([&] { copied(dir / "from", other / "shared", {.cloning = cloning::always}); });
  EXPECT_TRUE(refused.number() == EXDEV || refused.number() == EOPNOTSUPP) << refused.message();
  EXPECT_EQ(names_in(other / ""), std::vector<std::string>{"to"});

  // One that begins with a hole: what cannot be done there is found out behind it.
  const auto sparse = dir.make("sparse", "");
  ASSERT_EQ(::truncate(sparse.c_str(), 1 << 20), 0);
  std::ofstream(sparse, std::ios::app) << content;
  copied(sparse, other / "sparse");
  EXPECT_TRUE(content_of(other / "sparse") == content_of(sparse));
}

class CopyAll : public ::testing::Test {
 protected:
  void SetUp() override {
    stdfs::create_directories(from / "d/e");
    stdfs::create_directories(from / "empty");
    dir.make("from/a", "alpha");
    dir.make("from/d/b", test_pattern(100'000));
    stdfs::create_hard_link(from / "d/b", from / "d/e/twin");
    stdfs::create_symlink("../a", from / "d/link");
    dir.make("from/odd\n\xff name", "odd");
    ASSERT_EQ(::mkfifo((from / "pipe").c_str(), 0640), 0);
  }
  test_directory dir;
  const stdfs::path from = dir / "from", to = dir / "to";
};

TEST_F(CopyAll, copies_all_that_is_in_a_tree) {
  ASSERT_EQ(::chmod((from / "d/e").c_str(), 0555), 0);
  const auto counts = tree_copied(from, to, {.permissions = true, .times = true});
  EXPECT_EQ(counts.files, 3U);
  EXPECT_EQ(counts.hard_links, 1U);
  EXPECT_EQ(counts.directories, 4U);
  EXPECT_EQ(counts.links, 1U);
  EXPECT_EQ(counts.others, 1U);
  EXPECT_EQ(counts.failed, 0U);
  EXPECT_EQ(content_of(to / "odd\n\xff name"), "odd");
  EXPECT_TRUE(content_of(to / "d/b") == test_pattern(100'000));
  EXPECT_EQ(facts_of(to / "d/b").st_ino, facts_of(to / "d/e/twin").st_ino);
  EXPECT_EQ(stdfs::read_symlink(to / "d/link"), "../a");
  EXPECT_TRUE(S_ISFIFO(facts_of(to / "pipe").st_mode));
  EXPECT_TRUE(stdfs::is_empty(to / "empty"));
  EXPECT_EQ(facts_of(to / "d/e").st_mode & 0777U, 0555U);
  for (const char* name : {"", "d", "d/e", "d/b"}) {
    const auto a = facts_of(from / name), b = facts_of(to / name);
    EXPECT_EQ(a.st_mtim.tv_sec, b.st_mtim.tv_sec) << name;
    EXPECT_EQ(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec) << name;
  }
}

TEST_F(CopyAll, makes_files_of_their_own_of_further_names_where_it_is_told) {
  const auto counts = tree_copied(from, to, {.hard_links = false});
  EXPECT_EQ(counts.files, 4U);
  EXPECT_NE(facts_of(to / "d/b").st_ino, facts_of(to / "d/e/twin").st_ino);
}

TEST_F(CopyAll, goes_into_a_tree_that_is_there_where_it_is_told) {
  stdfs::create_directories(to / "d");
  dir.make("to/a", "old");
  dir.make("to/other", "stays");
  EXPECT_EQ(error_of([&] { tree_copied(from, to); }).number(), EEXIST);
  copy_options o;
  o.existing = existing::skip;
  o.on_error = [](const error&) { return true; };
  EXPECT_EQ(tree_copied(from, to, o).skipped, 1U);
  EXPECT_EQ(content_of(to / "a"), "old");
  o.existing = existing::replace;
  EXPECT_EQ(tree_copied(from, to, o).failed, 0U);
  EXPECT_EQ(content_of(to / "a"), "alpha");
  EXPECT_EQ(content_of(to / "other"), "stays");
  EXPECT_EQ(facts_of(to / "d/b").st_ino, facts_of(to / "d/e/twin").st_ino);
  EXPECT_EQ(names_in(to / "d"), (std::vector<std::string>{"b", "e", "link"}));
}

TEST_F(CopyAll, never_copies_a_directory_into_itself) {
  const auto inside = error_of([&] { tree_copied(from, from / "d/copy"); });
  EXPECT_EQ(inside.number(), EINVAL);
  EXPECT_NE(inside.message().find("into itself"), std::string::npos) << inside.message();
  EXPECT_EQ(error_of([&] { tree_copied(from, from, {.existing = existing::skip}); }).number(),
            EINVAL);
  EXPECT_EQ(error_of([&] { tree_copied(from / "a", to); }).number(), ENOTDIR);
}

TEST_F(CopyAll, tells_each_error_and_goes_on_if_it_is_told_to) {
  ASSERT_EQ(::mknod((from / "d/socket").c_str(), S_IFSOCK | 0600, 0), 0);
  EXPECT_EQ(error_of([&] { tree_copied(from, to); }).number(), EOPNOTSUPP);
  stdfs::remove_all(to);
  std::vector<std::string> told;
  copy_options o;
  std::uint64_t last = 0;
  o.progress = [&](const copy_counts& c) { last = c.files; };
  o.on_error = [&](const error& e) {
    told.push_back(e.message());
    return true;
  };
  const auto counts = tree_copied(from, to, o);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].find("copy_all(" + (from / "d/socket").native() + "): EOPNOTSUPP"),
            std::string::npos)
      << told[0];
  EXPECT_EQ(counts.failed, 1U);
  EXPECT_EQ(counts.files, 3U);
  EXPECT_EQ(last, 3U);
}

TEST_F(CopyAll, copies_many_names_of_one_file_as_one) {
  for (int i = 0; i < 300; ++i)
    stdfs::create_hard_link(from / "d/b", from / "d/e" / std::to_string(i));
  const auto counts = tree_copied(from, to);
  EXPECT_EQ(counts.hard_links, 301U);
  EXPECT_EQ(facts_of(to / "d/b").st_nlink, 302U);
}

TEST_F(CopyAll, and_removal_reach_deeper_than_a_path) {
  int at = ::open(from.c_str(), O_DIRECTORY | O_CLOEXEC);
  const std::string name(40, 'd');
  for (unsigned i = 0; i < 150; ++i) {
    ASSERT_EQ(::mkdirat(at, name.c_str(), 0700), 0);
    const int next = ::openat(at, name.c_str(), O_DIRECTORY | O_CLOEXEC);
    ::close(at);
    at = next;
  }
  ::close(::openat(at, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ::close(at);
  EXPECT_EQ(tree_copied(from, to, {.times = true}).directories, 154U);
  EXPECT_EQ(run(fs::remove_all(to)).directories, 154U);
  EXPECT_EQ(run(fs::remove_all(from)).directories, 154U);
  EXPECT_TRUE(names_in(dir / "").empty());
}

TEST_F(CopyAll, removal_takes_links_away_and_not_what_they_lead_to) {
  const auto kept = dir.make("kept", "x");
  stdfs::create_directory(dir / "keep");
  dir.make("keep/too", "x");
  stdfs::create_symlink(dir / "keep", from / "d/out");
  stdfs::create_symlink(kept, from / "out");
  std::uint64_t last = 0;
  removal_options o;
  o.progress = [&](const removal_counts& c) { last = c.files; };
  const auto counts = run(fs::remove_all(from, o));
  EXPECT_EQ(counts.files, 8U);
  EXPECT_EQ(counts.directories, 4U);
  EXPECT_EQ(last, 8U);
  EXPECT_EQ(names_in(dir / ""), (std::vector<std::string>{"keep", "kept"}));
  EXPECT_EQ(content_of(dir / "keep/too"), "x");

  stdfs::create_symlink(dir / "keep", dir / "root");
  EXPECT_EQ(run(fs::remove_all(dir / "root")).files, 1U);
  EXPECT_EQ(run(fs::remove_all(kept)).files, 1U);
  EXPECT_EQ(run(fs::remove_all(dir / "none")).files, 0U);
  EXPECT_EQ(names_in(dir / "keep"), std::vector<std::string>{"too"});

  // Behind a slash the system would follow it.
  stdfs::create_symlink(dir / "keep", dir / "root");
  EXPECT_EQ(run(fs::remove_all(dir / "root/")).files, 1U);
  EXPECT_EQ(names_in(dir / "keep"), std::vector<std::string>{"too"});
  EXPECT_EQ(error_of([&] { run(fs::remove_all(dir / "keep/.")); }).number(), EINVAL);
}

TEST_F(CopyAll, replaces_also_pipes_and_further_names_and_leaves_no_other_file_away) {
  run(fs::copy_all(from, to));
  const auto beside = to / "d/e/.twin.0.copying";  // of another copy, which is under way
  std::ofstream(beside) << "not ours";
  const auto again = run(fs::copy_all(from, to, {.existing = existing::replace}));
  EXPECT_EQ(again.failed, 0U);
  EXPECT_EQ(again.others, 1U);
  EXPECT_EQ(content_of(beside), "not ours");
}

// ---- on a disk where things go wrong ----

sim::world_options small_disk() {
  sim::world_options o;
  o.disk.capacity = 1U << 20;
  return o;
}

TEST(CopyOnFullDisk, says_so_and_leaves_nothing_of_the_file) {
  sim::world w(1, small_disk());
  w.create_directory("/to");
  w.write_file("/large", std::string(700'000, 'l'));
  w.run([]() -> task<> {
    const auto r = co_await as_result(fs::copy("/large", "/to/copy"));
    EXPECT_FALSE(r.has_value());
    if (r) co_return;
    EXPECT_EQ(r.error().number(), ENOSPC);
    EXPECT_NE(r.error().message().find("copy(/to/copy): ENOSPC"), std::string::npos)
        << r.error().message();
    EXPECT_NE(r.error().advice().find("full"), std::string::npos);
  });
  EXPECT_TRUE(w.list("/to").empty());
}

TEST(CopyOnFullDisk, keeps_the_files_of_a_tree_that_were_done) {
  sim::world w(2, small_disk());
  w.create_directory("/from");
  for (const char* name : {"/from/1", "/from/2", "/from/3", "/from/4"})
    w.write_file(name, std::string(150'000, 'f'));
  w.run([]() -> task<> {
    const auto r = co_await as_result(copy_all("/from", "/to"));
    EXPECT_FALSE(r.has_value());
    if (!r) {
      EXPECT_EQ(r.error().number(), ENOSPC);
    }
  });
  const auto names = w.list("/to");
  EXPECT_GE(names.size(), 1U);
  EXPECT_LE(names.size(), 3U);
  for (const auto& name : names)
    EXPECT_TRUE(w.read_file("/to/" + name) == std::string(150'000, 'f')) << name;
}

TEST(TreesOnBadDisk, an_error_of_one_entry_is_told_and_the_rest_goes_on) {
  sim::world w(3);
  w.create_directory("/from");
  w.create_directory("/from/d");
  for (const char* name : {"/from/a", "/from/d/bad", "/from/d/good"}) w.write_file(name, "content");
  sim::faults f;
  f.io_error_sticky = {.probability = 1, .path = "*bad"};
  w.set_faults(f);
  w.run([]() -> task<> {
    std::vector<std::string> told;
    const auto tell = [&](const error& e) {
      told.push_back(e.message());
      return true;
    };
    copy_options o;
    o.on_error = tell;
    const auto copied = co_await copy_all("/from", "/to", o);
    EXPECT_EQ(copied.files, 2U);
    EXPECT_EQ(copied.failed, 1U);
    removal_options r;
    r.on_error = tell;
    const auto removed = co_await fs::remove_all("/from", r);
    EXPECT_EQ(removed.files, 2U);
    EXPECT_EQ(removed.directories, 0U) << "those above it stay, too";
    EXPECT_EQ(told.size(), 2U);
    for (const auto& message : told)
      EXPECT_NE(message.find("/from/d/bad): EIO"), std::string::npos) << message;
  });
}

TEST(TreesOnBadDisk, short_transfers_and_interruptions_change_nothing) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    sim::world w(seed);
    w.set_faults(sim::faults::bearable(0.2));
    w.create_directory("/from");
    w.write_file("/from/a", test_pattern(300'000, seed));
    w.write_file("/from/b", test_pattern(1000, seed));
    w.run([]() -> task<> {
      const auto n = co_await copy_all("/from", "/to");
      EXPECT_EQ(n.files, 2U);
    });
    EXPECT_TRUE(w.read_file("/to/a") == test_pattern(300'000, seed)) << seed;
    EXPECT_TRUE(w.read_file("/to/b") == test_pattern(1000, seed)) << seed;
  }
}

}  // namespace
}  // namespace parkring::fs
