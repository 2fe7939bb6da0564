#include <parkring/fs/paths.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include <parkring/as_result.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/link.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

namespace stdfs = std::filesystem;

// The error that an operation ends with, or one with number 0.
template <class Operation>
error error_of(Operation operation) {
  auto body = [](Operation o) -> task<error> {
    auto r = co_await as_result(std::move(o));
    co_return r ? error(0, "", "") : r.error();
  };
  return run(body(std::move(operation)));
}
template <class Operation>
int answer_of(Operation operation) {
  return error_of(std::move(operation)).number();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Rename, gives_a_file_another_name_and_replaces_what_had_it) {
  test_directory dir;
  dir.make("a", "new");
  dir.make("b", "old");
  EXPECT_EQ(answer_of(fs::rename(dir / "a", dir / "b")), 0);
  EXPECT_FALSE(stdfs::exists(dir / "a"));
  EXPECT_EQ(content_of(dir / "b"), "new");
}

TEST(Rename, says_what_is_wrong_and_what_to_do) {
  test_directory dir;
  dir.make("a", "x");
  stdfs::create_directories(dir / "d/e");
  const auto missing = error_of(fs::rename(dir / "none", dir / "b"));
  EXPECT_EQ(missing.number(), ENOENT);
  EXPECT_TRUE(has(missing.message(),
                  "rename(" + (dir / "none").native() + ", " + (dir / "b").native() + "): ENOENT"))
      << missing.message();
  EXPECT_TRUE(has(missing.advice(), "check the path"));
  EXPECT_EQ(answer_of(fs::rename(dir / "a", dir / "d")), EISDIR);
  const auto full = error_of(fs::rename(dir / "d/e", dir / "d"));
  EXPECT_EQ(full.number(), ENOTEMPTY);
  EXPECT_TRUE(has(full.advice(), "not empty"));
  const auto inside = error_of(fs::rename(dir / "d", dir / "d/e/f"));
  EXPECT_EQ(inside.number(), EINVAL);
  EXPECT_TRUE(has(inside.advice(), "into itself"));
}

TEST(Remove, takes_names_of_files_away_and_of_nothing_else) {
  test_directory dir;
  dir.make("a", "x");
  stdfs::create_directory(dir / "d");
  EXPECT_EQ(answer_of(fs::remove(dir / "a")), 0);
  EXPECT_FALSE(stdfs::exists(dir / "a"));
  EXPECT_EQ(answer_of(fs::remove(dir / "a")), ENOENT);
  const auto directory = error_of(fs::remove(dir / "d"));
  EXPECT_EQ(directory.number(), EISDIR);
  EXPECT_TRUE(has(directory.advice(), "remove_directory"));
}

TEST(Remove, leaves_an_open_file_readable) {
  test_directory dir;
  const auto path = dir.make("a", "still here");
  auto body = [&]() -> task<> {
    file f = co_await open(path);
    co_await fs::remove(path);
    EXPECT_FALSE(stdfs::exists(path));
    auto [text, n] = co_await f.read_at(std::string(10, ' '), 0);
    EXPECT_EQ(text, "still here");
    EXPECT_EQ(n, 10U);
  };
  run(body());
}

TEST(RemoveDirectory, takes_empty_directories_away) {
  test_directory dir;
  stdfs::create_directories(dir / "d/e");
  dir.make("a", "x");
  const auto full = error_of(fs::remove_directory(dir / "d"));
  EXPECT_EQ(full.number(), ENOTEMPTY);
  EXPECT_TRUE(has(full.message(), "remove_directory(")) << full.message();
  EXPECT_EQ(answer_of(fs::remove_directory(dir / "d/e")), 0);
  EXPECT_EQ(answer_of(fs::remove_directory(dir / "d")), 0);
  EXPECT_FALSE(stdfs::exists(dir / "d"));
  EXPECT_TRUE(has(error_of(fs::remove_directory(dir / "a")).advice(), "files go with remove"));
}

