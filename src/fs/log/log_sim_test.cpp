// The log on a simulated machine whose requests fail and whose power is cut: what it acknowledged
// is there, and each of the mistakes that it can be told to make is found.
//
// PARKRING_LOG_SEEDS=N   so many seeds of the large scenario, instead of a few
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/log_lives.hpp"
#include "support/scale.hpp"

namespace parkring::fs::testing {
namespace {

using parkring::testing::scaled;
using scenario = std::function<void(sim::world&)>;

scenario lives_of(const log_lives::settings& settings) {
  return [settings](sim::world& w) { log_lives(w, settings).run(); };
}

void expect_no_failure(const sim::explore_options& options, const scenario& lives) {
  const auto begin = std::chrono::steady_clock::now();
  const auto found = sim::explore(options, lives);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_TRUE(found.ok()) << found.text();
  EXPECT_EQ(found.seeds, options.seeds);
  std::cout << found.text() << "in " << took.count() << " s\n";
}

std::uint64_t seeds_or(std::uint64_t few) {
  const char* const text = std::getenv("PARKRING_LOG_SEEDS");
  return text != nullptr && *text != 0 ? std::strtoull(text, nullptr, 10) : few;
}

TEST(LogSim, survives_faults_and_power_cuts_under_every_seed) {
  expect_no_failure({.seeds = seeds_or(static_cast<std::uint64_t>(scaled(300)))}, lives_of({}));
}

// What each file system may do, where they differ.
TEST(LogSim, survives_on_disks_of_other_kinds) {
  for (unsigned kind = 0; kind < 16; ++kind) {
    SCOPED_TRACE(kind);
    sim::explore_options o{.seeds = seeds_or(static_cast<std::uint64_t>(scaled(8)))};
    o.world.disk.strict_directories = (kind & 1) != 0;
    o.world.disk.reorder_metadata = (kind & 2) != 0;
    o.world.disk.stale_data = (kind & 4) != 0;
    o.world.disk.failed_sync_keeps_cache = (kind & 8) != 0;
    const auto found = sim::explore(o, lives_of({}));
    EXPECT_TRUE(found.ok()) << found.text();
  }
}

// Every fault by itself, often. Not those that never end.
TEST(LogSim, survives_every_fault_of_the_disk) {
  const std::uint64_t seeds = seeds_or(static_cast<std::uint64_t>(scaled(8)));
  for (std::size_t k = 0; k < sim::fault_kinds; ++k) {
    const auto kind = static_cast<sim::fault>(k);
    if (kind == sim::fault::never_completes) continue;
    SCOPED_TRACE(sim::name_of(kind));
    log_lives::settings s{.faults = sim::faults()};
    s.faults->rule(kind) = 0.05;
    s.lasting = kind == sim::fault::io_error_sticky || kind == sim::fault::bad_sector;
    s.lies = kind == sim::fault::bit_rot || kind == sim::fault::flipped_bit ||
             kind == sim::fault::lost_write || kind == sim::fault::misdirected_write ||
             kind == sim::fault::torn_write;
    const auto found = sim::explore({.seeds = seeds}, lives_of(s));
    EXPECT_TRUE(found.ok()) << found.text();
  }
}

TEST(LogSim, survives_a_completion_queue_that_overflows_and_slow_requests) {
  log_lives::settings s{.faults = sim::faults::bearable(0.02)};
  s.faults->completion_queue = 2;
  sim::explore_options o{.seeds = seeds_or(static_cast<std::uint64_t>(scaled(20)))};
  o.world.latencies.write = sim::latency::exponential(std::chrono::milliseconds(2))
                                .with_stalls(0.05, std::chrono::milliseconds(50));
  o.world.latencies.sync =
      sim::latency::uniform(std::chrono::microseconds(1), std::chrono::milliseconds(5));
  const auto found = sim::explore(o, lives_of(s));
  EXPECT_TRUE(found.ok()) << found.text();
}

// ---- small, so that every step can be the last ----

task<> a_few_records(sim::world* w, log_history* h, const wal::flaws* flaws) {
  log l = co_await wal::log_access::open("/wal", {.segment = 4096, .group = 1024}, *flaws);
  std::vector<log_record> found;
  auto all = l.records();
  while (auto r = co_await all.next()) found.push_back(std::move(*r));
  h->opened(l.first(), std::move(found));
  for (int i = 0; i < 7; ++i) {
    std::string bytes = std::to_string(i) + "." + std::string(800 + w->random(100), 'v');
    const std::size_t number = h->begin(bytes);
    const lsn at = co_await l.append(std::move(bytes));
    h->answered(number, log_history::answer::durable, at);
    if (i != 4) continue;
    h->truncating(at);
    co_await l.truncate_before(at);
    h->truncated(at);
  }
  co_await l.close();
}

task<> look_again(log_history* h) {
  for (int times = 0; times < 2; ++times) {
    log l = co_await log::open("/wal", {.segment = 4096, .group = 1024});
    std::vector<log_record> found;
    auto all = l.records();
    while (auto r = co_await all.next()) found.push_back(std::move(*r));
    h->opened(l.first(), std::move(found));
    co_await l.close();
  }
}

// What happened is the world's, not the test's: many run at once, each on one thread.
log_history& of_this_world() {
  thread_local log_history h;
  return h;
}

sim::exploration cut_everywhere(const sim::explore_options& o, const wal::flaws& flaws) {
  return sim::explore_power_cuts(
      o,
      [&flaws](sim::world& w) {
        of_this_world() = {};
        w.run([&] { return a_few_records(&w, &of_this_world(), &flaws); });
      },
      [](sim::world& w) { w.run([&] { return look_again(&of_this_world()); }); });
}

TEST(LogSim, survives_a_power_cut_at_every_step) {
  const auto found =
      cut_everywhere({.seeds = seeds_or(static_cast<std::uint64_t>(scaled(8))) / 4 + 1}, {});
  EXPECT_TRUE(found.ok()) << found.text();
  EXPECT_GT(found.seeds, 100U) << "worlds: one for each step";
  std::cout << found.text();
  EXPECT_FALSE(
      cut_everywhere({.seeds = 20, .print = false}, {.acknowledge_before_sync = true}).ok());
}

// A mistake is found within 10,000 seeds, and made as small as it gets.
void expect_found(const log_lives::settings& settings, const std::string& what) {
  const sim::explore_options o{.seeds = 10'000, .shrink = false, .print = false};
  const auto found = sim::explore(o, lives_of(settings));
  ASSERT_FALSE(found.ok()) << "it was not found";
  EXPECT_TRUE(found.first->repeatable);
  EXPECT_NE(found.first->what.find(what), std::string::npos) << found.first->what;
  auto right = settings;
  right.flaws = {};
  EXPECT_NO_THROW(sim::replay(o, *found.first, lives_of(right))) << "without it there is none";
  std::cout << found.text();
}

TEST(LogSim, an_acknowledgement_before_the_sync_is_found) {
  expect_found({.flaws = {.acknowledge_before_sync = true}}, "");
}

TEST(LogSim, a_file_that_is_used_again_without_its_generation_is_found) {
  expect_found({.flaws = {.no_generation = true}}, "");
}

// Files are given up at once, and often there is none to go on in.
log_lives::settings on_a_full_disk() {
  log_lives::settings s{.options = {.segment = 4096, .group = 1024, .spare = 0},
                        .faults = sim::faults()};
  s.faults->no_space = 0.15;
  return s;
}

TEST(LogSim, survives_truncations_on_a_full_disk) {
  const std::uint64_t seeds = seeds_or(static_cast<std::uint64_t>(scaled(50)));
  expect_no_failure({.seeds = seeds}, lives_of(on_a_full_disk()));
}

// Only filling a further file lacks room, as often as the seed says. So the log itself never fails,
// and truncations are told in the header, by writes that may end halfway.
void live_without_further_files(sim::world& w) {
  log_lives::settings s{
      .options = {.segment = 4096, .group = 1024, .spare = static_cast<unsigned>(w.random(2))},
      .records = 12,
      .lives = 4,
      .cut_within = 500,
      .faults = sim::faults()};
  s.faults->short_write = 0.3;
  const double refused = static_cast<double>(w.random(100)) / 100;
  s.faults->callback = [&w, refused](const sim::operation& op) -> std::optional<sim::injected> {
    const bool fills =
        op.kind == sim::operation_kind::write && op.path.ends_with(".wal") && op.length == 4096;
    if (!fills || !w.chance(refused)) return std::nullopt;
    return sim::injected{.what = sim::fault::no_space};
  };
  log_lives(w, s).run();
}

TEST(LogSim, survives_truncations_where_no_further_file_fits) {
  const std::uint64_t seeds = seeds_or(static_cast<std::uint64_t>(scaled(100)));
  expect_no_failure({.seeds = seeds}, live_without_further_files);
}

TEST(LogSim, files_that_go_before_the_header_says_so_are_found) {
  auto s = on_a_full_disk();
  s.flaws = {.free_before_truncating = true};
  expect_found(s, "");
}

TEST(LogSim, a_last_group_that_is_trusted_to_the_page_cache_is_found) {
  log_lives::settings s{.flaws = {.trust_the_cache = true}, .faults = sim::faults()};
  s.faults->failed_sync = 0.05;
  expect_found(s, "");  // a record is lost, or the next opening finds a gap
}

}  // namespace
}  // namespace parkring::fs::testing
