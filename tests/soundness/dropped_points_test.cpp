// Points of a request's life that need more than a drop: leaked frames and exceptions.
#include <gtest/gtest.h>

#include <coroutine>
#include <exception>
#include <stdexcept>
#include <string>

#include <vector>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/scratch.hpp"
#include "support/watched_memory.hpp"

namespace pr = parkring;
using namespace parkring::testing;

namespace {

// A coroutine of the user that nobody owns: it starts at once, and its frame is never destroyed.
struct leaked {
  struct promise_type {
    leaked get_return_object() {
      kept().push_back(std::coroutine_handle<promise_type>::from_promise(*this).address());
      return {};
    }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const { std::terminate(); }
    static std::vector<void*>& kept() {  // reachable, also when the test is repeated: on purpose
      static auto* const frames = new std::vector<void*>;
      return *frames;
    }
  };
};

leaked reads_for_ever(pr::fs::file& f) { (void)co_await f.read_at(watched_bytes(64), 0); }

// case 6
TEST(DroppedPoints, a_frame_that_is_leaked_does_not_keep_the_runtime_from_ending) {
  pipe_pair pipe;
  {
    pr::runtime rt;
    rt.run(
        [](pipe_pair& p) -> pr::task<> {
          auto f = co_await pr::fs::open(p.read_path());
          reads_for_ever(f);
          co_await pr::nop();
        },
        std::ref(pipe));
    EXPECT_EQ(rt.counters().operations, 1u);
  }
  pipe.put("late");  // nobody is there to write it anywhere
  EXPECT_EQ(graveyard::instance().disturbed(), 0u);
}

// case 5
TEST(DroppedPoints, a_result_that_nobody_takes_is_disposed_of) {
  scratch dir;
  const auto path = dir.file("data", "content");
  const int before = open_descriptors();
  {
    pr::runtime rt;
    rt.run(
        [](std::filesystem::path p) -> pr::task<> {
          auto opened = pr::spawn(pr::fs::open(p));
          auto read = pr::spawn(pr::fs::read_file(p));
          while (!opened.done() || !read.done()) co_await pr::nop();
        },
        path);
    rt.run(pr::nop());
  }
  EXPECT_LE(open_descriptors_once_below(before), before);
}

pr::task<> throws_with_a_read_in_flight(pr::fs::file& f) {
  pr::buffer b(16);
  auto reader = pr::spawn(f.read_at(b, 0));
  co_await pr::nop();
  throw std::runtime_error("between submit and resume");
}

// case 7: an exception between submit and resume
TEST(DroppedPoints, an_exception_while_a_request_is_in_flight_leaves_nothing) {
  pipe_pair pipe;
  pr::runtime rt;
  rt.run(
      [](pipe_pair& p) -> pr::task<> {
        auto f = co_await pr::fs::open(p.read_path());
        for (int i = 0; i < 10; ++i) {
          try {
            co_await throws_with_a_read_in_flight(f);
            ADD_FAILURE() << "the error was lost";
          } catch (const std::runtime_error&) {
          }
        }
        p.put("x");
        const auto result = co_await f.read_at(watched_bytes(16), 0);
        EXPECT_EQ(result.count, 1u);
      },
      std::ref(pipe));
}

// case 7: one thrown by a resumed coroutine while completions remain
TEST(DroppedPoints, an_exception_out_of_run_loses_no_completion) {
  pr::runtime rt;
  int done = 0;
  const auto count = [](int& n) -> pr::task<> {
    co_await pr::nop();
    ++n;
  };
  for (int i = 0; i < 20; ++i) rt.spawn(count, std::ref(done)).detach();
  EXPECT_THROW(rt.run([]() -> pr::task<> {
    co_await pr::nop();
    throw std::runtime_error("on purpose");
  }()),
               std::runtime_error);
  for (int i = 0; i < 3; ++i) rt.run(pr::nop());
  EXPECT_EQ(done, 20);
  EXPECT_EQ(rt.counters().tasks, 0u);
}

// case 2, 4: the owned memory lives exactly as long as the kernel may write to it
TEST(DroppedPoints, memory_of_a_dropped_read_ends_with_the_request_and_not_before) {
  graveyard& g = graveyard::instance();
  pipe_pair pipe;
  stepped_runtime rt;
  pr::fs::file f;
  rt.run([](std::filesystem::path p, pr::fs::file& out) -> pr::task<> {
    out = co_await pr::fs::open(p);
  }(pipe.read_path(), f));
  g.clear();
  const auto descriptors = rt.take_inventory().descriptors;
  rt.start([](pr::fs::file& file) -> pr::task<> {
    (void)co_await file.read_at(watched_bytes(64), 0);
  }(f));
  rt.step_past(stepped_runtime::stage::submit);
  rt.abort();
  EXPECT_EQ(g.alive, 1u) << "freed while the kernel has it";
  pipe.put("late");
  inventory expected = rt.take_inventory();
  expected.descriptors = descriptors;  // a request that waits may have had one of its own
  expected.operations = expected.orphans = 0;
  const inventory now = rt.settle(expected);
  EXPECT_EQ(now, tightened(expected, now));
  EXPECT_EQ(g.alive, 0u);
  EXPECT_EQ(g.disturbed(), 0u);
  g.clear();
}

}  // namespace
