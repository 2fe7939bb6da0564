#include "exec/stall_detector.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include <parkring/parkring.hpp>

#include "support/captured_stderr.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;
using testing::captured_stderr;

// Holds the thread until that is told of.
task<> hold_until_told(captured_stderr& err, std::string& told) {
  co_await yield();
  told = err.read_until("blocking()");
}

TEST(StallDetector, names_the_task_that_holds_the_thread_while_it_does) {
  captured_stderr err;
  std::string told;
  runtime rt({.stall_threshold = 5ms});
  rt.run(hold_until_told(err, told));
  EXPECT_NE(told.find("stall_detector_test.cpp"), std::string::npos) << told;
  EXPECT_NE(told.find("hold_until_told("), std::string::npos) << told;
  EXPECT_GE(rt.counters().stalls, 1u);
}

TEST(StallDetector, tells_of_one_stall_once) {
  captured_stderr err;
  std::string told;
  {
    runtime rt({.stall_threshold = 5ms});
    rt.run(
        [](captured_stderr& e, std::string& t) -> task<> {
          co_await yield();
          t = e.read_until("blocking()");
          std::this_thread::sleep_for(50ms);
          t = e.read_now();
        },
        std::ref(err), std::ref(told));
  }
  EXPECT_EQ(told.find("is held by"), told.rfind("is held by")) << told;
}

TEST(StallDetector, a_thread_that_sleeps_in_the_kernel_is_no_stall) {
  captured_stderr err;
  runtime rt({.stall_threshold = 60'000ms});
  rt.run([]() -> task<> { co_await sleep_for(5ms); });
  EXPECT_EQ(rt.counters().stalls, 0u);
  EXPECT_EQ(err.read_now(), "");
}

TEST(StallDetector, without_a_threshold_nobody_looks) {
  captured_stderr err;
  runtime rt;
  rt.run([]() -> task<> {
    std::this_thread::sleep_for(5ms);
    co_return;
  });
  EXPECT_EQ(rt.counters().stalls, 0u);
  EXPECT_EQ(err.read_now(), "");
}

}  // namespace
}  // namespace parkring
