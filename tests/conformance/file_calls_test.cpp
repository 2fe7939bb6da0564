// Calls about files beside the rings: the same answers on every machine.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "conformance/machine.hpp"
#include "kernel/file_calls.hpp"
#include "kernel/open_how.hpp"

namespace parkring::conformance {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

class FileCalls : public on_machine {
 protected:
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    root_ = calls().open(AT_FDCWD, root().c_str(), O_RDONLY | O_DIRECTORY, 0);
    ASSERT_GE(root_, 0);
  }
  void TearDown() override {
    if (root_ >= 0) calls().close(root_);
    on_machine::TearDown();
  }
  [[nodiscard]] kernel::file_calls& calls() { return served_by().files(); }
  [[nodiscard]] int at() const { return root_; }

  int make(const char* name, std::string_view content) {
    const int fd = calls().open(at(), name, O_RDWR | O_CREAT | O_EXCL, 0640);
    EXPECT_GE(fd, 0) << name;
    EXPECT_EQ(calls().write(fd, bytes(content), 0), static_cast<std::int64_t>(content.size()));
    return fd;
  }
  struct statx stat(const char* name, int flags = 0) {
    struct statx s {};
    EXPECT_EQ(calls().stat(at(), name, flags, STATX_BASIC_STATS, s), 0) << name;
    return s;
  }
  std::string read(int fd, std::size_t n, std::uint64_t offset) {
    std::string text(n, '\0');
    const auto got = calls().read(fd, std::as_writable_bytes(std::span(text)), offset);
    if (got < 0) return "error " + std::to_string(-got);
    return text.substr(0, static_cast<std::size_t>(got));
  }
  // Names and their types, by a buffer of `size` bytes.
  std::map<std::string, int> entries(int fd, std::size_t size) {
    std::map<std::string, int> found;
    std::string buffer(size, '\0');
    for (;;) {
      const auto n = calls().read_entries(fd, std::as_writable_bytes(std::span(buffer)));
      EXPECT_GE(n, 0);
      if (n <= 0) return found;
      for (std::size_t i = 0; i < static_cast<std::size_t>(n);) {
        unsigned short length;
        std::memcpy(&length, &buffer[i + offsetof(dirent64, d_reclen)], sizeof length);
        found[&buffer[i + offsetof(dirent64, d_name)]] =
            static_cast<unsigned char>(buffer[i + offsetof(dirent64, d_type)]);
        i += length;
      }
    }
  }

 private:
  int root_ = -1;
};
PARKRING_ON_EVERY_MACHINE(FileCalls);

TEST_P(FileCalls, entries_are_listed_with_their_types_whatever_the_buffer) {
  calls().close(make("a", "x"));
  EXPECT_EQ(calls().make_directory(at(), "d", 0755), 0);
  EXPECT_EQ(calls().make_symlink("a", at(), "l"), 0);
  EXPECT_EQ(calls().make_fifo(at(), "p", 0644), 0);
  const std::map<std::string, int> all{{".", DT_DIR}, {"..", DT_DIR}, {"a", DT_REG},
                                       {"d", DT_DIR}, {"l", DT_LNK},  {"p", DT_FIFO}};
  for (const std::size_t size : {40u, 4096u}) {
    const int fd = calls().open(at(), ".", O_RDONLY | O_DIRECTORY, 0);
    EXPECT_EQ(entries(fd, size), all);
    EXPECT_EQ(calls().close(fd), 0);
  }
  std::array<std::byte, 8> none;
  const int fd = calls().open(at(), ".", O_RDONLY | O_DIRECTORY, 0);
  EXPECT_EQ(calls().read_entries(fd, none), -EINVAL);
  calls().close(fd);
  const int file = calls().open(at(), "a", O_RDONLY, 0);
  std::array<std::byte, 512> some;
  EXPECT_EQ(calls().read_entries(file, some), -ENOTDIR);
  calls().close(file);
}

TEST_P(FileCalls, links_say_where_they_lead) {
  EXPECT_EQ(calls().make_symlink("some/where", at(), "l"), 0);
  calls().close(make("a", "x"));
  std::string to(100, '\0');
  EXPECT_EQ(calls().read_link(at(), "l", to), 10);
  EXPECT_EQ(to.substr(0, 10), "some/where");
  EXPECT_EQ(calls().read_link(at(), "l", std::span(to).first(4)), 4);
  EXPECT_EQ(calls().read_link(at(), "a", to), -EINVAL);
  EXPECT_EQ(calls().read_link(at(), "none", to), -ENOENT);
  EXPECT_EQ(calls().read_link(at(), "a/below", to), -ENOTDIR);
  const int fd = calls().open(at(), "l", O_PATH | O_NOFOLLOW, 0);
  EXPECT_EQ(calls().read_link(fd, "", to), 10);
  calls().close(fd);
  EXPECT_EQ(calls().make_symlink("x", at(), "l"), -EEXIST);
  EXPECT_EQ(calls().make_symlink("loop", at(), "loop"), 0);
  EXPECT_EQ(calls().open(at(), "loop", O_RDONLY, 0), -ELOOP);
}

