// When the power goes, and what is under way then.
#include <parkring/sim/world.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>

namespace parkring::sim {
namespace {

using namespace std::chrono_literals;

constexpr fs::open_options for_writing = {.access = fs::access::write,
                                          .creation = fs::creation::if_missing};

task<> some_work() {
  for (int i = 0; i < 5; ++i) co_await fs::write_file("/x", "1");
}

TEST(WorldPower, a_cut_asked_for_after_a_cut_comes_too) {
  for (int way = 0; way < 5; ++way) {
    world w(1);
    w.cut_at_step(3);
    ASSERT_EQ(w.until_power_cut(&some_work), ending::power_cut);
    switch (way) {
      case 0:
        w.cut_at_step(w.steps() + 3);
        break;
      case 1:
        w.cut_now();
        break;
      case 2:
        w.cut_at(w.now() + 20us);
        break;
      case 3:
        w.cut_within(10);
        break;
      default:
        w.cut_at_step(1);  // long ago: at the next step
        break;
    }
    EXPECT_EQ(w.until_power_cut(&some_work), ending::power_cut) << way;
    EXPECT_EQ(w.until_power_cut(&some_work), ending::finished) << way;
    EXPECT_EQ(w.power_cuts(), 2U) << way;
  }
}

TEST(WorldPower, a_cut_within_some_steps_comes_before_any_of_them) {
  std::set<std::uint64_t> after;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    world w(seed);
    w.run(&some_work);
    const std::uint64_t before = w.steps();
    w.cut_within(4);
    ASSERT_EQ(w.until_power_cut(&some_work), ending::power_cut);
    after.insert(*w.last_cut() - before);
  }
  EXPECT_EQ(after, (std::set<std::uint64_t>{0, 1, 2, 3}));
}

TEST(WorldPower, a_cut_at_a_time_comes_then_also_to_a_program_that_sleeps) {
  world w(1);
  w.cut_at(1'500ms);
  int woken = 0;
  const auto how = w.until_power_cut([&]() -> task<> {
    for (;; ++woken) co_await sleep_for(1s);
  });
  EXPECT_EQ(how, ending::power_cut);
  EXPECT_EQ(woken, 1);
  EXPECT_GE(w.now(), 1'500ms);
  EXPECT_LT(w.now(), 1'501ms);
}

// ---- requests under way ----

// Of `seeds` cuts in the middle of `under_way`, alone, after how many it was done all the same.
template <class Program>
int done_all_the_same(int seeds, Program under_way, bool (*done)(world&)) {
  int times = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    world w(static_cast<std::uint64_t>(seed));
    w.write_file("/a", "1");
    EXPECT_EQ(w.until_power_cut([&]() -> task<> { return under_way(&w); }), ending::power_cut);
    times += done(w);
  }
  return times;
}

void expect_sometimes(int times, int of) {
  EXPECT_GT(times, of / 20);
  EXPECT_LT(times, of - of / 20);
}

TEST(WorldPower, a_write_under_way_survives_sometimes) {
  const int times = done_all_the_same(
      300,
      [](world* w) -> task<> {
        fs::file f = co_await fs::open("/a", {.access = fs::access::write});
        w->cut_at_step(w->steps() + 1);
        co_await f.write_at(std::string("2"), 0);
      },
      [](world& w) { return w.read_file("/a") == "2"; });
  expect_sometimes(times, 300);
}

TEST(WorldPower, a_rename_under_way_survives_sometimes) {
  const int times = done_all_the_same(
      300,
      [](world* w) -> task<> {
        w->cut_at_step(w->steps() + 1);
        co_await fs::rename("/a", "/b");
      },
      [](world& w) { return w.exists("/b"); });
  expect_sometimes(times, 300);
}

TEST(WorldPower, a_removal_under_way_survives_sometimes) {
  const int times = done_all_the_same(
      300,
      [](world* w) -> task<> {
        w->cut_at_step(w->steps() + 1);
        co_await fs::remove("/a");
      },
      [](world& w) { return !w.exists("/a"); });
  expect_sometimes(times, 300);
}

TEST(WorldPower, an_open_under_way_that_creates_or_truncates_survives_sometimes) {
  const int created = done_all_the_same(
      300,
      [](world* w) -> task<> {
        w->cut_at_step(w->steps() + 1);
        fs::file f = co_await fs::open("/b", for_writing);
      },
      [](world& w) { return w.exists("/b") && w.open_descriptors() == 0; });
  expect_sometimes(created, 300);
  const int truncated = done_all_the_same(
      300,
      [](world* w) -> task<> {
        w->cut_at_step(w->steps() + 1);
        fs::file f = co_await fs::open("/a", {.access = fs::access::write, .truncate = true});
      },
      [](world& w) { return w.read_file("/a").empty(); });
  expect_sometimes(truncated, 300);
}

// ---- what a sync covers ----

// A write that ends while a sync is under way, and a cut after it: was it covered?
TEST(WorldPower, a_sync_covers_what_is_written_meanwhile_or_does_not) {
  int kept = 0, lost = 0;
  for (std::uint64_t seed = 1; seed <= 1'000; ++seed) {
    world w(seed);
    w.write_file("/f", "");
    bool in_time = false;
    const auto how = w.until_power_cut([&]() -> task<> {
      fs::file f = co_await fs::open("/f", {.access = fs::access::write});
      co_await f.write_at(std::string("AAAA"), 0);
      bool synced = false;
      auto sync = [](world* at, fs::file* file, bool* done) -> task<> {
        co_await file->datasync();
        *done = true;
        at->cut_now();
      };
      auto write = [](fs::file* file, const bool* done, bool* ended_before) -> task<> {
        co_await sleep_for(20us);
        co_await file->write_at(std::string("BBBB"), 4096);
        *ended_before = !*done;
      };
      co_await when_all(sync(&w, &f, &synced), write(&f, &synced, &in_time));
      co_await sleep_for(1s);
      co_await f.sync();
    });
    if (how != ending::power_cut || !in_time) continue;
    const std::string left = w.read_file("/f");
    ASSERT_TRUE(left.starts_with("AAAA")) << "what was there before is covered; seed " << seed;
    ++(left.ends_with("BBBB") ? kept : lost);
  }
  EXPECT_GT(kept, 50);
  EXPECT_GT(lost, 50);
}

TEST(WorldPower, a_sync_of_a_directory_covers_a_name_made_meanwhile_or_does_not) {
  int kept = 0, lost = 0;
  for (std::uint64_t seed = 1; seed <= 1'000; ++seed) {
    world w(seed);
    bool in_time = false;
    const auto how = w.until_power_cut([&]() -> task<> {
      bool synced = false;
      auto sync = [](world* at, bool* done) -> task<> {
        co_await fs::sync_directory("/");
        *done = true;
        at->cut_now();
      };
      auto make = [](const bool* done, bool* ended_before) -> task<> {
        co_await sleep_for(100us);
        co_await fs::create_directory("/d");
        *ended_before = !*done;
      };
      co_await when_all(sync(&w, &synced), make(&synced, &in_time));
      co_await sleep_for(1s);
      co_await fs::sync_directory("/");
    });
    if (how == ending::power_cut && in_time) ++(w.exists("/d") ? kept : lost);
  }
  EXPECT_GT(kept, 50);
  EXPECT_GT(lost, 50);
}

// ---- from outside ----

TEST(WorldPower, what_is_done_from_outside_makes_nothing_else_durable) {
  const auto lost_beside = [](void (*from_outside)(world&)) {
    int lost = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      world w(seed);
      w.write_file("/old", "");
      w.write_file("/data", "");
      w.create_directory("/other");
      w.until_power_cut([&]() -> task<> {
        co_await fs::write_file("/data", "hello");
        from_outside(w);
        w.cut_now();
        co_await fs::write_file("/z", "");
      });
      lost += w.read_file("/data") != "hello";
    }
    return lost;
  };
  EXPECT_GT(lost_beside([](world& w) { w.write_file("/acknowledged", "1"); }), 20);
  EXPECT_GT(lost_beside([](world& w) { w.create_directory("/d"); }), 20);
  EXPECT_GT(lost_beside([](world& w) { w.remove("/old"); }), 20);
  EXPECT_GT(lost_beside([](world& w) { w.make_fifo("/p"); }), 20);
}

TEST(WorldPower, what_is_done_from_outside_survives_itself) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    world w(seed);
    w.write_file("/gone", "");
    w.until_power_cut([&]() -> task<> {
      co_await fs::create_directory("/d");
      co_await fs::create_directory("/d/e");
      w.write_file("/d/e/f", "text");
      w.create_directory("/made");
      w.make_fifo("/pipe");
      w.remove("/gone");
      w.cut_now();
      co_await sleep_for(1s);
      co_await fs::write_file("/z", "");
    });
    ASSERT_EQ(w.read_file("/d/e/f"), "text");
    EXPECT_TRUE(w.exists("/made"));
    EXPECT_TRUE(w.exists("/pipe"));
    EXPECT_FALSE(w.exists("/gone"));
  }
}

