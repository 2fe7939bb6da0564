#include <parkring/fs/file_lock.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include <parkring/fs/paths.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

#include "support/on_machines.hpp"

namespace parkring::fs {
namespace {

using namespace std::chrono_literals;
using path_t = std::filesystem::path;

constexpr open_options both_ways{.access = access::read_write, .creation = creation::if_missing};

TEST(FileLock, exclusive_ones_keep_all_others_out_and_shared_ones_only_those) {
  on_both_machines([](path_t dir) -> task<> {
    file f = co_await open(dir / "a", both_ways);
    const auto shared = lock_kind::shared, exclusive = lock_kind::exclusive;
    file_lock one = co_await fs::lock(f, shared);
    auto two = co_await fs::try_lock(f, shared);
    EXPECT_TRUE(two.has_value());
    EXPECT_FALSE((co_await fs::try_lock(f, exclusive)).has_value());
    co_await std::move(one).unlock();
    EXPECT_FALSE((co_await fs::try_lock(f, exclusive)).has_value());
    co_await std::move(*two).unlock();
    two.reset();
    auto three = co_await fs::try_lock(f, exclusive);
    EXPECT_TRUE(three.has_value());
    EXPECT_FALSE((co_await fs::try_lock(f, shared)).has_value());
    co_await std::move(f).close();  // which ends no lock
    file again = co_await open(dir / "a", both_ways);
    EXPECT_FALSE((co_await fs::try_lock(again, shared)).has_value());
  });
}

TEST(FileLock, is_of_the_bytes_that_it_names) {
  on_both_machines([](path_t dir) -> task<> {
    file f = co_await open(dir / "a", both_ways);
    const auto exclusive = lock_kind::exclusive;
    const lock_range first{0, 100}, second{100, 100}, rest{150, 0}, too_far{1, INT64_MAX};
    file_lock one = co_await fs::lock(f, exclusive, first);
    auto two = co_await fs::try_lock(f, exclusive, second);
    EXPECT_TRUE(two.has_value());
    EXPECT_FALSE((co_await fs::try_lock(f, exclusive, rest)).has_value());
    EXPECT_EQ((co_await error_of(fs::lock(f, exclusive, too_far))).number(), EINVAL);
  });
}

TEST(FileLock, is_waited_for_until_whoever_has_it_lets_go) {
  on_both_machines([](path_t dir) -> task<> {
    file f = co_await open(dir / "a", both_ways);
    std::string order;
    auto wait = [](const file& of, std::string& into) -> task<> {
      file_lock l = co_await fs::lock(of, lock_kind::exclusive);
      into += "waiter ";
    };
    file_lock l = co_await fs::lock(f, lock_kind::exclusive);
    auto waiting = spawn(wait(f, order));
    co_await sleep_for(5ms);
    order += "owner ";
    l = file_lock();  // dropped: the waiter hears of it in time
    co_await std::move(waiting);
    EXPECT_EQ(order, "owner waiter ");
  });
}

// Two tasks wait by the file, which closes under them: they have what they need.
TEST(FileLock, a_file_closes_beside_those_who_wait_for_a_lock_by_it) {
  on_both_machines([](path_t dir) -> task<> {
    file owner = co_await open(dir / "a", both_ways);
    file f = co_await open(dir / "a", both_ways);
    std::string order;
    auto wait = [](const file& of, std::string& into) -> task<> {
      file_lock l = co_await fs::lock(of, lock_kind::exclusive);
      into += "waiter ";
    };
    file_lock l = co_await fs::lock(owner, lock_kind::exclusive);
    auto one = spawn(wait(f, order));
    auto two = spawn(wait(f, order));
    co_await sleep_for(5ms);  // they wait
    const auto closed = co_await timeout(10s, std::move(f).close());
    EXPECT_TRUE(closed) << "it waits for them";
    order += "closed ";
    co_await std::move(l).unlock();
    co_await std::move(one);
    co_await std::move(two);
    EXPECT_EQ(order, "closed waiter waiter ");
  });
}

TEST(FileLock, a_wait_that_is_given_up_leaves_no_lock) {
  on_both_machines([](path_t dir) -> task<> {
    file f = co_await open(dir / "a", both_ways);
    file_lock l = co_await fs::lock(f, lock_kind::exclusive);
    for (const auto patience : {0ms, 1ms, 3ms}) {
      auto got = co_await timeout(patience, fs::lock(f, lock_kind::exclusive));
      EXPECT_FALSE(got.has_value());
    }
    co_await std::move(l).unlock();
    // Dropped at any moment: nobody is kept out by what was on its way.
    for (int i = 0; i < 20; ++i) {
      auto dropped = spawn(fs::lock(f, lock_kind::exclusive));
      for (int k = 0; k < i; ++k) co_await yield();
      dropped.abort();
      file_lock mine = co_await fs::lock(f, lock_kind::exclusive);
      co_await std::move(mine).unlock();
    }
  });
}

TEST(FileLock, says_what_the_file_must_be_open_for) {
  on_both_machines([](path_t dir) -> task<> {
    co_await fs::write_file(dir / "a", "x");
    file f = co_await open(dir / "a");
    file_lock l = co_await fs::lock(f, lock_kind::shared);
    co_await fs::create_directory(dir / "d");
  });
  auto body = []() -> task<> {
    file null = co_await open("/dev/null", both_ways);
    const error e = co_await error_of(fs::lock(null, lock_kind::shared));
    EXPECT_EQ(e.number(), EINVAL);
    EXPECT_NE(e.advice().find("regular files"), std::string::npos);
  };
  run(body());
}

}  // namespace
}  // namespace parkring::fs
