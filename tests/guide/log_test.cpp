// The code of docs/guide/19-write-ahead-log.md, compiled and run.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

#include "support/scratch.hpp"

namespace pr = parkring;
using parkring::testing::scratch;
using namespace pr::literals;

namespace {

std::string row(int n) { return "row " + std::to_string(n); }

pr::task<> append_some(std::filesystem::path directory) {
  auto wal = co_await pr::fs::log::open(directory, {.segment = 1_MiB});

  const pr::fs::lsn first = co_await wal.append(row(1));  // an owner moves in
  const std::string kept = row(2);
  co_await wal.append(pr::copying(kept));  // or the bytes are copied

  for (int i = 3; i < 10; ++i) co_await wal.append_unsynced(row(i));
  co_await wal.sync();  // all of them at once

  co_await wal.truncate_before(first);
  co_await wal.close();
}

// Gives what others append to somebody else, as it becomes durable.
pr::task<> ship(pr::fs::log& wal, pr::fs::lsn from, std::vector<std::string>& to) {
  auto records = wal.records(from, pr::fs::log_reading::follow);
  while (auto r = co_await records.next()) to.push_back(std::move(r->bytes));
}

TEST(GuideLog, appends) {
  scratch dir;
  pr::run(append_some(dir / "wal"));
}

TEST(GuideLog, follows) {
  scratch dir;
  std::vector<std::string> got;
  auto body = [&]() -> pr::task<> {
    auto wal = co_await pr::fs::log::open(dir / "wal", {.segment = 1_MiB});
    auto shipping = pr::spawn(ship(wal, wal.first(), got));
    for (int i = 0; i < 5; ++i) co_await wal.append(row(i));
    co_await wal.close();
    co_await std::move(shipping);
  };
  pr::run(body());
  EXPECT_EQ(got.size(), 5u);
}

TEST(GuideLog, refused_or_failed) {
  scratch dir;
  auto body = [&]() -> pr::task<> {
    auto wal = co_await pr::fs::log::open(dir / "wal", {.segment = 1_MiB});
    const auto at = co_await pr::as_result(wal.append(row(1)));
    if (!at && !wal.failure()) {
      // A full disk: the record is not in the log, nothing is lost, and it goes on.
    } else if (!at) {
      // A write or sync failed: open the log again, and read what is there.
    }
    EXPECT_TRUE(at.has_value());
  };
  pr::run(body());
}

TEST(GuideLog, damaged) {
  scratch dir;
  const auto directory = dir / "wal";
  auto body = [&]() -> pr::task<> {
    auto wal = co_await pr::as_result(pr::fs::log::open(directory, {.segment = 1_MiB}));
    if (!wal && wal.error().number() == EBADMSG) {
      // Somebody has looked, kept a copy, and decided to go on without what lies behind.
      const pr::fs::log_options cut{.segment = 1_MiB, .damage = pr::fs::log_damage::cut};
      wal = co_await pr::fs::log::open(directory, cut);
    }
    EXPECT_TRUE(wal.has_value());
  };
  pr::run(body());
}

}  // namespace
