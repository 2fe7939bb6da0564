// Every way of handing memory over, on every path a request can take.

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/runtime.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {

// A user's own type that owns its bytes inside itself, so they move with it.
struct page {
  std::array<char, 64> bytes{};
};

}  // namespace parkring::fs

template <>
struct parkring::owned_memory<parkring::fs::page> {
  static std::byte* data(fs::page& p) noexcept {
    return reinterpret_cast<std::byte*>(p.bytes.data());
  }
  static std::size_t size(const fs::page&) noexcept { return 64; }
};

namespace parkring::fs {
namespace {

// Each test runs with requests served inline and with all of them on the ring.
class ReadWrite : public ::testing::TestWithParam<inline_mode> {
 protected:
  test_directory dir_;
  std::string pattern_ = test_pattern(10'000);
  std::filesystem::path path_ = dir_.make("data", pattern_);
  open_options read_{.inline_first = GetParam()};
  open_options write_{.access = access::read_write, .inline_first = GetParam()};
};

TEST_P(ReadWrite, a_locking_buffer_is_read_into) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, read_);
    buffer b(1000);
    const std::size_t n = co_await f.read_at(b, 4321);
    EXPECT_EQ(n, 1000U);
    EXPECT_FALSE(b.locked());
    EXPECT_EQ(b.text(), pattern_.substr(4321, 1000));
    const std::size_t part = co_await f.read_at(b, 0, 10);
    EXPECT_EQ(part, 10U);
    EXPECT_EQ(b.text(0, 10), pattern_.substr(0, 10));
    EXPECT_EQ(b.text(10), pattern_.substr(4331, 990)) << "the rest is untouched";
  };
  run(body());
}

TEST_P(ReadWrite, the_end_of_the_file_is_a_short_count_and_then_none) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, read_);
    buffer b(1000);
    const std::size_t last = co_await f.read_at(b, 9'900);
    EXPECT_EQ(last, 100U);
    EXPECT_EQ(b.text(0, last), pattern_.substr(9'900));
    const std::size_t end = co_await f.read_at(b, 10'000);
    EXPECT_EQ(end, 0U);
    const std::size_t beyond = co_await f.read_at(b, 1u << 30);
    EXPECT_EQ(beyond, 0U);
  };
  run(body());
}

TEST_P(ReadWrite, a_buffer_is_locked_from_the_call_on_and_free_when_the_operation_goes) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, read_);
    buffer b(100);
    {
      auto described = f.read_at(b, 0);
      EXPECT_TRUE(b.locked());
      EXPECT_THROW((void)b.bytes(), buffer_locked);
      EXPECT_THROW((void)f.read_at(b, 0), buffer_locked);
    }
    EXPECT_FALSE(b.locked());
    EXPECT_THROW((void)f.read_at(b, 0, 101), std::out_of_range);
    EXPECT_FALSE(b.locked());
    const auto n = co_await f.read_at(b, 0);
    EXPECT_EQ(n, 100U);
  };
  run(body());
}

TEST_P(ReadWrite, a_buffer_is_written_by_several_requests_at_once) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, write_);
    buffer b(100);
    fill(b.bytes(), std::string(100, 'w'));
    auto first = f.write_at(b, 0);
    auto second = f.write_at(b, 500, 50);
    EXPECT_EQ(std::as_const(b).bytes().size(), 100U) << "reading it meanwhile is allowed";
    EXPECT_THROW((void)b.bytes(), buffer_locked);
    EXPECT_THROW((void)f.read_at(b, 0), buffer_locked);
    const auto n = co_await std::move(first);
    const auto m = co_await std::move(second);
    EXPECT_EQ(n, 100U);
    EXPECT_EQ(m, 50U);
    EXPECT_FALSE(b.locked());
  };
  run(body());
  pattern_.replace(0, 100, 100, 'w');
  pattern_.replace(500, 50, 50, 'w');
  EXPECT_EQ(content_of(path_), pattern_);
}

