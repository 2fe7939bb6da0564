#include <parkring/sim/world.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>

namespace parkring::sim {
namespace {

using namespace std::chrono_literals;

task<> write_file(std::string path, std::string text, bool sync) {
  fs::file f = co_await fs::open(
      path, {.access = fs::access::write, .creation = fs::creation::if_missing, .truncate = true});
  co_await f.write_at(std::move(text), 0);
  if (sync) co_await f.sync();
}

task<std::string> read_whole(std::string path) {
  fs::file f = co_await fs::open(path);
  std::string text(co_await f.size(), '\0');
  auto [memory, n] = co_await f.read_at(std::move(text), 0);
  memory.resize(n);
  co_return memory;
}

TEST(World, a_program_finds_the_files_that_it_wrote) {
  world w(1);
  w.run([] { return write_file("/a", "some text", false); });
  EXPECT_EQ(w.run([] { return read_whole("/a"); }), "some text");
  EXPECT_EQ(w.read_file("/a"), "some text");
  EXPECT_EQ(w.open_descriptors(), 0U);
}

TEST(World, time_passes_only_as_the_program_waits) {
  world w(1);
  const auto real = std::chrono::steady_clock::now();
  w.run([]() -> task<> {
    const auto before = now();
    co_await sleep_for(24h);
    const auto after = now();
    EXPECT_GE(after - before, 24h);
    EXPECT_LT(after - before, 24h + 1s);
  });
  EXPECT_GE(w.now(), 24h);
  EXPECT_LT(std::chrono::steady_clock::now() - real, 60s) << "or it really slept";
}

TEST(World, the_kernel_says_what_it_is) {
  world w(1);
  w.run([] {
    runtime rt;
    EXPECT_EQ(rt.kernel(), "sim");
  });
}

task<> many_things(world& w) {
  task_group group;
  for (int i = 0; i < 8; ++i) {
    auto one = [](world* at, int n) -> task<> {
      const std::string path = "/file" + std::to_string(n);
      co_await write_file(path, std::string(at->random(5'000) + 1, static_cast<char>('a' + n)),
                          at->chance(0.5));
      co_await sleep_for(std::chrono::microseconds(at->random(1'000)));
      (void)co_await timeout(50us, read_whole(path));
    };
    group.spawn(one, &w, i);
  }
  co_await group.join();
}

std::uint64_t hash_of(std::uint64_t seed) {
  world w(seed, {.faults = faults::bearable(0.02)});
  try {
    w.run([&] { return many_things(w); });
  } catch (const std::exception& e) {
    w.note(e.what());
  }
  return w.hash();
}

TEST(World, one_seed_is_one_execution_and_another_is_another) {
  std::set<std::uint64_t> different;
  for (std::uint64_t seed = 1; seed <= 1'000; ++seed) {
    const auto first = hash_of(seed);
    ASSERT_EQ(first, hash_of(seed)) << "seed " << seed;
    different.insert(first);
  }
  EXPECT_EQ(different.size(), 1'000U);
}

TEST(World, what_was_synced_survives_a_power_cut_and_the_rest_may_not) {
  bool lost = false, kept = false;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    world w(seed);
    w.write_file("/synced", "");
    w.write_file("/loose", "");
    const auto how = w.until_power_cut([&]() -> task<> {
      co_await write_file("/synced", "durable", true);
      co_await write_file("/loose", "perhaps", false);
      w.cut_now();
      co_await sleep_for(1s);
      co_await write_file("/never", "never", true);
    });
    ASSERT_EQ(how, ending::power_cut);
    EXPECT_EQ(w.run([] { return read_whole("/synced"); }), "durable");
    EXPECT_FALSE(w.exists("/never"));
    (w.read_file("/loose") == "perhaps" ? kept : lost) = true;
    EXPECT_EQ(w.power_cuts(), 1U);
  }
  EXPECT_TRUE(lost);
  EXPECT_TRUE(kept);
}

TEST(World, every_step_may_be_the_last) {
  world whole(5);
  whole.run([] { return write_file("/a", "text", true); });
  const auto steps = whole.steps();
  ASSERT_GT(steps, 4U);
  for (std::uint64_t step = 0; step < steps; ++step) {
    world w(5);
    w.cut_at_step(step);
    EXPECT_EQ(w.until_power_cut([] { return write_file("/a", "text", true); }), ending::power_cut);
    EXPECT_EQ(w.last_cut(), step);
    EXPECT_EQ(w.open_descriptors(), 0U);
  }
}

TEST(World, a_cut_at_any_step_of_a_sync_of_a_directory_ends_the_program) {
  world whole(5);
  whole.run([] { return fs::sync_directory("/"); });
  for (std::uint64_t step = 0; step < whole.steps(); ++step) {
    world w(5);
    w.cut_at_step(step);
    EXPECT_EQ(w.until_power_cut([] { return fs::sync_directory("/"); }), ending::power_cut);
    EXPECT_EQ(w.open_descriptors(), 0U);
  }
}

TEST(World, a_cut_that_did_not_come_can_be_called_off) {
  world w(1);
  w.cut_at_step(1'000);
  w.cut_at(1h);
  EXPECT_EQ(w.until_power_cut([] { return write_file("/a", "text", true); }), ending::finished);
  w.keep_power();
  w.run([]() -> task<> {
    co_await sleep_for(2h);
    for (int i = 0; i < 200; ++i) co_await write_file("/a", "more", true);
  });
  EXPECT_GT(w.steps(), 1'000U);
  EXPECT_EQ(w.power_cuts(), 0U);
}

TEST(World, a_close_that_fails_has_closed) {
  world w(1);
  w.write_file("/a", "text");
  w.set_faults({.io_error_once = {.at = 2}});
  const bool failed = w.run([]() -> task<bool> {
    fs::file f = co_await fs::open("/a");
    co_return !(co_await as_result(std::move(f).close())).has_value();
  });
  EXPECT_TRUE(failed);
  EXPECT_EQ(w.injected().size(), 1U);
  EXPECT_EQ(w.open_descriptors(), 0U);
}

TEST(World, waiting_for_nothing_is_told_with_the_last_events) {
  world w(1, {.faults = {.never_completes = {.at = 1}}});
  try {
    w.run([] { return write_file("/a", "text", false); });
    FAIL() << "the open never completes";
  } catch (const nothing_can_happen& e) {
    EXPECT_NE(std::string(e.what()).find("OPENAT"), std::string::npos) << e.what();
  }
}

TEST(World, a_blocking_call_runs_on_the_worlds_only_thread) {
  world w(1);
  const auto here = std::this_thread::get_id();
  w.run([&]() -> task<> {
    auto where = [] { return std::this_thread::get_id(); };
    EXPECT_TRUE(co_await blocking(where) == here);
  });
}

TEST(World, a_file_may_outlive_its_world) {
  fs::file kept;
  {
    world w(1);
    w.write_file("/a", "text");
    w.run([&]() -> task<> { kept = co_await fs::open("/a"); });
    EXPECT_EQ(w.open_descriptors(), 1U);
  }
  EXPECT_TRUE(kept);
}

TEST(World, files_are_truncated_and_sized_by_requests) {
  world w(1);
  w.run([]() -> task<> {
    fs::file f = co_await fs::open(
        "/a", {.access = fs::access::read_write, .creation = fs::creation::if_missing});
    co_await f.write_at(std::string(1000, 'x'), 0);
    co_await f.truncate(10);
    EXPECT_EQ(co_await f.size(), 10U);
    co_await std::move(f).close();
  });
}

}  // namespace
}  // namespace parkring::sim
