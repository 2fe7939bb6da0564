#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

#include <parkring/as_result.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

TEST(ReadExactly, fills_the_whole_buffer) {
  test_directory dir;
  const auto pattern = test_pattern(300'000);
  const auto path = dir.make("a", pattern);
  auto body = [&]() -> task<> {
    file f = co_await open(path);
    buffer b(200'000);
    co_await f.read_exactly_at(b, 50'000);
    EXPECT_EQ(b.text(), pattern.substr(50'000, 200'000));
    EXPECT_FALSE(b.locked());
    buffer none;
    co_await f.read_exactly_at(none, 0);
  };
  run(body());
}

TEST(ReadExactly, a_file_that_ends_before_is_an_error_that_tells_how_far_it_came) {
  test_directory dir;
  const auto path = dir.make("a", std::string(1000, 'x'));
  auto body = [&]() -> task<> {
    file f = co_await open(path);
    buffer b(600);
    auto r = co_await as_result(f.read_exactly_at(b, 700));
    EXPECT_FALSE(r.has_value());
    if (r) co_return;
    EXPECT_EQ(r.error().number(), ENODATA);
    EXPECT_EQ(r.error().operation(), "read_exactly_at");
    EXPECT_EQ(r.error().transferred(), 300U);
    EXPECT_NE(r.error().message().find("300 of 600"), std::string::npos) << r.error().message();
    EXPECT_FALSE(b.locked());
    EXPECT_EQ(b.text(0, 300), std::string(300, 'x'));
  };
  run(body());
}

TEST(ReadExactly, holds_the_lock_from_the_call_to_the_end) {
  test_directory dir;
  const auto path = dir.make("a", std::string(1000, 'x'));
  auto body = [&]() -> task<> {
    file f = co_await open(path, {.inline_first = inline_mode::never});
    buffer b(1000);
    {
      auto t = f.read_exactly_at(b, 0);
      EXPECT_THROW((void)b.bytes(), buffer_locked);
      EXPECT_THROW((void)f.read_at(b, 0), buffer_locked);
    }
    EXPECT_FALSE(b.locked()) << "it was never started";
    {
      auto h = spawn(f.read_exactly_at(b, 0));
      co_await yield();
      EXPECT_TRUE(b.locked());
    }
    co_await b.returned();
    EXPECT_FALSE(b.locked());
  };
  run(body());
}

TEST(ReadExactly, when_dropped_in_flight_keeps_the_lock_until_the_kernel_is_done) {
  test_directory dir;
  const auto path = dir / "silent";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  // Held open for both, so that the reader neither waits for a writer nor sees an end.
  const int writer = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  auto body = [&]() -> task<> {
    file f = co_await open(path);
    buffer b(64);
    {
      auto h = spawn(f.read_exactly_at(b, 0));
      co_await sleep_for(std::chrono::milliseconds(1));  // now it is with the kernel
    }
    EXPECT_TRUE(b.locked());
    EXPECT_THROW((void)b.bytes(), buffer_locked);
    EXPECT_THROW((void)f.read_at(b, 0), buffer_locked);
    co_await b.returned();
    EXPECT_FALSE(b.locked());
  };
  run(body());
  ::close(writer);
}

TEST(WriteAll, writes_the_whole_buffer) {
  test_directory dir;
  const auto path = dir / "a";
  const auto pattern = test_pattern(300'000);
  auto body = [&]() -> task<> {
    file f = co_await open(path, {.access = access::write, .creation = creation::must_be_new});
    buffer b(300'000);
    fill(b.bytes(), pattern);
    co_await f.write_all_at(b, 10);
    EXPECT_FALSE(b.locked());
  };
  run(body());
  EXPECT_EQ(content_of(path).substr(10), pattern);
}

TEST(WriteAll, a_limit_in_between_tells_how_much_was_written) {
  test_directory dir;
  const auto path = dir / "a";
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{10'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  auto body = [&]() -> task<> {
    file f = co_await open(path, {.access = access::write, .creation = creation::if_missing});
    buffer b(20'000);
    fill(b.bytes(), std::string(20'000, 'l'));
    auto r = co_await as_result(f.write_all_at(b, 0));
    EXPECT_FALSE(r.has_value());
    if (r) co_return;
    EXPECT_EQ(r.error().number(), EFBIG);
    EXPECT_EQ(r.error().transferred(), 10'000U);
  };
  run(body());
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(content_of(path), std::string(10'000, 'l'));
}

TEST(WholeFile, what_was_written_is_read_back_at_every_size) {
  test_directory dir;
  for (const std::size_t size : {0U, 1U, 4095U, 65'536U, 65'537U, 3'000'000U}) {
    const auto path = dir / std::to_string(size);
    const auto pattern = test_pattern(size, size);
    auto body = [&]() -> task<std::string> {
      co_await write_file(path, pattern);
      co_return co_await read_file(path);
    };
    EXPECT_TRUE(run(body()) == pattern) << size;
    EXPECT_TRUE(content_of(path) == pattern) << size;
  }
}

TEST(WholeFile, writing_replaces_what_was_there) {
  test_directory dir;
  const auto path = dir.make("a", "something long");
  run(write_file(path, "short"));
  EXPECT_EQ(content_of(path), "short");
}

TEST(WholeFile, errors_name_the_path) {
  test_directory dir;
  EXPECT_THROW(run(read_file(dir / "missing")), io_error);
  EXPECT_THROW(run(write_file(dir / "missing/below", "x")), io_error);
  auto body = [&]() -> task<bool> {
    auto r = co_await as_result(read_file(dir / "missing"));
    co_return !r && r.error().number() == ENOENT;
  };
  EXPECT_TRUE(run(body()));
}

TEST(WholeFile, files_that_do_not_know_their_size_are_read_too) {
  if (!std::filesystem::exists("/proc/self/status")) GTEST_SKIP() << "there is no /proc";
  const auto text = run(read_file("/proc/self/status"));
  EXPECT_NE(text.find("Pid:"), std::string::npos);
}

}  // namespace
}  // namespace parkring::fs
