// What goes wrong, as a program meets it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim/world.hpp>

namespace parkring::sim {
namespace {

using namespace std::chrono_literals;

constexpr fs::open_options for_both = {.access = fs::access::read_write,
                                       .creation = fs::creation::if_missing};

// The errno that awaiting `program` ends with, or 0.
template <class Program>
int error_of(world& w, Program program) {
  return w.run([&]() -> task<int> {
    const auto done = co_await as_result(program());
    co_return done ? 0 : done.error().number();
  });
}

TEST(WorldFaults, short_transfers_of_a_direct_file_are_of_whole_sectors) {
  world w(1, {.faults = {.short_read = {.probability = 1}, .short_write = {.probability = 1}}});
  w.run([]() -> task<> {
    fs::open_options direct = for_both;
    direct.direct = true;
    fs::file f = co_await fs::open("/d", direct);
    buffer b(4096, aligned(f));
    for (int i = 0; i < 20; ++i) {
      const std::size_t wrote = co_await f.write_at(b, 0);
      EXPECT_EQ(wrote % 512, 0U);
      EXPECT_GT(wrote, 0U);
      EXPECT_LT(wrote, 4096U);
    }
    buffer one(512, aligned(f));
    EXPECT_EQ(co_await f.write_at(one, 0), 512U) << "of one sector there is no part";
    EXPECT_EQ(co_await f.read_at(one, 0), 512U);
  });
}

TEST(WorldFaults, a_sticky_error_that_is_suppressed_does_not_stick) {
  const faults f{.short_write = {.probability = 0.5}, .io_error_sticky = {.at = 1}};
  const auto program = []() -> task<> {
    for (const char* path : {"/a", "/b"}) {
      for (int i = 0; i < 8; ++i) {
        const auto opened = co_await as_result(fs::write_file(path, std::string(100, 'x')));
        (void)opened;
      }
    }
  };
  const auto injected = [&](std::optional<std::uint64_t> suppressed) {
    world w(1, {.faults = f});
    if (suppressed) w.suppress(*suppressed);
    w.run(program);
    return w.injected();
  };
  const auto with = injected(std::nullopt);
  const auto sticky = std::ranges::find(with, "io_error_sticky", &world::injection::what);
  ASSERT_NE(sticky, with.end());
  EXPECT_EQ(std::ranges::count(with, "io_error_sticky", &world::injection::what), 1)
      << "what follows from it is no fault of its own";
  for (const auto& one : injected(sticky->ordinal)) EXPECT_NE(one.what, "io_error_sticky");

  world w(1, {.faults = {.io_error_sticky = {.at = 1}}});
  w.suppress(1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(error_of(w, [] { return fs::write_file("/a", "x"); }), 0);
  EXPECT_TRUE(w.injected().empty());
}

TEST(WorldFaults, a_path_that_is_broken_is_so_for_a_rename_to_it) {
  world w(1, {.faults = {.io_error_sticky = {.at = 1, .path = "/broken"}}});
  w.write_file("/sound", "");
  EXPECT_EQ(error_of(w, [] { return fs::write_file("/broken", "x"); }), EIO);
  EXPECT_EQ(error_of(w, [] { return fs::write_file("/sound", "x"); }), 0);
  EXPECT_EQ(error_of(w, [] { return fs::rename("/sound", "/broken"); }), EIO);
  EXPECT_EQ(error_of(w, [] { return fs::rename("/sound", "/other"); }), 0);
}

TEST(WorldFaults, in_a_calm_world_every_sync_takes_as_long) {
  world w(1);
  w.calm();
  std::set<std::chrono::nanoseconds> times;
  w.run([&]() -> task<> {
    fs::file f = co_await fs::open("/f", for_both);
    for (int i = 0; i < 10; ++i) {
      const auto before = w.now();
      co_await f.sync();
      times.insert(w.now() - before);
    }
  });
  EXPECT_EQ(times.size(), 1U);
}

TEST(WorldFaults, a_callback_that_answers_everything_ends_the_program_and_not_the_process) {
  for (const auto after : {0us, 10us, 50us, 200us}) {
    faults f;
    f.callback = [after](const operation& op) -> std::optional<injected> {
      if (op.time < after) return std::nullopt;
      return injected{.what = fault::error, .error = EIO};
    };
    world w(1, {.faults = f});
    EXPECT_EQ(error_of(w,
                       []() -> task<> {
                         for (int i = 0; i < 100; ++i) {
                           co_await fs::write_file("/s", "x");
                           (void)co_await timeout(1us, fs::read_file("/s"));
                         }
                       }),
              EIO);
    for (const auto& one : w.injected()) EXPECT_EQ(one.what, "error");
  }
}

// Steps are the same in rules, in cuts and in the trace.
TEST(WorldFaults, a_rule_strikes_at_the_step_that_the_trace_shows) {
  const auto program = []() -> task<> {
    fs::file f = co_await fs::open("/a");
    buffer b(16);
    (void)co_await f.read_at(b, 0);
  };
  const auto line_of = [](const std::string& trace, const char* what) {
    const auto at = trace.find(what);
    EXPECT_NE(at, trace.npos) << what << " is not in\n" << trace;
    return std::stoull(trace.substr(trace.rfind('\n', at) + 1));
  };
  world whole(1);
  whole.write_file("/a", "text");
  whole.run(program);
  const std::uint64_t begin = line_of(whole.trace(), "begin     READ");
  const std::uint64_t end = line_of(whole.trace(), "done      READ");
  EXPECT_GT(end, begin);

  world struck(1, {.faults = {.io_error_once = {.steps = {begin}}}});
  struck.write_file("/a", "text");
  EXPECT_EQ(error_of(struck, program), EIO);
  EXPECT_EQ(line_of(struck.trace(), "fault     io_error_once"), begin);

  for (const std::uint64_t step : {begin, end}) {
    world cut(1);
    cut.write_file("/a", "text");
    cut.cut_at_step(step);
    EXPECT_EQ(cut.until_power_cut(program), ending::power_cut);
    const std::string trace = cut.trace();
    EXPECT_EQ(line_of(trace, "the power is cut"), step);
    EXPECT_EQ(trace.find("begin     READ") != trace.npos, step == end) << trace;
    EXPECT_EQ(trace.find("done      READ"), trace.npos) << "before it:\n" << trace;
  }
}

TEST(WorldFaults, a_full_disk_is_told_only_where_something_grows) {
  world w(1);
  w.write_file("/a", "text");
  w.write_file("/b", "");
  w.set_faults({.no_space = {.probability = 1}});
  w.run([]() -> task<> {
    fs::file f = co_await fs::open("/a", {.access = fs::access::read_write});
    EXPECT_EQ(co_await f.size(), 4U);
    buffer b(16);
    EXPECT_EQ(co_await f.read_at(b, 0), 4U);
    co_await f.truncate(2);
    co_await f.sync();
    const auto grown = co_await as_result(f.truncate(100));
    EXPECT_EQ(grown.error().number(), ENOSPC);
    const auto written = co_await as_result(f.write_at(b, 0));
    EXPECT_EQ(written.error().number(), ENOSPC);
    co_await std::move(f).close();
    co_await fs::remove("/b");
    const auto made = co_await as_result(fs::open("/c", for_both));
    EXPECT_EQ(made.error().number(), ENOSPC);
    const auto directory = co_await as_result(fs::create_directory("/d"));
    EXPECT_EQ(directory.error().number(), ENOSPC);
    const auto moved = co_await as_result(fs::rename("/a", "/e"));
    EXPECT_EQ(moved.error().number(), ENOSPC);
  });
}

TEST(WorldFaults, a_write_that_fails_leaves_nothing_a_part_or_all) {
  std::set<std::size_t> left;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    world w(seed);
    w.write_file("/a", "");
    w.set_faults({.io_error_once = {.at = 2}});
    EXPECT_EQ(error_of(w,
                       []() -> task<> {
                         fs::file f = co_await fs::open("/a", {.access = fs::access::write});
                         co_await f.write_at(std::string(8, 'x'), 0);
                       }),
              EIO);
    left.insert(w.read_file("/a").size());
  }
  EXPECT_EQ(left, (std::set<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
}

// After an error of a sync the next one succeeds, and what was written before is not there.
TEST(WorldFaults, an_error_of_a_sync_is_a_failed_sync) {
  int lost = 0;
  std::set<std::size_t> sizes;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    world w(seed);
    w.write_file("/a", "old");
    w.write_file("/grows", "");
    w.set_faults({.io_error_once = {.probability = 1, .path = "/a", .at_most = 1}});
    w.until_power_cut([&]() -> task<> {
      w.set_faults({});
      fs::file f = co_await fs::open("/a", {.access = fs::access::write});
      fs::file g = co_await fs::open("/grows", {.access = fs::access::write});
      co_await f.write_at(std::string("new"), 0);
      co_await g.write_at(std::string("text"), 0);
      w.set_faults({.io_error_once = {.probability = 1, .at_most = 2}});
      EXPECT_EQ((co_await as_result(f.sync())).error().number(), EIO);
      EXPECT_EQ((co_await as_result(g.sync())).error().number(), EIO);
      co_await f.sync();
      w.cut_now();
      co_await sleep_for(1s);
      co_await f.sync();
    });
    lost += w.read_file("/a") == "old";
    sizes.insert(w.read_file("/grows").size());
  }
  EXPECT_EQ(lost, 200);
  EXPECT_EQ(sizes, (std::set<std::size_t>{0, 4})) << "the new size may be durable or not";
}

TEST(WorldFaults, after_a_failed_sync_the_cache_may_be_dropped) {
  world w(1, {.faults = {.failed_sync = {.at = 1}}});
  w.write_file("/a", "old");
  w.run([&]() -> task<> {
    fs::file f = co_await fs::open("/a", {.access = fs::access::read_write});
    co_await f.write_at(std::string("new"), 0);
    EXPECT_EQ((co_await as_result(f.sync())).error().number(), EIO);
    EXPECT_EQ(co_await fs::read_file("/a"), "new");
    w.drop_caches();
    EXPECT_EQ(co_await fs::read_file("/a"), "old");
  });
}

TEST(WorldFaults, a_file_with_a_bad_sector_cannot_be_read_from_outside) {
  world w(1);
  w.write_file("/a", std::string(8192, 'x'));
  w.damage("/a", 4096, 512);
  EXPECT_THROW((void)w.read_file("/a"), std::system_error);
}

TEST(WorldFaults, a_full_disk_takes_no_file_from_outside) {
  world_options o;
  o.disk.capacity = 4096;
  world w(1, o);
  EXPECT_THROW(w.write_file("/a", std::string(8192, 'x')), std::system_error);
}

}  // namespace
}  // namespace parkring::sim
