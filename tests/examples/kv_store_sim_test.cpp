// examples/kv_store on a simulated machine whose requests fail and whose power is cut: what it
// acknowledged is there, and each of the mistakes that it can be told to make is found.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <string>

#include <parkring/parkring.hpp>
#include <parkring/sim/explore.hpp>

#include "kv_store_scenario.hpp"
#include "support/scale.hpp"

namespace kv::testing {
namespace {

namespace sim = parkring::sim;
using parkring::testing::scaled;
using scenario = std::function<void(sim::world&)>;

// Fewer worlds where they take much longer.
std::uint64_t worlds(int full) {
#ifdef __OPTIMIZE__
  return static_cast<std::uint64_t>(scaled(full));
#else
  return static_cast<std::uint64_t>(scaled(full)) / 4;
#endif
}

scenario lives_of(const store_lives::settings& settings) {
  return [settings](sim::world& w) { store_lives(w, settings).run(); };
}

// Prints what the worlds did, and how fast.
void expect_no_failure(const sim::explore_options& options, const scenario& lives) {
  const auto begin = std::chrono::steady_clock::now();
  const auto found = sim::explore(options, lives);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_TRUE(found.ok()) << found.text();
  EXPECT_EQ(found.seeds, options.seeds);
  std::cout << found.text() << "in " << took.count()
            << " s: " << static_cast<double>(found.operations) / took.count()
            << " requests per second\n";
}

TEST(KvStoreSim, survives_faults_and_power_cuts_under_every_seed) {
  expect_no_failure({.seeds = worlds(10'000)}, lives_of({}));
}

// What each file system may do, where they differ.
TEST(KvStoreSim, survives_on_disks_of_other_kinds) {
  for (unsigned kind = 0; kind < 16; ++kind) {
    SCOPED_TRACE(kind);
    sim::explore_options o{.seeds = worlds(300)};
    o.world.disk.strict_directories = (kind & 1) != 0;
    o.world.disk.reorder_metadata = (kind & 2) != 0;
    o.world.disk.stale_data = (kind & 4) != 0;
    o.world.disk.failed_sync_keeps_cache = (kind & 8) != 0;
    expect_no_failure(o, lives_of({}));
  }
}

// A mistake is found within 10,000 seeds, and made as small as it gets.
void expect_found(const store_flaws& flaws, const std::string& name) {
  const sim::explore_options o{.seeds = 10'000, .print = false};
  const scenario lives = lives_of({.flaws = flaws});
  const auto found = sim::explore(o, lives);
  ASSERT_FALSE(found.ok()) << name << " was not found";
  const sim::failure& f = *found.first;
  EXPECT_TRUE(f.repeatable);
  EXPECT_NE(f.what.find("what was acknowledged is"), std::string::npos) << f.what;
  EXPECT_NE(f.text().find("The last events"), std::string::npos);
  EXPECT_GT(f.step, 0U);
  std::string again;
  try {
    sim::replay(o, f, lives);
  } catch (const sim::requirement_failed& e) {
    again = e.what();
  }
  EXPECT_EQ(again, f.what) << "the smaller failure is one too";
  EXPECT_NO_THROW(sim::replay(o, f, lives_of({}))) << "without the mistake it is none";
  std::cout << name << ": " << found.text();
}

TEST(KvStoreSim, a_directory_that_is_not_synced_is_found) {
  expect_found({.skip_directory_sync = true}, "skip_directory_sync");
}

TEST(KvStoreSim, an_acknowledgement_before_the_sync_is_found) {
  expect_found({.acknowledge_before_sync = true}, "acknowledge_before_sync");
}

TEST(KvStoreSim, an_ignored_short_write_is_found) {
  expect_found({.ignore_short_writes = true}, "ignore_short_writes");
}

// Small, so that every step can be the last.
parkring::task<> a_few_changes(sim::world* w, history* h, const store_flaws* flaws) {
  const auto s = co_await store::open("/db", *flaws);
  h->opened(contents_of(*s));
  for (const char* key : {"a", "b", "c"}) {
    const std::string value = key + std::string(w->random(800), 'v');
    const std::size_t number = h->begin(key, value);
    co_await s->put(key, value);
    h->acknowledge(number);
  }
  co_await s->compact();
  const std::size_t number = h->begin("a", std::nullopt);
  co_await s->del("a");
  h->acknowledge(number);
  co_await s->close();
}

parkring::task<> look_again(history* h) {
  for (int times = 0; times < 2; ++times) {
    const auto s = co_await store::open("/db");
    h->opened(contents_of(*s));
    co_await s->close();
  }
}

// What happened is the world's, not the test's: many run at once, each on one thread. A function,
// because a thread has its object only from when it passes the declaration.
history& of_this_world() {
  thread_local history h;
  return h;
}

sim::exploration cut_everywhere(const sim::explore_options& o, const store_flaws& flaws) {
  return sim::explore_power_cuts(
      o,
      [&flaws](sim::world& w) {
        of_this_world() = {};
        w.run([&] { return a_few_changes(&w, &of_this_world(), &flaws); });
      },
      [](sim::world& w) { w.run([&] { return look_again(&of_this_world()); }); });
}

TEST(KvStoreSim, survives_a_power_cut_at_every_step) {
  const auto seeds = worlds(20) + 1;
  const auto found = cut_everywhere({.seeds = seeds}, {});
  EXPECT_TRUE(found.ok()) << found.text();
  EXPECT_GT(found.seeds, seeds * 80) << "worlds: one for each step";
  std::cout << found.text();
}

TEST(KvStoreSim, the_mistakes_are_found_by_cutting_at_every_step) {
  const sim::explore_options o{.seeds = 100, .print = false};
  EXPECT_FALSE(cut_everywhere(o, {.skip_directory_sync = true}).ok());
  EXPECT_FALSE(cut_everywhere(o, {.acknowledge_before_sync = true}).ok());
  sim::explore_options short_writes = o;
  short_writes.world.faults.short_write = 0.1;
  EXPECT_FALSE(cut_everywhere(short_writes, {.ignore_short_writes = true}).ok());
}

}  // namespace
}  // namespace kv::testing
