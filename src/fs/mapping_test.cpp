#include <parkring/fs/mapping.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include <parkring/fs/paths.hpp>

#include "support/on_machines.hpp"

namespace parkring::fs {
namespace {

using path_t = std::filesystem::path;

TEST(Mapping, has_the_bytes_of_any_part_and_no_more_than_there_are) {
  on_both_machines([](path_t dir) -> task<> {
    const std::string content = test_pattern(3'000'000);
    co_await fs::write_file(dir / "a", content);
    file f = co_await open(dir / "a");
    const map_options all{.populate = true}, behind{.offset = 5'000'000},
        part{.offset = 4'097, .length = 10'000, .pattern = access_pattern::sequential},
        beyond{.offset = 2'999'990, .length = 1'000};
    const mapping whole = co_await fs::map(f, all);
    const mapping some = co_await fs::map(f, part);
    const mapping last = co_await fs::map(f, beyond);
    const mapping none = co_await fs::map(f, behind);
    co_await std::move(f).close();
    EXPECT_TRUE(whole.text() == content);
    EXPECT_EQ(some.text(), std::string_view(content).substr(4'097, 10'000));
    EXPECT_EQ(some.offset(), 4'097u);
    EXPECT_EQ(last.text(), std::string_view(content).substr(2'999'990));
    EXPECT_EQ(none.size(), 0u);
    co_await whole.load(1'000, 100'000);
    co_await none.load(0, 0);
    EXPECT_EQ((co_await error_of(some.load(1, 10'000))).number(), EINVAL);
  });
}

TEST(Mapping, stays_when_the_name_goes_and_moves_with_its_owner) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "content");
    file f = co_await open(dir / "a");
    mapping m = co_await fs::map(f);
    co_await fs::remove(dir / "a");
    mapping moved = std::move(m);
    EXPECT_EQ(moved.text(), "content");
    EXPECT_EQ(m.size(), 0u);  // NOLINT: moved from is empty
    m = std::move(moved);
    EXPECT_EQ(m.text(), "content");
    auto load = m.load(0, 7);
    m = mapping();
    co_await std::move(load);  // has a share of its own
  });
}

TEST(Mapping, of_what_cannot_be_mapped_is_an_error) {
  const test_directory dir;
  dir.make("a", "x");
  auto body = [](path_t a) -> task<> {
    file null = co_await open("/dev/null");
    EXPECT_EQ((co_await error_of(fs::map(null))).number(), ENODEV);
    const open_options writing{.access = access::write};
    file f = co_await open(a, writing);
    const error e = co_await error_of(fs::map(f));
    EXPECT_EQ(e.number(), EACCES);
    EXPECT_NE(e.advice().find("open for reading"), std::string::npos);
  };
  run(body(dir / "a"));
}

}  // namespace
}  // namespace parkring::fs