TEST_P(FileCalls, names_are_moved_linked_and_removed) {
  calls().close(make("a", "a"));
  calls().close(make("b", "b"));
  EXPECT_EQ(calls().rename(at(), "a", at(), "b", RENAME_NOREPLACE), -EEXIST);
  EXPECT_EQ(calls().rename(at(), "a", at(), "none", RENAME_EXCHANGE), -ENOENT);
  const auto a = stat("a").stx_ino;
  EXPECT_EQ(calls().rename(at(), "a", at(), "b", RENAME_EXCHANGE), 0);
  EXPECT_EQ(stat("b").stx_ino, a);
  EXPECT_EQ(calls().link(at(), "a", at(), "c", 0), 0);
  EXPECT_EQ(stat("a").stx_nlink, 2u);
  EXPECT_EQ(calls().link(at(), "a", at(), "c", 0), -EEXIST);
  EXPECT_EQ(calls().remove(at(), "c", 0), 0);
  EXPECT_EQ(calls().remove(at(), "c", 0), -ENOENT);
  EXPECT_EQ(calls().make_directory(at(), "d", 0755), 0);
  EXPECT_EQ(calls().make_directory(at(), "d", 0755), -EEXIST);
  EXPECT_EQ(calls().remove(at(), "d", 0), -EISDIR);
  EXPECT_EQ(calls().remove(at(), "a", AT_REMOVEDIR), -ENOTDIR);
  EXPECT_EQ(calls().remove(at(), "d", AT_REMOVEDIR), 0);
}

TEST_P(FileCalls, a_nameless_file_is_given_a_name_and_others_are_not) {
  const int fd = calls().open(at(), ".", O_TMPFILE | O_RDWR, 0600);
  if (fd == -EOPNOTSUPP) GTEST_SKIP() << "the file system has no nameless files";
  ASSERT_GE(fd, 0);
  EXPECT_EQ(calls().write(fd, bytes("later"), 0), 5);
  EXPECT_EQ(stat(".").stx_nlink, 2u);
  const int linked = calls().link(fd, "", at(), "name", AT_EMPTY_PATH);
  if (linked == -ENOENT) GTEST_SKIP() << "this is for root before Linux 6.10";
  EXPECT_EQ(linked, 0);
  EXPECT_EQ(stat("name").stx_size, 5u);
  calls().close(fd);
  EXPECT_EQ(calls().open(at(), ".", O_TMPFILE | O_RDONLY, 0600), -EINVAL);
  // What had a name once does not get one again.
  const int had = make("had", "x");
  EXPECT_EQ(calls().remove(at(), "had", 0), 0);
  EXPECT_EQ(calls().link(had, "", at(), "again", AT_EMPTY_PATH), -ENOENT);
  calls().close(had);
}

