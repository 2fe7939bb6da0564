// Plain calls with arguments that are wrong, in one table: the simulated machine answers each as
// Linux does, on a file system in memory and on one on a disk. Where these two differ either will
// do. Not in it: ".." of a directory that was removed, which is nothing there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parkring/sim/world.hpp>

#include "kernel/file_calls.hpp"
#include "kernel/kernel.hpp"
#include "support/scratch.hpp"

namespace parkring::conformance {
namespace {

using kernel::file_calls;

// A directory with one of each, and descriptors of all ways to open one.
struct scene {
  file_calls& c;
  std::string root;
  int at = -1;                                       // of the directory
  int reads = -1, writes = -1, both = -1;            // of the file "f"
  int named = -1, link_named = -1, fifo_named = -1;  // by O_PATH: of "f", the link "l", the FIFO
  int gone = -1;                                     // a directory that was removed
  static constexpr int none = INT_MAX;               // nobody's
  std::vector<int> made;

  scene(file_calls& calls, std::string where) : c(calls), root(std::move(where)) {
    at = must(c.open(AT_FDCWD, root.c_str(), O_RDONLY | O_DIRECTORY, 0));
    both = must(c.open(at, "f", O_RDWR | O_CREAT | O_EXCL, 0644));
    EXPECT_EQ(c.write(both, std::as_bytes(std::span(std::string_view("content"))), 0), 7);
    reads = must(c.open(at, "f", O_RDONLY, 0));
    writes = must(c.open(at, "f", O_WRONLY, 0));
    named = must(c.open(at, "f", O_PATH, 0));
    EXPECT_EQ(c.make_symlink("f", at, "l"), 0);
    EXPECT_EQ(c.make_symlink("nowhere", at, "x"), 0);
    EXPECT_EQ(c.make_symlink("o", at, "o"), 0);
    EXPECT_EQ(c.make_symlink("d", at, "ld"), 0);
    link_named = must(c.open(at, "l", O_PATH | O_NOFOLLOW, 0));
    EXPECT_EQ(c.make_fifo(at, "p", 0644), 0);
    fifo_named = must(c.open(at, "p", O_PATH, 0));
    for (const char* name : {"d", "d/s", "e", "gone"})
      EXPECT_EQ(c.make_directory(at, name, 0755), 0);
    c.close(must(c.open(at, "d/g", O_WRONLY | O_CREAT, 0644)));
    gone = must(c.open(at, "gone", O_RDONLY | O_DIRECTORY, 0));
    EXPECT_EQ(c.remove(at, "gone", AT_REMOVEDIR), 0);
  }
  scene(const scene&) = delete;
  scene& operator=(const scene&) = delete;
  ~scene() {
    for (const int fd : made) c.close(fd);
  }
  int must(int fd) {
    EXPECT_GE(fd, 0);
    if (fd >= 0) made.push_back(fd);
    return fd;
  }

  // ---- shorthands ----
  int open(int from, const char* path, int flags) {
    const int fd = c.open(from, path, flags, 0644);
    if (fd >= 0) c.close(fd);
    return fd < 0 ? fd : 0;
  }
  int reopen(int fd, int flags) {
    const int made_anew = c.reopen(fd, flags);
    if (made_anew >= 0) c.close(made_anew);
    return made_anew < 0 ? made_anew : 0;
  }
  int stat(int from, const char* path, int flags, unsigned mask = STATX_BASIC_STATS) {
    struct statx s;
    return c.stat(from, path, flags, mask, s);
  }
  std::int64_t list(int fd, std::size_t size) {
    std::string to(size, '\0');
    const auto n = c.read_entries(fd, std::as_writable_bytes(std::span(to)));
    return n < 0 ? n : 0;
  }
  std::int64_t link_of(int from, const char* path, std::size_t size) {
    std::string to(size, '\0');
    return c.read_link(from, path, to);
  }
  std::int64_t read(int fd, std::uint64_t offset, std::size_t size = 10) {
    std::string to(size, '\0');
    return c.read(fd, std::as_writable_bytes(std::span(to)), offset);
  }
  std::int64_t write(int fd, std::uint64_t offset, std::string_view text = "content") {
    return c.write(fd, std::as_bytes(std::span(text)), offset);
  }
  int times(int from, const char* path, long nanoseconds, int flags, long other = UTIME_OMIT) {
    const timespec both_times[2] = {{1, nanoseconds}, {1, other}};
    return c.set_times(from, path, both_times, flags);
  }
  kernel::attribute_place of(int fd) const { return {.fd = fd}; }
  kernel::attribute_place of(const char* name, bool follow = true) {
    whole_ = root + "/" + name;
    return {.path = whole_.c_str(), .follow = follow};
  }
  std::int64_t get(kernel::attribute_place p, const char* name, std::size_t size = 10) {
    std::string to(size, '\0');
    return c.get_attribute(p, name, std::as_writable_bytes(std::span(to)));
  }
  int set(kernel::attribute_place p, const char* name, std::size_t size = 3, int flags = 0) {
    const std::string value(size, 'v');
    return c.set_attribute(p, name, std::as_bytes(std::span(value)), flags);
  }
  std::int64_t attributes(kernel::attribute_place p, std::size_t size) {
    std::string to(size, '\0');
    return c.list_attributes(p, to);
  }
  int space(int from, const char* name) {
    kernel::file_system_facts facts;
    return c.inspect_file_system(from, name, facts);
  }

