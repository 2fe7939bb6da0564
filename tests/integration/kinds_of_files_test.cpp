// Regular files, pipes, FIFOs, /proc, devices and terminals all behave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pty.h>

#include <chrono>
#include <string>
#include <thread>

#include <parkring/parkring.hpp>

#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

class Kinds : public ::testing::TestWithParam<pr::fs::inline_mode> {
 protected:
  [[nodiscard]] pr::fs::open_options reading() const { return {.inline_first = GetParam()}; }
  [[nodiscard]] pr::fs::open_options writing() const {
    return {.access = pr::fs::access::write, .inline_first = GetParam()};
  }
  [[nodiscard]] pr::fs::open_options both() const {
    return {.access = pr::fs::access::read_write, .inline_first = GetParam()};
  }
};
INSTANTIATE_TEST_SUITE_P(Modes, Kinds,
                         ::testing::Values(pr::fs::inline_mode::automatic,
                                           pr::fs::inline_mode::always,
                                           pr::fs::inline_mode::never));

pr::task<std::string> whole(std::filesystem::path path, pr::fs::open_options options) {
  auto f = co_await pr::fs::open(path, options);
  std::string all;
  for (;;) {
    auto [part, n] = co_await f.read_at(std::string(7, ' '), all.size());
    if (n == 0) co_return all;
    all.append(part, 0, n);
  }
}

TEST_P(Kinds, a_regular_file_ends_with_a_count_of_zero) {
  scratch dir;
  EXPECT_EQ(pr::run(whole(dir.file("f", "hello, regular file"), reading())), "hello, regular file");
  EXPECT_EQ(pr::run(whole(dir.file("empty", ""), reading())), "");
}

TEST_P(Kinds, a_file_of_proc_is_read_in_parts) {
  EXPECT_EQ(pr::run(whole("/proc/version", reading())), content_of("/proc/version"));
  EXPECT_EQ(pr::run(pr::fs::read_file("/proc/version")), content_of("/proc/version"));
}

TEST_P(Kinds, a_pipe_delivers_in_order_and_ends) {
  pipe_pair pipe;
  pipe.put("first second");
  const auto text = pr::run([](pipe_pair& p, pr::fs::open_options o) -> pr::task<std::string> {
    auto f = co_await pr::fs::open(p.read_path(), o);
    auto [a, n] = co_await f.read_at(std::string(6, ' '), 0);
    p.close_write_end();
    auto [b, m] = co_await f.read_at(std::string(16, ' '), 999);  // a stream has no offset
    auto [c, k] = co_await f.read_at(std::string(16, ' '), 0);
    co_return a.substr(0, n) + "|" + b.substr(0, m) + "|" + std::to_string(k);
  }(pipe, reading()));
  EXPECT_EQ(text, "first |second|0");
}

TEST_P(Kinds, a_pipe_without_reader_tells_the_writer) {
  ::signal(SIGPIPE, SIG_IGN);
  pipe_pair pipe;
  auto f = std::make_shared<pr::fs::file>();
  try {
    pr::run([](pipe_pair& p, pr::fs::open_options o) -> pr::task<> {
      auto out = co_await pr::fs::open(p.write_path(), o);
      p.close_read_end();
      (void)co_await out.write_at(std::string("x"), 0);
    }(pipe, writing()));
    FAIL() << "no error";
  } catch (const pr::io_error& e) {
    EXPECT_EQ(e.code(), std::errc::broken_pipe);
    EXPECT_THAT(e.what(), ::testing::HasSubstr("the reading end of the pipe is closed"));
  }
}

TEST_P(Kinds, a_fifo_connects_two_tasks) {
  scratch dir;
  const auto path = dir.fifo("fifo");
  const auto text = pr::run([](std::filesystem::path p, pr::fs::open_options r,
                               pr::fs::open_options w) -> pr::task<std::string> {
    // Opening may create, so it is done by a worker, where each end waits for the other.
    r.creation = w.creation = pr::fs::creation::if_missing;
    auto [in, out] = co_await pr::when_all(pr::fs::open(p, r), pr::fs::open(p, w));
    (void)co_await out.write_at(std::string("through the fifo"), 0);
    co_await std::move(out).close();
    auto [got, n] = co_await in.read_at(std::string(99, ' '), 0);
    auto [rest, end] = co_await in.read_at(std::string(99, ' '), 0);
    EXPECT_EQ(end, 0u);
    co_return got.substr(0, n);
  }(path, reading(), writing()));
  EXPECT_EQ(text, "through the fifo");
}

