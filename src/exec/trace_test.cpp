#include <parkring/trace.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/scratch.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;
using testing::scratch;

std::string contents(const std::filesystem::path& file) {
  std::ostringstream all;
  all << std::ifstream(file).rdbuf();
  return all.str();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// tests/tools/check_trace.py parses it, and looks at what belongs together.
int checked(const std::filesystem::path& file) {
  std::string command = "python3 -B ";
  command.append(PARKRING_SOURCE_DIR).append("/tests/tools/check_trace.py ").append(file.native());
  return std::system(command.c_str());
}

task<> nops(int n) {
  for (int i = 0; i < n; ++i) co_await nop();
}

task<> read_twice(std::filesystem::path path) {
  auto f = co_await fs::open(path, {.inline_first = fs::inline_mode::never});
  buffer b(4096);
  (void)co_await f.read_at(b, 0);
  (void)co_await f.read_at(b, 4096);
}

TEST(Trace, has_turns_resumes_requests_and_enters_and_is_valid_json) {
  scratch dir;
  const auto data = dir.file("da\"ta\n", std::string(10'000, 'x'));
  const auto out = dir / "trace.json";
  trace::start(out);
  runtime rt;
  rt.run(read_twice(data));
  rt.run(nops(100));
  rt.run([]() -> task<> { co_await sleep_for(1ms); });
  const trace::summary s = trace::stop();
  EXPECT_EQ(s.runtimes, 1u);
  EXPECT_GT(s.events, 300u);
  EXPECT_EQ(s.bytes_lost, 0u);
  EXPECT_EQ(checked(out), 0);
  const std::string text = contents(out);
  EXPECT_TRUE(has(text, "\"name\":\"turn\""));
  EXPECT_TRUE(has(text, "\"name\":\"enter\""));
  EXPECT_TRUE(has(text, "\"name\":\"nop\""));
  EXPECT_TRUE(has(text, "\"name\":\"timers fire\""));
  EXPECT_TRUE(has(text, "nops(int)"));
  EXPECT_TRUE(has(text, "trace_test.cpp:"));
  EXPECT_TRUE(has(text, "\"result\":4096,\"file\":"));
  EXPECT_TRUE(has(text, "\"offset\":4096,\"length\":4096")) << text.substr(0, 4000);
}

TEST(Trace, a_wake_by_another_thread_shows) {
  scratch dir;
  const auto out = dir / "trace.json";
  {
    trace::session recording(out);
    runtime rt;
    event posted;
    std::atomic<bool> end{false};
    // A post wakes nobody when it comes while the runtime has a turn: the one that did is counted.
    std::thread other([&, far = rt.remote()] {
      for (int i = 0; i < 20'000 && !end; ++i) {
        (void)far.post([&] { posted.set(); });
        std::this_thread::sleep_for(500us);
      }
      (void)far.post([&] { end = true, posted.set(); });
    });
    rt.run(
        [](runtime& self, event& e, std::atomic<bool>& ended) -> task<> {
          while (self.counters().wakes == 0 && !ended) {
            co_await e.wait();
            e.reset();
          }
          ended = true;
          co_await nop();  // one more enter, which tells of what was counted just now
        },
        std::ref(rt), std::ref(posted), std::ref(end));
    other.join();
    ASSERT_GT(rt.counters().wakes, 0u);
  }
  EXPECT_EQ(checked(out), 0);
  EXPECT_TRUE(has(contents(out), "\"name\":\"enter\""));
  EXPECT_TRUE(has(contents(out), "\"name\":\"woken\""));
}

TEST(Trace, begins_and_ends_while_runtimes_run) {
  scratch dir;
  const auto out = dir / "trace.json";
  runtime rt;
  rt.run(
      [](std::filesystem::path file) -> task<> {
        co_await nops(50);
        trace::start(file);
        co_await nops(50);
        const auto s = trace::stop();
        EXPECT_GT(s.events, 50u);
        co_await nops(50);
      },
      out);
  EXPECT_EQ(checked(out), 0);
  rt.run(nops(10));
}

TEST(Trace, of_more_than_it_has_room_for_the_last_is_kept) {
  scratch dir;
  const auto out = dir / "trace.json";
  trace::start(out, {.bytes_per_runtime = 64 << 10, .time_every_resume = true});
  runtime rt;
  rt.run(nops(20'000));
  const auto s = trace::stop();
  EXPECT_GT(s.bytes_lost, 0u);
  EXPECT_GT(s.events, 100u);
  EXPECT_EQ(checked(out), 0);
}

TEST(Trace, each_runtime_has_a_track_and_none_waits_for_the_end) {
  scratch dir;
  const auto out = dir / "trace.json";
  trace::start(out, {.bytes_per_runtime = 1 << 18});
  std::vector<std::thread> threads;
  std::atomic<bool> end{false};
  std::atomic<int> running{0};
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      runtime rt;
      rt.run(
          [](std::atomic<bool>& stop, std::atomic<int>& n) -> task<> {
            co_await nops(100);
            ++n;
            while (!stop) co_await nop();
          },
          std::ref(end), std::ref(running));
    });
  while (running != 3) std::this_thread::yield();
  const auto s = trace::stop();  // while they run
  EXPECT_EQ(s.runtimes, 3u);
  end = true;
  for (auto& t : threads) t.join();
  EXPECT_EQ(checked(out), 0);
}

TEST(Trace, what_was_in_flight_before_it_began_has_an_end_only) {
  scratch dir;
  const auto out = dir / "trace.json";
  runtime rt;
  rt.run(
      [](std::filesystem::path file) -> task<> {
        auto sleeps = spawn([]() -> task<> { co_await nops(1000); });
        co_await nops(3);
        trace::start(file);
        co_await std::move(sleeps);
      },
      out);
  trace::stop();
  EXPECT_EQ(checked(out), 0);
}

TEST(Trace, a_file_that_cannot_be_made_is_an_error_and_nothing_is_recorded) {
  EXPECT_THROW(trace::start("/nowhere/at/all/trace.json"), std::system_error);
  EXPECT_EQ(trace::stop().runtimes, 0u);
}

TEST(TraceDeathTest, two_recordings_at_once_are_refused) {
  scratch dir;
  trace::start(dir / "one.json");
  EXPECT_DEATH(trace::start(dir / "two.json"), "stop\\(\\) that one first");
  trace::stop();
}

}  // namespace
}  // namespace parkring
