// `link` on a machine whose syncs fail and whose power goes.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include <parkring/parkring.hpp>
#include <parkring/sim/world.hpp>

namespace parkring::sim {
namespace {

// Replaces /a as one chain; gives the error of what went wrong.
task<int> replace(std::string text) {
  fs::file f = co_await fs::open(
      "/a.new", {.access = fs::access::write, .creation = fs::creation::if_missing});
  auto done = co_await as_result(
      parkring::link(f.write_at(std::move(text), 0), f.datasync(), fs::rename("/a.new", "/a")));
  co_return done ? 0 : done.error().number();
}

TEST(LinkInWorld, a_sync_that_fails_stops_the_rename) {
  unsigned failed = 0, succeeded = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    world w(seed);
    w.write_file("/a", "old");
    faults f;
    f.failed_sync = {.probability = 0.5, .path = "*.new"};
    w.set_faults(f);
    const int answer = w.run([] { return replace("new"); });
    EXPECT_TRUE(answer == 0 || answer == EIO) << answer;
    EXPECT_EQ(w.read_file("/a"), answer == 0 ? "new" : "old") << "seed " << seed;
    EXPECT_EQ(w.exists("/a.new"), answer != 0) << "seed " << seed;
    ++(answer == 0 ? succeeded : failed);
  }
  EXPECT_GT(failed, 20U);
  EXPECT_GT(succeeded, 20U);
}

// Whatever fails and wherever the power goes, the name leads to the old content or all of the new.
TEST(LinkInWorld, what_has_the_name_after_a_power_cut_is_whole) {
  const std::string fresh(20'000, 'n');
  unsigned old_ones = 0, new_ones = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    world w(seed);
    w.write_file("/a", "old");
    faults f;
    f.failed_sync = {.probability = 0.3, .path = "*.new"};
    w.set_faults(f);
    w.cut_at_step(w.steps() + w.random(14));
    w.until_power_cut([&]() -> task<> {
      (void)co_await replace(fresh);
      co_await fs::sync_directory("/");
      co_await sleep_for(std::chrono::seconds(60));
    });
    const std::string content = w.read_file("/a");
    ASSERT_TRUE(content == "old" || content == fresh) << "seed " << seed << "\n" << w.trace();
    ++(content == "old" ? old_ones : new_ones);
  }
  EXPECT_GT(old_ones, 50U);
  EXPECT_GT(new_ones, 50U);
}

}  // namespace
}  // namespace parkring::sim
