#include <parkring/sim/world.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <system_error>
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

// Lives that end by power cuts, where everything goes wrong.
std::uint64_t hash_of_lives(std::uint64_t seed) {
  faults f = faults::everything(0.02);
  f.never_completes = 0.002;
  world w(seed, {.faults = f});
  for (int life = 0; life < 3; ++life) {
    try {
      w.cut_within(80);
      w.until_power_cut([&]() -> task<> {
        task_group group;
        for (int i = 0; i < 3; ++i) {
          auto one = [](world* at, int n) -> task<> {
            const std::string path = "/file" + std::to_string(n);
            for (int times = 0; times < 3; ++times) {
              (void)co_await as_result(write_file(path, std::string(at->random(9'000), 'x'), true));
              try {
                (void)co_await timeout(100us, read_whole(path));
              } catch (const io_error&) {
              }
              (void)co_await as_result(fs::rename(path, path + "." + std::to_string(times)));
              (void)co_await as_result(fs::sync_directory("/"));
            }
          };
          group.spawn(one, &w, i);
        }
        co_await group.join();
      });
    } catch (const std::exception& e) {
      w.note(e.what());
      break;
    }
    for (const std::string& name : w.list("/")) {
      try {
        w.note(name + ": " + w.read_file("/" + name));
      } catch (const std::system_error& e) {
        w.note(name + ": " + e.what());
      }
    }
  }
  return w.hash();
}

TEST(World, one_seed_is_one_execution_also_when_everything_fails_and_the_power_goes) {
  std::set<std::uint64_t> different;
  for (std::uint64_t seed = 1; seed <= 1'000; ++seed) {
    const auto first = hash_of_lives(seed);
    ASSERT_EQ(first, hash_of_lives(seed)) << "seed " << seed;
    different.insert(first);
  }
  EXPECT_GT(different.size(), 990U);
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

TEST(World, the_hash_tells_requests_apart_that_differ_in_their_opcode_only) {
  const auto hash = [](bool data_only) {
    world w(1, {.latencies = {.other = latency::fixed(1us)}});
    w.calm();
    w.run([&]() -> task<> {
      if (data_only) {
        (void)co_await as_result(fs::remove("/missing"));
      } else {
        (void)co_await as_result(fs::file_size("/missing"));
      }
    });
    return w.hash();
  };
  EXPECT_EQ(hash(true), hash(true));
  EXPECT_NE(hash(true), hash(false));
}

TEST(World, the_trace_shows_what_led_to_the_cut_and_what_came_last) {
  world w(1, {.trace_entries = 64});
  w.cut_at_step(100);
  const auto work = []() -> task<> {
    for (int i = 0; i < 20; ++i) co_await write_file("/before", "x", true);
  };
  ASSERT_EQ(w.until_power_cut(work), ending::power_cut);
  EXPECT_TRUE(w.trace(4).ends_with("the power is cut\n")) << w.trace(4);
  w.run([]() -> task<> {
    for (int i = 0; i < 40; ++i) co_await write_file("/after", "x", true);
  });
  const std::string trace = w.trace(20);
  EXPECT_EQ(std::ranges::count(trace, '\n'), 21) << trace;
  const auto cut = trace.find("the power is cut"), rest = trace.find("more ...");
  ASSERT_NE(cut, trace.npos) << trace;
  ASSERT_NE(rest, trace.npos) << trace;
  EXPECT_LT(trace.find("/before"), cut);
  EXPECT_LT(cut, rest);
  EXPECT_GT(trace.find("/after"), rest);
  EXPECT_EQ(w.trace(20), w.trace(20));
  EXPECT_EQ(std::ranges::count(w.trace(1'000), '\n'), 64 + 64 + 1);
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
