#include "kernel/sim/fault_plan.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>
#include <vector>

namespace parkring::kernel::sim {
namespace {

using namespace std::chrono_literals;
using parkring::sim::fault;
using parkring::sim::faults;
using parkring::sim::injected;
using parkring::sim::latencies;
using parkring::sim::latency;
using parkring::sim::operation;
using parkring::sim::operation_kind;

operation write_to(const char* path, std::uint64_t length = 4096) {
  operation op;
  op.kind = operation_kind::write;
  op.name = "write";
  op.path = path;
  op.length = length;
  return op;
}
operation of_kind(operation_kind kind) {
  operation op;
  op.kind = kind;
  op.path = "file";
  op.length = 100;
  return op;
}
fault_plan plan_of(const faults& f, std::uint64_t seed = 1) {
  return fault_plan(f, latencies{}, random(seed));
}

TEST(FaultPlan, without_rules_nothing_happens) {
  fault_plan plan = plan_of({});
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(plan.decide(write_to("f")).has_value());
}

TEST(FaultPlan, the_nth_operation_that_is_eligible_is_struck_and_no_other) {
  faults f;
  f.io_error_once = {.at = 17};
  fault_plan plan = plan_of(f);
  for (int i = 1; i <= 40; ++i) {
    EXPECT_FALSE(plan.decide(of_kind(operation_kind::receive)).has_value());  // not of the disk
    const auto d = plan.decide(write_to("f"));
    EXPECT_EQ(d.has_value(), i == 17) << i;
    if (d) {
      EXPECT_EQ(d->error, EIO);
    }
  }
}

TEST(FaultPlan, a_rule_with_steps_strikes_at_those) {
  faults f;
  f.no_space = {.steps = {5, 9}};
  fault_plan plan = plan_of(f);
  std::set<std::uint64_t> struck;
  for (std::uint64_t step = 0; step < 20; ++step) {
    operation op = write_to("f");
    op.step = step;
    if (const auto d = plan.decide(op)) {
      struck.insert(step);
      EXPECT_EQ(d->error, ENOSPC);
    }
  }
  EXPECT_EQ(struck, (std::set<std::uint64_t>{5, 9}));
}

TEST(FaultPlan, a_probability_is_about_kept_and_limits_hold) {
  faults f;
  f.short_write = 0.1;
  fault_plan plan = plan_of(f);
  int struck = 0;
  for (int i = 0; i < 10'000; ++i)
    if (const auto d = plan.decide(write_to("f"))) {
      ++struck;
      EXPECT_EQ(d->what, fault::short_write);
      EXPECT_GE(d->length, 1u);
      EXPECT_LT(d->length, 4096u);
      EXPECT_EQ(d->error, 0);
    }
  EXPECT_GT(struck, 800);
  EXPECT_LT(struck, 1200);
  EXPECT_EQ(plan.struck(fault::short_write), static_cast<std::uint64_t>(struck));

  f.short_write = {.probability = 1, .at_most = 3};
  fault_plan limited = plan_of(f);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(limited.decide(write_to("f")).has_value(), i < 3);
  EXPECT_FALSE(plan_of(f).decide(write_to("f", 1)).has_value());  // cannot be shorter
}

TEST(FaultPlan, a_rule_with_a_path_leaves_other_files_alone) {
  faults f;
  f.lost_write = {.probability = 1, .path = "data/*.log"};
  fault_plan plan = plan_of(f);
  EXPECT_FALSE(plan.decide(write_to("data/a.txt")).has_value());
  EXPECT_FALSE(plan.decide(write_to("a.log")).has_value());
  EXPECT_TRUE(plan.decide(write_to("data/a.log")).has_value());
}

TEST(FaultPlan, patterns_match_like_globs) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("a*b*c", "a-b-b-c"));
  EXPECT_TRUE(matches("a?c", "abc"));
  EXPECT_TRUE(matches("/x/*", "/x/y/z"));
  EXPECT_FALSE(matches("a*b", "a-c"));
  EXPECT_FALSE(matches("a?c", "ac"));
  EXPECT_FALSE(matches("abc", "abcd"));
  EXPECT_FALSE(matches("", "a"));
}

TEST(FaultPlan, a_sticky_error_stays_with_its_path) {
  faults f;
  f.io_error_sticky = {.at = 2};
  fault_plan plan = plan_of(f);
  EXPECT_FALSE(plan.decide(write_to("a")).has_value());
  const auto broken = plan.decide(write_to("b"));
  ASSERT_TRUE(broken.has_value());
  EXPECT_EQ(broken->error, EIO);
  EXPECT_FALSE(plan.follow(write_to("b")).has_value()) << "it may yet be suppressed";
  plan.happens(*broken, write_to("b"));
  EXPECT_FALSE(plan.follow(write_to("a")).has_value());
  EXPECT_EQ(plan.follow(write_to("b"))->error, EIO);
  for (const bool source : {true, false}) {
    operation rename = of_kind(operation_kind::metadata);
    rename.path = source ? "b" : "a";
    rename.target = source ? "a" : "b";
    EXPECT_EQ(plan.follow(rename)->error, EIO);
  }
  EXPECT_FALSE(plan.follow(of_kind(operation_kind::receive)).has_value());
}

TEST(FaultPlan, a_rule_with_a_path_matches_either_of_a_rename) {
  faults f;
  f.io_error_once = {.probability = 1, .path = "*.log"};
  fault_plan plan = plan_of(f);
  operation rename = of_kind(operation_kind::metadata);
  rename.path = "a.log";
  rename.target = "b";
  EXPECT_TRUE(plan.decide(rename).has_value());
  rename.path = "b";
  rename.target = "a.log";
  EXPECT_TRUE(plan.decide(rename).has_value());
  rename.target = "c";
  EXPECT_FALSE(plan.decide(rename).has_value());
}

TEST(FaultPlan, what_an_operation_cannot_have_does_not_strike_it) {
  faults f;
  f.short_write = 1;
  EXPECT_FALSE(plan_of(f).decide(write_to("f"), {.may_be_short = false}).has_value());
  EXPECT_FALSE(plan_of(f).decide(write_to("f", 512), {.unit = 512}).has_value());
  fault_plan by_sectors = plan_of(f);
  std::set<std::uint64_t> lengths;
  for (int i = 0; i < 200; ++i)
    lengths.insert(by_sectors.decide(write_to("f", 2048), {.unit = 512})->length);
  EXPECT_EQ(lengths, (std::set<std::uint64_t>{512, 1024, 1536}));

  faults full;
  full.no_space = 1;
  EXPECT_TRUE(plan_of(full).decide(of_kind(operation_kind::open)).has_value());
  EXPECT_FALSE(
      plan_of(full).decide(of_kind(operation_kind::open), {.may_need_space = false}).has_value());
}

TEST(FaultPlan, an_answer_of_the_callback_that_makes_no_sense_is_ignored) {
  faults f;
  injected answer;
  f.callback = [&](const operation&) { return std::optional(answer); };
  fault_plan plan = plan_of(f);
  const auto takes = [&](operation_kind kind, injected what, const nature& of = {}) {
    answer = what;
    return plan.decide(of_kind(kind), of).has_value();
  };
  EXPECT_TRUE(takes(operation_kind::enter, {.error = EBUSY}));
  EXPECT_TRUE(takes(operation_kind::enter, {.what = fault::refused_enter}));
  EXPECT_FALSE(takes(operation_kind::enter, {.error = EIO}));
  EXPECT_FALSE(takes(operation_kind::enter, {.what = fault::io_error_once}));
  EXPECT_FALSE(takes(operation_kind::cancel, {.error = EAGAIN}));
  EXPECT_FALSE(takes(operation_kind::cancel, {.what = fault::stall}));
  EXPECT_TRUE(takes(operation_kind::cancel, {.what = fault::cancel_too_late}));
  EXPECT_FALSE(takes(operation_kind::write, {.what = fault::cancel_wins}));
  EXPECT_FALSE(takes(operation_kind::write, {.what = fault::short_read}));
  EXPECT_TRUE(takes(operation_kind::write, {.what = fault::short_write, .length = 50}));
  EXPECT_FALSE(
      takes(operation_kind::write, {.what = fault::short_write, .length = 50}, {.unit = 64}));
  EXPECT_TRUE(takes(operation_kind::metadata, {.what = fault::no_space}, {.may_need_space = false}))
      << "it may know better";
}

TEST(FaultPlan, calm_takes_chance_out_of_latencies) {
  const latencies l{.open = latency::uniform(5us, 20us).with_stalls(1, 1s),
                    .sync = latency::exponential(500us)};
  fault_plan plan({}, l, random(1));
  std::set<std::chrono::nanoseconds> opens, syncs;
  for (int i = 0; i < 20; ++i) {
    opens.insert(plan.latency_of(operation_kind::open, true));
    syncs.insert(plan.latency_of(operation_kind::sync, true));
  }
  EXPECT_EQ(opens, (std::set<std::chrono::nanoseconds>{5us}));
  EXPECT_EQ(syncs, (std::set<std::chrono::nanoseconds>{500us}));
}

TEST(FaultPlan, the_callback_is_asked_first) {
  faults f;
  f.short_write = 1;
  f.callback = [](const operation& op) -> std::optional<injected> {
    if (op.offset == 7) return injected{.what = fault::error, .error = EDQUOT};
    if (op.offset == 8) return injected{.what = fault::short_write, .length = 5};
    if (op.offset == 9) return injected{.what = fault::stall, .delay = 3s};
    return std::nullopt;
  };
  fault_plan plan = plan_of(f);
  operation op = write_to("f");
  op.offset = 7;
  EXPECT_EQ(plan.decide(op)->error, EDQUOT);
  op.offset = 8;
  EXPECT_EQ(plan.decide(op)->length, 5u);
  op.offset = 9;
  EXPECT_EQ(plan.decide(op)->delay, 3s);
  op.offset = 10;
  EXPECT_EQ(plan.decide(op)->what, fault::short_write);
}

// Each kind alone, at every kind of operation: which it strikes is the table of the header.
TEST(FaultPlan, every_fault_strikes_something_and_only_what_it_can_happen_to) {
  const auto struck = [](fault kind) {
    std::string kinds;
    for (std::size_t o = 0; o < parkring::sim::operation_kinds; ++o) {
      faults f;
      f.rule(kind) = 1;
      fault_plan plan = plan_of(f);
      const auto d = plan.decide(of_kind(static_cast<operation_kind>(o)));
      kinds += d ? 'x' : '.';
      if (d) {
        EXPECT_EQ(d->what, kind);
      }
    }
    return kinds;
  };
  EXPECT_EQ(struck(fault::short_read), ".x....x.....");
  EXPECT_EQ(struck(fault::short_write), "..x....x....");
  EXPECT_EQ(struck(fault::interrupted), ".xx...xxx...");
  EXPECT_EQ(struck(fault::io_error_once), "xxxxxx......");
  EXPECT_EQ(struck(fault::no_space), "x.x.xx......");
  EXPECT_EQ(struck(fault::bit_rot), ".x..........");
  EXPECT_EQ(struck(fault::misdirected_write), "..x.........");
  EXPECT_EQ(struck(fault::failed_sync), "...x........") << "of a write only if that syncs";
  faults of_syncs;
  of_syncs.failed_sync = 1;
  fault_plan plan = plan_of(of_syncs);
  EXPECT_TRUE(plan.decide(of_kind(operation_kind::write), {.syncs_too = true}));
  EXPECT_EQ(struck(fault::never_completes), "xxxxxxxxx...");
  EXPECT_EQ(struck(fault::refused_enter), "..........x.");
  EXPECT_EQ(struck(fault::cancel_wins), ".........x..");
  for (std::size_t k = 0; k < parkring::sim::fault_kinds; ++k)
    EXPECT_NE(struck(static_cast<fault>(k)).find('x'), std::string::npos)
        << parkring::sim::name_of(static_cast<fault>(k));
}

TEST(FaultPlan, one_seed_gives_one_plan) {
  const auto run = [](std::uint64_t seed) {
    fault_plan plan(faults::everything(0.05), latencies{}, random(seed));
    std::string result;
    random kinds(5);
    for (int i = 0; i < 2000; ++i) {
      const auto kind = static_cast<operation_kind>(kinds.below(parkring::sim::operation_kinds));
      const auto d = plan.decide(of_kind(kind));
      result += std::to_string(plan.latency_of(kind, false).count()) + " ";
      if (d) result += std::string(name_of(d->what)) + std::to_string(d->where) + " ";
    }
    return result;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(FaultPlan, bearable_faults_lose_nothing) {
  const faults f = faults::bearable(0.5);
  for (const fault kind : {fault::lost_write, fault::bit_rot, fault::never_completes,
                           fault::failed_sync, fault::io_error_sticky})
    EXPECT_FALSE(f.rule(kind).active());
  EXPECT_TRUE(f.short_read.active());
  EXPECT_TRUE(f.cancel_too_late.active());
}

TEST(Latency, values_lie_where_their_distribution_says) {
  random r(1);
  EXPECT_EQ(draw(latency::fixed(5us), r), 5us);
  std::int64_t sum = 0, longest = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto u = draw(latency::uniform(10us, 20us), r);
    EXPECT_GE(u, 10us);
    EXPECT_LE(u, 20us);
    const auto e = draw(latency::exponential(1000us), r).count();
    EXPECT_GE(e, 0);
    EXPECT_LE(e, 40'000'000);
    sum += e;
    longest = std::max(longest, e);
  }
  EXPECT_NEAR(static_cast<double>(sum) / 20'000, 1e6, 3e4);
  EXPECT_GT(longest, 7'000'000);
  int stalls = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto l = draw(latency::fixed(1us).with_stalls(0.25, 1s), r);
    EXPECT_TRUE(l == 1us || l == 1s + 1us);
    stalls += l > 1s;
  }
  EXPECT_GT(stalls, 180);
  EXPECT_LT(stalls, 320);
}

}  // namespace
}  // namespace parkring::kernel::sim