TEST_P(Kinds, a_fifo_that_nobody_reads_is_an_error_or_waits_and_can_be_left) {
  scratch dir;
  const auto path = dir.fifo("fifo");
  pr::run([](std::filesystem::path p, pr::fs::open_options w) -> pr::task<> {
    try {
      auto f = co_await pr::timeout(20ms, pr::fs::open(p, w));
      EXPECT_FALSE(f.has_value());
    } catch (const pr::io_error& e) {
      EXPECT_THAT(e.what(), ::testing::HasSubstr("ENXIO"));
      EXPECT_THAT(e.what(), ::testing::HasSubstr("a FIFO that nobody reads"));
    }
  }(path, writing()));
}

TEST_P(Kinds, the_devices_zero_null_full_and_random) {
  pr::run(
      [](pr::fs::open_options r, pr::fs::open_options w, pr::fs::open_options rw) -> pr::task<> {
        auto zero = co_await pr::fs::open("/dev/zero", r);
        pr::buffer b(100'000);
        co_await zero.read_exactly_at(b, 12'345);
        EXPECT_EQ(b.text(), std::string(100'000, '\0'));
        auto null = co_await pr::fs::open("/dev/null", rw);
        EXPECT_EQ(co_await null.write_at(b, 1 << 30), 100'000u);
        EXPECT_EQ(co_await null.read_at(b, 0), 0u);
        auto full = co_await pr::fs::open("/dev/full", rw);
        EXPECT_EQ(co_await full.read_at(b, 0, 10), 10u);
        auto refused = co_await pr::as_result(full.write_at(b, 0));
        EXPECT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code(), std::errc::no_space_on_device);
        auto random = co_await pr::fs::open("/dev/urandom", r);
        auto [bytes, n] = co_await random.read_at(std::string(64, '\0'), 0);
        EXPECT_EQ(n, 64u);
        EXPECT_NE(bytes, std::string(64, '\0'));
        (void)w;
      }(reading(), writing(), both()));
}

TEST_P(Kinds, a_terminal_gives_lines_and_an_idle_one_can_be_left) {
  int controller = -1, terminal = -1;
  char name[128];
  if (::openpty(&controller, &terminal, name, nullptr, nullptr) != 0)
    GTEST_SKIP() << "no pseudo terminals here";
  pr::run([](int line, std::string path, pr::fs::open_options o) -> pr::task<> {
    auto tty = co_await pr::fs::open(path, o);
    EXPECT_FALSE((co_await pr::timeout(10ms, tty.read_at(std::string(99, ' '), 0))).has_value());
    EXPECT_EQ(::write(line, "one\ntwo\n", 8), 8);
    auto [a, n] = co_await tty.read_at(std::string(99, ' '), 0);
    auto [b, m] = co_await tty.read_at(std::string(99, ' '), 0);
    EXPECT_EQ(a.substr(0, n) + "|" + b.substr(0, m), "one\n|two\n");
    EXPECT_EQ((co_await tty.write_at(std::string("answer"), 0)).count, 6u);
    co_await std::move(tty).close();
  }(controller, name, both()));
  ::close(terminal);
  ::close(controller);
}

TEST_P(Kinds, appending_ignores_the_offset) {
  scratch dir;
  const auto path = dir.file("log", "one ");
  auto options = writing();
  options.append = true;
  pr::run([](std::filesystem::path p, pr::fs::open_options o) -> pr::task<> {
    auto f = co_await pr::fs::open(p, o);
    (void)co_await f.write_at(std::string("two "), 0);
    (void)co_await f.write_at(std::string("three"), 0);
  }(path, options));
  EXPECT_EQ(content_of(path), "one two three");
}

}  // namespace
