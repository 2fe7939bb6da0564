// examples/kv_store on a disk that works, and on files that a crash may leave behind.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kv_store/record.hpp"
#include "kv_store_testing.hpp"
#include "support/drop_everywhere.hpp"

namespace pr = parkring;
using namespace kv::testing;
using parkring::testing::content_of;
using parkring::testing::scratch;

namespace {

class KvStore : public ::testing::Test {
 protected:
  scratch dir;
  const std::filesystem::path db = dir / "db";
};

TEST_F(KvStore, keeps_what_is_put_and_forgets_what_is_deleted) {
  with_store(db, [](kv::store& s) -> pr::task<> {
    co_await s.put("a", "1");
    co_await s.put("b", "2");
    co_await s.put("a", "3");
    co_await s.del("b");
    co_await s.del("never there");
    co_await s.put("", "");
    EXPECT_EQ(s.get("a"), "3");
    EXPECT_EQ(s.get("b"), std::nullopt);
    EXPECT_EQ(s.get(""), "");
    EXPECT_EQ(s.size(), 2u);
    EXPECT_EQ(s.counters().changes, 6u);
  });
  EXPECT_EQ(reopened(db), (contents{{"", ""}, {"a", "3"}}));
}

TEST_F(KvStore, goes_on_where_it_was_closed) {
  for (int i = 0; i < 5; ++i)
    with_store(db, [i](kv::store& s) -> pr::task<> {
      EXPECT_EQ(s.size(), static_cast<std::size_t>(i));
      EXPECT_EQ(s.counters().replayed, static_cast<std::uint64_t>(i));
      EXPECT_EQ(s.counters().cut, 0u);
      co_await s.put("k" + std::to_string(i), std::string(1000, 'v'));
    });
  EXPECT_EQ(reopened(db).size(), 5u);
}

TEST_F(KvStore, takes_any_path_of_a_directory) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir.root());
  for (const char* name : {"plain", "slash/", "./dot"}) {
    with_store(name, [](kv::store& s) -> pr::task<> { co_await s.put("k", "v"); });
    EXPECT_EQ(reopened(name).size(), 1u) << name;
  }
  std::filesystem::current_path(before);
}