 private:
  std::string whole_;
};

const std::string long_name(256, 'n');
const std::string long_path = [] {
  std::string s;
  while (s.size() < PATH_MAX) s += "./";
  return s;
}();

struct bad_call {
  const char* name;
  std::int64_t (*make)(scene&);
};

#define CALL(expression)                                              \
  {                                                                   \
#expression, [](scene & s) -> std::int64_t { return expression; } \
  }

// Each in a scene of its own.
const bad_call calls[] = {
    CALL(s.open(s.at, "", O_RDONLY)),
    CALL(s.open(s.at, "none", O_RDONLY)),
    CALL(s.open(s.at, "f/", O_RDONLY)),
    CALL(s.open(s.at, "f/x", O_RDONLY)),
    CALL(s.open(s.at, "f/..", O_RDONLY)),
    CALL(s.open(s.at, "none/..", O_RDONLY)),
    CALL(s.open(s.at, "l/", O_RDONLY)),
    CALL(s.open(s.at, "x", O_RDONLY)),
    CALL(s.open(s.at, "x", O_RDONLY | O_CREAT | O_EXCL)),
    CALL(s.open(s.at, "x/", O_RDONLY)),
    CALL(s.open(s.at, "o", O_RDONLY)),
    CALL(s.open(s.at, "o/f", O_RDONLY)),
    CALL(s.open(s.at, "l", O_RDONLY | O_NOFOLLOW)),
    CALL(s.open(s.at, "l", O_RDONLY | O_NOFOLLOW | O_DIRECTORY)),
    CALL(s.open(s.at, "ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY)),
    CALL(s.open(s.at, "ld/", O_RDONLY | O_NOFOLLOW | O_DIRECTORY)),
    CALL(s.open(s.at, "l", O_PATH | O_NOFOLLOW | O_DIRECTORY)),
    CALL(s.open(s.at, "f", O_RDONLY | O_DIRECTORY)),
    CALL(s.open(s.at, "f", O_RDWR | O_CREAT | O_DIRECTORY)),
    CALL(s.open(s.at, "f", O_RDWR | O_CREAT | O_EXCL)),
    CALL(s.open(s.at, "l", O_RDWR | O_CREAT | O_EXCL)),
    CALL(s.open(s.at, "d", O_WRONLY)),
    CALL(s.open(s.at, "d", O_RDONLY | O_CREAT)),
    CALL(s.open(s.at, "d", O_RDONLY | O_TRUNC)),
    CALL(s.open(s.at, "d", O_RDONLY | O_CREAT | O_EXCL)),
    CALL(s.open(s.at, "d/", O_RDWR | O_CREAT)),
    CALL(s.open(s.at, "new/", O_RDWR | O_CREAT)),
    CALL(s.open(s.at, "none/new", O_RDWR | O_CREAT)),
    CALL(s.open(s.at, ".", O_RDWR | O_CREAT)),
    CALL(s.open(s.at, "..", O_RDONLY | O_CREAT | O_EXCL)),
    CALL(s.open(s.at, "d", O_RDONLY | O_TMPFILE)),
    CALL(s.open(s.at, "f", O_RDWR | O_TMPFILE)),
    CALL(s.open(s.at, "none", O_RDWR | O_TMPFILE)),
    CALL(s.open(s.gone, "x", O_RDWR | O_CREAT)),
    CALL(s.open(s.gone, "x", O_RDONLY)),
    CALL(s.open(s.both, "x", O_RDONLY)),
    CALL(s.open(s.named, "x", O_RDONLY)),
    CALL(s.open(s.none, "f", O_RDONLY)),
    CALL(s.open(-5, "f", O_RDONLY)),
    CALL(s.open(s.none, "/", O_RDONLY)),
    CALL(s.open(s.none, "", O_RDONLY)),
    CALL(s.open(s.at, long_name.c_str(), O_RDONLY)),
    CALL(s.open(s.at, long_name.c_str(), O_RDWR | O_CREAT)),
    CALL(s.open(s.at, long_path.c_str(), O_RDONLY)),
    CALL(s.open(s.at, ("f/" + long_name).c_str(), O_RDONLY)),

    CALL(s.reopen(s.none, O_RDONLY)),
    CALL(s.reopen(s.at, O_RDWR)),
    CALL(s.reopen(s.reads, O_RDONLY | O_DIRECTORY)),
    CALL(s.reopen(s.named, O_RDONLY)),
    CALL(s.reopen(s.link_named, O_RDONLY)),
    CALL(s.c.duplicate(s.none)),
    CALL(s.c.close(s.none)),
    CALL(s.c.close(-1)),

    CALL(s.stat(s.at, "", 0)),
    CALL(s.stat(s.at, "none", 0)),
    CALL(s.stat(s.at, "f/", 0)),
    CALL(s.stat(s.at, "f/.", AT_SYMLINK_NOFOLLOW)),
    CALL(s.stat(s.at, "x", 0)),
    CALL(s.stat(s.at, "l/", AT_SYMLINK_NOFOLLOW)),
    CALL(s.stat(s.at, "o", 0)),
    CALL(s.stat(s.at, "f", 0x40000000)),
    CALL(s.stat(s.at, "f", AT_REMOVEDIR)),
    CALL(s.stat(s.at, "f", 0, 0x80000000U)),
    CALL(s.stat(s.at, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC)),
    CALL(s.stat(s.none, "", AT_EMPTY_PATH)),
    CALL(s.stat(s.none, "f", 0)),
    CALL(s.stat(s.both, "f", 0)),

    CALL(s.list(s.reads, 512)),
    CALL(s.list(s.none, 512)),
    CALL(s.list(s.named, 512)),
    CALL(s.list(s.at, 8)),
    CALL(s.list(s.at, 0)),
    CALL(s.list(s.gone, 512)),

    CALL(s.link_of(s.at, "f", 10)),
    CALL(s.link_of(s.at, "l", 0)),
    CALL(s.link_of(s.at, "none", 10)),
    CALL(s.link_of(s.at, "l/", 10)),
    CALL(s.link_of(s.at, "d", 10)),
    CALL(s.link_of(s.at, "", 10)),
    CALL(s.link_of(s.named, "", 10)),
    CALL(s.link_of(s.link_named, "", 10)),
    CALL(s.link_of(s.none, "", 10)),
    CALL(s.link_of(s.none, "l", 10)),
    CALL(s.link_of(s.both, "l", 10)),

    CALL(s.c.make_directory(s.at, "", 0755)),
    CALL(s.c.make_directory(s.at, ".", 0755)),
    CALL(s.c.make_directory(s.at, "..", 0755)),
    CALL(s.c.make_directory(s.at, "d", 0755)),
    CALL(s.c.make_directory(s.at, "d/", 0755)),
    CALL(s.c.make_directory(s.at, "f/", 0755)),
    CALL(s.c.make_directory(s.at, "x", 0755)),
    CALL(s.c.make_directory(s.at, "x/", 0755)),
    CALL(s.c.make_directory(s.at, "new/.", 0755)),
    CALL(s.c.make_directory(s.at, "new/", 0755)),
    CALL(s.c.make_directory(s.at, "none/new", 0755)),
    CALL(s.c.make_directory(s.at, "f/new", 0755)),
    CALL(s.c.make_directory(s.at, "/", 0755)),
    CALL(s.c.make_directory(s.at, long_name.c_str(), 0755)),
    CALL(s.c.make_directory(s.gone, "new", 0755)),
    CALL(s.c.make_directory(s.both, "new", 0755)),
    CALL(s.c.make_directory(s.none, "new", 0755)),

    CALL(s.c.make_symlink("", s.at, "new")),
    CALL(s.c.make_symlink("t", s.at, "")),
    CALL(s.c.make_symlink("t", s.at, "f")),
    CALL(s.c.make_symlink("t", s.at, "x")),
    CALL(s.c.make_symlink("t", s.at, "new/")),
    CALL(s.c.make_symlink("t", s.at, "d/")),
    CALL(s.c.make_symlink("t", s.at, ".")),
    CALL(s.c.make_symlink("t", s.at, "none/new")),
    CALL(s.c.make_symlink("t", s.gone, "new")),
    CALL(s.c.make_symlink("t", s.none, "new")),
    CALL(s.c.make_symlink("", s.none, "new")),
    CALL(s.c.make_symlink(long_path.c_str(), s.at, "new")),
    CALL(s.c.make_symlink(long_name.c_str(), s.at, "new")),

    CALL(s.c.make_fifo(s.at, "", 0644)),
    CALL(s.c.make_fifo(s.at, "f", 0644)),
    CALL(s.c.make_fifo(s.at, "x", 0644)),
    CALL(s.c.make_fifo(s.at, "new/", 0644)),
    CALL(s.c.make_fifo(s.at, "..", 0644)),
    CALL(s.c.make_fifo(s.gone, "new", 0644)),
    CALL(s.c.make_fifo(s.none, "new", 0644)),

    CALL(s.c.remove(s.at, "", 0)),
    CALL(s.c.remove(s.at, "none", 0)),
    CALL(s.c.remove(s.at, "none/", 0)),
    CALL(s.c.remove(s.at, "f/", 0)),
    CALL(s.c.remove(s.at, "l/", 0)),
    CALL(s.c.remove(s.at, "ld/", 0)),
    CALL(s.c.remove(s.at, "d", 0)),
    CALL(s.c.remove(s.at, "e/", 0)),
    CALL(s.c.remove(s.at, ".", 0)),
    CALL(s.c.remove(s.at, "..", 0)),
    CALL(s.c.remove(s.at, "/", 0)),
    CALL(s.c.remove(s.at, "f", 0x40000000)),
    CALL(s.c.remove(s.at, "f", AT_SYMLINK_NOFOLLOW)),
    CALL(s.c.remove(s.none, "f", 0)),
    CALL(s.c.remove(s.both, "f", 0)),
    CALL(s.c.remove(s.at, "", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "f", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "d", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "l", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "ld", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "ld/", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "e/", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "e/.", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "e/..", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "none", AT_REMOVEDIR)),
    CALL(s.c.remove(s.at, "/", AT_REMOVEDIR)),
    CALL(s.c.remove(s.gone, ".", AT_REMOVEDIR)),

    CALL(s.c.rename(s.at, "", s.at, "new", 0)),
    CALL(s.c.rename(s.at, "f", s.at, "", 0)),
    CALL(s.c.rename(s.at, "none", s.at, "new", 0)),
    CALL(s.c.rename(s.at, "none", s.at, "f", RENAME_NOREPLACE)),
    CALL(s.c.rename(s.at, "f", s.at, "f", 0)),
    CALL(s.c.rename(s.at, "f", s.at, "f", RENAME_NOREPLACE)),
    CALL(s.c.rename(s.at, "f", s.at, "f", RENAME_EXCHANGE)),
    CALL(s.c.rename(s.at, "f", s.at, "d", 0)),
    CALL(s.c.rename(s.at, "f", s.at, "e", 0)),
    CALL(s.c.rename(s.at, "d", s.at, "f", 0)),
    CALL(s.c.rename(s.at, "e", s.at, "d", 0)),
    CALL(s.c.rename(s.at, "d", s.at, "d/s", 0)),
    CALL(s.c.rename(s.at, "d", s.at, "d/s/new", 0)),
    CALL(s.c.rename(s.at, "d/s", s.at, "d", 0)),
    CALL(s.c.rename(s.at, "d/g", s.at, "d", 0)),
    CALL(s.c.rename(s.at, "d", s.at, "d/s", RENAME_EXCHANGE)),
    CALL(s.c.rename(s.at, "d/s", s.at, "d", RENAME_EXCHANGE)),
    CALL(s.c.rename(s.at, "d/s", s.at, "d", RENAME_NOREPLACE)),
    CALL(s.c.rename(s.at, "f/", s.at, "new", 0)),
    CALL(s.c.rename(s.at, "f", s.at, "new/", 0)),
    CALL(s.c.rename(s.at, "f", s.at, "d/", 0)),
    CALL(s.c.rename(s.at, "l/", s.at, "new", 0)),
    CALL(s.c.rename(s.at, "f", s.at, "x/", 0)),
    CALL(s.c.rename(s.at, "d", s.at, "f/", 0)),
    CALL(s.c.rename(s.at, "d/", s.at, "new/", 0)),
    CALL(s.c.rename(s.at, "ld/", s.at, "new", 0)),
    CALL(s.c.rename(s.at, "e", s.at, "ld/", 0)),
    CALL(s.c.rename(s.at, ".", s.at, "new", 0)),
    CALL(s.c.rename(s.at, "d/..", s.at, "new", 0)),
    CALL(s.c.rename(s.at, "f", s.at, ".", 0)),
    CALL(s.c.rename(s.at, "f", s.at, "d/..", 0)),
    CALL(s.c.rename(s.at, "f", s.at, ".", RENAME_NOREPLACE)),
    CALL(s.c.rename(s.at, "f", s.at, "none", RENAME_EXCHANGE)),
    CALL(s.c.rename(s.at, "f", s.at, "l/", RENAME_EXCHANGE)),
    CALL(s.c.rename(s.at, "f", s.at, "d/g", RENAME_EXCHANGE | RENAME_NOREPLACE)),
    CALL(s.c.rename(s.at, "f", s.at, "new", RENAME_EXCHANGE | RENAME_WHITEOUT)),
    CALL(s.c.rename(s.at, "f", s.at, "new", 0x100)),
    CALL(s.c.rename(s.at, "f", s.at, "none/new", 0)),
    CALL(s.c.rename(s.at, "none", s.at, "none/new", 0)),
    CALL(s.c.rename(s.at, "f", s.gone, "new", 0)),
    CALL(s.c.rename(s.at, "f", s.none, "new", 0)),
    CALL(s.c.rename(s.none, "f", s.at, "new", 0)),
    CALL(s.c.rename(s.at, "/", s.at, "new", 0)),
    CALL(s.c.rename(s.at, "f", s.at, "/", 0)),

    CALL(s.c.link(s.at, "", s.at, "new", 0)),
    CALL(s.c.link(s.at, "none", s.at, "new", 0)),
    CALL(s.c.link(s.at, "none", s.at, "f", 0)),
    CALL(s.c.link(s.at, "d", s.at, "new", 0)),
    CALL(s.c.link(s.at, "d", s.at, "f", 0)),
    CALL(s.c.link(s.at, "f", s.at, "f", 0)),
    CALL(s.c.link(s.at, "f", s.at, "l", 0)),
    CALL(s.c.link(s.at, "f", s.at, "x", 0)),
    CALL(s.c.link(s.at, "f", s.at, "new/", 0)),
    CALL(s.c.link(s.at, "f", s.at, ".", 0)),
    CALL(s.c.link(s.at, "f", s.at, "", 0)),
    CALL(s.c.link(s.at, "f/", s.at, "new", 0)),
    CALL(s.c.link(s.at, "x", s.at, "new", AT_SYMLINK_FOLLOW)),
    CALL(s.c.link(s.at, "x", s.at, "new", 0)),
    CALL(s.c.link(s.at, "f", s.at, "new", 0x40000000)),
    CALL(s.c.link(s.at, "f", s.at, "new", AT_SYMLINK_NOFOLLOW)),
    CALL(s.c.link(s.both, "", s.at, "new", 0)),
    CALL(s.c.link(s.at, "f", s.gone, "new", 0)),
    CALL(s.c.link(s.none, "f", s.at, "new", 0)),
    CALL(s.c.link(s.at, "f", s.none, "new", 0)),
    CALL(s.c.link(s.at, "f", s.at, "none/new", 0)),

    CALL(s.c.change_mode(s.at, "", 0600, 0)),
    CALL(s.c.change_mode(s.at, "none", 0600, 0)),
    CALL(s.c.change_mode(s.at, "x", 0600, 0)),
    CALL(s.c.change_mode(s.at, "l", 0600, AT_SYMLINK_NOFOLLOW)),
    CALL(s.c.change_mode(s.at, "l/", 0600, 0)),
    CALL(s.c.change_mode(s.none, "f", 0600, 0)),
    CALL(s.c.change_mode(s.none, "", 0600, AT_EMPTY_PATH)),
    CALL(s.c.change_mode(s.link_named, "", 0600, AT_EMPTY_PATH)),
    CALL(s.c.change_mode(s.both, "f", 0600, 0)),

    CALL(s.c.change_owner(s.at, "", 0, 0, 0)),
    CALL(s.c.change_owner(s.at, "none", 0, 0, 0)),
    CALL(s.c.change_owner(s.at, "x", 0, 0, 0)),
    CALL(s.c.change_owner(s.at, "f", ~0U, ~0U, 0x40000000)),
    CALL(s.c.change_owner(s.at, "f", ~0U, ~0U, AT_REMOVEDIR)),
    CALL(s.c.change_owner(s.none, "", ~0U, ~0U, AT_EMPTY_PATH)),
    CALL(s.c.change_owner(s.none, "f", ~0U, ~0U, 0)),

    CALL(s.times(s.at, "", 0, 0)),
    CALL(s.times(s.at, "none", 0, 0)),
    CALL(s.times(s.at, "none", UTIME_OMIT, 0)),
    CALL(s.times(s.none, "none", UTIME_OMIT, 0)),
    CALL(s.times(s.at, "f", 1'000'000'000, 0)),
    CALL(s.times(s.at, "f", -1, 0)),
    CALL(s.times(s.at, "f", 0, 0, 1'000'000'000)),
    CALL(s.times(s.at, "f", 0, 0x40000000)),
    CALL(s.times(s.at, "f", 0, AT_REMOVEDIR)),
    CALL(s.times(s.at, "x", 0, 0)),
    CALL(s.times(s.none, "f", 0, 0)),

    CALL(s.get(s.of("f"), "user.a")),
    CALL(s.get(s.of("f"), "")),
    CALL(s.get(s.of("f"), "user.")),
    CALL(s.get(s.of("f"), "none.a")),
    CALL(s.get(s.of("f"), "plain")),
    CALL(s.get(s.of("f"), long_name.c_str())),
    CALL(s.get(s.of("f"), ("user." + long_name).c_str())),
    CALL(s.get(s.of("none"), "user.a")),
    CALL(s.get(s.of("l", false), "user.a")),
    CALL(s.get(s.of("p"), "user.a")),
    CALL(s.get(s.of(s.none), "user.a")),
    CALL((s.set(s.of("f"), "user.a"), s.get(s.of("f"), "user.a", 2))),
    CALL((s.set(s.of("f"), "user.a"), s.get(s.of("f"), "user.a", 0))),
    CALL(s.set(s.of("f"), "")),
    CALL(s.set(s.of("f"), "user.")),
    CALL(s.set(s.of("f"), "none.a")),
    CALL(s.set(s.of("f"), "plain")),
    CALL(s.set(s.of("f"), long_name.c_str())),
    CALL(s.set(s.of("f"), "user.a", 65537)),
    CALL(s.set(s.of("f"), "user.a", 3, 4)),
    CALL(s.set(s.of("f"), "user.a", 3, XATTR_REPLACE)),
    CALL(s.set(s.of("f"), "user.a", 3, XATTR_REPLACE | XATTR_CREATE)),
    CALL((s.set(s.of("f"), "user.a"), s.set(s.of("f"), "user.a", 3, XATTR_CREATE))),
    CALL((s.set(s.of("f"), "user.a"), s.set(s.of("f"), "user.a", 3, XATTR_CREATE | XATTR_REPLACE))),
    CALL(s.set(s.of("l", false), "user.a")),
    CALL(s.set(s.of("p"), "user.a")),
    CALL(s.set(s.of("x"), "user.a")),
    CALL(s.set(s.of(s.none), "user.a")),
    CALL(s.set(s.of(s.named), "user.a")),
    CALL(s.set(s.of(s.link_named), "user.a")),
    CALL(s.set(s.of(s.fifo_named), "user.a")),
    CALL((s.set(s.of("f"), "user.a"), s.attributes(s.of("f"), 3))),
    CALL(s.attributes(s.of("none"), 10)),
    CALL(s.attributes(s.of(s.none), 10)),
    CALL(s.c.remove_attribute(s.of("f"), "user.a")),
    CALL(s.c.remove_attribute(s.of("f"), "")),
    CALL(s.c.remove_attribute(s.of("f"), "none.a")),
    CALL(s.c.remove_attribute(s.of("f"), long_name.c_str())),
    CALL(s.c.remove_attribute(s.of("l", false), "user.a")),
    CALL(s.c.remove_attribute(s.of("p"), "user.a")),
    CALL(s.c.remove_attribute(s.of(s.none), "user.a")),

    CALL(s.read(s.none, 0)),
    CALL(s.read(s.writes, 0)),
    CALL(s.read(s.at, 0)),
    CALL(s.read(s.named, 0)),
    CALL(s.read(s.reads, ~std::uint64_t{0})),
    CALL(s.read(s.reads, INT64_MAX)),
    CALL(s.read(s.reads, INT64_MAX - 3)),
    CALL(s.read(s.reads, 7)),
    CALL(s.read(s.writes, 0, 0)),
    CALL(s.read(s.at, 0, 0)),
    CALL(s.read(s.none, 0, 0)),
    CALL(s.read(s.reads, ~std::uint64_t{0}, 0)),
    CALL(s.write(s.none, 0)),
    CALL(s.write(s.reads, 0)),
    CALL(s.write(s.at, 0)),
    CALL(s.write(s.named, 0)),
    CALL(s.write(s.writes, ~std::uint64_t{0})),
    CALL(s.write(s.writes, INT64_MAX)),
    CALL(s.write(s.writes, INT64_MAX - 3)),
    CALL(s.write(s.reads, 0, "")),
    CALL(s.write(s.writes, ~std::uint64_t{0}, "")),
    CALL(s.write(s.writes, INT64_MAX, "")),
    CALL(s.c.sync(s.none, false)),
    CALL(s.c.sync(s.named, false)),
    CALL(s.c.sync(s.named, true)),
    CALL(s.c.truncate(s.none, 0)),
    CALL(s.c.truncate(s.reads, 0)),
    CALL(s.c.truncate(s.at, 0)),
    CALL(s.c.truncate(s.named, 0)),
    CALL(s.c.truncate(s.writes, ~std::uint64_t{0})),
    CALL(s.c.truncate(s.reads, ~std::uint64_t{0})),
    CALL(s.c.truncate(s.none, ~std::uint64_t{0})),
    CALL(s.c.copy_range(s.none, 0, s.writes, 0, 1)),
    CALL(s.c.copy_range(s.reads, 0, s.none, 0, 1)),
    CALL(s.c.clone(s.none, s.writes)),
    CALL(s.c.clone(s.reads, s.none)),
    CALL(s.c.seek(s.none, 0, SEEK_DATA)),
    CALL(s.c.seek(s.named, 0, SEEK_DATA)),
    CALL(s.c.seek(s.reads, 7, SEEK_DATA)),
    CALL(s.c.seek(s.reads, 7, SEEK_HOLE)),
    CALL(s.c.seek(s.reads, ~std::uint64_t{0}, SEEK_DATA)),
    CALL(s.c.seek(s.reads, ~std::uint64_t{0}, SEEK_HOLE)),
    CALL(s.c.seek(s.reads, 0, 17)),
    CALL(s.c.seek(s.reads, 100, 17)),
    CALL(s.c.advise(s.none, 0, 0, POSIX_FADV_NORMAL)),
    CALL(s.c.advise(s.named, 0, 0, POSIX_FADV_NORMAL)),
    CALL(s.c.advise(s.reads, 0, 0, 17)),
    CALL(s.c.advise(s.reads, 0, 0, -1)),
    CALL(s.c.advise(s.reads, 0, ~std::uint64_t{0}, POSIX_FADV_NORMAL)),
    CALL(s.c.advise(s.reads, ~std::uint64_t{0}, 0, POSIX_FADV_NORMAL)),
    CALL(s.c.lock(s.none, F_RDLCK, 0, 0)),
    CALL(s.c.lock(s.named, F_RDLCK, 0, 0)),
    CALL(s.c.lock(s.reads, F_WRLCK, 0, 0)),
    CALL(s.c.lock(s.writes, F_RDLCK, 0, 0)),
    CALL(s.c.lock(s.reads, 17, 0, 0)),
    CALL(s.c.lock(s.reads, F_RDLCK, ~std::uint64_t{0}, 0)),
    CALL(s.c.lock(s.reads, F_RDLCK, INT64_MAX, 2)),
    CALL(s.c.lock(s.reads, F_RDLCK, 2, INT64_MAX)),
    CALL(s.c.lock(s.reads, F_RDLCK, 0, ~std::uint64_t{0})),
    CALL((s.c.lock(s.both, F_WRLCK, 0, 0), s.c.lock(s.reads, F_RDLCK, 0, 0))),
    CALL((s.c.lock(s.both, F_WRLCK, 5, 5), s.c.lock(s.reads, F_RDLCK, 10, 0))),

    CALL(s.space(s.at, "none")),
    CALL(s.space(s.at, "f/")),
    CALL(s.space(s.none, "")),
    CALL(s.space(s.none, "f")),
    CALL(s.space(s.at, "x")),
};

// A place for scenes on this machine, and one in a world. A call that did something, and one that
// follows another, leave no scene for the next.
class directory {
 public:
  explicit directory(std::filesystem::path where) : where_(std::move(where)) {}
  std::int64_t answer(const bad_call& call) {
    if (!scene_) {
      root_.emplace(where_);
      scene_.emplace(kernel::system_file_calls(), root_->root().native());
    }
    const std::int64_t answer = call.make(*scene_);
    if (answer >= 0 || *call.name == '(') {
      scene_.reset();
      root_.reset();
    }
    return answer;
  }
  [[nodiscard]] const std::string& where() const noexcept { return where_.native(); }

 private:
  std::filesystem::path where_;
  std::optional<testing::scratch> root_;
  std::optional<scene> scene_;
};

class simulated {
 public:
  std::int64_t answer(const bad_call& call) {
    if (!scene_) {
      const std::string root = "/" + std::to_string(++scenes_);
      world_.create_directory(root);
      scene_.emplace(kernel::this_thread_kernel->files(), root);
    }
    const std::int64_t answer = call.make(*scene_);
    if (answer >= 0 || *call.name == '(') scene_.reset();
    return answer;
  }

 private:
  sim::world world_{1};
  sim::world::entered inside_{world_};
  unsigned scenes_ = 0;
  std::optional<scene> scene_;
};

std::string shown(std::int64_t answer) {
  return answer < 0 ? ::strerrorname_np(static_cast<int>(-answer)) : std::to_string(answer);
}

TEST(BadCalls, are_answered_by_a_simulated_machine_as_linux_answers) {
  std::deque<directory> places;
  places.emplace_back(std::filesystem::temp_directory_path());
  if (::access("/dev/shm", W_OK) == 0) places.emplace_back("/dev/shm");
  simulated world;
  for (const bad_call& call : calls) {
    std::set<std::string> real;
    std::string all;
    for (directory& place : places) {
      const std::string answer = shown(place.answer(call));
      real.insert(answer);
      all += " " + answer + " in " + place.where();
    }
    const std::string there = shown(world.answer(call));
    EXPECT_TRUE(real.contains(there)) << call.name << ": " << there << ", but" << all;
  }
}

}  // namespace
}  // namespace parkring::conformance
