#include <parkring/dump.hpp>

#include <gtest/gtest.h>

#include <signal.h>

#include <atomic>
#include <functional>
#include <string>
#include <system_error>

#include <parkring/parkring.hpp>

#include "support/captured_stderr.hpp"

namespace parkring {
namespace {

using testing::captured_stderr;

task<> wait_for_it(event& e) { co_await e.wait(); }

// Lets the others run until `part` was written.
task<> run_until(captured_stderr& err, const char* part) {
  while (err.read_now().find(part) == std::string::npos)
    co_await sleep_for(std::chrono::milliseconds(1));
}

TEST(DumpOnSignal, a_signal_makes_a_runtime_write_what_its_tasks_do) {
  captured_stderr err;
  runtime rt;
  dump_on_signal on_usr1(rt, SIGUSR1);
  event e;
  auto waits = rt.spawn(wait_for_it(e));
  ASSERT_EQ(::raise(SIGUSR1), 0);
  rt.run(run_until(err, "waits for event"));
  const std::string& text = err.read_now();
  EXPECT_NE(text.find("parkring: 2 task(s)"), std::string::npos) << text;
  EXPECT_NE(text.find("wait_for_it("), std::string::npos) << text;
}

TEST(DumpOnSignal, a_runtime_inside_a_long_task_is_told_of_by_that_task) {
  captured_stderr err;
  runtime rt;
  dump_on_signal on_usr1(rt, SIGUSR1);
  std::string text;
  rt.run(
      [](captured_stderr& from, std::string& into) -> task<> {
        co_await yield();
        ::raise(SIGUSR1);
        into = from.read_until(" ms\n");  // does not come back to the loop before that
      },
      std::ref(err), std::ref(text));
  EXPECT_NE(text.find("does not answer, it is inside the task spawned at"), std::string::npos)
      << text;
  EXPECT_NE(text.find("resumed in"), std::string::npos) << text;
}

TEST(DumpOnSignal, several_runtimes_share_a_signal) {
  captured_stderr err;
  runtime first, second;
  dump_on_signal one(first, SIGUSR2), two(second, SIGUSR2);
  ::raise(SIGUSR2);
  first.run(run_until(err, "parkring: 1 task(s)"));
  // Nobody runs the second one meanwhile.
  EXPECT_NE(err.read_until("nobody runs it").find("parkring: 1 task(s)"), std::string::npos);
}

std::atomic<int> own_calls{0};

TEST(DumpOnSignal, the_last_to_go_restores_what_the_signal_did) {
  struct sigaction own {
  }, before{};
  own.sa_handler = [](int) { ++own_calls; };
  ASSERT_EQ(::sigaction(SIGUSR2, &own, &before), 0);
  {
    runtime rt;
    dump_on_signal one(rt, SIGUSR2);
    dump_on_signal two(rt, SIGUSR2);
  }
  ::raise(SIGUSR2);
  EXPECT_EQ(own_calls, 1);
  ::sigaction(SIGUSR2, &before, nullptr);
}

TEST(DumpOnSignal, a_signal_that_cannot_be_caught_is_an_error) {
  runtime rt;
  EXPECT_THROW(dump_on_signal(rt, SIGKILL), std::system_error);
}

TEST(DumpOnSignal, it_may_go_after_its_runtime) {
  std::optional<runtime> rt;
  rt.emplace();
  dump_on_signal on_usr2(*rt, SIGUSR2);
  rt.reset();
}

}  // namespace
}  // namespace parkring
