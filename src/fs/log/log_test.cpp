// The log on a disk that works, and on files that a crash may leave behind.
#include <parkring/fs/log.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>

#include "fs/log/state.hpp"
#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace parkring::fs {
namespace {

using parkring::testing::content_of;
using parkring::testing::scratch;
using parkring::testing::simulated;

constexpr log_options small{.segment = 4096, .group = 1024};

class Log : public ::testing::Test {
 protected:
  /// Opens the log, runs `use(log&)` on it, which gives a task, and closes it.
  template <class Use>
  void with_log(Use use, log_options options = small) {
    auto body = [&]() -> task<> {
      log l = co_await log::open(dir, options);
      co_await use(l);
      co_await l.close();
    };
    run(body());
  }
  static task<std::vector<std::string>> all_of(log& l) {
    std::vector<std::string> all;
    auto records = l.records();
    while (auto r = co_await records.next()) all.push_back(r->bytes);
    co_return all;
  }
  std::vector<std::string> reopened(log_options options = small) {
    std::vector<std::string> all;
    with_log([&](log& l) -> task<> { all = co_await all_of(l); }, options);
    return all;
  }
  /// The errno that opening gives, and what it says.
  std::pair<int, std::string> refusal(log_options options = small) {
    auto body = [&]() -> task<std::pair<int, std::string>> {
      auto l = co_await as_result(log::open(dir, options));
      if (l) co_return std::pair(0, std::string());
      co_return std::pair(l.error().number(), l.error().message());
    };
    return run(body());
  }
  static task<int> error_of(task<> t) {
    auto r = co_await as_result(std::move(t));
    co_return r ? 0 : r.error().number();
  }
  [[nodiscard]] std::filesystem::path file(int n) const {
    return dir / wal::slot_name(static_cast<std::size_t>(n));
  }
  void put(const std::filesystem::path& p, const std::string& bytes) const {
    if (auto* const w = simulated())
      w->write_file(p.native(), bytes);
    else
      std::ofstream(p, std::ios::binary | std::ios::trunc) << bytes;
  }
  [[nodiscard]] static bool has(const std::filesystem::path& p) {
    return simulated() != nullptr ? simulated()->exists(p.native()) : std::filesystem::exists(p);
  }

