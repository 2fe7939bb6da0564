#include <parkring/sim/explore.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>

namespace parkring::sim {
namespace {

// Writes `n` pieces to a file, one after another, and does it right or not.
task<> write_pieces(std::string path, int n, bool whole) {
  fs::file f = co_await fs::open(
      path, {.access = fs::access::write, .creation = fs::creation::if_missing, .truncate = true});
  std::uint64_t at = 0;
  for (int i = 0; i < n; ++i) {
    std::string piece(100, static_cast<char>('a' + i));
    const std::uint64_t end = at + piece.size();
    do {
      auto [rest, count] = co_await f.write_at(std::move(piece), at);
      rest.erase(0, count);
      piece = std::move(rest);
      at += count;
    } while (whole && !piece.empty());
    at = end;
  }
  co_await f.sync();
}

void all_pieces(world& w, bool whole) {
  w.run([&] { return write_pieces("/a", 10, whole); });
  std::string expected;
  for (int i = 0; i < 10; ++i) expected += std::string(100, static_cast<char>('a' + i));
  require(w.read_file("/a") == expected, "a piece is not whole");
}
void right(world& w) { all_pieces(w, true); }
void wrong(world& w) { all_pieces(w, false); }

explore_options with_short_writes(double probability) {
  explore_options o{.seeds = 300, .print = false};
  o.world.faults = faults::bearable(0.02);
  o.world.faults.short_write = probability;
  return o;
}

TEST(Explore, a_program_without_a_mistake_passes_under_every_seed) {
  const auto found = explore(with_short_writes(0.05), &right);
  EXPECT_TRUE(found.ok()) << found.text();
  EXPECT_EQ(found.seeds, 300U);
  EXPECT_GT(found.operations, 300U * 12);
  EXPECT_GT(found.steps, found.operations);
  EXPECT_NE(found.text().find("nothing failed"), std::string::npos);
}

TEST(Explore, finds_the_lowest_seed_that_fails_whatever_the_number_of_threads) {
  explore_options o = with_short_writes(0.002);
  std::uint64_t lowest = 0;
  for (std::uint64_t seed = 1; lowest == 0; ++seed) {
    world w(seed, o.world);
    try {
      wrong(w);
    } catch (const requirement_failed&) {
      lowest = seed;
    }
  }
  ASSERT_GT(lowest, 1U);
  std::set<std::string> texts;
  for (const unsigned threads : {1U, 2U, 3U, 8U}) {
    o.threads = threads;
    const auto found = explore(o, &wrong);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.first->seed, lowest) << threads;
    EXPECT_TRUE(found.first->repeatable);
    texts.insert(found.first->text());
  }
  EXPECT_EQ(texts.size(), 1U) << "and finds the same of it";
  o.first_seed = lowest + 1;
  const auto next = explore(o, &wrong);
  ASSERT_FALSE(next.ok());
  EXPECT_GT(next.first->seed, lowest);
}

TEST(Explore, a_failure_is_made_smaller_and_can_be_seen_again) {
  const explore_options o = with_short_writes(0.3);
  explore_options as_found = o;
  as_found.shrink = false;
  const auto whole = explore(as_found, &wrong);
  const auto small = explore(o, &wrong);
  ASSERT_FALSE(whole.ok());
  ASSERT_FALSE(small.ok());
  const failure& f = *small.first;
  EXPECT_EQ(f.seed, whole.first->seed);
  EXPECT_GT(whole.first->faults.size(), 1U);
  EXPECT_TRUE(whole.first->without.empty());
  ASSERT_EQ(f.faults.size(), 1U) << f.text();
  EXPECT_EQ(f.faults[0].what, "short_write");
  EXPECT_TRUE(f.calm);
  EXPECT_FALSE(f.without.empty());

  world by_hand(f.seed, o.world);
  for (const std::uint64_t ordinal : f.without) by_hand.suppress(ordinal);
  by_hand.calm();
  EXPECT_THROW(wrong(by_hand), requirement_failed);
  EXPECT_EQ(by_hand.steps(), f.step);
  EXPECT_THROW(replay(o, f, &wrong), requirement_failed);

  failure without_any = f;
  without_any.without.push_back(f.faults[0].ordinal);
  EXPECT_NO_THROW(replay(o, without_any, &wrong)) << "the last fault is the one that it takes";
}

// Several cuts; it fails when something was left of the first file, which an earlier cut leaves
// too.
void lost_from_a_step_on(world& w) {
  w.cut_at_step(40 + w.random(20));
  w.until_power_cut([] { return write_pieces("/a", 20, true); });
  const bool early = !w.exists("/a");
  w.until_power_cut([] { return write_pieces("/b", 2, true); });
  w.cut_now();
  w.until_power_cut([] { return write_pieces("/c", 1, true); });
  require(early, "cut late enough");
}

TEST(Explore, the_first_cut_is_moved_to_an_earlier_step) {
  explore_options o{.seeds = 100, .print = false};
  o.world.disk.strict_directories = false;
  const auto found = explore(o, &lost_from_a_step_on);
  ASSERT_FALSE(found.ok());
  const failure& f = *found.first;
  ASSERT_TRUE(f.forced_cut.has_value());
  EXPECT_LT(*f.forced_cut, 40U);
  EXPECT_GT(*f.cut_step, *f.forced_cut) << "the last cut is another one";
  EXPECT_THROW(replay(o, f, &lost_from_a_step_on), requirement_failed);
  world by_hand(f.seed, o.world);
  by_hand.force_cut_step(*f.forced_cut);
  if (f.calm) by_hand.calm();
  EXPECT_THROW(lost_from_a_step_on(by_hand), requirement_failed);
  EXPECT_EQ(by_hand.first_cut(), f.forced_cut);
}

TEST(Explore, a_scenario_that_is_not_deterministic_is_told_so) {
  std::atomic<int> calls{0};
  const auto found = explore({.seeds = 10, .threads = 1, .print = false}, [&](world& w) {
    right(w);
    require(calls.fetch_add(1) != 3, "only the fourth time");
  });
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.first->seed, 4U);
  EXPECT_FALSE(found.first->repeatable);
  EXPECT_NE(found.text().find("did not fail the same way again"), std::string::npos);
}

