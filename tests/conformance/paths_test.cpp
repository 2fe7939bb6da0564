// Names: opening, renaming, linking, removing, and what statx tells of them.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "conformance/machine.hpp"

namespace parkring::conformance {
namespace {

constexpr unsigned remove_directory = 0x200;  // AT_REMOVEDIR
constexpr unsigned no_replace = 1u << 0;      // RENAME_NOREPLACE
constexpr unsigned exchange = 1u << 1;        // RENAME_EXCHANGE

class Paths : public on_machine {
 protected:
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(io().make_file(path("file"), "content"), 0);
    ASSERT_EQ(io().mkdir(path("dir")), 0);
  }
  bool exists(const std::string& name) {
    struct statx s {};
    return io().stat(path(name), s, AT_SYMLINK_NOFOLLOW) == 0;
  }
  unsigned links(const std::string& name) {
    struct statx s {};
    return io().stat(path(name), s) == 0 ? s.stx_nlink : 0;
  }
};
PARKRING_ON_EVERY_MACHINE(Paths);

// ---- open ----

TEST_P(Paths, a_missing_name_is_opened_only_to_create_it) {
  EXPECT_EQ(io().open(path("new"), O_RDWR), -ENOENT);
  EXPECT_EQ(io().open(path("none/new"), O_RDWR | O_CREAT), -ENOENT);
  const int fd = io().open(path("new"), O_RDWR | O_CREAT);
  EXPECT_GE(fd, 0);
  EXPECT_EQ(io().content(path("new")), "");
  EXPECT_EQ(io().open("", O_RDONLY), -ENOENT);
}

TEST_P(Paths, creating_an_existing_file_opens_it_unless_it_must_be_new) {
  const int fd = io().open(path("file"), O_RDWR | O_CREAT);
  EXPECT_GE(fd, 0);
  EXPECT_EQ(io().read(fd, 100, 0), "content");
  EXPECT_EQ(io().open(path("file"), O_RDWR | O_CREAT | O_EXCL), -EEXIST);
  EXPECT_EQ(io().open(path("dir"), O_RDONLY | O_CREAT | O_EXCL), -EEXIST);
  EXPECT_GE(io().open(path("new"), O_RDWR | O_CREAT | O_EXCL), 0);
}

TEST_P(Paths, opening_with_truncation_empties_the_file) {
  EXPECT_GE(io().open(path("file"), O_WRONLY | O_TRUNC), 0);
  EXPECT_EQ(io().content(path("file")), "");
}

TEST_P(Paths, directories_are_opened_for_reading_only) {
  EXPECT_EQ(io().open(path("dir"), O_RDWR), -EISDIR);
  EXPECT_EQ(io().open(path("dir"), O_WRONLY), -EISDIR);
  EXPECT_EQ(io().open(path("dir"), O_RDONLY | O_CREAT), -EISDIR);
  EXPECT_GE(io().open(path("dir"), O_RDONLY), 0);
  EXPECT_GE(io().open(path("dir"), O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(io().open(path("file"), O_RDONLY | O_DIRECTORY), -ENOTDIR);
}

TEST_P(Paths, a_file_in_the_middle_of_a_path_is_no_directory) {
  struct statx s {};
  EXPECT_EQ(io().open(path("file/x"), O_RDONLY), -ENOTDIR);
  EXPECT_EQ(io().open(path("file/x"), O_RDWR | O_CREAT), -ENOTDIR);
  EXPECT_EQ(io().open(path("file/"), O_RDONLY), -ENOTDIR);
  EXPECT_EQ(io().stat(path("file/x"), s), -ENOTDIR);
  EXPECT_EQ(io().mkdir(path("file/x")), -ENOTDIR);
  EXPECT_EQ(io().unlink(path("file/x")), -ENOTDIR);
  EXPECT_EQ(io().rename(path("file/x"), path("y")), -ENOTDIR);
}

TEST_P(Paths, dots_and_doubled_slashes_mean_what_they_always_mean) {
  EXPECT_EQ(io().content(path("./dir/..//file")), "content");
  EXPECT_EQ(io().content(path("dir/../dir/./../file")), "content");
  EXPECT_EQ(io().content(path("none/../file")), "<open failed: No such file or directory>");
}

TEST_P(Paths, names_that_are_too_long_are_refused) {
  EXPECT_EQ(io().open(path(std::string(256, 'n')), O_RDWR | O_CREAT), -ENAMETOOLONG);
  EXPECT_GE(io().open(path(std::string(255, 'n')), O_RDWR | O_CREAT), 0);
  EXPECT_EQ(io().open("/" + std::string(5000, 'n'), O_RDONLY), -ENAMETOOLONG);
}

TEST_P(Paths, a_path_is_relative_to_the_directory_that_is_given) {
  const int directory = io().open(path("dir"), O_RDONLY | O_DIRECTORY);
  const int fd = io().run(openat("inner", O_RDWR | O_CREAT, 0600, directory));
  EXPECT_GE(fd, 0);
  EXPECT_TRUE(exists("dir/inner"));
  const int file = io().open(path("file"), O_RDONLY);
  EXPECT_EQ(io().run(openat("inner", O_RDONLY, 0, file)), -ENOTDIR);
  EXPECT_EQ(io().run(openat("inner", O_RDONLY, 0, 1'000'000)), -EBADF);
  // An absolute path does not look at it.
  const std::string absolute = path("file");
  EXPECT_GE(io().run(openat(absolute.c_str(), O_RDONLY, 0, 1'000'000)), 0);
}

// ---- symbolic links ----

TEST_P(Paths, a_symbolic_link_is_followed_unless_told_not_to) {
  EXPECT_EQ(io().symlink("file", path("link")), 0);
  EXPECT_EQ(io().content(path("link")), "content");
  EXPECT_EQ(io().open(path("link"), O_RDONLY | O_NOFOLLOW), -ELOOP);
  struct statx s {};
  EXPECT_EQ(io().stat(path("link"), s), 0);
  EXPECT_TRUE(S_ISREG(s.stx_mode));
  EXPECT_EQ(io().stat(path("link"), s, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_TRUE(S_ISLNK(s.stx_mode));
  EXPECT_EQ(s.stx_size, 4u);
}

TEST_P(Paths, symbolic_links_lead_through_directories) {
  EXPECT_EQ(io().symlink("dir", path("way")), 0);
  EXPECT_EQ(io().make_file(path("way/inner"), "i"), 0);
  EXPECT_EQ(io().content(path("dir/inner")), "i");
  EXPECT_EQ(io().symlink(path("file"), path("dir/absolute")), 0);
  EXPECT_EQ(io().content(path("way/absolute")), "content");
  EXPECT_EQ(io().symlink("../file", path("dir/up")), 0);
  EXPECT_EQ(io().content(path("dir/up")), "content");
}

TEST_P(Paths, a_dangling_symbolic_link_can_be_made_and_creates_its_target) {
  EXPECT_EQ(io().symlink("target", path("link")), 0);
  EXPECT_EQ(io().open(path("link"), O_RDONLY), -ENOENT);
  EXPECT_EQ(io().open(path("link"), O_RDWR | O_CREAT | O_EXCL), -EEXIST);
  EXPECT_GE(io().open(path("link"), O_RDWR | O_CREAT), 0);
  EXPECT_TRUE(exists("target"));
}

TEST_P(Paths, symbolic_links_in_a_circle_are_a_loop) {
  EXPECT_EQ(io().symlink("b", path("a")), 0);
  EXPECT_EQ(io().symlink("a", path("b")), 0);
  struct statx s {};
  EXPECT_EQ(io().open(path("a"), O_RDONLY), -ELOOP);
  EXPECT_EQ(io().stat(path("a"), s), -ELOOP);
  EXPECT_EQ(io().stat(path("a"), s, AT_SYMLINK_NOFOLLOW), 0);
}

TEST_P(Paths, a_symbolic_link_needs_a_free_name_and_a_target) {
  EXPECT_EQ(io().symlink("x", path("file")), -EEXIST);
  EXPECT_EQ(io().symlink("x", path("none/link")), -ENOENT);
  EXPECT_EQ(io().symlink("", path("link")), -ENOENT);
}

TEST_P(Paths, removing_a_symbolic_link_leaves_its_target) {
  EXPECT_EQ(io().symlink("file", path("link")), 0);
  EXPECT_EQ(io().unlink(path("link")), 0);
  EXPECT_FALSE(exists("link"));
  EXPECT_EQ(io().content(path("file")), "content");
}

// ---- statx ----

TEST_P(Paths, statx_tells_type_size_and_links) {
  struct statx s {};
  EXPECT_EQ(io().stat(path("file"), s), 0);
  EXPECT_EQ(s.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
  EXPECT_TRUE(S_ISREG(s.stx_mode));
  EXPECT_EQ(s.stx_size, 7u);
  EXPECT_EQ(s.stx_nlink, 1u);
  EXPECT_EQ(s.stx_mode & 07777, 0600);
  EXPECT_EQ(io().stat(path("dir"), s), 0);
  EXPECT_TRUE(S_ISDIR(s.stx_mode));
  EXPECT_EQ(io().stat(path("none"), s), -ENOENT);
}

TEST_P(Paths, statx_of_a_descriptor_follows_the_file_and_not_its_name) {
  const int fd = io().open(path("file"), O_RDWR);
  EXPECT_EQ(io().rename(path("file"), path("other")), 0);
  struct statx s {
  }, named{};
  EXPECT_EQ(io().stat(fd, s), 0);
  EXPECT_EQ(io().stat(path("other"), named), 0);
  EXPECT_EQ(s.stx_ino, named.stx_ino);
  EXPECT_EQ(s.stx_size, 7u);
  EXPECT_EQ(io().write(fd, "12345678", 0), 8);
  EXPECT_EQ(io().stat(fd, s), 0);
  EXPECT_EQ(s.stx_size, 8u);
  EXPECT_EQ(io().run(statx("", &s, 0, 0x7ff, fd)), -ENOENT);  // without AT_EMPTY_PATH
}

TEST_P(Paths, two_files_have_two_numbers) {
  ASSERT_EQ(io().make_file(path("other"), ""), 0);
  struct statx a {
  }, b{};
  EXPECT_EQ(io().stat(path("file"), a), 0);
  EXPECT_EQ(io().stat(path("other"), b), 0);
  EXPECT_NE(a.stx_ino, b.stx_ino);
}

// ---- rename ----

TEST_P(Paths, a_rename_moves_the_file_to_its_new_name) {
  EXPECT_EQ(io().rename(path("file"), path("dir/moved")), 0);
  EXPECT_FALSE(exists("file"));
  EXPECT_EQ(io().content(path("dir/moved")), "content");
}

TEST_P(Paths, a_rename_takes_the_place_of_an_existing_file) {
  ASSERT_EQ(io().make_file(path("old"), "old"), 0);
  const int old = io().open(path("old"), O_RDONLY);
  EXPECT_EQ(io().rename(path("file"), path("old")), 0);
  EXPECT_FALSE(exists("file"));
  EXPECT_EQ(io().content(path("old")), "content");
  EXPECT_EQ(io().read(old, 100, 0), "old");  // who has it open keeps it
}

TEST_P(Paths, a_rename_that_must_not_replace_does_not) {
  ASSERT_EQ(io().make_file(path("old"), "old"), 0);
  EXPECT_EQ(io().rename(path("file"), path("old"), no_replace), -EEXIST);
  EXPECT_EQ(io().content(path("old")), "old");
  EXPECT_EQ(io().content(path("file")), "content");
  EXPECT_EQ(io().rename(path("file"), path("new"), no_replace), 0);
  EXPECT_EQ(io().content(path("new")), "content");
}

TEST_P(Paths, a_rename_can_exchange_two_names) {
  ASSERT_EQ(io().make_file(path("old"), "old"), 0);
  EXPECT_EQ(io().rename(path("file"), path("old"), exchange), 0);
  EXPECT_EQ(io().content(path("old")), "content");
  EXPECT_EQ(io().content(path("file")), "old");
  EXPECT_EQ(io().rename(path("file"), path("none"), exchange), -ENOENT);
  EXPECT_EQ(io().rename(path("file"), path("old"), exchange | no_replace), -EINVAL);
}

TEST_P(Paths, files_and_directories_do_not_replace_each_other) {
  EXPECT_EQ(io().rename(path("file"), path("dir")), -EISDIR);
  EXPECT_EQ(io().rename(path("dir"), path("file")), -ENOTDIR);
  EXPECT_TRUE(exists("file"));
  EXPECT_TRUE(exists("dir"));
}

TEST_P(Paths, a_directory_replaces_only_an_empty_one) {
  ASSERT_EQ(io().mkdir(path("full")), 0);
  ASSERT_EQ(io().make_file(path("full/x"), "x"), 0);
  EXPECT_EQ(io().rename(path("dir"), path("full")), -ENOTEMPTY);
  EXPECT_EQ(io().rename(path("full"), path("dir")), 0);
  EXPECT_EQ(io().content(path("dir/x")), "x");
  EXPECT_FALSE(exists("full"));
}

TEST_P(Paths, a_directory_does_not_move_into_itself) {
  EXPECT_EQ(io().rename(path("dir"), path("dir/inner")), -EINVAL);
  ASSERT_EQ(io().mkdir(path("dir/inner")), 0);
  EXPECT_EQ(io().rename(path("dir"), path("dir/inner/deep")), -EINVAL);
  EXPECT_EQ(io().rename(path("dir/inner"), path("dir")), -ENOTEMPTY);
}

TEST_P(Paths, a_rename_of_nothing_or_to_nowhere_fails) {
  EXPECT_EQ(io().rename(path("none"), path("new")), -ENOENT);
  EXPECT_EQ(io().rename(path("file"), path("none/new")), -ENOENT);
  EXPECT_EQ(io().rename(path("file"), path("dir/.")), -EBUSY);
  EXPECT_EQ(io().content(path("file")), "content");
}

TEST_P(Paths, a_rename_to_the_same_file_does_nothing) {
  EXPECT_EQ(io().rename(path("file"), path("file")), 0);
  EXPECT_EQ(io().link(path("file"), path("twin")), 0);
  EXPECT_EQ(io().rename(path("file"), path("twin")), 0);
  EXPECT_TRUE(exists("file"));  // both names stay, as rename(2) says
  EXPECT_TRUE(exists("twin"));
}

// ---- hard links ----

TEST_P(Paths, a_hard_link_is_the_same_file) {
  EXPECT_EQ(io().link(path("file"), path("twin")), 0);
  EXPECT_EQ(links("file"), 2u);
  const int fd = io().open(path("twin"), O_RDWR);
  EXPECT_EQ(io().write(fd, "CON", 0), 3);
  EXPECT_EQ(io().content(path("file")), "CONtent");
  EXPECT_EQ(io().unlink(path("file")), 0);
  EXPECT_EQ(links("twin"), 1u);
  EXPECT_EQ(io().content(path("twin")), "CONtent");
}

TEST_P(Paths, a_hard_link_needs_a_file_and_a_free_name) {
  EXPECT_EQ(io().link(path("none"), path("new")), -ENOENT);
  EXPECT_EQ(io().link(path("file"), path("dir")), -EEXIST);
  EXPECT_EQ(io().link(path("file"), path("file")), -EEXIST);
  EXPECT_EQ(io().link(path("dir"), path("twin")), -EPERM);
  EXPECT_EQ(io().link(path("file"), path("none/new")), -ENOENT);
}

TEST_P(Paths, a_hard_link_follows_a_symbolic_one_only_when_told_to) {
  ASSERT_EQ(io().symlink("file", path("link")), 0);
  EXPECT_EQ(io().link(path("link"), path("followed"), AT_SYMLINK_FOLLOW), 0);
  struct statx s {};
  EXPECT_EQ(io().stat(path("followed"), s, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_TRUE(S_ISREG(s.stx_mode));
  EXPECT_EQ(io().link(path("link"), path("itself")), 0);
  EXPECT_EQ(io().stat(path("itself"), s, AT_SYMLINK_NOFOLLOW), 0);
  EXPECT_TRUE(S_ISLNK(s.stx_mode));
}

// ---- directories and removing ----

TEST_P(Paths, directories_nest_and_count_their_subdirectories) {
  EXPECT_EQ(io().mkdir(path("dir/inner")), 0);
  EXPECT_EQ(io().make_file(path("dir/inner/x"), "x"), 0);
  EXPECT_EQ(io().content(path("dir/inner/x")), "x");
  EXPECT_EQ(io().mkdir(path("dir")), -EEXIST);
  EXPECT_EQ(io().mkdir(path("file")), -EEXIST);
  EXPECT_EQ(io().mkdir(path("none/x")), -ENOENT);
}

TEST_P(Paths, only_an_empty_directory_is_removed) {
  EXPECT_EQ(io().make_file(path("dir/x"), "x"), 0);
  EXPECT_EQ(io().unlink(path("dir"), remove_directory), -ENOTEMPTY);
  EXPECT_EQ(io().unlink(path("dir/x")), 0);
  EXPECT_EQ(io().unlink(path("dir"), remove_directory), 0);
  EXPECT_FALSE(exists("dir"));
  EXPECT_EQ(io().unlink(path("dir"), remove_directory), -ENOENT);
}

TEST_P(Paths, files_and_directories_are_removed_each_in_its_own_way) {
  EXPECT_EQ(io().unlink(path("dir")), -EISDIR);
  EXPECT_EQ(io().unlink(path("file"), remove_directory), -ENOTDIR);
  EXPECT_EQ(io().unlink(path("none")), -ENOENT);
  EXPECT_EQ(io().unlink(path("file"), 0x1), -EINVAL);
  EXPECT_EQ(io().unlink(path("dir/."), remove_directory), -EINVAL);
  EXPECT_EQ(io().unlink(path("dir/.."), remove_directory), -ENOTEMPTY);
  EXPECT_TRUE(exists("file"));
  EXPECT_TRUE(exists("dir"));
}

TEST_P(Paths, an_open_file_outlives_its_name) {
  const int fd = io().open(path("file"), O_RDWR);
  EXPECT_EQ(io().unlink(path("file")), 0);
  EXPECT_FALSE(exists("file"));
  EXPECT_EQ(io().read(fd, 100, 0), "content");
  EXPECT_EQ(io().write(fd, "more", 7), 4);
  EXPECT_EQ(io().read(fd, 100, 0), "contentmore");
  struct statx s {};
  EXPECT_EQ(io().stat(fd, s), 0);
  EXPECT_EQ(s.stx_nlink, 0u);
  // The name is free for another file, which is another one.
  EXPECT_EQ(io().make_file(path("file"), "new"), 0);
  EXPECT_EQ(io().read(fd, 100, 0), "contentmore");
  EXPECT_EQ(io().close(fd), 0);
}

TEST_P(Paths, nothing_is_made_in_a_directory_that_was_removed) {
  const int fd = io().open(path("dir"), O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(io().unlink(path("dir"), remove_directory), 0);
  EXPECT_EQ(io().run(openat("x", O_RDWR | O_CREAT, 0600, fd)), -ENOENT);
}

TEST_P(Paths, a_chain_makes_fills_renames_and_removes_in_order) {
  const std::string from = path("chain"), to = path("chained");
  const auto results = io().run_chain({mkdirat(from.c_str()), renameat(from.c_str(), to.c_str()),
                                       unlinkat(to.c_str(), remove_directory)});
  EXPECT_EQ(results, (std::vector<std::int32_t>{0, 0, 0}));
  EXPECT_FALSE(exists("chain"));
  EXPECT_FALSE(exists("chained"));
}

}  // namespace
}  // namespace parkring::conformance