TEST_P(ReadWrite, owned_memory_goes_in_and_comes_out) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, read_);
    auto [v, n] = co_await f.read_at(std::vector<char>(300), 100);
    EXPECT_EQ(n, 300U);
    EXPECT_EQ(std::string(v.begin(), v.end()), pattern_.substr(100, 300));
    auto [ints, bytes] = co_await f.read_at(std::vector<std::uint32_t>(4), 0);
    EXPECT_EQ(bytes, 16U);
    EXPECT_EQ(std::memcmp(ints.data(), pattern_.data(), 16), 0);
    auto [s, k] = co_await f.read_at(std::string(7, ' '), 0);  // its bytes lie in the object itself
    EXPECT_EQ(k, 7U);
    EXPECT_EQ(s, pattern_.substr(0, 7));
    auto [l, j] = co_await f.read_at(std::string(700, ' '), 0);
    EXPECT_EQ(l, pattern_.substr(0, 700));
    auto [a, m] = co_await f.read_at(std::make_unique<char[]>(50), 50, 9'970);
    EXPECT_EQ(m, 30U);
    EXPECT_EQ(a.size, 50U);
    EXPECT_EQ(std::string(a.array.get(), 30), pattern_.substr(9'970));
    auto [p, i] = co_await f.read_at(page(), 640);
    EXPECT_EQ(std::string(p.bytes.begin(), p.bytes.end()), pattern_.substr(640, 64));
  };
  run(body());
}

TEST_P(ReadWrite, owned_memory_is_written_and_comes_back) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, write_);
    auto [v, n] = co_await f.write_at(std::vector<char>(10, 'v'), 0);
    EXPECT_EQ(n, 10U);
    EXPECT_EQ(v, std::vector<char>(10, 'v'));
    auto [s, k] = co_await f.write_at(std::string("small"), 10);
    EXPECT_EQ(s, "small");
    auto array = std::make_unique<char[]>(4);
    std::memcpy(array.get(), "abcd", 4);
    auto [a, m] = co_await f.write_at(std::move(array), 4, 15);
    EXPECT_EQ(a.array[0], 'a');
    page p;
    p.bytes.fill('p');
    auto [q, i] = co_await f.write_at(page(p), 19);
    EXPECT_EQ(i, 64U);
  };
  run(body());
  pattern_.replace(0, 19 + 64,
                   std::string(10, 'v').append("smallabcd").append(std::string(64, 'p')));
  EXPECT_EQ(content_of(path_), pattern_);
}

TEST_P(ReadWrite, spans_are_copied) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, write_);
    std::array<char, 200> into{};
    const std::size_t n = co_await f.read_at(copying(into), 77);
    EXPECT_EQ(n, 200U);
    EXPECT_EQ(std::string(into.begin(), into.end()), pattern_.substr(77, 200));
    const std::string out = "constant text";
    const std::size_t m = co_await f.write_at(copying(out), 3);
    EXPECT_EQ(m, out.size());
    const std::size_t k = co_await f.write_at(copying(into), 1000);
    EXPECT_EQ(k, 200U);
    // At the end of the file only what was read is copied.
    std::string tail(20, '.');
    const std::size_t rest = co_await f.read_at(copying(tail), 9'995);
    EXPECT_EQ(rest, 5U);
    EXPECT_EQ(tail.substr(5), std::string(15, '.'));
  };
  run(body());
  auto expected = pattern_;
  expected.replace(3, 13, "constant text");
  expected.replace(1000, 200, pattern_.substr(77, 200));
  EXPECT_EQ(content_of(path_), expected);
}

TEST_P(ReadWrite, spans_are_borrowed) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, write_);
    std::vector<std::uint64_t> into(25);
    const std::size_t n = co_await f.read_at(borrowed(into), 8);
    EXPECT_EQ(n, 200U);
    EXPECT_EQ(std::memcmp(into.data(), pattern_.data() + 8, 200), 0);
    const std::string out = "borrowed text";
    const std::size_t m = co_await f.write_at(borrowed(out), 5);
    EXPECT_EQ(m, out.size());
  };
  run(body());
  pattern_.replace(5, 13, "borrowed text");
  EXPECT_EQ(content_of(path_), pattern_);
}

