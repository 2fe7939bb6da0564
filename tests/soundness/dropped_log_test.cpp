// A log, dropped at every point: nothing leaks, nothing that was acknowledged is lost, and the next
// one in the same directory finds it in order.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;

namespace {

// In memory where there is such a place: a sync costs nothing there.
std::filesystem::path fast_place() {
  const std::filesystem::path shm = "/dev/shm";
  return std::filesystem::is_directory(shm) ? shm : std::filesystem::temp_directory_path();
}

// The first, which is also torn down everywhere, and the smallest with few records.
drop_options large_queue() { return {{every_queue_size().runtimes.front()}}; }
drop_options small_queue() { return {{every_queue_size().runtimes.back()}}; }

constexpr pr::fs::log_options small{.segment = 4096, .group = 512};

class DroppedLog : public ::testing::Test {
 protected:
  scratch where{fast_place()};
  const std::filesystem::path dir = where.root() / "wal";
  std::map<pr::fs::lsn, std::string> told;  // acknowledged, and not truncated
  int number = 0;
};

pr::task<> check(pr::fs::log& log, const std::map<pr::fs::lsn, std::string>& told) {
  auto missing = told;
  auto records = log.records();
  while (auto r = co_await records.next()) {
    const auto at = missing.find(r->at);
    if (at == missing.end()) continue;
    EXPECT_EQ(at->second, r->bytes);
    missing.erase(at);
  }
  EXPECT_TRUE(missing.empty());
}

TEST_F(DroppedLog, opening_appending_syncing_and_reading_leave_nothing) {
  EXPECT_GT(drop_everywhere(
                [&]() -> pr::task<> {
                  return [](std::filesystem::path p, std::map<pr::fs::lsn, std::string>& acked,
                            int n) -> pr::task<> {
                    pr::fs::log log = co_await pr::fs::log::open(p, small);
                    co_await check(log, acked);
                    const std::string mine = "record " + std::to_string(n);
                    const auto at = co_await log.append(pr::copying(mine));
                    acked[at] = mine;
                    auto both = pr::when_all(log.append(std::string(400, 'x')),
                                             log.append_unsynced(std::string(400, 'y')));
                    co_await std::move(both);
                    co_await log.sync();
                    auto follows = log.records(at, pr::fs::log_reading::follow);
                    const auto first = co_await follows.next();
                    EXPECT_TRUE(first && first->bytes == mine);
                    if (acked.size() > 3) acked.erase(acked.begin(), acked.find(at));
                    const pr::fs::lsn oldest = acked.begin()->first;
                    co_await log.truncate_before(oldest);
                    EXPECT_GE(log.first(), oldest);
                    co_await log.close();
                  }(dir, told, ++number);
                },
                large_queue()),
            100u);
  EXPECT_FALSE(told.empty());
}

TEST_F(DroppedLog, a_log_that_is_dropped_while_others_append_and_follow_leaves_nothing) {
  EXPECT_GT(drop_everywhere(
                [&]() -> pr::task<> {
                  return [](std::filesystem::path p) -> pr::task<> {
                    auto log = std::make_unique<pr::fs::log>(co_await pr::fs::log::open(p, small));
                    auto append = [](pr::fs::log* to) -> pr::task<> {
                      (void)co_await pr::as_result(to->append(std::string(300, 'a')));
                    };
                    auto read = [](pr::generator<pr::fs::log_record> all) -> pr::task<> {
                      while (co_await all.next()) {
                      }
                    };
                    pr::task_group group;
                    for (int i = 0; i < 4; ++i) group.spawn(append, log.get());
                    group.spawn(read, log->records(log->first(), pr::fs::log_reading::follow));
                    co_await pr::yield();
                    co_await pr::yield();
                    co_await log->truncate_before(log->durable_end());
                    log.reset();
                    co_await group.join();
                  }(dir);
                },
                small_queue()),
            40u);
}

}  // namespace
