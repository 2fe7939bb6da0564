// What the guide's chapter on processes and signals quotes beside the examples.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <optional>
#include <string>

#include <parkring/parkring.hpp>

#include "support/scratch.hpp"

namespace pr = parkring;
using namespace std::chrono_literals;

namespace {

TEST(GuideProcesses, signals_are_kept_between_two_awaits) {
  auto body = []() -> pr::task<> {
    pr::signals reload({SIGHUP});
    ::raise(SIGHUP);
    ::raise(SIGHUP);  // nobody awaits it now
    auto s = co_await reload.next();
    EXPECT_EQ(s.number, SIGHUP);
    EXPECT_EQ(s.count, 2u);
  };
  pr::run(body());
}

pr::task<> log_into(std::filesystem::path path) {
  auto log = co_await pr::fs::open(
      path,
      {.access = pr::fs::access::write, .creation = pr::fs::creation::if_missing, .append = true});
  pr::command build("sh", "-c", "echo $STAGE; pwd");
  build.environment("STAGE", "one").working_directory("/usr");
  build.stdin_from(pr::stdio::null).stdout_to(log).stderr_to(log);
  pr::process p = co_await build.spawn();
  const pr::exit_status how = co_await p.wait();
  if (!how.success()) throw std::runtime_error(build.program() + " " + how.text());
}

TEST(GuideProcesses, outputs_go_to_a_file) {
  const parkring::testing::scratch dir;
  pr::run(log_into(dir / "log"));
  EXPECT_EQ(pr::run(pr::fs::read_file(dir / "log")), "one\n/usr\n");
}

TEST(GuideProcesses, a_group_ends_as_a_whole) {
  auto body = []() -> pr::task<> {
    pr::command job("sh", "-c", "sleep 100 & wait");
    job.new_process_group().kill_on_drop();
    pr::process p = co_await job.spawn();
    const pr::exit_status how = co_await p.terminate(2s);  // SIGTERM, later SIGKILL; to both
    EXPECT_TRUE(how.signalled());
  };
  pr::run(body());
}

}  // namespace
