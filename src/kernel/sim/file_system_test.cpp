// Results of the simulated file system's operations; the same calls run on the real one beside it.
#include "kernel/sim/file_system.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernel/sim/random.hpp"

namespace parkring::kernel::sim {
namespace {

int answer(int result) { return result < 0 ? -errno : result; }

// Runs a call on both, in the same tree, and gives the simulated answer.
class both : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "sim_fs_" + std::string(6, 'X');
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    real_ = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY);
    ASSERT_GE(real_, 0);
  }
  void TearDown() override {
    ::close(real_);
    std::filesystem::remove_all(folder_);
  }

  int same(int simulated, int real, const std::string& call) {
    EXPECT_EQ(simulated, real) << call;
    return simulated;
  }
  int open(const std::string& path, int flags) {
    open_ref file;
    const int simulated = fs.open(nullptr, path, flags, 0644, file);
    int real = answer(::openat(real_, path.c_str(), flags, 0644));
    if (real >= 0) {
      ::close(real);
      real = 0;
    }
    return same(simulated, real, "open " + path + " " + std::to_string(flags));
  }
  int mkdir(const std::string& path) {
    return same(fs.mkdir(nullptr, path, 0755), answer(::mkdirat(real_, path.c_str(), 0755)),
                "mkdir " + path);
  }
  int unlink(const std::string& path, int flags = 0) {
    return same(fs.unlink(nullptr, path, flags), answer(::unlinkat(real_, path.c_str(), flags)),
                (flags ? "rmdir " : "unlink ") + path);
  }
  int symlink(const std::string& target, const std::string& path) {
    return same(fs.symlink(target, nullptr, path),
                answer(::symlinkat(target.c_str(), real_, path.c_str())), "symlink " + path);
  }
  int link(const std::string& from, const std::string& to, int flags = 0) {
    return same(fs.link(nullptr, from, nullptr, to, flags),
                answer(::linkat(real_, from.c_str(), real_, to.c_str(), flags)),
                "link " + from + " " + to);
  }
  int rename(const std::string& from, const std::string& to, unsigned flags = 0) {
    return same(fs.rename(nullptr, from, nullptr, to, flags),
                answer(::renameat2(real_, from.c_str(), real_, to.c_str(), flags)),
                "rename " + from + " " + to + " " + std::to_string(flags));
  }
  int stat(const std::string& path, int flags = 0) {
    struct statx a, b;
    const int simulated = fs.stat(nullptr, path, flags, STATX_BASIC_STATS, a);
    const int real = answer(::statx(real_, path.c_str(), flags, STATX_BASIC_STATS, &b));
    if (simulated == 0 && real == 0) {
      EXPECT_EQ(a.stx_mode & S_IFMT, b.stx_mode & S_IFMT) << path;
      if (!S_ISDIR(a.stx_mode)) {  // of directories, file systems count in their own ways
        EXPECT_EQ(a.stx_size, b.stx_size) << path;
        EXPECT_EQ(a.stx_nlink, b.stx_nlink) << path;
      }
    }
    return same(simulated, real, "stat " + path);
  }
  int truncate(const std::string& path, std::int64_t size) {
    return same(fs.truncate(nullptr, path, size),
                answer(::truncate((folder_ + "/" + path).c_str(), size)), "truncate " + path);
  }

  file_system fs;
  std::string folder_;
  int real_ = -1;
};
using FileSystem = both;