// ---- programs that do not end ----

TEST(WorldPower, a_program_that_hangs_ends_with_its_trace) {
  const auto hangs = [](auto program, const faults& f = {}) {
    world w(1, {.faults = f, .max_steps = 10'000});
    try {
      w.run(program);
      ADD_FAILURE() << "it does not end by itself";
    } catch (const too_many_steps& e) {
      EXPECT_NE(std::string(e.what()).find("too many steps"), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find("of seed 1"), std::string::npos) << e.what();
    }
    EXPECT_LE(w.steps(), 10'000U);
  };
  hangs([]() -> task<> {
    for (;;) (void)co_await as_result(fs::remove("/missing"));
  });
  hangs([]() -> task<> {
    for (;;) co_await yield();
  });
  hangs(&some_work, {.refused_enter = {.probability = 1}});
}

TEST(WorldPower, a_host_in_use_is_forgotten_with_the_power) {
  world w(1);
  const host other = w.add_host();
  w.use_host(other);
  w.cut_at_step(0);
  ASSERT_EQ(w.until_power_cut(&some_work), ending::power_cut);
  EXPECT_EQ(w.until_power_cut(&some_work), ending::finished);
  EXPECT_EQ(w.host_in_use().number, 0U);
}

}  // namespace
}  // namespace parkring::sim