TEST_P(FileCalls, modes_owners_and_times_are_changed_by_name_and_by_descriptor) {
  const int fd = make("a", "x");
  EXPECT_EQ(calls().make_symlink("a", at(), "l"), 0);
  EXPECT_EQ(calls().change_mode(at(), "l", 0751, 0), 0);
  EXPECT_EQ(stat("a").stx_mode & 07777u, 0751u);
  EXPECT_EQ(calls().change_mode(fd, "", 0640, AT_EMPTY_PATH), 0);
  EXPECT_EQ(stat("a").stx_mode & 07777u, 0640u);
  EXPECT_EQ(calls().change_mode(at(), "l", 0700, AT_SYMLINK_NOFOLLOW), -EOPNOTSUPP);
  EXPECT_EQ(calls().change_mode(at(), "none", 0700, 0), -ENOENT);
  EXPECT_EQ(calls().change_mode(at(), "", 0700, 0), -ENOENT);

  const struct statx before = stat("a");
  EXPECT_EQ(calls().change_owner(at(), "a", before.stx_uid, static_cast<gid_t>(-1), 0), 0);
  EXPECT_EQ(calls().change_owner(fd, "", static_cast<uid_t>(-1), before.stx_gid, AT_EMPTY_PATH), 0);
  EXPECT_EQ(stat("a").stx_uid, before.stx_uid);
  EXPECT_EQ(stat("a").stx_gid, before.stx_gid);

  const timespec both[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 7}};
  EXPECT_EQ(calls().set_times(at(), "a", both, 0), 0);
  EXPECT_EQ(stat("a").stx_atime.tv_sec, 1000);
  EXPECT_EQ(stat("a").stx_mtime.tv_nsec, 7u);
  const timespec one[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = -3, .tv_nsec = 1}};
  EXPECT_EQ(calls().set_times(fd, "", one, AT_EMPTY_PATH), 0);
  EXPECT_EQ(stat("a").stx_atime.tv_nsec, 5u);
  EXPECT_EQ(stat("a").stx_mtime.tv_sec, -3);
  EXPECT_EQ(calls().set_times(at(), "l", both, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_EQ(stat("l", AT_SYMLINK_NOFOLLOW).stx_mtime.tv_sec, 2000);
  EXPECT_EQ(stat("a").stx_mtime.tv_sec, -3);
  calls().close(fd);
}

TEST_P(FileCalls, attributes_are_kept_with_the_file) {
  const int fd = make("a", "x");
  const std::string name = path("a");
  const kernel::attribute_place file{.fd = fd}, by_path{.path = name.c_str()};
  const int set = calls().set_attribute(file, "user.one", bytes("value"), XATTR_CREATE);
  if (set == -EOPNOTSUPP) {
    calls().close(fd);
    GTEST_SKIP() << "the file system has no such attributes";
  }
  EXPECT_EQ(set, 0);
  std::string out(100, '\0');
  const auto to = std::as_writable_bytes(std::span(out));
  EXPECT_EQ(calls().get_attribute(by_path, "user.one", {}), 5);
  EXPECT_EQ(calls().get_attribute(by_path, "user.one", to), 5);
  EXPECT_EQ(out.substr(0, 5), "value");
  EXPECT_EQ(calls().get_attribute(file, "user.one", to.first(2)), -ERANGE);
  EXPECT_EQ(calls().get_attribute(file, "user.none", to), -ENODATA);
  EXPECT_EQ(calls().set_attribute(by_path, "user.one", bytes("2"), XATTR_CREATE), -EEXIST);
  EXPECT_EQ(calls().set_attribute(by_path, "user.two", bytes("2"), XATTR_REPLACE), -ENODATA);
  EXPECT_EQ(calls().set_attribute(by_path, "nowhere.two", bytes("2"), 0), -EOPNOTSUPP);
  EXPECT_EQ(calls().set_attribute(by_path, "user.one", {}, 0), 0);
  EXPECT_EQ(calls().get_attribute(file, "user.one", to), 0);
  const auto size = calls().list_attributes(file, {});
  EXPECT_GE(size, 9);
  EXPECT_EQ(calls().list_attributes(file, std::span(out).first(3)), -ERANGE);
  EXPECT_EQ(calls().list_attributes(by_path, out), size);
  EXPECT_NE(out.find(std::string("user.one\0", 9)), std::string::npos);
  EXPECT_EQ(calls().remove_attribute(file, "user.one"), 0);
  EXPECT_EQ(calls().remove_attribute(file, "user.one"), -ENODATA);
  calls().close(fd);
}

TEST_P(FileCalls, content_is_read_written_cut_and_looked_through) {
  const int fd = make("a", "0123456789");
  EXPECT_EQ(read(fd, 4, 8), "89");
  EXPECT_EQ(read(fd, 4, 100), "");
  EXPECT_EQ(calls().truncate(fd, 3), 0);
  EXPECT_EQ(read(fd, 10, 0), "012");
  EXPECT_EQ(calls().sync(fd, true), 0);
  EXPECT_EQ(calls().sync(fd, false), 0);
  EXPECT_EQ(calls().seek(fd, 0, SEEK_DATA), 0);
  EXPECT_EQ(calls().seek(fd, 0, SEEK_HOLE), 3);
  EXPECT_EQ(calls().seek(fd, 3, SEEK_DATA), -ENXIO);
  EXPECT_EQ(calls().advise(fd, 0, 0, POSIX_FADV_WILLNEED), 0);
  EXPECT_EQ(calls().advise(fd, 0, 0, 77), -EINVAL);
  const int only_read = calls().open(at(), "a", O_RDONLY, 0);
  EXPECT_EQ(calls().write(only_read, bytes("x"), 0), -EBADF);
  calls().close(only_read);
  calls().close(fd);
}

TEST_P(FileCalls, a_descriptor_is_duplicated_and_a_file_opened_anew) {
  const int fd = make("a", "content");
  const int same = calls().duplicate(fd), other = calls().reopen(fd, O_RDONLY);
  ASSERT_GE(same, 0);
  ASSERT_GE(other, 0);
  EXPECT_EQ(calls().remove(at(), "a", 0), 0);
  EXPECT_EQ(calls().close(fd), 0);
  EXPECT_EQ(read(same, 10, 0), "content");
  EXPECT_EQ(read(other, 10, 0), "content");
  EXPECT_EQ(calls().write(other, bytes("x"), 0), -EBADF);
  calls().close(same);
  calls().close(other);
}

TEST_P(FileCalls, locks_belong_to_the_open_file_and_end_with_it) {
  const int one = make("a", "x");
  const int same = calls().duplicate(one), other = calls().reopen(one, O_RDWR);
  EXPECT_EQ(calls().lock(one, F_WRLCK, 10, 10), 0);
  EXPECT_EQ(calls().lock(same, F_WRLCK, 10, 10), 0);
  EXPECT_EQ(calls().lock(other, F_RDLCK, 0, 0), -EAGAIN);
  EXPECT_EQ(calls().lock(other, F_WRLCK, 0, 10), 0);
  EXPECT_EQ(calls().lock(other, F_WRLCK, 20, 0), 0);
  EXPECT_EQ(calls().lock(one, F_UNLCK, 12, 2), 0);
  EXPECT_EQ(calls().lock(other, F_WRLCK, 12, 2), 0);
  EXPECT_EQ(calls().lock(other, F_WRLCK, 14, 1), -EAGAIN);
  calls().close(one);
  EXPECT_EQ(calls().lock(other, F_WRLCK, 14, 1), -EAGAIN);
  calls().close(same);
  EXPECT_EQ(calls().lock(other, F_WRLCK, 14, 1), 0);
  const int only_read = calls().reopen(other, O_RDONLY);
  EXPECT_EQ(calls().lock(only_read, F_WRLCK, 0, 0), -EBADF);
  calls().close(other);
  EXPECT_EQ(calls().lock(only_read, F_RDLCK, 0, 0), 0);
  calls().close(only_read);
}

TEST_P(FileCalls, a_file_system_tells_of_its_room) {
  kernel::file_system_facts f, again;
  EXPECT_EQ(calls().inspect_file_system(AT_FDCWD, root().c_str(), f), 0);
  EXPECT_GT(f.block_size, 0u);
  EXPECT_GE(f.blocks, f.blocks_free);
  EXPECT_EQ(f.longest_name, 255u);
  EXPECT_EQ(calls().inspect_file_system(at(), "", again), 0);
  EXPECT_EQ(again.blocks, f.blocks);
  EXPECT_EQ(calls().inspect_file_system(at(), "none", f), -ENOENT);
}

TEST_P(FileCalls, what_is_not_open_is_no_descriptor) {
  std::array<std::byte, 8> some;
  struct statx s {};
  EXPECT_EQ(calls().close(-1), -EBADF);
  EXPECT_EQ(calls().duplicate(-1), -EBADF);
  EXPECT_EQ(calls().read(-1, some, 0), -EBADF);
  EXPECT_EQ(calls().stat(-1, "a", 0, STATX_SIZE, s), -EBADF);
  EXPECT_EQ(calls().lock(-1, F_RDLCK, 0, 0), -EBADF);
  EXPECT_EQ(calls().sync(-1, false), -EBADF);
  const int file = make("a", "x");
  EXPECT_EQ(calls().stat(file, "below", 0, STATX_SIZE, s), -ENOTDIR);
  calls().close(file);
}

// An opcode, but of the same family: a name that stays beneath its directory.
TEST_P(FileCalls, openat2_keeps_names_beneath_a_directory) {
  PARKRING_NEEDS(kernel::abi::op_openat2);
  EXPECT_EQ(calls().make_directory(at(), "d", 0755), 0);
  calls().close(make("a", "x"));
  calls().close(make("d/f", "x"));
  for (const auto& [target, name] : {std::pair("../a", "d/up"), std::pair("/", "d/root"),
                                     std::pair("f", "d/near"), std::pair("../d/f", "d/around")})
    EXPECT_EQ(calls().make_symlink(target, at(), name), 0);
  const int d = calls().open(at(), "d", O_RDONLY | O_DIRECTORY, 0);
  const auto open = [&](const char* name) {
    const kernel::abi::open_how how{O_RDONLY | O_CLOEXEC, 0, kernel::abi::resolve_beneath};
    kernel::abi::sqe e{};
    e.opcode = kernel::abi::op_openat2;
    e.fd = d;
    e.addr = reinterpret_cast<std::uint64_t>(name);
    e.len = sizeof how;
    e.addr2 = reinterpret_cast<std::uint64_t>(&how);
    const int fd = io().run(e);
    if (fd >= 0) calls().close(fd);
    return fd >= 0 ? 0 : fd;
  };
  EXPECT_EQ(open("f"), 0);
  EXPECT_EQ(open("near"), 0);
  EXPECT_EQ(open("none"), -ENOENT);
  EXPECT_EQ(open("../a"), -EXDEV);
  EXPECT_EQ(open("up"), -EXDEV);
  EXPECT_EQ(open("around"), -EXDEV);
  EXPECT_EQ(open("root"), -EXDEV);
  EXPECT_EQ(open(path("a").c_str()), -EXDEV);
  calls().close(d);
}

}  // namespace
}  // namespace parkring::conformance
