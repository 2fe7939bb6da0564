// The queue full, the kernel refusing, completions overflowing, records used up.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "exec/core.hpp"
#include "support/faulty_kernel.hpp"
#include "support/machine.hpp"
#include "support/scale.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

pr::task<> nops(int count) {
  while (count-- > 0) co_await pr::nop();
}

pr::task<> read_one(std::filesystem::path path, int& bytes) {
  auto f = co_await pr::fs::open(path);
  pr::buffer b(16);
  bytes += static_cast<int>(co_await f.read_at(b, 0));
}

class QueueSizes : public ::testing::TestWithParam<unsigned> {
 protected:
  [[nodiscard]] pr::runtime_options options() const { return {.entries = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(Entries, QueueSizes, ::testing::Values(1u, 2u, 3u, 256u));

// Case 36: full at push.
TEST_P(QueueSizes, a_full_queue_at_push_delays_but_loses_nothing) {
  pr::runtime rt(options());
  rt.run([]() -> pr::task<> {
    pr::task_group group;
    for (int i = 0; i < 500; ++i) group.spawn(nops(10));
    co_await group.join();
  }());
  EXPECT_GE(rt.counters().submissions, 5000u);
  EXPECT_EQ(rt.counters().operations, 0u);
}

// Case 36: full at cancel.
TEST_P(QueueSizes, a_full_queue_at_cancel_loses_no_cancel) {
  pipe_pair pipe;
  pr::runtime rt(options());
  rt.run([](pr::runtime& r, std::filesystem::path path) -> pr::task<> {
    std::vector<pr::join_handle<void>> readers;
    int bytes = 0;
    for (int i = 0; i < 50; ++i) readers.push_back(pr::spawn(read_one(path, bytes)));
    while (r.counters().operations < 50) co_await pr::nop();
    for (int i = 0; i < 50; ++i) readers.push_back(pr::spawn(nops(1)));  // fill the queue as well
    co_await pr::yield();
    readers.clear();
    EXPECT_GT(r.counters().abandoned, 0u);
    // Every reader's read ends by its cancel only.
    for (int i = 0; i < 100'000 && r.counters().operations > 0; ++i) co_await pr::yield();
    EXPECT_EQ(r.counters().operations, 0u);
    EXPECT_EQ(bytes, 0);
  }(rt, pipe.read_path()));
}

// Case 36: full at park, when the waker wants its entry too.
TEST_P(QueueSizes, a_full_queue_at_park_still_can_be_woken) {
  PARKRING_NEEDS_REAL("threads");
  pipe_pair pipe;
  pr::runtime rt(options());
  int bytes = 0;
  std::vector<pr::join_handle<void>> readers;
  for (int i = 0; i < 8; ++i) readers.push_back(rt.spawn(read_one(pipe.read_path(), bytes)));
  auto asleep = rt.spawn(pr::sleep_for(1h));
  std::thread other([&, remote = rt.remote()] {
    std::this_thread::sleep_for(20ms);
    remote.post([&] { asleep.abort(); });
  });
  rt.run([&]() -> pr::task<> { EXPECT_THROW(co_await asleep, pr::task_aborted); });
  other.join();
}

// Case 37: enter fails after a push.
TEST(Refusals, what_was_pushed_stays_with_the_ring_whatever_enter_answers) {
  scratch dir;
  const auto path = dir.file("f", "hello");
  for (const int error : {EINTR, EAGAIN, EBUSY}) {
    for (const bool consumes : {false, true}) {
      for (const unsigned entries : {1u, 2u, 256u}) {
        faulty_kernel kernel;
        kernel.fail_every = 2;
        kernel.regular_error = error;
        kernel.interrupt_after_submitting = consumes;
        pr::runtime rt = pr::exec::runtime_access::make(kernel, {.entries = entries});
        int bytes = 0;
        rt.run([](std::filesystem::path p, int& n) -> pr::task<> {
          pr::task_group group;
          for (int i = 0; i < 20; ++i) {
            group.spawn(nops(5));
            group.spawn(read_one(p, n));
          }
          co_await group.join();
        }(path, bytes));
        EXPECT_EQ(bytes, 100) << "error " << error << ", entries " << entries;
        EXPECT_GT(kernel.faults, 0u);
        // The files' closing is nobody's to wait for.
        for (int i = 0; i < 5'000 && rt.counters().operations != 0; ++i) rt.run(pr::sleep_for(1ms));
        EXPECT_EQ(rt.counters().operations, 0u);
      }
    }
  }
}

// Case 37: the same while a runtime ends.
TEST(Refusals, a_teardown_survives_them) {
  for (const int error : {EINTR, EAGAIN, EBUSY}) {
    pipe_pair pipe;
    faulty_kernel kernel;
    int bytes = 0;
    {
      pr::runtime rt = pr::exec::runtime_access::make(kernel, {.entries = 2});
      std::vector<pr::join_handle<void>> readers;
      for (int i = 0; i < 20; ++i) readers.push_back(rt.spawn(read_one(pipe.read_path(), bytes)));
      rt.run(nops(20));
      kernel.fail_every = 2;
      kernel.regular_error = error;
    }
    EXPECT_GT(kernel.faults, 0u);
  }
}

// Case 38.
TEST(Overflow, more_completions_than_the_queue_holds_are_all_delivered) {
  constexpr int in_flight = scaled(100'000);
  pr::runtime rt({.entries = 64, .completion_entries = 64, .max_operations = 200'000});
  int done = 0;
  rt.run([](int& n) -> pr::task<> {
    pr::task_group group;
    for (int i = 0; i < in_flight; ++i)
      group.spawn(
          [](int& count) -> pr::task<> {
            co_await pr::nop();
            ++count;
          },
          std::ref(n));
    co_await group.join();
  }(done));
  EXPECT_EQ(done, in_flight);
  EXPECT_EQ(rt.counters().operations, 0u);
}

// Case 38: all of them really at once, and then all done at once.
TEST(Overflow, many_reads_that_wait_for_one_event_are_all_woken) {
  constexpr int in_flight = scaled(4'000);
  pipe_pair pipe;
  pr::runtime rt({.entries = 16, .completion_entries = 16, .max_operations = 200'000});
  int ended = 0;
  rt.run([](pr::runtime& r, pipe_pair& p, int& n) -> pr::task<> {
    pr::task_group group;
    std::vector<pr::fs::file> files;
    constexpr int per_file = 100;  // reads of one stream queue up behind each other
    for (int i = 0; i < 40; ++i) files.push_back(co_await pr::fs::open(p.read_path()));
    for (int i = 0; i < in_flight; ++i)
      group.spawn(
          [](pr::fs::file& f, int& count) -> pr::task<> {
            auto [memory, got] = co_await f.read_at(std::string(1, ' '), 0);
            EXPECT_EQ(got, 0u);
            ++count;
          },
          std::ref(files[static_cast<std::size_t>(i / per_file) % files.size()]), std::ref(n));
    co_await pr::nop();
    EXPECT_GE(r.counters().operations, 1u);
    p.close_write_end();  // the end of the stream, for all
    co_await group.join();
  }(rt, pipe, ended));
  EXPECT_EQ(ended, in_flight);
}

// Waits for a pipe to have something to read: a request that stays in flight until then, and of
// which a file may have any number.
const pr::detail::record_type poll_type = {
    .name = "poll",
    .prepare =
        [](pr::detail::record& r, pr::kernel::abi::sqe& e) noexcept {
          e.opcode = pr::kernel::abi::op_poll_add;
          e.fd = r.as<int>();
          e.poll32_events = POLLIN;
        },
    .complete = nullptr,
    .destroy = nullptr,
};
struct poll_request {
  using value_type = void;
  int fd;
  bool ready(pr::detail::op_waiter&) noexcept { return false; }
  void start(pr::detail::op_waiter& w) noexcept {
    auto& ops = pr::exec::this_core().ops;
    pr::detail::record* r = ops.acquire(poll_type);
    if (r == nullptr) return ops.starve(w);
    r->emplace<int>(fd);
    ops.submit(*r, &w);
  }
  std::expected<void, pr::error> value(pr::detail::op_waiter&) const noexcept { return {}; }
  pr::error failure(int number) const { return {number, "poll", ""}; }
};
auto readable(int fd) { return pr::detail::simple_operation<poll_request>(poll_request{fd}); }

// Case 38: with the smallest queues, all requests really in flight when one event ends them all.
TEST(Overflow, a_hundred_thousand_requests_end_at_once_on_the_smallest_queue) {
  constexpr int in_flight = scaled(100'000);
  pipe_pair pipe;
  pr::runtime rt({.entries = 1, .completion_entries = 1, .max_operations = 200'000});
  int woken = 0;
  rt.run([](pr::runtime& r, pipe_pair& p, int& n) -> pr::task<> {
    pr::task_group group;
    for (int i = 0; i < in_flight; ++i)
      group.spawn(
          [](int fd, int& count) -> pr::task<> {
            co_await readable(fd);
            ++count;
          },
          p.read_end(), std::ref(n));
    while (r.counters().submissions < in_flight) co_await pr::nop();
    co_await nops(3);  // the kernel has all of them
    EXPECT_GE(r.counters().operations, std::size_t{in_flight});
    EXPECT_EQ(n, 0);
    p.put("x");
    co_await group.join();
  }(rt, pipe, woken));
  EXPECT_EQ(woken, in_flight);
  EXPECT_EQ(rt.counters().operations, 0u);
}

// Case 38: dropped at once: neither the cancels nor the completions fit. Fewer, since the kernel
// looks for what to cancel in a table whose size follows the queue's.
TEST(Overflow, many_requests_dropped_at_once_are_cancelled_on_the_smallest_queue) {
  constexpr int in_flight = scaled(4'000);
  pipe_pair pipe;
  pr::runtime rt({.entries = 1, .completion_entries = 1, .max_operations = 200'000});
  rt.run([](pr::runtime& r, pipe_pair& p) -> pr::task<> {
    {
      pr::task_group group;
      for (int i = 0; i < in_flight; ++i) group.spawn(readable(p.read_end()));
      while (r.counters().submissions < in_flight) co_await pr::nop();
    }
    EXPECT_GE(r.counters().orphans, std::size_t{in_flight});
    while (r.counters().orphans != 0) co_await pr::sleep_for(1ms);
  }(rt, pipe));
  EXPECT_EQ(rt.counters().operations, 0u);
}

class FewRecords : public ::testing::TestWithParam<std::size_t> {
 protected:
  [[nodiscard]] pr::runtime_options options() const {
    return {.entries = 4, .max_operations = GetParam()};
  }
};
INSTANTIATE_TEST_SUITE_P(Limits, FewRecords, ::testing::Values(1u, 2u, 3u, 4u));

// Case 39.
TEST_P(FewRecords, requests_wait_their_turn_in_order) {
  pr::runtime rt(options());
  std::vector<int> order;
  rt.run([](std::vector<int>& done) -> pr::task<> {
    pr::task_group group;
    for (int i = 0; i < 100; ++i)
      group.spawn(
          [](int me, std::vector<int>& list) -> pr::task<> {
            co_await pr::nop();
            list.push_back(me);
          },
          i, std::ref(done));
    co_await group.join();
  }(order));
  std::vector<int> expected(100);
  for (int i = 0; i < 100; ++i) expected[static_cast<std::size_t>(i)] = i;
  EXPECT_EQ(order, expected);
  EXPECT_GT(rt.counters().starvations, 0u);
}

// Case 39: the loop's own needs must not take the last record.
TEST_P(FewRecords, sleeping_and_file_work_alternate_without_deadlock) {
  scratch dir;
  const auto path = dir.file("f", "hello");
  pr::runtime rt(options());
  int bytes = 0;
  rt.run([](std::filesystem::path p, int& n) -> pr::task<> {
    for (int i = 0; i < 10; ++i) {
      co_await pr::sleep_for(1ms);
      pr::task_group group;
      for (int k = 0; k < 10; ++k) group.spawn(read_one(p, n));
      co_await group.join();
    }
  }(path, bytes));
  EXPECT_EQ(bytes, 500);
}

// Case 39 with 41: all records in use by what never ends, and still a post arrives.
TEST_P(FewRecords, a_wake_arrives_while_all_records_are_in_use) {
  PARKRING_NEEDS_REAL("threads");
  pipe_pair pipe;
  pr::runtime rt(options());
  std::vector<pr::join_handle<void>> readers;
  int bytes = 0;
  for (std::size_t i = 0; i < 2 * GetParam(); ++i)
    readers.push_back(rt.spawn(read_one(pipe.read_path(), bytes)));
  auto asleep = rt.spawn(pr::sleep_for(1h));
  std::thread other([&, remote = rt.remote()] {
    std::this_thread::sleep_for(20ms);
    remote.post([&] {
      readers.clear();
      asleep.abort();
    });
  });
  rt.run([&]() -> pr::task<> { EXPECT_THROW(co_await asleep, pr::task_aborted); });
  other.join();
}

// Case 39: a waiter that is dropped while it waits for a record.
TEST_P(FewRecords, a_dropped_waiter_leaves_the_line) {
  pipe_pair pipe;
  pr::runtime rt(options());
  rt.run([](pr::runtime& r, std::filesystem::path p) -> pr::task<> {
    std::vector<pr::join_handle<void>> readers;
    int bytes = 0;
    for (int i = 0; i < 12; ++i) readers.push_back(pr::spawn(read_one(p, bytes)));
    for (int i = 0; i < 5; ++i) co_await pr::sleep_for(1ms);
    while (readers.size() > 1) readers.erase(readers.begin() + 1);
    readers.clear();
    co_await nops(5);
    EXPECT_EQ(r.counters().orphans, 0u);
  }(rt, pipe.read_path()));
}

}  // namespace