TEST_P(ReadWrite, nothing_can_be_read_and_written_too) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, write_);
    buffer none, empty(0);
    std::string nothing;
    std::size_t sum = co_await f.read_at(none, 0);
    sum += co_await f.read_at(empty, 0);
    sum += co_await f.write_at(empty, 5);
    sum += co_await f.read_at(copying(nothing), 0);
    sum += co_await f.write_at(borrowed(nothing), 0);
    EXPECT_EQ(sum, 0U);
    auto [v, n] = co_await f.read_at(std::vector<char>(), 0);
    EXPECT_EQ(n, 0U);
  };
  run(body());
  EXPECT_EQ(content_of(path_), pattern_);
}

TEST_P(ReadWrite, an_offset_that_cannot_be_is_an_error_that_says_so) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, read_);
    buffer b(10);
    auto n = co_await as_result(f.read_at(b, static_cast<std::uint64_t>(-5)));
    EXPECT_FALSE(n.has_value());
    if (n) co_return;
    EXPECT_EQ(n.error().number(), EINVAL);
    EXPECT_NE(n.error().advice().find("negative"), std::string::npos) << n.error().message();
    EXPECT_FALSE(b.locked());
  };
  run(body());
}

TEST_P(ReadWrite, writing_beyond_the_end_leaves_a_hole) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, write_);
    co_await f.write_at(std::string("far"), 20'000);
    const auto size = co_await f.size();
    EXPECT_EQ(size, 20'003U);
    auto [s, n] = co_await f.read_at(std::string(4, 'x'), 15'000);
    EXPECT_EQ(s, std::string(4, '\0'));
  };
  run(body());
}

INSTANTIATE_TEST_SUITE_P(Inline, ReadWrite,
                         ::testing::Values(inline_mode::automatic, inline_mode::always,
                                           inline_mode::never),
                         [](const auto& i) {
                           return i.param == inline_mode::automatic ? "automatic"
                                  : i.param == inline_mode::always  ? "always"
                                                                    : "never";
                         });

TEST(ReadWriteTmpfs, works_on_a_file_system_without_a_device) {
  if (!std::filesystem::is_directory("/dev/shm")) GTEST_SKIP() << "there is no tmpfs here";
  test_directory dir("/dev/shm");
  const auto pattern = test_pattern(50'000, 3);
  const auto path = dir.make("data", pattern);
  auto body = [&]() -> task<> {
    file f = co_await open(path, {.access = access::read_write});
    for (std::size_t i = 0; i < 100; ++i) {
      buffer b(500);
      const auto n = co_await f.read_at(b, i * 500);
      EXPECT_EQ(b.text(0, n), pattern.substr(i * 500, 500));
    }
    co_await f.write_at(std::string("tmpfs"), 0);
    auto [s, n] = co_await f.read_at(std::string(5, ' '), 0);
    EXPECT_EQ(s, "tmpfs");
  };
  run(body());
}

TEST(ReadWriteDirect, reads_and_writes_past_the_page_cache) {
  test_directory dir;
  const auto pattern = test_pattern(256 << 10, 5);
  const auto path = dir.make("data", pattern);
  auto body = [&]() -> task<> {
    auto opened = co_await as_result(open(path, {.access = access::read_write, .direct = true}));
    if (!opened) {
      EXPECT_EQ(opened.error().number(), EINVAL) << opened.error().message();
      co_return;  // a file system without direct I/O
    }
    file f = std::move(*opened);
    EXPECT_GE(f.offset_alignment(), 1U);
    buffer b(64 << 10, aligned(f));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.bytes().data()) % f.memory_alignment(), 0U);
    for (std::size_t at = 0; at < pattern.size(); at += b.size()) {
      const auto n = co_await f.read_at(b, at);
      EXPECT_EQ(n, b.size());
      EXPECT_EQ(b.text(), pattern.substr(at, b.size()));
    }
    fill(b.bytes(), std::string(b.size(), 'D'));
    const auto written = co_await f.write_at(b, b.size());
    EXPECT_EQ(written, b.size());
    if (f.offset_alignment() == 1) co_return;
    auto crooked = co_await as_result(f.read_at(b, 1));
    EXPECT_FALSE(crooked.has_value());
    if (crooked) co_return;
    EXPECT_NE(crooked.error().advice().find("aligned"), std::string::npos);
  };
  run(body());
}

}  // namespace
}  // namespace parkring::fs
