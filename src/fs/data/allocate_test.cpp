#include <parkring/fs/allocate.hpp>

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include <parkring/as_result.hpp>
#include <parkring/runtime.hpp>
#include <parkring/sim/world.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {
namespace {

class Allocate : public ::testing::Test {
 protected:
  test_directory dir_;
  std::string pattern_ = test_pattern(4 * 4096);
  std::filesystem::path path_ = dir_.make("data", pattern_);
  open_options rw_{.access = access::read_write};

  [[nodiscard]] std::int64_t blocks() const {
    struct stat s {};
    return ::stat(path_.c_str(), &s) == 0 ? s.st_blocks : -1;
  }
};

TEST_F(Allocate, gives_space_and_grows_or_not) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    co_await allocate(f, 0, 1 << 20, allocate_size::keep);
    const auto kept = co_await f.size();
    EXPECT_EQ(kept, pattern_.size());
    EXPECT_GE(blocks(), (1 << 20) / 512);
    co_await allocate(f, 1 << 20, 10);
    const auto grown = co_await f.size();
    EXPECT_EQ(grown, (1u << 20) + 10);
  };
  run(body());
  EXPECT_EQ(content_of(path_).substr(0, pattern_.size()), pattern_);
}

TEST_F(Allocate, takes_space_away_and_leaves_zeros) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    co_await punch_hole(f, 4096, 4096);
    auto zeroed = co_await as_result(zero_range(f, 100, 200));
    if (!zeroed) {
      EXPECT_EQ(zeroed.error().number(), EOPNOTSUPP);
    } else {
      pattern_.replace(100, 200, 200, '\0');
    }
    const auto size = co_await f.size();
    EXPECT_EQ(size, pattern_.size());
  };
  run(body());
  pattern_.replace(4096, 4096, 4096, '\0');
  EXPECT_TRUE(content_of(path_) == pattern_);
}

TEST_F(Allocate, moves_what_lies_behind_a_range) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    auto cut = co_await as_result(collapse_range(f, 4096, 4096));
    if (!cut) {
      EXPECT_EQ(cut.error().number(), EOPNOTSUPP);
      EXPECT_NE(cut.error().message().find("cannot do this"), std::string::npos);
      co_return;
    }
    pattern_.erase(4096, 4096);
    co_await insert_range(f, 4096, 8192);
    pattern_.insert(4096, 8192, '\0');
    auto parts = co_await as_result(collapse_range(f, 100, 4096));
    EXPECT_EQ(parts.error().number(), EINVAL);
    EXPECT_NE(parts.error().message().find("whole blocks"), std::string::npos);
  };
  run(body());
  EXPECT_TRUE(content_of(path_) == pattern_);
}

TEST_F(Allocate, advice_and_early_writes_change_nothing) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_, rw_);
    for (const advice how :
         {advice::normal, advice::random, advice::sequential, advice::will_need, advice::dont_need})
      co_await advise(f, 0, 0, how);
    co_await readahead(f, 0, 1 << 20);
    co_await advise(f, 0, std::uint64_t{1} << 40, advice::dont_need);
    co_await sync_range(f, 0, 0);
    co_await sync_range(f, 0, 0, range_sync::wait);
    co_await sync_range(f, 4096, std::uint64_t{9} << 30, range_sync::wait);
  };
  run(body());
  EXPECT_EQ(content_of(path_), pattern_);
}

TEST_F(Allocate, bad_requests_say_why) {
  auto body = [&]() -> task<> {
    file f = co_await open(path_);
    const auto number = [](const auto& r) { return r ? 0 : r.error().number(); };
    auto not_writable = co_await as_result(allocate(f, 0, 10));
    EXPECT_EQ(number(not_writable), EBADF);
    EXPECT_EQ(not_writable.error().operation(), "allocate");
    file w = co_await open(path_, rw_);
    auto empty = co_await as_result(allocate(w, 0, 0));
    EXPECT_EQ(number(empty), EINVAL);
    auto beyond = co_await as_result(punch_hole(w, ~std::uint64_t{0}, 1));
    EXPECT_EQ(number(beyond), EINVAL);
    auto range = co_await as_result(sync_range(w, ~std::uint64_t{0}, 1));
    EXPECT_EQ(number(range), EINVAL);
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    file pipe = adopt_descriptor(ends[1], "pipe", {.access = access::write});
    auto of_pipe = co_await as_result(allocate(pipe, 0, 10));
    EXPECT_EQ(number(of_pipe), ESPIPE);
    auto advised = co_await as_result(advise(pipe, 0, 10, advice::random));
    EXPECT_EQ(number(advised), ESPIPE);
    auto waiting = allocate(w, 0, 10);
    auto closing = spawn(std::move(w).close());
    co_await yield();
    auto closed = co_await as_result(std::move(waiting));
    EXPECT_EQ(number(closed), EBADF);
    co_await closing;
    EXPECT_NE(closed.error().message().find("closed"), std::string::npos);
  };
  run(body());
}

TEST(AllocateOnASimulatedDisk, tells_that_there_is_no_space) {
  sim::world w(1, {.disk = {.capacity = 1 << 20}});
  w.run([]() -> task<> {
    file f =
        co_await open("/data", {.access = access::read_write, .creation = creation::if_missing});
    co_await allocate(f, 0, 1 << 18);
    auto full = co_await as_result(allocate(f, 0, 1 << 22));
    EXPECT_EQ(full.error().number(), ENOSPC);
    EXPECT_NE(full.error().message().find("less space"), std::string::npos);
    auto moved = co_await as_result(collapse_range(f, 0, 4096));
    EXPECT_EQ(moved.error().number(), EOPNOTSUPP);
    const auto size = co_await f.size();
    EXPECT_EQ(size, 1u << 18);
  });
}

}  // namespace
}  // namespace parkring::fs
