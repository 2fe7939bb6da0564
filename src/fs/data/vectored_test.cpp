#include <parkring/fs/vectored.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <unistd.h>

#include <parkring/as_result.hpp>
#include <parkring/link.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/when_all.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

class Vectored : public ::testing::Test {
 protected:
  test_directory dir_;
  std::string pattern_ = test_pattern(10'000);
  std::filesystem::path path_ = dir_.make("data", pattern_);
  open_options rw_{.access = access::read_write};

  static buffer filled(std::size_t size, char with) {
    buffer b(size);
    fill(b.bytes(), std::string(size, with));
    return b;
  }
};

TEST_F(Vectored, buffers_are_filled_one_after_the_other) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    buffer a(100), b(1), none, c(3000);
    const auto n = co_await readv_at(f, parts(a, b, none, c), 500);
    EXPECT_EQ(n, 3101U);
    EXPECT_EQ(a.text(), pattern_.substr(500, 100));
    EXPECT_EQ(b.text(), pattern_.substr(600, 1));
    EXPECT_EQ(c.text(), pattern_.substr(601, 3000));
    const auto last = co_await readv_at(f, parts(a, c), 9'850);
    EXPECT_EQ(last, 150U) << "short at the end of the file";
    EXPECT_EQ(c.text(0, 50), pattern_.substr(9'950));
    const auto end = co_await readv_at(f, parts(a, c), 10'000);
    EXPECT_EQ(end, 0U);
    const auto nothing = co_await readv_at(f, std::span<buffer* const>(), 0);
    EXPECT_EQ(nothing, 0U);
  };
  run(body());
}

TEST_F(Vectored, buffers_are_locked_from_the_call_on) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    buffer a(10), b(10);
    {
      auto described = readv_at(f, parts(a, b), 0);
      EXPECT_TRUE(a.locked() && b.locked());
      EXPECT_THROW((void)readv_at(f, parts(b), 0), buffer_locked);
    }
    EXPECT_FALSE(a.locked() || b.locked());
    EXPECT_THROW((void)readv_at(f, parts(a, b, a), 0), buffer_locked) << "named twice";
    EXPECT_FALSE(a.locked() || b.locked());
    auto first = writev_at(f, parts(a, a), 0);
    auto second = writev_at(f, parts(a, b), 20);
    EXPECT_THROW((void)readv_at(f, parts(a), 0), buffer_locked) << "writes share it, reads do not";
    const auto n = co_await std::move(first);
    const auto m = co_await std::move(second);
    EXPECT_EQ(n + m, 40U);
    EXPECT_FALSE(a.locked() || b.locked());
    auto last = writev_at(f, parts(a, b), 0);
    a = buffer();
    const auto k = co_await std::move(last);
    EXPECT_EQ(k, 20U) << "a buffer may go while it is written";
  };
  run(body());
}

TEST_F(Vectored, pieces_of_any_owner_are_written_in_order) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    const buffer c = filled(3, 'c');
    auto n = co_await writev_at(f, parts(c, c), 0);
    EXPECT_EQ(n, 6U);
    std::vector<std::string> words{"one", "", "three"};
    auto strings = co_await writev_at(f, std::move(words), 6);
    EXPECT_EQ(strings.count, 8U);
    EXPECT_EQ(strings.memory.at(2), "three");
    auto mixed = std::make_tuple(std::string("[a string of which the bytes are on the heap]"),
                                 std::vector<char>{'v', 'w'}, filled(2, 'b'));
    auto back = co_await writev_at(f, std::move(mixed), 14);
    EXPECT_EQ(back.count, 49U);
    EXPECT_EQ(std::get<2>(back.memory).text(), "bb");
  };
  run(body());
  const std::string text =
      "ccccccone"
      "three[a string of which the bytes are on the heap]vwbb";
  EXPECT_EQ(content_of(path_).substr(0, text.size()), text);
  EXPECT_EQ(content_of(path_).substr(text.size()), pattern_.substr(text.size()));
}