TEST(CreateDirectory, makes_a_directory_with_the_permissions_asked_for) {
  test_directory dir;
  EXPECT_EQ(answer_of(fs::create_directory(dir / "d", 0700)), 0);
  struct stat s {};
  ASSERT_EQ(::stat((dir / "d").c_str(), &s), 0);
  EXPECT_TRUE(S_ISDIR(s.st_mode));
  EXPECT_EQ(s.st_mode & 0777, 0700U);
  const auto taken = error_of(fs::create_directory(dir / "d"));
  EXPECT_EQ(taken.number(), EEXIST);
  EXPECT_TRUE(has(taken.advice(), "taken"));
  EXPECT_EQ(answer_of(fs::create_directory(dir / "none/below")), ENOENT);
}

TEST(LinkName, gives_a_file_a_second_name) {
  test_directory dir;
  dir.make("a", "x");
  stdfs::create_directory(dir / "d");
  EXPECT_EQ(answer_of(fs::link(dir / "a", dir / "b")), 0);
  EXPECT_EQ(stdfs::hard_link_count(dir / "a"), 2U);
  EXPECT_EQ(content_of(dir / "b"), "x");
  EXPECT_EQ(answer_of(fs::link(dir / "a", dir / "b")), EEXIST);
  const auto directory = error_of(fs::link(dir / "d", dir / "e"));
  EXPECT_EQ(directory.number(), EPERM);
  EXPECT_TRUE(has(directory.advice(), "only files are linked"));
  EXPECT_TRUE(has(directory.advice(), "fs.protected_hardlinks"));
}

