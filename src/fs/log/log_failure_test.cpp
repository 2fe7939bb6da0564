// What a log does when its disk fails or is full, request by request.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

namespace parkring::fs {
namespace {

constexpr log_options small{.segment = 4096, .group = 1024};

class LogFailure : public ::testing::Test {
 protected:
  LogFailure() {
    sim::faults f;
    f.callback = [this](const sim::operation& op) -> std::optional<sim::injected> {
      const bool writes_it = op.kind == sim::operation_kind::write;
      if (op.path == "/wal" && op.kind == sim::operation_kind::sync) {
        ++name_syncs;
        if (names_fail) return sim::injected{.what = sim::fault::failed_sync};
      }
      if (!op.path.ends_with(".wal")) return std::nullopt;
      if (writes_it) ++writes;
      if (op.kind == sim::operation_kind::sync) ++syncs;
      if (no_descriptor && op.kind == sim::operation_kind::open)
        return sim::injected{.error = EMFILE};
      if (full && writes_it && op.length == small.segment)
        return sim::injected{.what = sim::fault::no_space};
      if (fails && writes_it) return sim::injected{.what = *fails};
      return std::nullopt;
    };
    world.set_faults(f);
  }

  template <class Use>
  void with_log(Use use) {
    world.run([&]() -> task<> {
      return [](Use what) -> task<> {
        log l = co_await log::open("/wal", small);
        co_await what(l);
      }(use);
    });
  }
  std::vector<std::string> reopened() {
    std::vector<std::string> all;
    with_log([&](log& l) -> task<> {
      auto records = l.records();
      while (auto r = co_await records.next()) all.push_back(r->bytes);
      co_await l.close();
    });
    return all;
  }
  static task<int> append(log* l, std::string bytes) {
    auto r = co_await as_result(l->append(std::move(bytes)));
    co_return r ? 0 : r.error().number();
  }

