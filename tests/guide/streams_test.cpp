// What the guide's chapters on streams of bytes and on the I/O scheduler quote beside the examples.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include <parkring/parkring.hpp>

#include "support/scratch.hpp"

namespace pr = parkring;
using namespace pr::literals;
using parkring::testing::scratch;

namespace {

pr::task<std::string> second_block(std::filesystem::path path) {
  pr::fs::reader r(co_await pr::fs::open(path), {.offset = 4_KiB, .length = 4_KiB});
  std::string all;
  while (auto part = co_await r.next()) all += part->text();  // each is a pr::buffer
  if (r.missing() != 0) throw std::runtime_error("the file ends before");
  co_return all;
}

TEST(GuideStreams, a_range) {
  const scratch dir;
  const auto path = dir.file("data", std::string(4096, 'a') + std::string(9000, 'b'));
  EXPECT_EQ(pr::run(second_block(path)), std::string(4096, 'b'));
}

pr::task<std::string> body_of(std::filesystem::path path) {
  pr::fs::reader r(co_await pr::fs::open(path));
  std::size_t length = 0;
  auto head = pr::fs::lines(r);
  while (auto line = co_await head.next()) {
    if (line->empty()) break;
    if (line->starts_with("length: ")) length = std::stoul(std::string(line->substr(8)));
  }
  const pr::buffer body = co_await r.read_exactly(length);  // behind the last line that was given
  co_return std::string(body.text());
}

TEST(GuideStreams, lines_and_then_bytes) {
  const scratch dir;
  const auto path = dir.file("data", "kind: note\r\nlength: 4\r\n\r\nbody and more");
  EXPECT_EQ(pr::run(body_of(path)), "body");
}

pr::task<std::size_t> warnings(std::filesystem::path path) {
  pr::fs::reader r(co_await pr::fs::open(path));
  auto lines = pr::fs::lines(std::move(r));
  const auto is_warning = [](std::string_view line) { return line.contains("warning"); };
  const auto size = [](std::string_view line) { return line.size(); };
  const auto sizes = co_await (lines | pr::filter(is_warning) | pr::map(size) | pr::collect());
  co_return sizes.size();
}

TEST(GuideStreams, lines_are_a_stream) {
  const scratch dir;
  EXPECT_EQ(pr::run(warnings(dir.file("log", "warning: a\nok\nno warning\n"))), 2u);
}

pr::task<std::uint64_t> append_copy(std::filesystem::path from, std::filesystem::path to) {
  auto source = co_await pr::fs::open(from);
  auto target = co_await pr::fs::open(to, {.access = pr::fs::access::write});
  pr::fs::copy_stream_options options{.from = {.offset = 100, .length = 1'000},
                                      .to = {.append = true}};
  const auto done = co_await pr::fs::copy_stream(source, target, std::move(options));
  co_return done.missing;  // it was not there: the source is shorter, or was cut meanwhile
}

TEST(GuideStreams, a_range_behind_another_file) {
  const scratch dir;
  const auto from = dir.file("from", std::string(600, 'x')), to = dir.file("to", "begin ");
  EXPECT_EQ(pr::run(append_copy(from, to)), 500u);
  EXPECT_EQ(parkring::testing::content_of(to), "begin " + std::string(500, 'x'));
}

pr::task<std::uint64_t> backup(pr::fs::file database, pr::fs::file target, pr::fs::io_lane lane) {
  pr::fs::copy_stream_options options{.from = {.lane = lane}, .to = {.lane = lane}};
  co_return (co_await pr::fs::copy_stream(database, target, std::move(options))).bytes;
}

pr::task<std::uint64_t> serve(std::filesystem::path path, std::filesystem::path copy) {
  using pr::fs::io_class;
  const pr::fs::io_scheduler disk({.background{.bytes_per_second = 200'000'000}});
  auto file = co_await pr::fs::open(path, {.access = pr::fs::access::read_write});
  auto copying = pr::spawn(backup, co_await pr::fs::open(path),
                           co_await pr::fs::open(copy, {.access = pr::fs::access::write,
                                                        .creation = pr::fs::creation::if_missing}),
                           disk.lane(io_class::background));
  pr::buffer page(4_KiB);
  co_await disk.run(io_class::foreground, file.read_at(page, 0));
  co_await disk.run(io_class::foreground, file.write_at(page, 4_KiB));
  co_await disk.run(io_class::sync, file.datasync(), 0);
  co_return co_await std::move(copying);
}

TEST(GuideStreams, a_backup_beside_requests) {
  const scratch dir;
  const auto path = dir.file("db", std::string(20'000, 'p'));
  EXPECT_EQ(pr::run(serve(path, dir / "copy")), 20'000u);
}

}  // namespace