TEST_F(Vectored, pieces_of_any_owner_are_read_into) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    std::vector<buffer> buffers;
    buffers.emplace_back(10);
    buffers.emplace_back(20);
    auto read = co_await readv_at(f, std::move(buffers), 5);
    EXPECT_EQ(read.count, 30U);
    EXPECT_EQ(read.memory.at(1).text(), pattern_.substr(15, 20));
    auto mixed = co_await readv_at(f, std::make_tuple(std::string(3, ' '), buffer(7)), 0);
    EXPECT_EQ(std::get<0>(mixed.memory), pattern_.substr(0, 3));
    EXPECT_EQ(std::get<1>(mixed.memory).text(), pattern_.substr(3, 7));
  };
  run(body());
}

TEST_F(Vectored, too_many_parts_are_an_error_and_no_matter_for_a_whole_write) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    auto refused = co_await as_result(readv_at(f, std::vector<std::string>(1025, "x"), 0));
    EXPECT_EQ(refused.error().number(), EINVAL);
    EXPECT_NE(refused.error().message().find("at most 1024 parts"), std::string::npos)
        << refused.error().message();
    auto most = co_await readv_at(f, std::vector<std::string>(1024, "x"), 0);
    EXPECT_EQ(most.count, 1024U);
    std::vector<std::string> many(5000, "xy");
    many[0] = many[1] = many[4999] = "";
    auto whole = co_await writev_all_at(f, std::move(many), 1);
    EXPECT_EQ(whole.count, 9994U);
    EXPECT_EQ(whole.memory.size(), 5000U);
    const buffer b = filled(2, 'b');
    const std::vector<const buffer*> list(2000, &b);
    co_await writev_all_at(f, list, 9995);
    EXPECT_FALSE(b.locked());
  };
  run(body());
  const auto text = content_of(path_);
  EXPECT_EQ(text.size(), 13'995U);
  EXPECT_EQ(text.substr(0, 5), pattern_.substr(0, 1) + "xyxy");
  EXPECT_TRUE(text.substr(9990) == "yxyxy" + std::string(4000, 'b'));
}

TEST_F(Vectored, an_object_that_moves_in_is_written_and_read_whole_or_the_error_says_how_far) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    auto written = co_await write_all_at(f, std::string(3000, 'w'), 500);
    EXPECT_EQ(written.count, 3000U);
    auto read = co_await read_exactly_at(f, std::move(written.memory), 0);
    EXPECT_EQ(read.memory, pattern_.substr(0, 500) + std::string(2500, 'w'));
    auto end = co_await as_result(read_exactly_at(f, std::vector<char>(100), 9'950));
    EXPECT_EQ(end.error().number(), ENODATA);
    EXPECT_EQ(end.error().transferred(), 50U);
    EXPECT_EQ(end.error().message(),
              "read_exactly_at(" + path_.native() +
                  "): ENODATA, No data available; after 50 of 100 bytes; the file ends here");
    file full = co_await open("/dev/full", rw_);
    auto refused = co_await as_result(write_all_at(full, std::string("x"), 0));
    EXPECT_EQ(refused.error().number(), ENOSPC);
    EXPECT_EQ(refused.error().operation(), "write_all_at");
  };
  run(body());
}

TEST_F(Vectored, bad_requests_say_why) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_);
    buffer b(10);
    auto written = co_await as_result(writev_at(f, parts(b), 0));
    EXPECT_EQ(written.error().number(), EBADF);
    EXPECT_EQ(written.error().operation(), "writev_at");
    auto beyond = co_await as_result(readv_at(f, parts(b), ~0ull));
    EXPECT_EQ(beyond.error().number(), EINVAL);
    auto whole = co_await as_result(writev_all_at(f, std::vector<std::string>(1, "x"), 0));
    EXPECT_EQ(whole.error().transferred(), 0U);
    EXPECT_NE(whole.error().message().find("after 0 of 1 bytes"), std::string::npos);
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    file in = adopt_descriptor(ends[0], "pipe");
    file out = adopt_descriptor(ends[1], "pipe", {.access = access::write});
    auto sent = co_await writev_at(out, std::vector<std::string>(2, "a"), 0);
    EXPECT_EQ(sent.count, 2U);
    auto refused = co_await as_result(readv_at(in, std::vector<std::string>(2, "a"), 0));
    EXPECT_EQ(refused.error().number(), ESPIPE);
    co_await std::move(in).close();
    auto waiting = readv_at(f, parts(b), 0);
    auto closing = spawn(std::move(f).close());
    co_await yield();
    auto closed = co_await as_result(std::move(waiting));
    EXPECT_EQ(closed.error().number(), EBADF);
    co_await closing;
  };
  run(body());
}

