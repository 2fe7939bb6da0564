// The code of docs/guide/19-write-ahead-log.md, compiled and run.
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
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

struct table {
  std::filesystem::path snapshot;
  pr::fs::log wal;
  std::vector<std::string> rows;
  pr::shared_mutex page;  // shared: a row is in the log and not yet in `rows`
};

pr::task<> insert(table& t, std::string text) {
  const auto shared = co_await t.page.lock_shared();
  co_await t.wal.append(pr::copying(text));
  t.rows.push_back(std::move(text));
}

pr::task<> checkpoint(table& t) {
  auto alone = co_await t.page.lock();  // all that was appended is in `rows`
  const pr::fs::lsn from = t.wal.end();
  std::string text = std::to_string(from.value) + '\n';
  for (const auto& line : t.rows) text += line + '\n';
  alone.unlock();  // inserts go on while the snapshot is written
  co_await pr::fs::write_file_durably(t.snapshot, std::move(text));
  co_await t.wal.truncate_before(from);
}

pr::task<> recover(table& t) {
  pr::fs::lsn from;
  if (auto text = co_await pr::as_result(pr::fs::read_file(t.snapshot))) {
    std::istringstream in(*text);
    in >> from.value >> std::ws;
    for (std::string line; std::getline(in, line);) t.rows.push_back(line);
  }
  auto records = t.wal.records();
  while (auto r = co_await records.next())
    if (r->at >= from) t.rows.push_back(std::move(r->bytes));
}

struct history {
  std::size_t begun = 0, promised = 0;
};

pr::task<> insert_some(table& t, history& h) {
  for (int n = 0; n < 10; ++n) {
    std::string next = row(static_cast<int>(h.begun++));
    co_await insert(t, std::move(next));
    ++h.promised;
  }
}

// From one power cut to the next.
pr::task<> live(history& h) {
  table t{.snapshot = "/snapshot", .wal = {}, .rows = {}, .page = {}};
  t.wal = co_await pr::fs::log::open("/wal", {.segment = 4_KiB});
  co_await recover(t);
  std::vector<bool> seen(h.begun);
  for (const auto& r : t.rows) {
    const std::size_t n = std::stoul(r.substr(4));
    pr::sim::require(n < h.begun && !seen[n], r + " is there twice");
    seen[n] = true;
  }
  pr::sim::require(t.rows.size() >= h.promised, "rows are lost");
  h.promised = t.rows.size();
  pr::task_group writers;
  for (int i = 0; i < 3; ++i) writers.spawn(insert_some, std::ref(t), std::ref(h));
  for (int i = 0; i < 3; ++i) co_await checkpoint(t);
  co_await writers.join();
  co_await t.wal.close();
}

TEST(GuideLog, a_table_has_each_row_once_whenever_the_power_goes) {
  const pr::sim::explore_options options{.seeds = 60, .print = false};
  const auto found = pr::sim::explore(options, [](pr::sim::world& w) {
    history h;
    for (int i = 0; i < 3; ++i) {
      w.cut_within(150);
      w.until_power_cut([&h] { return live(h); });
    }
  });
  EXPECT_TRUE(found.ok()) << found.text();
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
