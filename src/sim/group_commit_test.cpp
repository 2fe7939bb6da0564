// A mistake that is made in many a log: a record whose write ends while a sync is under way is
// taken for covered by that sync. Whether it is, is a matter of luck: so it is found under some
// seeds.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim/explore.hpp>

namespace parkring::sim {
namespace {

enum class waits_for { the_sync_under_way, a_sync_begun_later };

constexpr std::uint64_t record_size = 512;
constexpr unsigned writers = 4, records_each = 10;

std::string record(unsigned n) { return std::string(record_size, static_cast<char>('a' + n % 26)); }

// Writes records side by side, and shares syncs between those who wait.
class log_of_records {
 public:
  log_of_records(world& w, waits_for how) : world_(w), how_(how) {}

  task<> fill() {
    file_ = co_await fs::open("/log",
                              {.access = fs::access::write, .creation = fs::creation::if_missing});
    co_await fs::sync_directory("/");
    task_group group;
    for (unsigned i = 0; i < writers; ++i) group.spawn(&log_of_records::write, this, i);
    co_await group.join();
  }
  [[nodiscard]] const std::set<unsigned>& acknowledged() const { return acknowledged_; }

 private:
  static task<> write(log_of_records* self, unsigned writer) {
    for (unsigned i = 0; i < records_each; ++i) {
      co_await sleep_for(std::chrono::microseconds(self->world_.random(300)));
      const unsigned n = writer * records_each + i;
      co_await self->file_.write_at(record(n), n * record_size);
      co_await self->durable();
      self->acknowledged_.insert(n);
    }
  }
  task<> durable() {
    const std::uint64_t enough = how_ == waits_for::the_sync_under_way ? ended_ + 1 : begun_ + 1;
    while (ended_ < enough) {
      if (begun_ == ended_) {
        ++begun_;
        next_end_.reset();
        co_await file_.datasync();
        ++ended_;
        next_end_.set();
      } else {
        co_await next_end_.wait();
      }
    }
  }

  world& world_;
  const waits_for how_;
  fs::file file_;
  std::uint64_t begun_ = 0, ended_ = 0;  // syncs
  event next_end_;
  std::set<unsigned> acknowledged_;
};

std::function<void(world&)> scenario(waits_for how) {
  return [how](world& w) {
    log_of_records log(w, how);
    w.cut_within(220);
    w.until_power_cut([&] { return log.fill(); });
    const std::string left = w.exists("/log") ? w.read_file("/log") : "";
    for (const unsigned n : log.acknowledged()) {
      require(left.size() >= (n + 1) * record_size &&
                  left.substr(n * record_size, record_size) == record(n),
              "record " + std::to_string(n) + " is lost");
    }
  };
}

TEST(GroupCommit, a_record_acknowledged_by_a_sync_that_was_under_way_is_found) {
  const explore_options o{.seeds = 10'000, .print = false};
  const auto found = explore(o, scenario(waits_for::the_sync_under_way));
  ASSERT_FALSE(found.ok());
  EXPECT_TRUE(found.first->repeatable);
  EXPECT_NE(found.first->what.find("is lost"), std::string::npos) << found.first->what;
  EXPECT_THROW(replay(o, *found.first, scenario(waits_for::the_sync_under_way)),
               requirement_failed);
  std::cout << found.text();
}

TEST(GroupCommit, a_record_acknowledged_by_a_later_sync_is_never_lost) {
  const auto found = explore({.seeds = 2'000}, scenario(waits_for::a_sync_begun_later));
  EXPECT_TRUE(found.ok()) << found.text();
}

}  // namespace
}  // namespace parkring::sim