TEST_F(KvStore, refuses_what_is_too_long_and_goes_on) {
  with_store(db, [](kv::store& s) -> pr::task<> {
    bool refused = false;
    try {
      co_await s.put(std::string(kv::longest_key + 1, 'k'), "v");
    } catch (const std::invalid_argument&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
    co_await s.put(std::string(kv::longest_key, 'k'), "v");
  });
  EXPECT_EQ(reopened(db).size(), 1u);
}

TEST_F(KvStore, says_that_it_is_closed) {
  auto body = [&]() -> pr::task<> {
    const auto s = co_await kv::store::open(db);
    co_await s->close();
    bool refused = false;
    try {
      co_await s->put("k", "v");
    } catch (const std::logic_error&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  };
  pr::run(body());
}

TEST_F(KvStore, a_close_waits_for_changes_that_were_begun) {
  with_store(db, [](kv::store& s) -> pr::task<> {
    auto put = pr::spawn(s.put("k", "v"));
    co_await pr::yield();
    put.detach();
  });
  EXPECT_EQ(reopened(db), (contents{{"k", "v"}}));
}

TEST_F(KvStore, a_store_that_goes_tells_who_waits) {
  auto body = [&]() -> pr::task<> {
    auto s = co_await kv::store::open(db);
    auto put = pr::spawn(s->put("k", "v"));
    auto compact = pr::spawn(s->compact());
    co_await pr::yield();
    s.reset();
    int told = 0;
    try {
      co_await std::move(put);
    } catch (const kv::store_failed&) {
      ++told;
    }
    try {
      co_await std::move(compact);
    } catch (const kv::store_failed&) {
      ++told;
    }
    EXPECT_EQ(told, 2);
  };
  pr::run(body());
}

// ---- many writers ----

TEST_F(KvStore, sixty_four_writers_share_their_syncs) {
  constexpr int writers = 64, each = 20;
  with_store(db, [](kv::store& s) -> pr::task<> {
    auto writer = [&s](int w) -> pr::task<> {
      for (int i = 0; i < each; ++i) {
        const std::string key = std::to_string(w) + "." + std::to_string(i);
        co_await s.put(key, "v");
        EXPECT_EQ(s.get(key), "v") << "acknowledged and not there";
      }
    };
    pr::task_group group;
    for (int w = 0; w < writers; ++w) group.spawn(writer, w);
    co_await group.join();
    EXPECT_EQ(s.counters().changes, static_cast<std::uint64_t>(writers * each));
    EXPECT_LE(s.counters().commits, static_cast<std::uint64_t>(3 * each));
    EXPECT_GE(s.counters().commits, static_cast<std::uint64_t>(each));
  });
  EXPECT_EQ(reopened(db).size(), static_cast<std::size_t>(writers * each));
}

TEST_F(KvStore, changes_of_one_key_take_effect_in_the_order_they_were_begun) {
  with_store(db, [](kv::store& s) -> pr::task<> {
    pr::task_group group;
    for (int i = 0; i < 100; ++i) group.spawn(s.put("k", std::to_string(i)));
    co_await group.join();
    EXPECT_EQ(s.get("k"), "99");
  });
  EXPECT_EQ(reopened(db), (contents{{"k", "99"}}));
}

// ---- compaction ----

TEST_F(KvStore, a_compaction_keeps_everything_and_empties_the_log) {
  with_store(db, [](kv::store& s) -> pr::task<> {
    for (int i = 0; i < 100; ++i) co_await s.put("k" + std::to_string(i % 10), std::to_string(i));
    co_await s.del("k5");
    co_await s.compact();
    EXPECT_EQ(s.size(), 9u);
  });
  EXPECT_EQ(std::filesystem::file_size(db / "wal"), 0u);
  EXPECT_FALSE(std::filesystem::exists(db / "snapshot.new"));
  with_store(db, [](kv::store& s) -> pr::task<> {
    EXPECT_EQ(s.counters().replayed, 0u);
    EXPECT_EQ(s.size(), 9u);
    EXPECT_EQ(s.get("k9"), "99");
    co_await s.del("k9");
    co_await s.put("k5", "again");
  });
  const auto all = reopened(db);
  EXPECT_EQ(all.size(), 9u);
  EXPECT_EQ(all.count("k9"), 0u);
  EXPECT_EQ(all.at("k5"), "again");
}

TEST_F(KvStore, a_snapshot_larger_than_a_piece_is_whole) {
  with_store(db, [](kv::store& s) -> pr::task<> {
    pr::task_group group;
    for (int i = 0; i < 50; ++i)
      group.spawn(s.put("k" + std::to_string(i), std::string(20'000, 'v')));
    co_await group.join();
    co_await s.compact();
    co_await s.compact();
  });
  EXPECT_EQ(reopened(db).size(), 50u);
}

TEST_F(KvStore, writers_go_on_during_compactions) {
  with_store(db, [](kv::store& s) -> pr::task<> {
    bool done = false;
    auto compactor = [&]() -> pr::task<> {
      while (!done) co_await s.compact();
    };
    auto writer = [&s](int w) -> pr::task<> {
      for (int i = 0; i < 20; ++i) co_await s.put(std::to_string(w * 100 + i), "v");
    };
    auto compacting = pr::spawn(compactor);
    pr::task_group group;
    for (int w = 0; w < 8; ++w) group.spawn(writer, w);
    co_await group.join();
    done = true;
    co_await std::move(compacting);
    EXPECT_GT(s.counters().compactions, 1u);
  });
  EXPECT_EQ(reopened(db).size(), 160u);
}

TEST_F(KvStore, an_old_log_beside_a_new_snapshot_brings_nothing_back) {
  std::string old_log;
  with_store(db, [&](kv::store& s) -> pr::task<> {
    co_await s.put("deleted", "v");
    co_await s.put("kept", "old");
    co_await s.del("deleted");
    co_await s.put("kept", "new");
    old_log = content_of(db / "wal");
    co_await s.compact();
  });
  write_bytes(db / "wal", old_log);  // as if the power had failed before the log was replaced
  with_store(db, [](kv::store& s) -> pr::task<> {
    EXPECT_EQ(contents_of(s), (contents{{"kept", "new"}}));
    co_await s.put("more", "v");
  });
  EXPECT_EQ(reopened(db), (contents{{"kept", "new"}, {"more", "v"}}));
}

TEST_F(KvStore, a_torn_log_that_ends_before_the_snapshot_is_replaced) {
  std::string old_log;
  with_store(db, [&](kv::store& s) -> pr::task<> {
    for (int i = 0; i < 4; ++i) co_await s.put("k", std::to_string(i));
    old_log = content_of(db / "wal");
    co_await s.compact();
  });
  write_bytes(db / "wal", old_log.substr(0, old_log.size() - 1));
  with_store(db, [](kv::store& s) -> pr::task<> { co_await s.put("more", "v"); });
  EXPECT_EQ(reopened(db), (contents{{"k", "3"}, {"more", "v"}}));
}

// ---- what a crash leaves ----

TEST_F(KvStore, a_log_torn_at_any_byte_keeps_all_whole_records_and_takes_more) {
  const std::vector<std::string> values = {"", "1", "two", std::string(40, 'x'), "last"};
  std::vector<std::size_t> ends = {0};
  with_store(db, [&](kv::store& s) -> pr::task<> {
    for (const auto& v : values) {
      co_await s.put("k" + std::to_string(ends.size()), v);
      ends.push_back(content_of(db / "wal").size());
    }
  });
  pr::runtime rt;
  const std::string log = content_of(db / "wal");
  for (std::size_t n = 0; n <= log.size(); ++n) {
    write_bytes(db / "wal", log.substr(0, n));
    contents expected;
    for (std::size_t i = 0; i < values.size() && ends[i + 1] <= n; ++i)
      expected["k" + std::to_string(i + 1)] = values[i];
    with_store(rt, db, [&](kv::store& s) -> pr::task<> {
      EXPECT_EQ(contents_of(s), expected) << "torn at " << n;
      EXPECT_EQ(s.counters().cut, n - ends[expected.size()]) << "torn at " << n;
      co_await s.put("more", "v");
    });
    expected["more"] = "v";
    EXPECT_EQ(reopened(rt, db), expected) << "torn at " << n;
  }
}

TEST_F(KvStore, nothing_behind_a_damaged_record_comes_back) {
  std::size_t record = 0;
  with_store(db, [&](kv::store& s) -> pr::task<> {
    for (int i = 1; i <= 5; ++i) co_await s.put("k" + std::to_string(i), "v");
    record = content_of(db / "wal").size() / 5;
  });
  std::string log = content_of(db / "wal");
  log[2 * record + 10] ^= 1;
  write_bytes(db / "wal", log);
  // The new record has the size and the number of the damaged one: what lay behind it would fit.
  with_store(db, [&](kv::store& s) -> pr::task<> {
    EXPECT_EQ(s.size(), 2u);
    EXPECT_EQ(s.counters().cut, 3 * record);
    co_await s.put("n3", "v");
  });
  EXPECT_EQ(reopened(db), (contents{{"k1", "v"}, {"k2", "v"}, {"n3", "v"}}));
}

TEST_F(KvStore, a_gap_in_the_numbers_ends_the_log) {
  std::filesystem::create_directory(db);
  std::string log;
  for (const std::uint64_t sequence : {1, 2, 4}) kv::append_record(log, sequence, "k", "v");
  write_bytes(db / "wal", log);
  with_store(db, [&](kv::store& s) -> pr::task<> {
    EXPECT_EQ(s.counters().replayed, 2u);
    EXPECT_EQ(s.counters().cut, log.size() / 3);
    co_return;
  });
}

TEST_F(KvStore, zeros_behind_the_log_are_cut) {
  with_store(db, [](kv::store& s) -> pr::task<> { co_await s.put("k", "v"); });
  write_bytes(db / "wal", content_of(db / "wal") + std::string(4096, '\0'));
  with_store(db, [](kv::store& s) -> pr::task<> {
    EXPECT_EQ(s.counters().cut, 4096u);
    co_await s.put("more", "v");
  });
  EXPECT_EQ(reopened(db), (contents{{"k", "v"}, {"more", "v"}}));
}

TEST_F(KvStore, unfinished_files_are_removed) {
  with_store(db, [](kv::store& s) -> pr::task<> { co_await s.put("k", "v"); });
  write_bytes(db / "snapshot.new", "half a snap");
  write_bytes(db / "wal.new", "what is this");
  EXPECT_EQ(reopened(db), (contents{{"k", "v"}}));
  EXPECT_FALSE(std::filesystem::exists(db / "snapshot.new"));
  EXPECT_FALSE(std::filesystem::exists(db / "wal.new"));
}

TEST_F(KvStore, a_damaged_snapshot_is_never_taken_for_a_good_one) {
  with_store(db, [](kv::store& s) -> pr::task<> {
    co_await s.put("a", "1");
    co_await s.put("b", "2");
    co_await s.compact();
  });
  pr::runtime rt;
  const std::string good = content_of(db / "snapshot");
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string damaged = good;
    damaged[at] ^= 0x10;
    write_bytes(db / "snapshot", damaged);
    EXPECT_THROW(reopened(rt, db), kv::store_corrupt) << "byte " << at;
    write_bytes(db / "snapshot", good.substr(0, at));
    EXPECT_THROW(reopened(rt, db), kv::store_corrupt) << "cut at " << at;
  }
  write_bytes(db / "snapshot", good);
  EXPECT_EQ(reopened(rt, db).size(), 2u);
}

TEST_F(KvStore, a_log_whose_snapshot_is_gone_is_refused) {
  with_store(db, [](kv::store& s) -> pr::task<> {
    co_await s.put("a", "1");
    co_await s.compact();
    co_await s.put("b", "2");
  });
  std::filesystem::remove(db / "snapshot");
  EXPECT_THROW(reopened(db), kv::store_corrupt);
}

// ---- dropped ----

TEST_F(KvStore, dropped_anywhere_it_leaves_nothing_and_loses_nothing_acknowledged) {
  int number = 0;
  contents acknowledged;
  pr::testing::drop_options options = pr::testing::every_queue_size();
  options.runtimes.resize(1);
  const auto drops = pr::testing::drop_everywhere(
      [&]() -> pr::task<> {
        return [](std::filesystem::path at, contents& told, int n) -> pr::task<> {
          const auto s = co_await kv::store::open(at);
          for (const auto& [key, value] : told) EXPECT_EQ(s->get(key), value);
          const std::string key = "k" + std::to_string(n % 8);
          told.erase(key);
          co_await s->put(key, std::to_string(n));
          told[key] = std::to_string(n);
          auto both = pr::when_all(s->put("x", "1"), s->del("x"));
          co_await std::move(both);
          co_await s->compact();
          co_await s->close();
        }(db, acknowledged, ++number);
      },
      options);
  EXPECT_GT(drops, 50u);
  EXPECT_FALSE(acknowledged.empty());
}

}  // namespace