TEST(SyncDirectory, syncs_directories_only_and_leaves_no_descriptor) {
  test_directory dir;
  dir.make("a", "x");
  EXPECT_EQ(answer_of(fs::sync_directory(dir / "")), 0);
  const auto no_directory = error_of(fs::sync_directory(dir / "a"));
  EXPECT_EQ(no_directory.number(), ENOTDIR);
  EXPECT_TRUE(has(no_directory.message(), "sync_directory(" + (dir / "a").native() + "): ENOTDIR"))
      << no_directory.message();
  EXPECT_EQ(answer_of(fs::sync_directory(dir / "none")), ENOENT);
  auto body = [&]() -> task<> {
    co_await sleep_for(std::chrono::milliseconds(1));  // a kernel may need a descriptor to sleep
    const int before = lowest_free_descriptor();
    for (int i = 0; i < 10; ++i) co_await fs::sync_directory(dir / "");
    // Closing is a request of its own, which nobody waits for.
    for (int i = 0; i < 5'000 && lowest_free_descriptor() != before; ++i)
      co_await sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(lowest_free_descriptor(), before);
  };
  run(body());
}

TEST(SyncDirectory, of_an_empty_path_is_the_current_directory) {
  EXPECT_EQ(answer_of(fs::sync_directory(stdfs::path("a").parent_path())), 0);
}

TEST(SyncDirectory, throws_what_the_sync_itself_answers) {
  // /proc has directories that open and cannot be synced.
  EXPECT_EQ(answer_of(fs::sync_directory("/proc/self/fd")), EINVAL);
  auto body = []() -> task<> { co_await fs::sync_directory("/proc/self/fd"); };
  const int before = lowest_free_descriptor();
  try {
    run(body());  // whose runtime waits for the close
    FAIL() << "a directory without fsync was synced";
  } catch (const io_error& e) {
    EXPECT_EQ(e.error().operation(), "sync_directory");
    EXPECT_EQ(e.error().number(), EINVAL);
  }
  EXPECT_EQ(lowest_free_descriptor(), before);
}

TEST(SyncDirectory, closes_its_descriptor_when_there_is_only_one_record) {
  test_directory dir;
  runtime rt({.max_operations = 1});
  rt.run([&]() -> task<> {
    co_await sleep_for(std::chrono::milliseconds(1));  // a kernel may need a descriptor to sleep
    const int before = lowest_free_descriptor();
    {
      auto dropped = spawn(fs::sync_directory(dir / ""));
      co_await yield();
    }
    co_await fs::sync_directory(dir / "");  // waits until the record is free
    // Closing is a request of its own, which nobody waits for.
    for (int i = 0; i < 5'000 && lowest_free_descriptor() != before; ++i)
      co_await sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(lowest_free_descriptor(), before);
  });
}

TEST(FileSize, tells_size_and_existence_by_path) {
  test_directory dir;
  dir.make("a", std::string(12345, 'x'));
  auto body = [&]() -> task<> {
    EXPECT_EQ(co_await fs::file_size(dir / "a"), 12345U);
    EXPECT_TRUE(co_await fs::exists(dir / "a"));
    EXPECT_TRUE(co_await fs::exists(dir / ""));
    EXPECT_FALSE(co_await fs::exists(dir / "none"));
    EXPECT_FALSE(co_await fs::exists(dir / "a/below"));
  };
  run(body());
  EXPECT_EQ(answer_of(fs::file_size(dir / "none")), ENOENT);
  const auto too_long = error_of(fs::exists(dir / std::string(300, 'n')));
  EXPECT_EQ(too_long.number(), ENAMETOOLONG);
  EXPECT_EQ(too_long.operation(), "exists");
}

TEST(Paths, a_nul_in_a_path_is_refused_before_the_kernel_could_cut_it) {
  test_directory dir;
  dir.make("a", "x");
  const stdfs::path cut = std::string((dir / "a").native()) + std::string("\0b", 2);
  for (const error& e : {error_of(fs::remove(cut)), error_of(fs::rename(dir / "a", cut)),
                         error_of(fs::rename(cut, dir / "c")), error_of(fs::sync_directory(cut)),
                         error_of(fs::file_size(cut)), error_of(fs::exists(cut)),
                         error_of(fs::create_directory(cut)), error_of(fs::link(dir / "a", cut)),
                         error_of(fs::remove_directory(cut))}) {
    EXPECT_EQ(e.number(), EINVAL) << e.message();
    EXPECT_TRUE(has(e.message(), "a\\0b")) << e.message();
    EXPECT_TRUE(has(e.advice(), "NUL")) << e.message();
  }
  EXPECT_EQ(content_of(dir / "a"), "x");
}

TEST(Paths, an_operation_that_is_never_awaited_does_nothing) {
  test_directory dir;
  dir.make("a", "x");
  auto body = [&]() -> task<> {
    [[maybe_unused]] auto never = fs::remove(dir / "a");
    [[maybe_unused]] auto too = fs::create_directory(dir / "d");
    co_return;
  };
  run(body());
  EXPECT_TRUE(stdfs::exists(dir / "a"));
  EXPECT_FALSE(stdfs::exists(dir / "d"));
}

TEST(Paths, a_file_is_written_synced_and_put_in_place_by_one_chain) {
  test_directory dir;
  dir.make("a", "old");
  auto body = [&]() -> task<> {
    file f =
        co_await open(dir / "a.new", {.access = access::write, .creation = creation::must_be_new});
    co_await parkring::link(f.write_at(std::string("new"), 0), f.datasync(),
                            fs::rename(dir / "a.new", dir / "a"));
    co_await fs::sync_directory(dir / "");
  };
  run(body());
  EXPECT_EQ(content_of(dir / "a"), "new");
  EXPECT_FALSE(stdfs::exists(dir / "a.new"));
}

// What has begun is finished: also when the runtime ends right after.
TEST(Paths, what_was_begun_is_finished_though_it_is_dropped) {
  test_directory dir;
  for (int i = 0; i < 20; ++i) dir.make("f" + std::to_string(i), "x");
  {
    runtime rt;
    rt.run([&]() -> task<> {
      for (int i = 0; i < 20; ++i) {
        auto dropped = spawn(fs::remove(dir / ("f" + std::to_string(i))));
        for (int k = 0; k < 3; ++k) co_await yield();
      }
    });
    EXPECT_EQ(rt.counters().cancels, 0U);
  }
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(stdfs::exists(dir / ("f" + std::to_string(i)))) << i;
}

}  // namespace
}  // namespace parkring::fs