// The same words at the same step, and yet another execution.
TEST(Explore, a_scenario_that_only_takes_another_way_is_told_so) {
  std::atomic<int> calls{0};
  const auto found = explore({.seeds = 1, .threads = 1, .print = false}, [&](world& w) {
    const char* const content = calls.fetch_add(1) == 0 ? "one" : "two";
    w.run([&] { return fs::write_file("/a", content); });
    require(false, "always");
  });
  ASSERT_FALSE(found.ok());
  EXPECT_FALSE(found.first->repeatable);
}

TEST(Explore, a_program_that_hangs_is_a_failure_with_a_seed_and_a_trace) {
  explore_options o{.seeds = 10, .print = false};
  o.world.max_steps = 5'000;
  const auto found = explore(o, [](world& w) {
    right(w);
    if (w.seed() < 4) return;
    w.run([]() -> task<> {
      for (;;) (void)co_await as_result(fs::remove("/missing"));
    });
  });
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.first->seed, 4U);
  EXPECT_TRUE(found.first->repeatable);
  EXPECT_NE(found.first->what.find("seems to hang"), std::string::npos) << found.first->what;
  EXPECT_NE(found.first->trace.find("/missing"), std::string::npos);
}

TEST(Explore, fails_also_with_what_is_no_exception_of_the_standard) {
  const auto found = explore({.seeds = 5, .print = false}, [](world& w) {
    right(w);
    if (w.seed() == 3) throw 42;
  });
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.first->seed, 3U);
  EXPECT_NE(found.first->what.find("no std::exception"), std::string::npos);
  EXPECT_TRUE(found.first->repeatable);
}

TEST(Explore, no_seeds_are_nothing_to_run) {
  const auto found = explore({.seeds = 0, .print = false}, &wrong);
  EXPECT_TRUE(found.ok());
  EXPECT_EQ(found.seeds, 0U);
}

TEST(Explore, the_text_of_a_failure_says_what_to_do_with_it) {
  const auto found = explore(with_short_writes(0.3), &wrong);
  ASSERT_FALSE(found.ok());
  const std::string text = found.text();
  for (const char* words : {"failed with seed ", " at step ", "a piece is not whole", "short_write",
                            "WRITE", "/a", "fixed times"})
    EXPECT_NE(text.find(words), std::string::npos) << words << " is not in:\n" << text;
}