TEST_F(FileSystem, opening_gives_the_error_numbers_of_linux) {
  EXPECT_EQ(open("a", O_RDONLY), -ENOENT);
  EXPECT_EQ(open("a", O_RDWR | O_CREAT), 0);
  EXPECT_EQ(open("a", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
  EXPECT_EQ(open("", O_RDONLY), -ENOENT);
  EXPECT_EQ(open("a/", O_RDONLY), -ENOTDIR);
  EXPECT_EQ(open("a/b", O_RDWR | O_CREAT), -ENOTDIR);
  EXPECT_EQ(open("b/", O_RDWR | O_CREAT), -EISDIR);
  EXPECT_EQ(open("none/b", O_RDWR | O_CREAT), -ENOENT);
  EXPECT_EQ(mkdir("d"), 0);
  EXPECT_EQ(open("d", O_RDONLY), 0);
  EXPECT_EQ(open("d", O_WRONLY), -EISDIR);
  EXPECT_EQ(open("d", O_RDONLY | O_CREAT), -EISDIR);
  EXPECT_EQ(open("d", O_RDONLY | O_TRUNC), -EISDIR);
  EXPECT_EQ(open("a", O_RDONLY | O_DIRECTORY), -ENOTDIR);
  EXPECT_EQ(open(".", O_RDONLY), 0);
  EXPECT_EQ(open("d/../a", O_RDONLY), 0);
  EXPECT_EQ(open("d/./../d/.", O_RDONLY), 0);
  EXPECT_EQ(open("d//", O_RDONLY), 0);
  EXPECT_EQ(open(std::string(255, 'n'), O_RDWR | O_CREAT), 0);
  EXPECT_EQ(open(std::string(256, 'n'), O_RDWR | O_CREAT), -ENAMETOOLONG);
  std::string deep;
  while (deep.size() < 4096) deep += "./";
  EXPECT_EQ(open(deep, O_RDONLY), -ENAMETOOLONG);
}

TEST_F(FileSystem, symbolic_links_are_followed_where_linux_follows_them) {
  ASSERT_EQ(open("a", O_RDWR | O_CREAT), 0);
  ASSERT_EQ(mkdir("d"), 0);
  ASSERT_EQ(symlink("a", "to_file"), 0);
  ASSERT_EQ(symlink("d", "to_directory"), 0);
  ASSERT_EQ(symlink("new", "dangling"), 0);
  ASSERT_EQ(symlink("loop", "loop"), 0);
  EXPECT_EQ(symlink("x", "a"), -EEXIST);
  EXPECT_EQ(symlink("", "x"), -ENOENT);
  EXPECT_EQ(symlink("x", "y/"), -ENOENT);
  EXPECT_EQ(open("to_file", O_RDONLY), 0);
  EXPECT_EQ(open("to_file/", O_RDONLY), -ENOTDIR);
  EXPECT_EQ(open("to_file", O_RDONLY | O_NOFOLLOW), -ELOOP);
  EXPECT_EQ(open("to_file", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), -ENOTDIR);
  EXPECT_EQ(open("to_file", O_PATH | O_NOFOLLOW), 0);
  EXPECT_EQ(open("to_file", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
  EXPECT_EQ(open("loop", O_RDONLY), -ELOOP);
  EXPECT_EQ(open("loop/x", O_RDONLY), -ELOOP);
  EXPECT_EQ(open("to_directory/", O_RDONLY | O_NOFOLLOW), 0);
  EXPECT_EQ(open("to_directory/f", O_RDWR | O_CREAT), 0);
  EXPECT_EQ(stat("d/f"), 0);
  EXPECT_EQ(open("dangling", O_RDONLY), -ENOENT);
  EXPECT_EQ(open("dangling", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
  EXPECT_EQ(open("dangling", O_RDWR | O_CREAT), 0);
  EXPECT_EQ(stat("new"), 0);
  EXPECT_EQ(stat("dangling", AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_EQ(stat("to_directory/", AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_EQ(stat("to_file/", AT_SYMLINK_NOFOLLOW), -ENOTDIR);
  EXPECT_EQ(mkdir("to_directory/"), -EEXIST);
  EXPECT_EQ(unlink("to_directory/"), -ENOTDIR);
  EXPECT_EQ(unlink("to_directory", AT_REMOVEDIR), -ENOTDIR);
  EXPECT_EQ(unlink("to_directory"), 0);
  EXPECT_EQ(stat("d/f"), 0);
  for (int i = 0; i < 45; ++i)
    symlink(i == 0 ? "a" : "chain" + std::to_string(i - 1), "chain" + std::to_string(i));
  EXPECT_EQ(open("chain39", O_RDONLY), 0);
  EXPECT_EQ(open("chain40", O_RDONLY), -ELOOP);
}

TEST_F(FileSystem, names_are_made_and_removed_as_by_linux) {
  EXPECT_EQ(mkdir("d/"), 0);
  EXPECT_EQ(mkdir("d"), -EEXIST);
  EXPECT_EQ(mkdir("."), -EEXIST);
  EXPECT_EQ(mkdir("d/.."), -EEXIST);
  EXPECT_EQ(mkdir("x/y"), -ENOENT);
  EXPECT_EQ(open("f", O_RDWR | O_CREAT), 0);
  EXPECT_EQ(mkdir("f"), -EEXIST);
  EXPECT_EQ(mkdir("f/x"), -ENOTDIR);
  EXPECT_EQ(unlink("d"), -EISDIR);
  EXPECT_EQ(unlink("d/"), -EISDIR);
  EXPECT_EQ(unlink("f/"), -ENOTDIR);
  EXPECT_EQ(unlink("none"), -ENOENT);
  EXPECT_EQ(unlink("."), -EISDIR);
  EXPECT_EQ(unlink("f", AT_REMOVEDIR), -ENOTDIR);
  EXPECT_EQ(unlink("d/.", AT_REMOVEDIR), -EINVAL);
  EXPECT_EQ(unlink("d/..", AT_REMOVEDIR), -ENOTEMPTY);
  EXPECT_EQ(link("f", "d/g"), 0);
  EXPECT_EQ(unlink("d", AT_REMOVEDIR), -ENOTEMPTY);
  EXPECT_EQ(stat("f"), 0);
  EXPECT_EQ(link("f", "d/g"), -EEXIST);
  EXPECT_EQ(link("d", "e"), -EPERM);
  EXPECT_EQ(link("none", "e"), -ENOENT);
  EXPECT_EQ(link("f", "e/"), -ENOENT);
  EXPECT_EQ(unlink("f"), 0);
  EXPECT_EQ(stat("d/g"), 0);
  EXPECT_EQ(unlink("d/g"), 0);
  EXPECT_EQ(unlink("d", AT_REMOVEDIR), 0);
  EXPECT_EQ(stat("d"), -ENOENT);
}

TEST_F(FileSystem, renaming_follows_the_rules_of_linux) {
  for (const char* d : {"d", "d/sub", "empty", "full"}) ASSERT_EQ(mkdir(d), 0);
  for (const char* f : {"a", "b", "full/x"}) ASSERT_EQ(open(f, O_RDWR | O_CREAT), 0);
  ASSERT_EQ(link("a", "also_a"), 0);
  EXPECT_EQ(rename("none", "x"), -ENOENT);
  EXPECT_EQ(rename("a", "also_a"), 0);
  EXPECT_EQ(stat("a"), 0);
  EXPECT_EQ(rename("a", "d"), -EISDIR);
  EXPECT_EQ(rename("d", "a"), -ENOTDIR);
  EXPECT_EQ(rename("d", "full"), -ENOTEMPTY);
  EXPECT_EQ(rename("d", "d/sub/x"), -EINVAL);
  EXPECT_EQ(rename("d", "d"), 0);
  EXPECT_EQ(rename("d/sub", "d"), -ENOTEMPTY);
  EXPECT_EQ(rename(".", "x"), -EBUSY);
  EXPECT_EQ(rename("a", "d/.."), -EBUSY);
  EXPECT_EQ(rename("a", "x/"), -ENOTDIR);
  EXPECT_EQ(rename("a/", "x"), -ENOTDIR);
  EXPECT_EQ(rename("a", "b", RENAME_NOREPLACE), -EEXIST);
  EXPECT_EQ(rename("a", "b", RENAME_NOREPLACE | RENAME_EXCHANGE), -EINVAL);
  EXPECT_EQ(rename("a", "c", RENAME_EXCHANGE), -ENOENT);
  EXPECT_EQ(rename("a", "d", RENAME_EXCHANGE), 0);
  EXPECT_EQ(stat("a/sub"), 0);
  EXPECT_EQ(rename("a", "d", RENAME_EXCHANGE), 0);
  EXPECT_EQ(rename("d", "d/sub", RENAME_EXCHANGE), -EINVAL);
  EXPECT_EQ(rename("d/sub", "d", RENAME_EXCHANGE), -EINVAL);
  EXPECT_EQ(rename("a", "c", RENAME_NOREPLACE), 0);
  EXPECT_EQ(rename("c", "b"), 0);
  EXPECT_EQ(stat("b"), 0);
  EXPECT_EQ(rename("d/", "empty/"), 0);
  EXPECT_EQ(stat("empty/sub"), 0);
  EXPECT_EQ(rename("empty/sub", "moved"), 0);
  EXPECT_EQ(stat("moved/../b"), 0);
}

// The calls that fuzzing draws from, on few names so that they meet.
TEST_F(FileSystem, random_calls_on_names_give_what_linux_gives) {
  random r(7);
  const auto path = [&] {
    static constexpr const char* names[] = {"a", "b", "c", ".", "..", "a", "b"};
    std::string p = names[r.below(3)];
    for (std::uint64_t i = r.below(3); i > 0; --i) p += std::string("/") + names[r.below(7)];
    // Never above the folder of the test, which is no root on the real system.
    int depth = 0;
    for (std::size_t at = 0; at < p.size();) {
      const std::size_t end = std::min(p.find('/', at), p.size());
      depth += p.substr(at, end - at) == ".." ? -1 : 1;
      if (depth < 1) return std::string("a");
      at = end + 1;
    }
    if (r.chance(0.1)) p += "/";
    return p;
  };
  for (int i = 0; i < 6000 && !HasFailure(); ++i) {
    const std::string p = path(), q = path();
    switch (r.below(10)) {
      case 0:
        open(p, O_RDWR | O_CREAT);
        break;
      case 1:
        open(p, O_RDONLY | (r.chance(0.3) ? O_DIRECTORY : 0) | (r.chance(0.3) ? O_NOFOLLOW : 0));
        break;
      case 2:
        open(p, O_WRONLY | O_CREAT | (r.chance(0.5) ? O_EXCL : O_TRUNC));
        break;
      case 3:
        mkdir(p);
        break;
      case 4:
        unlink(p);
        break;
      case 5:
        unlink(p, AT_REMOVEDIR);
        break;
      case 6:
        symlink(q.starts_with('.') ? "a" : q, p);
        break;
      case 7:
        link(p, q, r.chance(0.3) ? AT_SYMLINK_FOLLOW : 0);
        break;
      case 8:
        stat(p, r.chance(0.5) ? AT_SYMLINK_NOFOLLOW : 0);
        break;
      default:
        rename(p, q, r.chance(0.2) ? RENAME_EXCHANGE : r.chance(0.2) ? RENAME_NOREPLACE : 0u);
    }
  }
}

}  // namespace
}  // namespace parkring::kernel::sim