  scratch where;
  const std::filesystem::path dir = where / "wal";
};

TEST_F(Log, gives_back_what_was_appended_in_its_order) {
  std::vector<lsn> at;
  with_log([&](log& l) -> task<> {
    EXPECT_EQ(l.recovered().segments, 0U);
    at.push_back(co_await l.append(std::string("a string")));
    std::vector<int> numbers(3, 7);
    at.push_back(co_await l.append(std::move(numbers)));
    const std::string kept = "copied";
    at.push_back(co_await l.append(copying(kept)));
    at.push_back(co_await l.append(std::string()));
    EXPECT_EQ(l.durable_end(), l.end());
    EXPECT_EQ(l.counters().records, 4U);
    EXPECT_TRUE(std::ranges::is_sorted(at));
    auto records = l.records();
    for (const lsn one : at) {
      const auto r = co_await records.next();
      EXPECT_TRUE(r && r->at == one);
    }
    const auto end = co_await records.next();
    EXPECT_FALSE(end);
    auto from = l.records(at[2]);
    const auto third = co_await from.next();
    EXPECT_EQ(third ? third->bytes : "", kept);
  });
  with_log([&](log& l) -> task<> {
    EXPECT_EQ(l.recovered().why, log_end::clean);
    EXPECT_EQ(l.recovered().segments, 1U);
    const auto all = co_await all_of(l);
    EXPECT_EQ(all.size(), 4U);
    const lsn later = co_await l.append(std::string("more"));
    EXPECT_GT(later, at.back());
  });
  EXPECT_EQ(reopened().at(4), "more");
}

TEST_F(Log, goes_over_many_files_and_records_of_every_length) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < 60; ++i) all.push_back(std::string(i * 57 % 3'500, 'a' + i % 26));
  with_log([&](log& l) -> task<> {
    for (const auto& one : all) co_await l.append(copying(one));
    const auto found = co_await all_of(l);
    EXPECT_EQ(found, all);
    auto too_long = [&]() -> task<> { co_await l.append(std::string(4'000, 'x')); };
    EXPECT_EQ(co_await error_of(too_long()), EMSGSIZE);
    EXPECT_FALSE(l.failure());
  });
  EXPECT_EQ(reopened(), all);
  EXPECT_EQ(reopened({.segment = 8192}), all) << "with another size of files";
}

TEST_F(Log, tasks_that_append_at_once_share_their_syncs) {
  constexpr int writers = 64, each = 20;
  with_log(
      [](log& l) -> task<> {
        auto writer = [&l](int w) -> task<> {
          lsn last{};
          for (int i = 0; i < each; ++i) {
            const lsn at = co_await l.append(std::to_string(w));
            EXPECT_GT(at, last);
            EXPECT_LT(at, l.durable_end());
            last = at;
          }
        };
        task_group group;
        for (int w = 0; w < writers; ++w) group.spawn(writer, w);
        co_await group.join();
        EXPECT_EQ(l.counters().records, std::uint64_t{writers * each});
        EXPECT_LE(l.counters().groups, 2U * each + 2);
      },
      {.segment = 1 << 20});
  EXPECT_EQ(reopened().size(), std::size_t{writers * each});
}

TEST_F(Log, what_is_not_waited_for_is_durable_after_a_sync) {
  with_log([&](log& l) -> task<> {
    lsn last{};
    for (int i = 0; i < 50; ++i) last = co_await l.append_unsynced(std::string(100, 'u'));
    EXPECT_LE(l.durable_end(), last);
    co_await l.durable(last);
    EXPECT_GT(l.durable_end(), last);
    co_await l.append_unsynced(std::string("x"));
    co_await l.sync();
    EXPECT_EQ(l.durable_end(), l.end());
    co_await l.sync();
    const lsn nowhere{l.end().value + 8};
    const auto wrong = co_await as_result(l.durable(nowhere));
    EXPECT_TRUE(!wrong && wrong.error().number() == EINVAL);
    co_await l.append_unsynced(std::string("closing makes this durable"));
  });
  EXPECT_EQ(reopened().size(), 52U);
}

TEST_F(Log, what_was_truncated_is_gone_and_its_files_are_used_again) {
  lsn kept{};
  with_log(
      [&](log& l) -> task<> {
        for (int round = 0; round < 10; ++round) {
          for (int i = 0; i < 10; ++i) kept = co_await l.append(std::string(700, 't'));
          co_await l.truncate_before(kept);
          EXPECT_EQ(l.first(), kept);
        }
        EXPECT_GT(l.counters().recycled, 5U);
        EXPECT_LT(l.counters().prepared, 10U);
        auto gone = l.records({24});
        auto read = [&]() -> task<> { static_cast<void>(co_await gone.next()); };
        EXPECT_EQ(co_await error_of(read()), ENODATA);
        EXPECT_EQ((co_await all_of(l)).size(), 1U);
        const lsn nowhere{l.end().value + 1'000};
        EXPECT_EQ(co_await error_of(l.truncate_before(nowhere)), EINVAL);
      },
      {.segment = 4096, .group = 1024, .spare = 8});
  with_log([&](log& l) -> task<> {
    EXPECT_EQ(l.first(), kept);
    EXPECT_EQ(l.recovered().first, kept);
    EXPECT_EQ((co_await all_of(l)).size(), 1U);
    co_await l.truncate_before(l.end());
    EXPECT_TRUE((co_await all_of(l)).empty());
  });
  EXPECT_TRUE(reopened().empty());
  EXPECT_FALSE(has(file(9)));
}

TEST_F(Log, a_reader_that_follows_gets_what_is_appended_later_until_the_log_is_closed) {
  with_log([&](log& l) -> task<> {
    std::vector<std::string> got;
    auto reader = [&]() -> task<> {
      auto records = l.records(l.first(), log_reading::follow);
      while (auto r = co_await records.next()) got.push_back(std::move(r->bytes));
    };
    auto reading = spawn(reader());
    for (int i = 0; i < 30; ++i) co_await l.append(std::to_string(i) + std::string(300, '.'));
    co_await yield();
    co_await l.close();
    co_await std::move(reading);
    EXPECT_EQ(got.size(), 30U);
    EXPECT_TRUE(got.back().starts_with("29."));
  });
}

TEST_F(Log, where_no_record_begins_a_reader_says_so) {
  with_log([&](log& l) -> task<> {
    const lsn at = co_await l.append(std::string(100, 'r'));
    auto wrong = l.records({at.value + 8});
    auto read = [&]() -> task<> { static_cast<void>(co_await wrong.next()); };
    EXPECT_EQ(co_await error_of(read()), EINVAL);
  });
}

TEST_F(Log, one_log_at_a_time_has_a_directory) {
  auto body = [&]() -> task<> {
    std::optional<log> one = co_await log::open(dir, small);
    auto two = co_await as_result(log::open(dir / ".", small));
    EXPECT_TRUE(!two && two.error().number() == EBUSY);
    auto waits = spawn(
        [](log* l) -> task<int> {
          auto r = co_await as_result(l->append(std::string("late")));
          co_return r ? 0 : r.error().number();
        },
        &*one);
    co_await yield();
    one.reset();
    EXPECT_EQ(co_await std::move(waits), ECANCELED) << "it is told that the log was dropped";
    log three = co_await log::open(dir, small);  // waits until nothing of the first is under way
    co_await three.close();
    auto closed = co_await as_result(three.append(std::string("x")));
    EXPECT_TRUE(!closed && closed.error().number() == ECANCELED);
    log four = co_await log::open(dir, small);
  };
  run(body());
}

TEST_F(Log, options_that_make_no_sense_are_refused) {
  EXPECT_EQ(refusal({.segment = 1000}).first, EINVAL);
  EXPECT_EQ(refusal({.group = 1}).first, EINVAL);
  EXPECT_EQ(refusal({.ahead = 0}).first, EINVAL);
}

// ---- what a crash leaves ----

TEST_F(Log, torn_anywhere_it_keeps_all_whole_records_and_takes_more) {
  std::vector<std::size_t> ends;
  with_log([&](log& l) -> task<> {
    for (const std::size_t size : {1, 20, 0, 300}) {
      const lsn at = co_await l.append(std::string(size, 'x'));
      ends.push_back(wal::header_size + at.value + wal::record_header + size);
    }
  });
  const std::string whole = content_of(file(0));
  runtime rt;
  for (std::size_t at = wal::header_size + 24; at <= ends.back(); at += 28) {
    std::string torn = whole;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(at), torn.end(), '\0');
    put(file(0), torn);
    const auto kept = static_cast<std::size_t>(
        std::ranges::count_if(ends, [at](std::size_t end) { return end <= at; }));
    auto body = [&]() -> task<> {
      log l = co_await log::open(dir, small);
      EXPECT_EQ((co_await all_of(l)).size(), kept) << "torn at " << at;
      co_await l.append(std::string("more"));
      co_await l.close();
      l = co_await log::open(dir, small);
      EXPECT_EQ((co_await all_of(l)).size(), kept + 1) << "torn at " << at;
      co_await l.close();
    };
    rt.run(body());
  }
}

TEST_F(Log, says_where_it_was_torn) {
  std::uint64_t before = 0;
  with_log([&](log& l) -> task<> {
    co_await l.append(std::string(100, 'a'));
    before = l.durable_end().value;
    co_await l.append(std::string(100, 'b'));
  });
  std::string bytes = content_of(file(0));
  bytes[wal::header_size + before + 50] ^= 1;
  put(file(0), bytes);
  with_log([&](log& l) -> task<> {
    const log_report& r = l.recovered();
    EXPECT_EQ(r.why, log_end::torn);
    EXPECT_EQ(r.end.value, before);
    EXPECT_EQ(r.cut, wal::room_for(100));
    EXPECT_EQ(r.file, file(0));
    EXPECT_EQ(r.offset, wal::header_size + before);
    co_return;
  });
}

TEST_F(Log, damage_in_the_middle_is_refused_and_cut_only_when_told_to) {
  std::vector<lsn> at;
  with_log([&](log& l) -> task<> {
    for (int i = 0; i < 20; ++i) at.push_back(co_await l.append(std::string(600, 'a' + i)));
  });
  // In the last file, in one before it, and in the header of one.
  const std::string last = content_of(file(3)), before = content_of(file(1));
  const auto damage_at = [&](int n, std::size_t offset) {
    std::string bytes = content_of(file(n));
    bytes[offset] ^= 0x40;
    put(file(n), bytes);
  };
  for (const auto& [n, offset] : {std::pair<int, std::size_t>{1, 700}, {1, 30}, {0, 3000}}) {
    const std::string good = content_of(file(n));
    damage_at(n, offset);
    const auto [number, text] = refusal();
    EXPECT_EQ(number, EBADMSG) << n << " " << offset;
    EXPECT_NE(text.find("log_damage::cut"), std::string::npos) << text;
    put(file(n), good);
  }
  EXPECT_EQ(reopened().size(), 20U) << "nothing was changed by refusing";
  damage_at(1, 700);
  const log_options cut{.segment = 4096, .group = 1024, .damage = log_damage::cut};
  std::size_t kept = 0;
  with_log(
      [&](log& l) -> task<> {
        EXPECT_EQ(l.recovered().why, log_end::damaged);
        const auto all = co_await all_of(l);
        kept = all.size();
        EXPECT_LT(kept, 12U);
        EXPECT_GT(kept, 3U);
        EXPECT_GT(co_await l.append(std::string("new")), at.back()) << "no position is given twice";
      },
      cut);
  EXPECT_EQ(reopened().size(), kept + 1);
}

TEST_F(Log, a_file_that_is_lost_between_others_is_damage_and_not_the_end) {
  with_log([&](log& l) -> task<> {
    for (int i = 0; i < 20; ++i) co_await l.append(std::string(600, static_cast<char>('a' + i)));
  });
  const std::string content = content_of(file(1));
  auto lose = [&]() -> task<> { co_await fs::remove(file(1)); };
  run(lose());
  const auto [number, text] = refusal();
  EXPECT_EQ(number, EBADMSG);
  EXPECT_NE(text.find("segment 2"), std::string::npos) << text;
  put(file(1), content);
  EXPECT_EQ(reopened().size(), 20U);
}

TEST_F(Log, damage_in_the_last_file_or_its_header_is_told_from_its_end) {
  std::vector<std::size_t> offsets;
  with_log([&](log& l) -> task<> {
    for (int i = 0; i < 4; ++i) {
      const lsn at = co_await l.append(std::string(100, 'a' + i));
      offsets.push_back(wal::header_size + at.value);
    }
  });
  const std::string good = content_of(file(0));
  for (const std::size_t offset : {offsets[1] + 20, offsets[2], std::size_t{20}}) {
    std::string bytes = good;
    bytes[offset] ^= 1;
    put(file(0), bytes);
    EXPECT_EQ(refusal().first, EBADMSG) << offset;
  }
  put(file(0), good.substr(0, 2'000));
  EXPECT_EQ(refusal().first, EBADMSG) << "a part of the file is missing";
  put(file(0), good);
  EXPECT_EQ(reopened().size(), 4U);
}

TEST_F(Log, cut_before_a_truncation_it_stays_truncated_and_keeps_what_lies_before_the_damage) {
  std::vector<lsn> at;
  with_log([&](log& l) -> task<> {
    for (int i = 0; i < 100; ++i) at.push_back(co_await l.append(std::string(100, 'c')));
    co_await l.truncate_before(at[98]);  // in the last file, as the truncation itself
  });
  std::filesystem::path last;
  std::size_t offset = 0;  // of the last record
  with_log([&](log& l) -> task<> {
    last = l.recovered().file;
    offset = l.recovered().offset - (l.recovered().end.value - at[99].value);
    co_return;
  });
  std::string bytes = content_of(last);
  bytes[offset + 20] ^= 1;
  put(last, bytes);
  with_log(
      [&](log& l) -> task<> {
        EXPECT_EQ(l.recovered().why, log_end::damaged);
        EXPECT_EQ(l.first(), at[98]);
        EXPECT_EQ((co_await all_of(l)).size(), 1U);
      },
      {.segment = 4096, .group = 1024, .damage = log_damage::cut});
}

TEST_F(Log, a_header_is_not_believed_about_what_cannot_be) {
  with_log([&](log& l) -> task<> { co_await l.append(std::string("x")); });
  std::string bytes = content_of(file(0));
  const auto put_header = [&](std::uint64_t base, std::uint64_t size) {
    const auto to = std::as_writable_bytes(std::span(bytes)).first(wal::header_size);
    wal::encode_header({.epoch = 1, .number = 1, .base = base, .size = size}, to);
    put(file(0), bytes);
  };
  put_header(0, 100);
  EXPECT_EQ(refusal().first, EBADMSG);
  put_header(~std::uint64_t{0} - 100, 4096);
  EXPECT_EQ(refusal().first, EBADMSG);
  put_header(0, std::uint64_t{1} << 60);  // more than the file has
  EXPECT_EQ(refusal().first, EBADMSG);
}

// ---- several threads, and several runtimes ----

TEST_F(Log, one_log_at_a_time_has_a_directory_whichever_kernel_serves_it) {
  runtime threads({.kernel = kernel_choice::threads});
  std::optional<log> l;
  auto body = [&]() -> task<> { l = co_await log::open(dir, small); };
  threads.run(body());
  EXPECT_EQ(refusal().first, EBUSY);
}

TEST_F(Log, when_its_runtime_has_ended_it_does_not_say_that_all_is_durable) {
  std::optional<log> l;
  {
    runtime rt;
    auto body = [&]() -> task<> {
      l = co_await log::open(dir, small);
      co_await l->append_unsynced(std::string("maybe"));
    };
    rt.run(body());
  }
  auto body = [&]() -> task<> {
    const auto appended = co_await as_result(l->append(std::string("late")));
    EXPECT_TRUE(!appended && appended.error().number() == ECANCELED);
    const auto placed = co_await as_result(l->append_unsynced(std::string("late")));
    EXPECT_TRUE(!placed && placed.error().number() == ECANCELED);
    EXPECT_EQ(co_await error_of(l->close()), ECANCELED);
  };
  run(body());
}

TEST_F(Log, a_directory_is_not_free_before_the_requests_of_its_runtime_have_ended) {
  PARKRING_NEEDS_REAL("threads");
  std::optional<log> l;
  std::promise<void> begun, begun_to_end, may_end;
  std::thread other([&] {
    runtime rt({.shutdown_patience = std::chrono::minutes(1)});
    auto body = [&]() -> task<> {
      l = co_await log::open(dir, small);
      auto holds_up_the_end = [&] {
        begun.set_value();
        may_end.get_future().wait();
      };
      auto calls = [](decltype(holds_up_the_end) fn) -> task<> { co_await blocking(fn); };
      spawn(calls, holds_up_the_end).detach();
      co_await yield();
    };
    rt.run(body());
    begun.get_future().wait();
    begun_to_end.set_value();
  });
  begun_to_end.get_future().wait();
  auto body = [&]() -> task<> {
    const auto told = co_await as_result(l->append(std::string("x")));
    EXPECT_TRUE(!told && told.error().number() == ECANCELED) << "its tasks have been destroyed";
    const auto early = co_await as_result(log::open(dir, small));
    EXPECT_TRUE(!early && early.error().number() == EBUSY);
  };
  run(body());
  may_end.set_value();
  other.join();
  EXPECT_TRUE(reopened().empty());
}

TEST_F(Log, tasks_of_several_workers_and_of_another_runtime_append) {
  PARKRING_NEEDS_REAL("threads");
  runtime rt({.workers = 3});
  auto body = [&]() -> task<> {
    log l = co_await log::open(dir, {.segment = 1 << 20});
    auto writer = [](log* to) -> task<> {
      for (int i = 0; i < 50; ++i) {
        co_await to->append(std::string(100, 'w'));
        co_await yield_anywhere();
      }
    };
    std::vector<remote_handle<void>> all;
    for (int i = 0; i < 8; ++i) all.push_back(spawn_anywhere(writer, &l));
    event other_done;
    std::thread other([&] {
      run(writer(&l));
      other_done.set();
    });
    for (auto& one : all) co_await one;
    co_await other_done.wait();
    other.join();
    EXPECT_EQ((co_await all_of(l)).size(), 450U);
    co_await l.close();
  };
  rt.run(body());
}

TEST_F(Log, a_log_may_outlive_its_runtime) {
  std::optional<log> l;
  {
    runtime rt;
    auto body = [&]() -> task<> {
      l = co_await log::open(dir, small);
      co_await l->append(std::string("x"));
    };
    rt.run(body());
  }
  EXPECT_GT(l->end(), lsn{});
  l.reset();
  EXPECT_EQ(reopened().size(), 1U);
}

}  // namespace
}  // namespace parkring::fs