TEST_F(Vectored, direct_io_takes_aligned_pieces_only) {
  auto body = [&]() -> task<> {
    auto f = co_await as_result(open(path_, {.access = access::read_write, .direct = true}));
    if (!f || f->offset_alignment() == 1) co_return;  // not here
    buffer a(4096, aligned(*f)), b(4096, aligned(*f));
    const auto n = co_await readv_at(*f, parts(a, b), 0);
    EXPECT_EQ(n, 8192U);
    EXPECT_EQ(b.text(), pattern_.substr(4096, 4096));
    auto odd = co_await as_result(readv_at(*f, parts(a, b), 1));
    EXPECT_EQ(odd.error().number(), EINVAL);
    EXPECT_NE(odd.error().message().find("the offset is not"), std::string::npos)
        << odd.error().message();
  };
  run(body());
}

TEST_F(Vectored, parts_of_a_chain_may_be_vectored) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    const buffer a = filled(3, 'a'), b = filled(3, 'b');
    auto [n, synced, text] =
        co_await parkring::link(writev_at(f, parts(a, b), 0), f.datasync(),
                                readv_at(f, std::vector<std::string>(2, "...."), 0));
    (void)synced;
    EXPECT_EQ(n, 6U);
    EXPECT_EQ(text.memory.at(0), "aaab");
  };
  run(body());
}

TEST_F(Vectored, appends_do_not_overwrite_each_other) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    file other = co_await open(path_, rw_);
    const buffer b = filled(100, 'b');
    auto [n, m] = co_await when_all(append(f, b), append(other, std::string(100, 's')));
    EXPECT_EQ(n + m.count, 200U);
    (void)co_await append(f, std::string("end"), {.dsync = true});
  };
  run(body());
  const auto text = content_of(path_);
  EXPECT_EQ(text.size(), 10'203U);
  EXPECT_EQ(text.substr(0, 10'000), pattern_);
  EXPECT_EQ(std::count(text.begin() + 10'000, text.end(), 'b'), 100);
  EXPECT_EQ(std::count(text.begin() + 10'000, text.end(), 's'), 100);
  EXPECT_EQ(text.substr(10'200), "end");
}

TEST_F(Vectored, options_are_wishes_or_errors) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    const buffer b = filled(10, 'b');
    auto n = co_await write_at(f, b, 0, {.dsync = true, .dontcache = true});
    EXPECT_EQ(n, 10U) << "where the kernel has no uncached writes they are cached ones";
    buffer into(10);
    n = co_await read_at(f, into, 0, {.dontcache = true, .priority = {io_priority_class::idle, 7}});
    EXPECT_EQ(n, 10U);
    EXPECT_EQ(into.text(), b.text());
    auto owned = co_await write_at(f, std::string("xyz"), 1,
                                   {.priority = {io_priority_class::best_effort, 0}});
    EXPECT_EQ(owned.memory, "xyz");
    // This file is not open for direct I/O.
    auto atomic = co_await as_result(write_at(f, b, 0, {.atomic = true}));
    EXPECT_FALSE(atomic.has_value());
    const auto limits = co_await atomic_write_limits(f);
    EXPECT_LE(limits.smallest, limits.largest);
  };
  run(body());
  EXPECT_EQ(content_of(path_).substr(0, 10), "bxyzbbbbbb");
}

}  // namespace
}  // namespace parkring::fs