  sim::world world{7};
  bool full = false;
  bool names_fail = false;
  bool no_descriptor = false;
  std::optional<sim::fault> fails;
  int writes = 0, syncs = 0, name_syncs = 0;
};

void expect_failed(const error& e) {
  EXPECT_EQ(e.number(), EIO);
  EXPECT_NE(e.message().find("takes no more records"), std::string::npos) << e.message();
  EXPECT_NE(e.message().find("open it again"), std::string::npos) << e.message();
}

TEST_F(LogFailure, a_write_or_a_sync_that_fails_ends_the_log_and_is_not_tried_again) {
  for (const auto kind : {sim::fault::failed_sync, sim::fault::io_error_once}) {
    with_log([&](log& l) -> task<> {
      co_await l.append(std::string("kept"));
      co_await sleep_for(std::chrono::milliseconds(100));  // no file is being prepared
      fails = kind;
      std::vector<join_handle<int>> waiting;
      for (int i = 0; i < 5; ++i) waiting.push_back(spawn(append(&l, "lost")));
      for (auto& one : waiting) {
        const int number = co_await one;
        EXPECT_EQ(number, EIO);
      }
      fails.reset();
      const int before = writes + syncs;
      const auto later = co_await as_result(l.append(std::string("later")));
      const auto synced = co_await as_result(l.sync());
      const auto truncated = co_await as_result(l.truncate_before(l.durable_end()));
      const auto closed = co_await as_result(l.close());
      EXPECT_FALSE(later || synced || truncated || closed);
      if (!later) expect_failed(later.error());
      if (!synced) expect_failed(synced.error());
      EXPECT_TRUE(l.failure().has_value());
      EXPECT_EQ(writes + syncs, before) << "nothing was written after the failure";
      auto readable = l.records();
      const auto first = co_await readable.next();
      EXPECT_TRUE(first.has_value()) << "what is durable can be read";
    });
    const auto all = reopened();
    EXPECT_EQ(all.front(), "kept");
    EXPECT_EQ(std::ranges::count(all, "later"), 0);
  }
}

TEST_F(LogFailure, a_full_disk_refuses_records_and_the_log_goes_on_when_there_is_room) {
  std::vector<std::string> told;
  with_log([&](log& l) -> task<> {
    full = true;
    int refused = 0;
    for (int i = 0; i < 20; ++i) {
      std::string bytes = std::to_string(i) + std::string(600, '.');
      const int number = co_await append(&l, bytes);
      if (number == 0)
        told.push_back(bytes);
      else
        ++refused;
      EXPECT_TRUE(number == 0 || number == ENOSPC) << number;
    }
    EXPECT_GT(told.size(), 3U) << "files that were prepared are used up first";
    EXPECT_GT(refused, 5);
    EXPECT_EQ(l.counters().refused, static_cast<std::uint64_t>(refused));
    EXPECT_FALSE(l.failure());
    co_await l.sync();
    const lsn at = co_await l.append_unsynced(std::string(600, 'u'));
    const auto durable = co_await as_result(l.durable(at));
    EXPECT_TRUE(!durable && durable.error().number() == ENOSPC);
    co_await l.append_unsynced(std::string(600, 'u'));
    co_await sleep_for(std::chrono::milliseconds(100));
    const auto synced = co_await as_result(l.sync());
    EXPECT_TRUE(!synced && synced.error().number() == ENOSPC) << "it was refused unseen";
    co_await l.sync();
    full = false;
    for (int i = 0; i < 5; ++i) {
      std::string bytes = "again" + std::to_string(i) + std::string(600, '.');
      const int number = co_await append(&l, bytes);
      EXPECT_EQ(number, 0);
      told.push_back(bytes);
    }
    std::vector<std::string> all;
    auto records = l.records();
    while (auto r = co_await records.next()) all.push_back(r->bytes);
    EXPECT_EQ(all, told);
    co_await l.close();
  });
  EXPECT_EQ(reopened(), told);
}

// What its directory forgot, no later sync brings back.
TEST_F(LogFailure, a_sync_of_the_directory_that_fails_ends_the_log_and_is_not_tried_again) {
  with_log([&](log& l) -> task<> {
    co_await sleep_for(std::chrono::milliseconds(100));  // a file is ready
    names_fail = true;
    int failed = 0;
    for (int i = 0; i < 20 && failed == 0; ++i) failed = co_await append(&l, std::string(600, '.'));
    EXPECT_EQ(failed, EIO);
    names_fail = false;
    const int before = name_syncs + syncs + writes;
    const auto later = co_await as_result(l.append(std::string("later")));
    const auto closed = co_await as_result(l.close());
    EXPECT_FALSE(later || closed);
    if (!later) expect_failed(later.error());
    EXPECT_EQ(name_syncs + syncs + writes, before) << "nothing was tried again";
  });
  const auto all = reopened();
  EXPECT_EQ(std::ranges::count(all, "later"), 0);
}

TEST_F(LogFailure, a_full_disk_is_relieved_by_truncating) {
  std::vector<std::string> told;
  with_log([&](log& l) -> task<> {
    full = true;
    lsn oldest;
    for (int number = 0, i = 0; number == 0; ++i) {
      std::string bytes = std::to_string(i) + std::string(600, '.');
      const lsn at = l.end();
      number = co_await append(&l, bytes);
      if (number != 0) continue;
      told.push_back(bytes);
      oldest = at;  // the last that is in it
    }
    EXPECT_GT(told.size(), 8U) << "more than one file";
    co_await l.truncate_before(oldest);
    EXPECT_EQ(l.first(), oldest);
    told.erase(told.begin(), told.end() - 1);
    for (int i = 0; i < 5; ++i) {
      std::string bytes = "again" + std::to_string(i) + std::string(600, '.');
      const int number = co_await append(&l, bytes);
      EXPECT_EQ(number, 0) << "in the files that became free";
      told.push_back(bytes);
    }
    EXPECT_FALSE(l.failure());
    co_await l.close();
  });
  EXPECT_EQ(reopened(), told);
}

TEST_F(LogFailure, a_truncation_that_frees_nothing_is_done_on_a_full_disk_too) {
  with_log([&](log& l) -> task<> {
    full = true;
    std::vector<lsn> all;
    for (int number = 0; number == 0;) {
      all.push_back(l.end());
      number = co_await append(&l, std::string(600, '.'));
    }
    co_await l.truncate_before(all[1]);
    EXPECT_EQ(l.first(), all[1]);
    const int number = co_await append(&l, std::string(600, '.'));
    EXPECT_EQ(number, ENOSPC) << "what is needed still fills all files";
    l = log();
  });
  with_log([&](log& l) -> task<> {
    EXPECT_GT(l.first(), lsn{24});
    co_await l.close();
  });
}

// The end lies behind what was refused then, and behind all that is in the files.
TEST_F(LogFailure, what_is_appended_after_truncating_to_the_end_of_a_full_disk_is_kept) {
  lsn end;
  with_log([&](log& l) -> task<> {
    full = true;
    for (int number = 0; number == 0;) number = co_await append(&l, std::string(600, '.'));
    // Nor is there a descriptor for a file that becomes free.
    no_descriptor = true;
    end = l.end();
    co_await l.truncate_before(end);
    co_await l.close();
  });
  full = no_descriptor = false;
  with_log([&](log& l) -> task<> {
    EXPECT_EQ(l.first(), end);
    const lsn at = co_await l.append(std::string("kept"));
    EXPECT_GT(at, end);
    co_await l.close();
  });
  EXPECT_EQ(reopened(), std::vector<std::string>{"kept"});
}

TEST_F(LogFailure, closing_tells_of_records_that_were_refused_unseen) {
  with_log([&](log& l) -> task<> {
    full = true;
    for (int i = 0; i < 20; ++i) co_await l.append_unsynced(std::string(600, '.'));
    const auto closed = co_await as_result(l.close());
    EXPECT_TRUE(!closed && closed.error().number() == ENOSPC);
  });
}

TEST_F(LogFailure, a_disk_that_is_full_from_the_beginning_is_an_error_of_opening) {
  full = true;
  world.run([&]() -> task<> {
    return []() -> task<> {
      const auto l = co_await as_result(log::open("/wal", small));
      EXPECT_TRUE(!l && l.error().number() == ENOSPC);
    }();
  });
  full = false;
  EXPECT_TRUE(reopened().empty());
}

}  // namespace
}  // namespace parkring::fs
