#include <parkring/fs/metadata.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <string>

#include <parkring/as_result.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/runtime.hpp>
#include <parkring/sim/world.hpp>

#include "fs/path/metadata.hpp"
#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

namespace stdfs = std::filesystem;

std::int64_t nanoseconds(const timespec& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; }

TEST(Metadata, says_of_files_what_the_system_says) {
  test_directory dir;
  dir.make("a", std::string(5'000, 'x'));
  stdfs::create_directory(dir / "d");
  stdfs::create_symlink("a", dir / "l");
  ASSERT_EQ(::mkfifo((dir / "p").c_str(), 0640), 0);
  ASSERT_EQ(::chmod((dir / "a").c_str(), 04711), 0);
  for (const char* name : {"a", "d", "l", "p"}) {
    SCOPED_TRACE(name);
    struct stat s {};
    ASSERT_EQ(::lstat((dir / name).c_str(), &s), 0);
    auto ask = [](stdfs::path p) -> task<metadata> {
      co_return co_await stat(p, links::no_follow);
    };
    const metadata m = run(ask(dir / name));
    EXPECT_EQ(m.type, type_of_mode(s.st_mode));
    EXPECT_EQ(m.permissions, s.st_mode & 07777);
    EXPECT_EQ(m.user, s.st_uid);
    EXPECT_EQ(m.group, s.st_gid);
    EXPECT_EQ(m.size, static_cast<std::uint64_t>(s.st_size));
    EXPECT_EQ(m.allocated, static_cast<std::uint64_t>(s.st_blocks) * 512);
    EXPECT_EQ(m.link_count, s.st_nlink);
    EXPECT_EQ(m.inode, s.st_ino);
    EXPECT_EQ(m.device, s.st_dev);
    EXPECT_EQ(m.block_size, static_cast<std::uint32_t>(s.st_blksize));
    EXPECT_EQ(m.accessed.time_since_epoch().count(), nanoseconds(s.st_atim));
    EXPECT_EQ(m.modified.time_since_epoch().count(), nanoseconds(s.st_mtim));
    EXPECT_EQ(m.changed.time_since_epoch().count(), nanoseconds(s.st_ctim));
  }
}

TEST(Metadata, follows_links_if_it_is_to_and_knows_devices) {
  test_directory dir;
  dir.make("a", "content");
  stdfs::create_symlink("a", dir / "l");
  auto body = [&]() -> task<> {
    const metadata a = co_await stat(dir / "a");
    const metadata behind = co_await stat(dir / "l");
    const metadata itself = co_await stat(dir / "l", links::no_follow);
    EXPECT_TRUE(a.is_regular());
    EXPECT_TRUE(same_file(a, behind));
    EXPECT_FALSE(same_file(a, itself));
    EXPECT_TRUE(itself.is_symlink());
    EXPECT_EQ(itself.size, 1u);
    EXPECT_STREQ(name_of(itself.type), "symbolic link");
    const metadata null = co_await stat("/dev/null");
    EXPECT_EQ(null.type, file_type::character_device);
    EXPECT_EQ(null.special_device, makedev(1, 3));
    file f = co_await open(dir / "a");
    EXPECT_EQ(co_await f.metadata(), co_await stat(dir / "a"));
  };
  run(body());
}

TEST(Metadata, says_what_is_wrong_and_what_to_do) {
  test_directory dir;
  dir.make("a", "x");
  stdfs::create_symlink("loop", dir / "loop");
  const std::string nul = (dir / "a").native() + std::string("\0b", 2);
  auto error_of = [](stdfs::path p) -> task<error> {
    auto r = co_await as_result(stat(p));
    co_return r ? error(0, "", "") : r.error();
  };
  const error missing = run(error_of(dir / "none"));
  EXPECT_EQ(missing.number(), ENOENT);
  EXPECT_EQ(missing.operation(), "stat");
  EXPECT_EQ(missing.subject(), (dir / "none").native());
  EXPECT_EQ(run(error_of(dir / "a/below")).number(), ENOTDIR);
  EXPECT_EQ(run(error_of(dir / "loop")).number(), ELOOP);
  EXPECT_EQ(run(error_of(dir / std::string(300, 'n'))).number(), ENAMETOOLONG);
  EXPECT_NE(run(error_of(nul)).message().find("a\\0b"), std::string::npos);
}

TEST(Metadata, of_a_simulated_file_has_its_times_and_names) {
  sim::world w(1);
  w.write_file("/a", "content");
  w.run([]() -> task<> {
    const metadata m = co_await stat("/a");
    EXPECT_TRUE(m.is_regular());
    EXPECT_EQ(m.size, 7u);
    EXPECT_EQ(m.link_count, 1u);
    EXPECT_TRUE(m.created.has_value());
    EXPECT_TRUE((co_await stat("/")).is_directory());
  });
}

}  // namespace
}  // namespace parkring::fs
