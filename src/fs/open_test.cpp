#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

// The errno that opening gives, 0 when it opens.
int answer_of(const std::filesystem::path& p, open_options o = {}) {
  auto body = [&]() -> task<int> {
    auto f = co_await as_result(open(p, o));
    co_return f ? 0 : f.error().number();
  };
  return run(body());
}

TEST(Open, gives_a_file_that_knows_its_path) {
  test_directory dir;
  const auto path = dir.make("a", "hello");
  auto body = [&]() -> task<> {
    file f = co_await open(path);
    EXPECT_TRUE(static_cast<bool>(f));
    EXPECT_EQ(f.path(), path);
    EXPECT_EQ(f.memory_alignment(), 1U);
    file moved = std::move(f);
    EXPECT_FALSE(static_cast<bool>(f));
    EXPECT_TRUE(f.path().empty());
    buffer b(5);
    const auto n = co_await moved.read_at(b, 0);
    EXPECT_EQ(b.text(0, n), "hello");
  };
  run(body());
}

TEST(Open, says_what_is_wrong_and_what_to_do) {
  test_directory dir;
  const auto path = dir / "missing";
  auto body = [&]() -> task<> { co_await open(path); };
  try {
    run(body());
    FAIL() << "a missing file was opened";
  } catch (const io_error& e) {
    EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
    const std::string what = e.what();
    EXPECT_NE(what.find("open(" + path.native() + "): ENOENT"), std::string::npos) << what;
    EXPECT_FALSE(e.error().advice().empty());
  }
}

TEST(Open, refuses_what_is_not_a_file_that_can_be_opened_so) {
  test_directory dir;
  const auto path = dir.make("a", "x");
  std::filesystem::create_symlink(path, dir / "link");
  EXPECT_EQ(answer_of(dir / "."), EISDIR);
  EXPECT_EQ(answer_of(path / "below"), ENOTDIR);
  EXPECT_EQ(answer_of(std::string("a\0b", 3)), EINVAL);
  EXPECT_EQ(answer_of(dir / std::string(300, 'n')), ENAMETOOLONG);
  EXPECT_EQ(answer_of(""), ENOENT);
  EXPECT_EQ(answer_of(dir / "link"), 0);
  EXPECT_EQ(answer_of(dir / "link", {.follow_link = false}), ELOOP);
  EXPECT_EQ(answer_of(path, {.access = access::write, .creation = creation::must_be_new}), EEXIST);
  if (::geteuid() != 0) {
    std::filesystem::permissions(path, std::filesystem::perms::none);
    EXPECT_EQ(answer_of(path), EACCES);
  }
}

TEST(Open, creates_truncates_and_sets_permissions) {
  test_directory dir;
  const auto old = dir.make("old", "long content");
  EXPECT_EQ(answer_of(old, {.access = access::write, .creation = creation::if_missing}), 0);
  EXPECT_EQ(content_of(old), "long content");
  EXPECT_EQ(answer_of(old, {.access = access::write, .truncate = true}), 0);
  EXPECT_EQ(content_of(old), "");
  const auto fresh = dir / "fresh";
  EXPECT_EQ(
      answer_of(fresh, {.access = access::write, .creation = creation::must_be_new, .mode = 0600}),
      0);
  struct stat s {};
  ASSERT_EQ(::stat(fresh.c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0600U);
}

TEST(Open, appends_whatever_the_offset_says) {
  test_directory dir;
  const auto path = dir.make("log", "one,");
  auto body = [&]() -> task<> {
    file f = co_await open(path, {.access = access::write, .append = true});
    co_await f.write_at(std::string("two,"), 0);
    co_await f.write_at(std::string("three"), 1);
  };
  run(body());
  EXPECT_EQ(content_of(path), "one,two,three");
}

TEST(Open, a_file_opened_one_way_cannot_be_used_the_other) {
  test_directory dir;
  const auto path = dir.make("a", "12345");
  auto body = [&]() -> task<> {
    file r = co_await open(path);
    file w = co_await open(path, {.access = access::write});
    auto written = co_await as_result(r.write_at(std::string("x"), 0));
    auto read = co_await as_result(w.read_at(std::string(5, ' '), 0));
    EXPECT_FALSE(written.has_value());
    EXPECT_FALSE(read.has_value());
    if (written || read) co_return;
    EXPECT_EQ(written.error().number(), EBADF);
    EXPECT_NE(read.error().advice().find("access::read"), std::string::npos);
  };
  run(body());
}

TEST(Open, an_open_that_is_dropped_leaves_no_descriptor) {
  test_directory dir;
  const auto path = dir.make("a", "x");
  {
    runtime warm_up;
    warm_up.run([&]() -> task<> { co_await open(path); });
  }
  const int before = lowest_free_descriptor();
  {
    runtime rt;
    rt.run([&]() -> task<> {
      for (int i = 0; i < 100; ++i) {
        auto h = spawn([&]() -> task<> { co_await open(path); });
        for (int k = 0; k < i % 4; ++k) co_await yield();
      }
    });
  }
  EXPECT_EQ(lowest_free_descriptor(), before);
}

TEST(Open, an_operation_that_is_never_awaited_opens_nothing) {
  test_directory dir;
  const auto path = dir / "never";
  auto body = [&]() -> task<> {
    {
      [[maybe_unused]] auto o =
          open(path, {.access = access::write, .creation = creation::if_missing});
    }
    co_return;
  };
  run(body());
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace parkring::fs
