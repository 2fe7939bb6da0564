// What the guides quote beside the examples: docs/guide takes its excerpts from here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

namespace pr = parkring;
using namespace pr::literals;
using namespace std::chrono_literals;

namespace {

// A folder for one test.
class Guide : public testing::Test {
 protected:
  Guide() {
    char name[] = "/tmp/parkring-guide-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~Guide() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path path(const char* name) const { return folder_ / name; }

 private:
  std::filesystem::path folder_;
};

constexpr pr::fs::open_options for_both = {.access = pr::fs::access::read_write,
                                           .creation = pr::fs::creation::if_missing};

// ---- 02-handing-memory-over ----

pr::task<> write_twice(pr::fs::file& file, pr::fs::file& mirror) {
  pr::buffer page(4_KiB);
  std::ranges::fill(page.bytes(), std::byte{'x'});
  co_await pr::when_all(file.write_all_at(page, 0), mirror.write_all_at(page, 0));
}

TEST_F(Guide, one_buffer_is_written_to_two_files_at_once) {
  pr::run([](std::filesystem::path a, std::filesystem::path b) -> pr::task<> {
    auto file = co_await pr::fs::open(a, for_both), mirror = co_await pr::fs::open(b, for_both);
    co_await write_twice(file, mirror);
    EXPECT_EQ(co_await pr::fs::read_file(a), std::string(4_KiB, 'x'));
    EXPECT_EQ(co_await pr::fs::read_file(b), std::string(4_KiB, 'x'));
  }(path("a"), path("b")));
}

TEST_F(Guide, plain_allocations_come_in_and_go_out) {
  auto buf = pr::buffer::adopt(std::make_unique<std::byte[]>(4_KiB), 4_KiB);
  const auto* before = buf.bytes().data();
  auto [data, size] = std::move(buf).release();  // the adopted allocation itself
  EXPECT_EQ(data.get(), before);
  EXPECT_EQ(size, 4_KiB);
}

pr::task<std::size_t> read_past_the_page_cache(std::filesystem::path path) {
  auto file = co_await pr::fs::open(path, {.direct = true});
  pr::buffer buf(64_KiB, pr::aligned(file));
  co_return co_await file.read_at(buf, 0);
}

TEST_F(Guide, direct_reads_take_an_aligned_buffer) {
  const auto file = path("direct");
  pr::run(pr::fs::write_file(file, std::string(64_KiB, 'x')));
  const auto n = pr::run(pr::as_result(read_past_the_page_cache(file)));
  if (!n && n.error().number() == EINVAL) GTEST_SKIP() << n.error().message();
  EXPECT_EQ(n.value(), 64_KiB);
}

// ---- 03-timeouts-and-drops ----

TEST_F(Guide, a_timed_out_sleep_is_false) {
  pr::run([]() -> pr::task<> {
    const bool finished = co_await pr::timeout(1ms, pr::sleep_for(1h));
    EXPECT_FALSE(finished);
  }());
}

TEST_F(Guide, an_aborted_task_is_gone_when_abort_returns) {
  pr::run([]() -> pr::task<> {
    auto alive = std::make_shared<int>();
    auto handle =
        pr::spawn([](std::shared_ptr<int>) -> pr::task<> { co_await pr::sleep_for(1h); }, alive);
    co_await pr::yield();
    handle.abort();  // when it returns, the frame and its locals are gone
    EXPECT_EQ(alive.use_count(), 1);
    EXPECT_THROW(co_await handle, pr::task_aborted);
  }());
}

// ---- 04-many-at-once ----

pr::task<std::vector<std::string>> read_all(std::vector<std::filesystem::path> paths) {
  co_return co_await pr::when_all(paths | std::views::transform(pr::fs::read_file));
}

TEST_F(Guide, a_range_of_tasks_gives_a_vector_of_values) {
  pr::run(pr::fs::write_file(path("a"), "one"));
  pr::run(pr::fs::write_file(path("b"), "two"));
  EXPECT_EQ(pr::run(read_all({path("a"), path("b")})), (std::vector<std::string>{"one", "two"}));
}

pr::task<int> slow_answer(int value) {
  co_await pr::sleep_for(1ms);
  co_return value;
}

TEST_F(Guide, a_join_handle_gives_the_value) {
  pr::run([]() -> pr::task<> {
    auto h = pr::spawn(slow_answer, 42);  // runs beside us from the next turn on
    // ... work ...
    EXPECT_EQ(co_await h, 42);
  }());
}

pr::task<> commit(pr::fs::file& file, const pr::buffer& page, std::uint64_t offset) {
  co_await pr::link(file.write_at(page, offset), file.datasync());  // one submission, in order
}

TEST_F(Guide, a_write_and_its_sync_are_one_chain) {
  pr::run([](std::filesystem::path p) -> pr::task<> {
    auto file = co_await pr::fs::open(p, for_both);
    pr::buffer page(4_KiB);
    std::ranges::fill(page.bytes(), std::byte{'x'});
    co_await commit(file, page, 0);
    EXPECT_EQ(co_await pr::fs::read_file(p), std::string(4_KiB, 'x'));
  }(path("log")));
}

pr::task<> replace(std::filesystem::path path, std::string content) {
  const auto fresh = path.native() + ".new";
  co_await pr::fs::write_file(fresh, std::move(content));
  auto file = co_await pr::fs::open(fresh);
  co_await file.sync();                                 // the content is durable,
  co_await pr::fs::rename(fresh, path);                 // has the name,
  co_await pr::fs::sync_directory(path.parent_path());  // and now keeps it
}

TEST_F(Guide, a_file_is_replaced_for_good) {
  const auto target = path("config");
  pr::run(replace(target, "old"));
  pr::run(replace(target, "new"));
  EXPECT_EQ(pr::run(pr::fs::read_file(target)), "new");
  EXPECT_FALSE(pr::run(pr::fs::exists(target.native() + ".new")));
}

// ---- 05-runtimes-and-threads ----

TEST_F(Guide, a_runtime_runs_task_after_task) {
  pr::runtime rt({.entries = 64, .pool_bytes = 16_MiB});
  auto background = rt.spawn(slow_answer, 1);  // starts with the next run
  EXPECT_EQ(rt.run(slow_answer(2)), 2);
  EXPECT_EQ(rt.run(std::move(background)), 1);
}

TEST_F(Guide, completions_have_another_reader) {
  pr::runtime rt({.reader = pr::completion_reader::reader_thread});
  const bool as_asked = rt.reader() == pr::completion_reader::reader_thread;
  EXPECT_EQ(as_asked, rt.kernel() == "linux");
  rt.run(pr::nop());
}

TEST_F(Guide, another_thread_posts_to_a_runtime) {
  pr::runtime rt;
  int result = 0;
  std::thread worker([remote = rt.remote(), &result] {
    int answer = 6 * 7;                                         // something long
    (void)remote.post([&result, answer] { result = answer; });  // runs on the runtime's thread
  });
  rt.run([](int& r) -> pr::task<> {
    while (r == 0) co_await pr::sleep_for(1ms);
  }(result));
  worker.join();
  EXPECT_EQ(result, 42);
}

pr::task<std::filesystem::path> real_path(std::filesystem::path p) {
  auto resolve = [p] { return std::filesystem::canonical(p); };  // named: see the pitfall below
  co_return co_await pr::blocking(resolve);
}

TEST_F(Guide, a_call_that_blocks_goes_to_the_pool) {
  EXPECT_EQ(pr::run(real_path("/tmp/..")), "/");
}

// ---- 06-errors ----

pr::task<std::string> read_or(std::filesystem::path path, std::string otherwise) {
  auto content = co_await pr::as_result(pr::fs::read_file(path));
  if (content) co_return *content;
  if (content.error().code() == std::errc::no_such_file_or_directory) co_return otherwise;
  throw pr::io_error(content.error());
}

TEST_F(Guide, a_missing_file_is_a_value_where_it_is_expected) {
  EXPECT_EQ(pr::run(read_or(path("missing"), "default")), "default");
  EXPECT_THROW(pr::run(read_or("/", "default")), pr::io_error);
}

pr::task<std::string> full_disk() {
  try {
    co_await pr::fs::write_file("/dev/full", "record");
  } catch (const pr::io_error& e) {
    if (e.code() != std::errc::no_space_on_device) throw;
    co_return std::string(e.what()) + " | " + std::to_string(e.error().transferred());
  }
  co_return "written";
}

TEST_F(Guide, an_error_says_how_far_it_came) {
  const std::string text = pr::run(full_disk());
  EXPECT_NE(text.find("/dev/full"), std::string::npos) << text;
  EXPECT_NE(text.find("ENOSPC"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("| 0")) << text;
}

TEST_F(Guide, a_buffer_in_use_is_refused_to_a_second_read) {
  pr::run([](std::filesystem::path p) -> pr::task<> {
    auto file = co_await pr::fs::open(p, for_both);
    pr::buffer buf(16);
    auto first = file.read_at(buf, 0);  // locked from here on, not only from the await on
    EXPECT_THROW((void)file.read_at(buf, 0), pr::buffer_locked);
    EXPECT_THROW((void)buf.bytes(), pr::buffer_locked);
    EXPECT_EQ(co_await std::move(first), 0u);
  }(path("empty")));
}

// ---- 07-performance ----

TEST_F(Guide, the_counters_tell_which_way_reads_went) {
  pr::runtime rt;
  rt.run([](std::filesystem::path p) -> pr::task<> {
    co_await pr::fs::write_file(p, std::string(4_KiB, 'x'));
    auto file = co_await pr::fs::open(p, {.inline_first = pr::fs::inline_mode::never});
    pr::buffer buf(4_KiB);
    for (int i = 0; i < 10; ++i) co_await file.read_at(buf, 0);
  }(path("counted")));
  const pr::runtime_counters c = rt.counters();
  EXPECT_GE(c.completions, 10u);
  EXPECT_EQ(c.buffers, 0u);
}

// ---- 08-testing-on-a-simulated-machine ----

void keeps_what_was_synced(pr::sim::world& w) {
  w.write_file("/settings", "old");  // it is there already, and durable
  const auto how = w.until_power_cut([&]() -> pr::task<> {
    co_await pr::fs::write_file("/settings.new", "new");
    auto file = co_await pr::fs::open("/settings.new", {.access = pr::fs::access::write});
    co_await file.sync();
    co_await pr::fs::rename("/settings.new", "/settings");
    co_await pr::fs::sync_directory("/");
  });
  w.keep_power();  // from here on, if it ended before the cut
  const std::string found = w.run([] { return pr::fs::read_file("/settings"); });
  if (how == pr::sim::ending::finished) pr::sim::require(found == "new", "it was not durable");
  pr::sim::require(found == "new" || found == "old", "the settings are " + found);
}

TEST_F(Guide, a_scenario_runs_under_many_seeds) {
  pr::sim::explore_options options{.seeds = 1'000};
  options.world.disk.stale_data = true;
  options.world.faults.short_read = 0.05;
  const auto found = pr::sim::explore(options, [](pr::sim::world& w) {
    w.cut_within(30);
    keeps_what_was_synced(w);
  });
  EXPECT_TRUE(found.ok()) << found.text();
}

TEST_F(Guide, a_failure_is_run_again) {
  const auto scenario = [](pr::sim::world& w) {
    pr::sim::require(w.run([] { return pr::fs::file_size("/a"); }) == 0, "it is empty");
  };
  const pr::sim::explore_options options{.seeds = 1, .print = false};
  const auto found = pr::sim::explore(options, scenario);
  ASSERT_FALSE(found.ok());
  EXPECT_THROW(pr::sim::replay(options, *found.first, scenario), pr::io_error);
}

TEST_F(Guide, every_step_is_the_last_once) {
  const auto found = pr::sim::explore_power_cuts(
      {.seeds = 3},
      [](pr::sim::world& w) {
        w.run([] { return pr::fs::create_directory("/queue"); });
        w.run([] { return pr::fs::sync_directory("/"); });
        w.note("the queue is there");
      },
      [](pr::sim::world& w) {
        const bool promised = w.trace(1'000).contains("the queue is there");
        pr::sim::require(w.exists("/queue") || !promised, "the queue is lost");
      });
  EXPECT_TRUE(found.ok()) << found.text();
}

TEST_F(Guide, faults_are_chosen_by_probability_number_or_callback) {
  pr::sim::faults f = pr::sim::faults::bearable(0.01);    // what every program must bear
  f.failed_sync = {.probability = 0.1, .path = "*.log"};  // of these files
  f.no_space = {.at = 17, .at_most = 1};                  // the 17th time that it could be
  f.callback = [](const pr::sim::operation& op) -> std::optional<pr::sim::injected> {
    if (op.kind != pr::sim::operation_kind::metadata || op.path != "/a") return std::nullopt;
    return pr::sim::injected{.what = pr::sim::fault::error, .error = EROFS};
  };
  pr::sim::world w(1);
  w.write_file("/a", "text");
  w.set_faults(f);
  w.run([]() -> pr::task<> {
    const auto renamed = co_await pr::as_result(pr::fs::rename("/a", "/b"));
    EXPECT_EQ(renamed.error().number(), EROFS);
  });
}

// ---- 09-waiting-for-each-other ----

TEST(GuideSync, a_timeout_gives_up_the_place_in_the_queue) {
  pr::run([]() -> pr::task<> {
    pr::semaphore permits(1);
    auto mine = co_await permits.acquire();
    auto other = co_await pr::timeout(1ms, permits.acquire());  // nobody gives one back
    EXPECT_FALSE(other.has_value());
    mine.release();
    EXPECT_EQ(permits.available(), 1u);
  }());
}

TEST(GuideSync, a_thread_sends_to_a_task) {
  pr::run([]() -> pr::task<> {
    auto [tx, rx] = pr::channel<int>(8);
    std::thread worker([to = std::move(tx)] {
      for (int i = 1; i <= 3; ++i) to.blocking_send(i);
    });
    int sum = 0;
    while (auto value = co_await rx.receive()) sum += *value;
    worker.join();
    EXPECT_EQ(sum, 6);
  }());
}

}  // namespace
