// Readers, writers, lines, and copies between them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/fs.hpp>
#include <parkring/fs/lines.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/stream.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

using namespace std::chrono_literals;

constexpr open_options by_ring{.inline_first = inline_mode::never};

task<std::string> all_of(reader& r) {
  std::string all;
  while (auto piece = co_await r.next()) all += piece->text();
  co_return all;
}

TEST(Reader, gives_the_whole_file_in_order_however_it_reads) {
  test_directory dir;
  for (const std::size_t size : {0U, 1U, 4096U, 300'001U}) {
    const auto pattern = test_pattern(size, size);
    const auto path = dir.make(std::to_string(size), pattern);
    for (const auto mode : {inline_mode::never, inline_mode::always})
      for (const std::size_t buffer_size : {1'000U, 4'096U, 131'072U})
        for (const std::size_t ahead : {0U, 8'192U, 1'048'576U}) {
          auto body = [&]() -> task<std::string> {
            reader r(co_await open(path, {.inline_first = mode}),
                     {.buffer_size = buffer_size, .read_ahead = ahead});
            auto all = co_await all_of(r);
            EXPECT_EQ(r.position(), size);
            co_return all;
          };
          EXPECT_TRUE(run(body()) == pattern) << size << " " << buffer_size << " " << ahead;
        }
  }
}

TEST(Reader, keeps_to_its_range_and_says_what_of_it_is_missing) {
  test_directory dir;
  const auto pattern = test_pattern(50'000);
  const auto path = dir.make("a", pattern);
  auto body = [&]() -> task<> {
    file f = co_await open(path, by_ring);
    reader part(f, {.offset = 777, .length = 20'000, .buffer_size = 4'096});
    EXPECT_TRUE(co_await all_of(part) == pattern.substr(777, 20'000));
    EXPECT_EQ(part.missing(), 0u);
    reader beyond(f, {.offset = 40'000, .length = 20'000, .buffer_size = 4'096});
    EXPECT_TRUE(co_await all_of(beyond) == pattern.substr(40'000));
    EXPECT_EQ(beyond.missing(), 10'000u);
    reader whole(f);
    EXPECT_EQ(whole.missing(), to_the_end);
  };
  run(body());
}

TEST(Reader, reads_ahead_once_reads_have_to_wait) {
  test_directory dir;
  const auto path = dir.make("a", test_pattern(400'000));
  auto body = [&]() -> task<> {
    reader r(co_await open(path, by_ring), {.buffer_size = 10'000, .read_ahead = 80'000});
    EXPECT_EQ(r.window(), 0u);
    for (int i = 0; i < 20; ++i) {
      (void)co_await r.next();
      EXPECT_GE(r.window(), 1u);
      EXPECT_LE(r.window(), 8u);
    }
    reader none(co_await open(path, by_ring), {.read_ahead = 0});
    (void)co_await none.next();
    EXPECT_EQ(none.window(), 0u);
  };
  run(body());
}

TEST(Reader, gives_slices_and_whole_amounts) {
  test_directory dir;
  const auto pattern = test_pattern(10'000);
  const auto path = dir.make("a", pattern);
  auto body = [&]() -> task<> {
    reader r(co_await open(path, by_ring), {.buffer_size = 4'096, .read_ahead = 8'192});
    EXPECT_EQ((co_await r.read(10)).text(), pattern.substr(0, 10));
    EXPECT_EQ((co_await r.read_exactly(20)).text(), pattern.substr(10, 20));
    EXPECT_TRUE((co_await r.read_exactly(9'000)).text() == pattern.substr(30, 9'000));
    EXPECT_EQ(r.position(), 9'030u);
    auto short_one = co_await as_result(r.read_exactly(2'000));
    EXPECT_FALSE(short_one.has_value());
    if (!short_one) {
      EXPECT_EQ(short_one.error().number(), ENODATA);
      EXPECT_EQ(short_one.error().transferred(), 970u);
    }
    EXPECT_EQ((co_await r.read_exactly(970)).text(), pattern.substr(9'030));
    EXPECT_TRUE((co_await r.read(1)).empty());
  };
  run(body());
}

TEST(Reader, skips_what_it_has_what_is_under_way_and_what_is_beyond) {
  test_directory dir;
  const auto pattern = test_pattern(200'000);
  const auto path = dir.make("a", pattern);
  auto body = [&]() -> task<> {
    reader r(co_await open(path, by_ring), {.buffer_size = 4'096, .read_ahead = 40'960});
    std::uint64_t at = 0;
    for (const std::uint64_t n : {1'000u, 3'000u, 0u, 5'000u, 50'000u, 4'096u}) {
      EXPECT_EQ(co_await r.skip(n), n);
      at += n;
      EXPECT_EQ((co_await r.read_exactly(100)).text(), pattern.substr(at, 100));
      at += 100;
      EXPECT_EQ(r.position(), at);
    }
    EXPECT_EQ(co_await r.skip(1'000'000), 1'000'000u);
    EXPECT_FALSE((co_await r.next()).has_value());
  };
  run(body());
}

TEST(Reader, a_skip_over_what_was_the_end_is_no_end) {
  test_directory dir;
  const auto pattern = test_pattern(20'000);
  const auto path = dir.make("a", pattern.substr(0, 6'000));
  auto body = [&]() -> task<> {
    reader r(co_await open(path, by_ring), {.buffer_size = 4'096, .read_ahead = 40'960});
    EXPECT_EQ((co_await r.read_exactly(6'000)).text(), pattern.substr(0, 6'000));
    for (int i = 0; i < 50; ++i) co_await yield();  // what was read ahead is there: nothing
    dir.make("a", pattern);
    EXPECT_EQ(co_await r.skip(3'000), 3'000u);
    const auto piece = co_await r.next();
    EXPECT_TRUE(piece && piece->text() == pattern.substr(9'000, piece->size()));
  };
  run(body());
}

TEST(Reader, reads_ahead_when_it_waits_whatever_others_find_in_the_page_cache) {
  test_directory dir;
  const auto path = dir.make("a", test_pattern(40'000));
  auto body = [&]() -> task<> {
    auto others = spawn(
        [](file f) -> task<> {
          for (buffer b(10);;) {
            (void)co_await f.read_at(b, 0);
            co_await yield();
          }
        },
        co_await open(path, {.inline_first = inline_mode::always}));
    co_await yield();
    for (int i = 0; i < 20; ++i) {
      reader r(co_await open(path, by_ring), {.buffer_size = 4'096});
      (void)co_await r.next();
      EXPECT_GE(r.window(), 1u);
    }
  };
  run(body());
}

TEST(Reader, takes_any_range_with_direct_io) {
  test_directory dir(".");
  const auto pattern = test_pattern(100'000);
  const auto path = dir.make("a", pattern);
  auto body = [&]() -> task<bool> {
    auto f = co_await as_result(open(path, {.direct = true}));
    if (!f) co_return false;
    reader part(*f, {.offset = 1'001, .length = 70'007, .buffer_size = 5'000});
    EXPECT_TRUE(co_await all_of(part) == pattern.substr(1'001, 70'007));
    reader rest(*f, {.offset = 513, .buffer_size = 16'384});
    EXPECT_TRUE(co_await all_of(rest) == pattern.substr(513));
    co_return true;
  };
  if (!run(body())) GTEST_SKIP() << "no direct I/O here";
}

TEST(Reader, ends_where_a_file_was_cut_and_goes_on_where_it_has_grown) {
  test_directory dir;
  const auto pattern = test_pattern(60'000);
  const auto path = dir.make("a", pattern);
  auto body = [&]() -> task<> {
    reader r(co_await open(path, by_ring),
             {.length = 60'000, .buffer_size = 4'096, .read_ahead = 16'384});
    std::string all((co_await r.next())->text());
    EXPECT_EQ(::truncate(path.c_str(), 20'000), 0);
    all += co_await all_of(r);
    EXPECT_GE(all.size(), 20'000u);  // what was read ahead before is given
    EXPECT_TRUE(all == pattern.substr(0, all.size()));
    EXPECT_EQ(r.missing(), 60'000u - all.size());
    const auto end = all.size();
    EXPECT_EQ(::truncate(path.c_str(), 50'000), 0);
    all += co_await all_of(r);
    EXPECT_TRUE(all.substr(end) == std::string(50'000 - end, '\0'));
  };
  run(body());
}

TEST(Reader, a_failed_read_leaves_it_where_it_was) {
  test_directory dir;
  const auto path = dir.make("a", "content");
  auto body = [&]() -> task<> {
    reader r(co_await open(path, {.access = access::write}));
    for (int i = 0; i < 2; ++i) {
      auto n = co_await as_result(r.next());
      EXPECT_FALSE(n.has_value());
      if (!n) {
        EXPECT_EQ(n.error().number(), EBADF);
      }
      EXPECT_EQ(r.position(), 0u);
    }
  };
  run(body());
}

TEST(Reader, a_dropped_call_loses_nothing) {
  test_directory dir;
  const auto pattern = test_pattern(100'000);
  const auto path = dir.make("a", pattern);
  auto body = [&]() -> task<std::string> {
    reader r(co_await open(path, by_ring), {.buffer_size = 4'096, .read_ahead = 16'384});
    std::string all;
    for (int i = 0;; ++i) {
      auto dropped = spawn(r.read(5'000));
      for (int k = 0; k < i % 3; ++k) co_await yield();
      if (dropped.done()) {
        all += (co_await std::move(dropped)).text();
        continue;
      }
      dropped.abort();
      auto piece = co_await r.next();
      if (!piece) break;
      all += piece->text();
    }
    co_return all;
  };
  EXPECT_TRUE(run(body()) == pattern);
}

TEST(Reader, reads_a_pipe_when_asked) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  auto body = [&]() -> task<> {
    reader r(adopt_descriptor(ends[0], "pipe"), {.length = 11});
    EXPECT_EQ(::write(ends[1], "hello ", 6), 6);
    EXPECT_EQ((co_await r.next())->text(), "hello ");
    EXPECT_FALSE((co_await timeout(1ms, r.next())).has_value());
    EXPECT_EQ(::write(ends[1], "world and more", 14), 14);
    EXPECT_EQ(co_await r.skip(2), 2u);
    EXPECT_EQ((co_await r.read_exactly(3)).text(), "rld");
    EXPECT_FALSE((co_await r.next()).has_value());
    ::close(ends[1]);
  };
  run(body());
}

// ---- lines ----

std::vector<std::string> split_by_hand(std::string_view text, bool cut_cr) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto at = text.find('\n');
    std::string line(text.substr(0, at));
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    if (cut_cr && at != std::string_view::npos && line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

TEST(Lines, are_those_of_the_file_however_it_comes_in_pieces) {
  test_directory dir;
  std::string text = "first\n\nthird\r\n\r\n\r";
  for (std::size_t i = 0; i < 400; ++i) text += std::string(i * i % 97, 'a') + "\n";
  text += "the last one has no newline\r";
  const auto path = dir.make("a", text);
  for (const std::size_t size : {1U, 7U, 64U, 65'536U})
    for (const bool keep : {false, true}) {
      auto body = [&]() -> task<std::vector<std::string>> {
        auto all = lines(reader(co_await open(path), {.buffer_size = size}), {.keep_cr = keep});
        std::vector<std::string> found;
        while (auto line = co_await all.next()) {
          EXPECT_EQ(text.compare(all.offset(), line->size(), *line), 0);
          found.emplace_back(*line);
        }
        EXPECT_EQ(all.count(), found.size());
        EXPECT_FALSE((co_await all.next()).has_value());
        co_return found;
      };
      EXPECT_EQ(run(body()), split_by_hand(text, !keep)) << size;
    }
}

TEST(Lines, one_that_is_too_long_is_reported_and_left_out) {
  test_directory dir;
  const auto path = dir.make("a", "ab\n" + std::string(500, 'x') + "\ncd\n" + std::string(99, 'y'));
  for (const std::size_t size : {16U, 4'096U}) {
    auto body = [&]() -> task<> {
      auto all = lines(reader(co_await open(path), {.buffer_size = size}), {.max_length = 99});
      EXPECT_EQ(co_await all.next(), "ab");
      const auto reported = co_await as_result(all.next());
      EXPECT_FALSE(reported.has_value());
      if (!reported) {
        EXPECT_EQ(reported.error().number(), EMSGSIZE);
        EXPECT_NE(reported.error().message().find("offset 3"), std::string::npos);
      }
      EXPECT_EQ(co_await all.next(), "cd");
      EXPECT_EQ(co_await all.next(), std::string(99, 'y'));
      EXPECT_FALSE((co_await all.next()).has_value());
    };
    run(body());
  }
}

TEST(Lines, leave_the_reader_behind_the_last_one_that_was_given) {
  test_directory dir;
  const auto path = dir.make("a", "name: value\nother: thing\n\nand then the body");
  auto body = [&]() -> task<> {
    reader r(co_await open(path), {.buffer_size = 8});
    {
      auto head = lines(r);
      for (;;) {
        auto line = co_await head.next();
        if (!line || line->empty()) break;
      }
      EXPECT_EQ(head.count(), 3u);
    }
    EXPECT_EQ(co_await all_of(r), "and then the body");
  };
  run(body());
}

TEST(Lines, stay_valid_when_their_end_is_a_piece_of_its_own) {
  test_directory dir;
  const auto path = dir.make("a", "first\n");
  auto body = [&]() -> task<> {
    auto all = lines(reader(co_await open(path), {.buffer_size = 5}));
    const auto line = co_await all.next();
    std::vector<buffer> others;
    for (int i = 0; i < 16; ++i) {
      others.emplace_back(5);
      fill(others.back().bytes(), "other");
    }
    EXPECT_EQ(line, "first");
  };
  run(body());
}

TEST(Lines, the_reader_may_be_used_after_a_call_that_was_dropped) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  auto body = [&]() -> task<> {
    reader r(adopt_descriptor(ends[0], "pipe"));
    auto all = lines(r);
    EXPECT_EQ(::write(ends[1], "first", 5), 5);
    EXPECT_FALSE((co_await timeout(1ms, all.next())).has_value());
    EXPECT_EQ(::write(ends[1], "\nsecond\n", 8), 8);
    EXPECT_EQ((co_await r.read_exactly(3)).text(), "fir");
    EXPECT_EQ(co_await all.next(), "st");
    EXPECT_EQ(co_await all.next(), "second");
    ::close(ends[1]);
  };
  run(body());
}

TEST(Lines, are_a_stream) {
  test_directory dir;
  const auto path = dir.make("a", "1\n2\nthree\n4\n5\n6\n");
  auto body = [&]() -> task<> {
    const auto is_number = [](std::string_view s) { return s.size() == 1; };
    const auto value = [](std::string_view s) { return s[0] - '0'; };
    auto numbers = co_await (lines(reader(co_await open(path))) | filter(is_number) |
                             parkring::map(value) | take(4) | collect());
    EXPECT_EQ(numbers, (std::vector<int>{1, 2, 4, 5}));
    const auto size = [](buffer b) { return b.size(); };
    auto sizes = co_await (reader(co_await open(path), {.buffer_size = 10}) | parkring::map(size) |
                           collect());
    EXPECT_EQ(sizes, (std::vector<std::size_t>{10, 6}));
  };
  run(body());
}

TEST(Split, any_byte_may_part) {
  test_directory dir;
  const auto path = dir.make("a", std::string("one\0\0two\r\nx\0", 12));
  auto body = [&]() -> task<> {
    auto names = split(reader(co_await open(path), {.buffer_size = 3}), '\0');
    EXPECT_EQ(co_await names.next(), "one");
    EXPECT_EQ(co_await names.next(), "");
    EXPECT_EQ(co_await names.next(), "two\r\nx");
    EXPECT_FALSE((co_await names.next()).has_value());
  };
  run(body());
}

// ---- writer ----

TEST(Writer, what_was_handed_over_arrives_in_order) {
  test_directory dir;
  const auto pattern = test_pattern(400'000);
  for (const std::size_t size : {1'000U, 4'096U, 131'072U})
    for (const std::size_t in_flight : {1U, 3U}) {
      const auto path = dir.make("a", "");
      auto body = [&]() -> task<> {
        writer w(co_await open(path, {.access = access::write, .inline_first = inline_mode::never}),
                 {.buffer_size = size, .in_flight = in_flight});
        std::string_view left = pattern;
        for (std::size_t n = 1; !left.empty(); n = n * 3 % 70'001 + 1) {
          n = std::min(n, left.size());
          if (n % 2 == 0) {
            buffer b(n);
            fill(b.bytes(), left.substr(0, n));
            co_await w.write(std::move(b));
          } else {
            co_await w.write(left.substr(0, n));
          }
          left.remove_prefix(n);
          EXPECT_LE(w.in_flight(), in_flight);
          EXPECT_EQ(w.written(), pattern.size() - left.size());
        }
        co_await w.flush();
        EXPECT_EQ(w.in_flight(), 0u);
        co_await w.write("the end");
        co_await w.close();
      };
      run(body());
      EXPECT_TRUE(content_of(path) == pattern + "the end") << size << " " << in_flight;
    }
}

TEST(Writer, begins_where_it_is_told) {
  test_directory dir;
  const auto path = dir.make("a", "0123456789");
  auto body = [&]() -> task<> {
    file f = co_await open(path, {.access = access::write});
    writer inside(f, {.offset = 3});
    co_await inside.write("abc");
    co_await inside.flush();
    writer behind(f, {.append = true, .buffer_size = 4});
    co_await behind.write("defghi");
    co_await behind.flush();
    file log = co_await open(path, {.access = access::write, .append = true});
    writer appended(log, {.buffer_size = 2});
    co_await appended.write("jklmno");
    EXPECT_LE(appended.in_flight(), 1u);
    co_await appended.close();
    co_await behind.close();
    co_await behind.close();  // again
  };
  run(body());
  EXPECT_EQ(content_of(path), "012abc6789defghijklmno");
}

TEST(Writer, collects_what_direct_io_does_not_take) {
  test_directory dir(".");
  const auto pattern = test_pattern(40'960);
  const auto path = dir.make("a", "");
  auto body = [&]() -> task<bool> {
    auto f = co_await as_result(open(path, {.access = access::write, .direct = true}));
    if (!f) co_return false;
    writer w(*f);
    std::string_view left = pattern;
    for (const std::size_t n : {20'000U, 480U, 20'480U}) {
      buffer b(n);
      fill(b.bytes(), left.substr(0, n));
      co_await w.write(std::move(b));
      left.remove_prefix(n);
    }
    co_await w.flush();
    co_return true;
  };
  if (!run(body())) GTEST_SKIP() << "no direct I/O here";
  EXPECT_TRUE(content_of(path) == pattern);
}

TEST(Writer, an_error_in_the_background_stays) {
  auto body = [&]() -> task<> {
    writer w(co_await open("/dev/full", {.access = access::write}), {.buffer_size = 100});
    co_await w.write(std::string_view("short"));
    for (int i = 0; i < 3; ++i) {
      auto r = co_await as_result(w.flush());
      EXPECT_FALSE(r.has_value());
      if (!r) {
        EXPECT_EQ(r.error().number(), ENOSPC);
      }
    }
    EXPECT_FALSE((co_await as_result(w.write(std::string_view("x")))).has_value());
    EXPECT_THROW(co_await w.write(buffer(100'000)), io_error);
    EXPECT_THROW(co_await w.close(), io_error);
  };
  run(body());
}

TEST(Writer, finishes_what_is_under_way_when_it_is_dropped) {
  test_directory dir;
  const auto path = dir.make("a", "");
  auto body = [&]() -> task<> {
    file f = co_await open(path, {.access = access::write, .inline_first = inline_mode::never});
    {
      writer w(f, {.buffer_size = 10});
      co_await w.write("0123456789abcdefghijklm");
      EXPECT_EQ(w.in_flight(), 2u);
    }
    co_await yield();               // they begin
    co_await std::move(f).close();  // and end
  };
  run(body());
  EXPECT_EQ(content_of(path), "0123456789abcdefghij") << "the rest was never sent";
}

// ---- copies ----

TEST(CopyStream, copies_files_and_ranges_and_tells_of_progress) {
  test_directory dir;
  const auto pattern = test_pattern(300'000);
  const auto path = dir.make("a", pattern), to = dir.make("b", "");
  auto body = [&]() -> task<> {
    file from = co_await open(path);
    file into = co_await open(to, {.access = access::write});
    std::uint64_t last = 0;
    copy_stream_options options{.from = {.offset = 5, .length = 290'000, .buffer_size = 10'000}};
    options.progress = [&last](std::uint64_t n) {
      EXPECT_GT(n, last);
      last = n;
    };
    const copied all = co_await copy_stream(from, into, options);
    EXPECT_EQ(all.bytes, 290'000u);
    EXPECT_EQ(all.missing, 0u);
    EXPECT_EQ(last, 290'000u);
    copy_stream_options beyond{.from = {.offset = 299'000, .length = 5'000},
                               .to = {.append = true}};
    const copied part = co_await copy_stream(from, into, beyond);
    EXPECT_EQ(part.bytes, 1'000u);
    EXPECT_EQ(part.missing, 4'000u);
  };
  run(body());
  EXPECT_TRUE(content_of(to) == pattern.substr(5, 290'000) + pattern.substr(299'000));
}

TEST(CopyStream, passes_on_what_has_come_before_it_waits_for_more) {
  test_directory dir;
  const auto path = dir.make("a", "");
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  auto body = [&]() -> task<> {
    file to = co_await open(path, {.access = access::write, .append = true});  // no splice
    auto all = spawn(
        [](file from, file into) -> task<copied> {
          const copied done = co_await copy_stream(from, into);
          co_return done;
        },
        adopt_descriptor(ends[0], "pipe"), std::move(to));
    EXPECT_EQ(::write(ends[1], "question", 8), 8);
    for (int i = 0; i < 2'000 && content_of(path).empty(); ++i) co_await sleep_for(1ms);
    EXPECT_EQ(content_of(path), "question");
    ::close(ends[1]);
    EXPECT_EQ((co_await all).bytes, 8u);
  };
  run(body());
}

TEST(CopyStream, copies_through_pipes) {
  test_directory dir;
  const auto pattern = test_pattern(500'000);
  const auto path = dir.make("a", pattern), to = dir.make("b", "__");
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  auto body = [&]() -> task<> {
    file in = adopt_descriptor(ends[1], "pipe's write end");
    file out = adopt_descriptor(ends[0], "pipe's read end");
    auto fill_pipe = spawn(
        [](file source, file sink) -> task<copied> {
          const copied all = co_await copy_stream(source, sink);
          co_await std::move(sink).close();
          co_return all;
        },
        co_await open(path), std::move(in));
    file into = co_await open(to, {.access = access::write});
    const copied all = co_await copy_stream(out, into, {.from = {}, .to = {.offset = 2}});
    EXPECT_EQ(all.bytes, pattern.size());
    EXPECT_EQ((co_await fill_pipe).bytes, pattern.size());
  };
  run(body());
  EXPECT_TRUE(content_of(to) == "__" + pattern);
}

}  // namespace
}  // namespace parkring::fs
