// Trees at the limits of what a process may have, and over several file systems.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <parkring/as_result.hpp>
#include <parkring/fs/copy.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/fs/remove_all.hpp>
#include <parkring/fs/temporary.hpp>
#include <parkring/fs/walk.hpp>
#include <parkring/fs/walk_visit.hpp>
#include <parkring/runtime.hpp>
#include <parkring/when_all.hpp>

#include "fs/test_files.hpp"
#include "support/child_process.hpp"
#include "support/privileges.hpp"

namespace parkring::fs {
namespace {

namespace stdfs = std::filesystem;

constexpr unsigned levels = 2'000, fewer = 300;

// In memory, where that is: thousands of directories take their time on a disk.
stdfs::path in_memory() {
  return ::access("/dev/shm", W_OK) == 0 ? stdfs::path("/dev/shm") : stdfs::temp_directory_path();
}

// Directories in each other, a file in the last; and `files` in each, with names of which some
// hundred are more than one buffer of a list.
void make_deep(const stdfs::path& root, unsigned depth, unsigned files = 0) {
  stdfs::create_directory(root);
  int at = ::open(root.c_str(), O_DIRECTORY | O_CLOEXEC);
  const auto make_file = [&at](const std::string& name) {
    ::close(::openat(at, name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  };
  for (unsigned i = 0; i < depth; ++i) {
    for (unsigned k = 0; k < files; ++k) make_file(std::string(240, 'n') + std::to_string(k));
    if (::mkdirat(at, "dd", 0700) != 0) throw std::runtime_error("no directory");
    const int next = ::openat(at, "dd", O_DIRECTORY | O_CLOEXEC);
    ::close(at);
    at = next;
  }
  make_file("f");
  ::close(at);
}

task<unsigned> deepest(stdfs::path root, walk_order order) {
  walk w(std::move(root), {.order = order});
  unsigned depth = 0, count = 0;
  for (;;) {
    auto e = co_await w.next();
    if (!e) break;
    if (e->failure) throw io_error(*e->failure);
    depth = std::max(depth, e->depth);
    ++count;
  }
  co_return depth == count ? depth : 0;
}

TEST(DeepTree, is_walked_copied_and_removed_with_few_descriptors) {
  const test_directory dir(in_memory());
  make_deep(dir / "from", levels);
  const auto r = testing::in_child([&] {
    if (!testing::limit(RLIMIT_NOFILE, 64)) return 77;
    const auto check = [](bool right, const char* what) {
      if (!right) throw std::runtime_error(what);
    };
    check(run(deepest(dir / "from", walk_order::any)) == levels + 1, "walk");
    check(run(fs::copy_all(dir / "from", dir / "to")).directories == levels + 1, "copy");
    check(run(fs::remove_all(dir / "to")).directories == levels + 1, "removal");
    check(run(fs::remove_all(dir / "from")).files == 1, "the other removal");
    auto others = [](stdfs::path in) -> task<> {
      temporary_directory t = co_await create_temporary_directory(in);
      make_deep(t.path() / "from", fewer);
      const unsigned depth = co_await deepest(t.path() / "from", walk_order::depth_first);
      if (depth != fewer + 1) throw std::runtime_error("walk in order");
      co_await std::move(t).remove();
      // What others remove meanwhile is no error.
      make_deep(in / "twice", fewer);
      co_await when_all(fs::remove_all(in / "twice"), fs::remove_all(in / "twice"));
    };
    run(others((dir / "x").parent_path()));
    return stdfs::is_empty(dir / "") ? 0 : 1;
  });
  EXPECT_EQ(r.status, 0) << r;
  if (r.status != 0) run(fs::remove_all(dir / "from"));
}

// The rest of a directory's list has a descriptor of its own where the directory keeps none: not
// one for each level.
TEST(DeepTree, of_large_directories_needs_few_descriptors) {
  const test_directory dir(in_memory());
  constexpr unsigned depth = 100, files = 150;
  make_deep(dir / "from", depth, files);
  const auto r = testing::in_child([&] {
    if (!testing::limit(RLIMIT_NOFILE, 64)) return 77;
    const auto check = [](bool right, const char* what) {
      if (!right) throw std::runtime_error(what);
    };
    constexpr unsigned all = depth * (files + 1) + 1;
    auto count = [](stdfs::path root, unsigned concurrency, bool visits) -> task<unsigned> {
      walk_options o;
      o.concurrency = concurrency;
      auto visited = std::make_shared<std::atomic<unsigned>>(0);
      if (visits)
        o.visit = [visited](walk_visit& v) {
          std::byte first;
          (void)v.read_at({&first, 1}, 0);
          ++*visited;
          return false;
        };
      walk w(std::move(root), o);
      unsigned came = 0;
      for (;;) {
        auto e = co_await w.next();
        if (!e) break;
        if (e->failure) throw io_error(*e->failure);
        ++came;
      }
      co_return came + *visited;
    };
    for (const unsigned concurrency : {1U, 4U})
      for (const bool visits : {false, true})
        check(run(count(dir / "from", concurrency, visits)) == all, "walk");
    copy_options one_copies;
    one_copies.concurrency = 1;
    removal_options one_removes;
    one_removes.concurrency = 1;
    check(run(fs::copy_all(dir / "from", dir / "to", one_copies)).files == all - depth, "copy");
    check(run(fs::remove_all(dir / "to", one_removes)).files == all - depth, "removal");
    return 0;
  });
  EXPECT_EQ(r.status, 0) << r;
  for (const char* name : {"from", "to"}) run(fs::remove_all(dir / name));
}

// The system follows forty links in one path. What is not yet listed in each directory keeps it.
TEST(DeepTree, that_is_followed_through_many_links_comes_all) {
  const test_directory dir;
  constexpr unsigned depth = 70;
  for (unsigned i = 0; i < depth; ++i) {
    const stdfs::path one = dir / std::to_string(i);
    stdfs::create_directories(one / "x");
    if (i + 1 < depth) stdfs::create_symlink("../" + std::to_string(i + 1), one / "l");
  }
  const auto r = testing::in_child([&] {
    if (!testing::limit(RLIMIT_NOFILE, 64)) return 77;
    auto count = [](stdfs::path root, walk_order order) -> task<unsigned> {
      walk w(std::move(root), {.follow = follow_links::always, .order = order});
      unsigned came = 0;
      for (;;) {
        auto e = co_await w.next();
        if (!e) break;
        if (e->failure) throw io_error(*e->failure);
        ++came;
      }
      co_return came;
    };
    for (const walk_order order : {walk_order::by_name, walk_order::depth_first})
      if (run(count(dir / "0", order)) != 2 * depth - 1) return 1;
    return 0;
  });
  EXPECT_EQ(r.status, 0) << r;
}

// A link that takes the place of a directory high above, while what is below it is under way. It
// leads to a tree that goes on as the one did that was there: so whoever follows it finds each name
// that he looks for, and removes it. All of it lies in the test's own folder. `by_parts`: without
// openat2(2), the way is opened one name after the other.
void put_a_link_in_the_way(bool by_parts) {
  const test_directory dir(in_memory());
  constexpr unsigned depth = levels * 3 / 5;  // more than one job's share
  constexpr unsigned above = 18;              // more than those that keep their descriptors
  make_deep(dir / "from", depth);
  make_deep(dir / "outside", depth - above);
  const auto r = testing::in_child([&] {
    constexpr long sys_openat2 = 437;  // on all architectures
    if (by_parts && !testing::deny_syscalls({sys_openat2}, ENOSYS)) return 77;
    if (!testing::limit(RLIMIT_NOFILE, 64)) return 77;
    auto body = [](stdfs::path root) -> task<> {
      removal_options o;
      o.concurrency = 1;
      o.on_error = [](const error&) { return true; };
      bool once = false;
      const stdfs::path from = root / "from", outside = root / "outside";
      o.progress = [&](const removal_counts&) {
        if (std::exchange(once, true)) return;
        stdfs::path near = from;
        for (unsigned i = 0; i < above; ++i) near /= "dd";
        stdfs::rename(near, root / "moved");
        stdfs::create_symlink(outside, near);
      };
      const auto done = co_await as_result(fs::remove_all(from, o));
      if (!once) throw std::runtime_error("it was not told how far it was");
      if (done && done->files + done->directories != 0) throw std::runtime_error("it was left");
    };
    run(body((dir / "x").parent_path()));
    return 0;
  });
  stdfs::path kept = dir / "outside";
  for (unsigned i = above; i < depth; ++i) kept /= "dd";
  const bool is_kept = stdfs::exists(kept / "f");
  for (const char* name : {"from", "moved", "outside"}) run(fs::remove_all(dir / name));
  if (r.status == 77) GTEST_SKIP() << "no limit or no filter can be had here";
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_TRUE(is_kept);
}

TEST(DeepTree, is_not_left_by_a_link_that_comes_into_its_way) { put_a_link_in_the_way(false); }
TEST(DeepTree, is_not_left_by_a_link_where_its_way_is_opened_by_parts) {
  put_a_link_in_the_way(true);
}

// Two more file systems, in a mount namespace of the test's own.
bool mount_two(const stdfs::path& one, const stdfs::path& two) {
  const bool root = ::geteuid() == 0;
  if (::unshare(CLONE_NEWNS | (root ? 0 : CLONE_NEWUSER)) != 0) return false;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  return ::mount("none", one.c_str(), "tmpfs", 0, "size=4m") == 0 &&
         ::mount("none", two.c_str(), "tmpfs", 0, "size=4m") == 0;
}

TEST(SeveralDevices, in_turn_are_copied_and_a_rename_between_them_says_what_to_do) {
  const test_directory dir;
  const stdfs::path from = dir / "from", one = from / "d/one", two = from / "d/two";
  for (const auto& made : {one, two}) stdfs::create_directories(made);
  const auto r = testing::in_child([&] {
    if (!mount_two(one, two)) return 77;
    const auto check = [](bool right, std::string what) {
      if (!right) throw std::runtime_error(what);
    };
    // Large enough for the kernel to be asked to copy them, and asked in turn.
    for (int i = 0; i < 4; ++i) {
      const std::string name = std::to_string(i);
      for (const auto& in : {one, two, from / "d"}) {
        stdfs::create_directory(in / name);
        dir.make((in / name / "f").lexically_relative(dir / "").native(), test_pattern(300'000, i));
      }
    }
    for (const unsigned concurrency : {1U, 3U}) {
      for (const stdfs::path& to : {dir / "to", two / "to"}) {
        copy_options o;
        o.concurrency = concurrency;
        const auto counts = run(fs::copy_all(one, to, o));
        check(counts.files == 4 && counts.failed == 0, "copy of one");
        run(fs::remove_all(to));
      }
      copy_options o;
      o.concurrency = concurrency;
      const auto counts = run(fs::copy_all(from, dir / "to", o));
      check(counts.files == 12 && counts.failed == 0, "copy of all");
      for (int i = 0; i < 4; ++i)
        for (const char* in : {"d/one", "d/two", "d"})
          check(content_of(dir / "to" / in / std::to_string(i) / "f") == test_pattern(300'000, i),
                std::string("content in ") + in);
      run(fs::remove_all(dir / "to"));
    }
    auto move = [](stdfs::path a, stdfs::path b) -> task<> {
      for (const auto mode : {rename_mode::replace, rename_mode::no_replace}) {
        const auto moved = co_await as_result(fs::rename(a / "0/f", b / "new", mode));
        if (moved || moved.error().number() != EXDEV ||
            moved.error().advice().find("copy the file instead") == std::string::npos)
          throw std::runtime_error(moved ? "moved" : moved.error().message());
      }
      const auto linked = co_await as_result(fs::link(a / "0/f", b / "new"));
      if (linked || linked.error().number() != EXDEV) throw std::runtime_error("linked");
    };
    run(move(one, two));
    run(move(two, dir / ""));
    // A mount point is not removed, and says so; all that is in it is.
    const auto removed = run(as_result(fs::remove_all(from)));
    check(!removed && removed.error().number() == EBUSY, "removal of mount points");
    return 0;
  });
  if (r.status == 77) GTEST_SKIP() << "no mount namespace can be had here";
  EXPECT_EQ(r.status, 0) << r;
}

}  // namespace
}  // namespace parkring::fs