// ---- every step ----

TEST(ExplorePowerCuts, visits_every_step_once) {
  std::uint64_t steps = 0;
  {
    world w(1);
    right(w);
    steps = w.steps();
  }
  std::vector<std::atomic<int>> cuts(steps + 1);
  std::atomic<int> whole{0};
  const auto found = explore_power_cuts(
      {.seeds = 1, .print = false}, [](world& w) { right(w); },
      [&](world& w) {
        require(!w.exists("/a") || w.read_file("/a").size() <= 1'000, "it is too long");
        if (w.last_cut())
          ++cuts.at(*w.last_cut());
        else
          ++whole;
      });
  EXPECT_TRUE(found.ok()) << found.text();
  EXPECT_EQ(found.seeds, steps + 1);
  EXPECT_EQ(whole.load(), 1);
  for (std::uint64_t step = 0; step < steps; ++step) EXPECT_EQ(cuts[step].load(), 1) << step;
}

TEST(ExplorePowerCuts, finds_the_step_at_which_data_is_lost) {
  const auto unsynced = [](world& w) {
    w.write_file("/a", "old");
    w.run([]() -> task<> {
      fs::file f = co_await fs::open(
          "/b", {.access = fs::access::write, .creation = fs::creation::if_missing});
      co_await f.write_at(std::string("new"), 0);
      co_await fs::rename("/b", "/a");  // and what is in it?
    });
  };
  const auto check = [](world& w) {
    const std::string now = w.read_file("/a");
    require(now == "old" || now == "new", "/a contains \"" + now + "\"");
  };
  // So that there are cuts behind it, when its name is durable and its content is not.
  const auto with_an_end = [&](world& w) {
    unsynced(w);
    w.run([] { return fs::sync_directory("/"); });
    w.run([] { return write_pieces("/c", 1, true); });
  };
  const auto lost = explore_power_cuts({.seeds = 50, .print = false}, with_an_end, check);
  ASSERT_FALSE(lost.ok());
  ASSERT_TRUE(lost.first->cut_step.has_value());
  EXPECT_NE(lost.first->what.find("/a contains"), std::string::npos);
  EXPECT_TRUE(lost.first->repeatable);
}

// Of a check that cuts the power too, the program's cut is the one that counts.
TEST(ExplorePowerCuts, a_failure_can_be_seen_again) {
  const std::function<void(world&)> program = [](world& w) {
    w.run([] { return write_pieces("/a", 2, true); });
    w.run([] { return fs::sync_directory("/"); });
    w.note("promised");
    w.run([] { return write_pieces("/b", 2, true); });
  };
  const std::function<void(world&)> check = [](world& w) {
    const bool cut = w.last_cut().has_value();
    w.cut_at_step(w.steps() + 3);
    w.until_power_cut([] { return write_pieces("/c", 1, true); });
    w.keep_power();
    require(!cut || w.exists("/a"), "/a is lost");
  };
  for (const bool smaller : {false, true}) {
    const explore_options o{.seeds = 3, .shrink = smaller, .print = false};
    const auto found = explore_power_cuts(o, program, check);
    ASSERT_FALSE(found.ok());
    const failure& f = *found.first;
    EXPECT_TRUE(f.repeatable);
    ASSERT_TRUE(f.forced_cut.has_value());
    EXPECT_GT(*f.cut_step, *f.forced_cut) << "the last cut is the check's";
    std::string again;
    try {
      replay(o, f, program, check);
    } catch (const requirement_failed& e) {
      again = e.what();
    }
    EXPECT_EQ(again, f.what);
    failure without_the_cut = f;
    without_the_cut.forced_cut.reset();
    EXPECT_NO_THROW(replay(o, without_the_cut, program, check));
  }
}

TEST(ExplorePowerCuts, a_program_that_fails_without_a_cut_is_a_failure_too) {
  const auto found = explore_power_cuts({.seeds = 3, .print = false}, &right,
                                        [](world&) { require(false, "always"); });
  ASSERT_FALSE(found.ok());
  EXPECT_FALSE(found.first->cut_step.has_value());
  EXPECT_EQ(found.seeds, 1U);
}

}  // namespace
}  // namespace parkring::sim
