// Cancelling: both orders of cancel and completion, and what a cancel must never reach.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include <parkring/parkring.hpp>

#include "soundness/dropped_ways.hpp"
#include "support/drop_everywhere.hpp"
#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;
using stage = stepped_runtime::stage;

namespace {

pr::task<> open_into(std::filesystem::path path, pr::fs::file& f) {
  f = co_await pr::fs::open(path);
}
pr::task<> read_some(pr::fs::file& f, std::string& got) {
  auto [text, n] = co_await f.read_at(std::string(100, ' '), 0);
  got.append(text, 0, n);
}

// case 10, 3, 4: a read of a pipe is dropped before or after its bytes have come, at every stage
TEST(CancelOrder, no_byte_of_a_pipe_is_lost_wherever_the_read_is_dropped) {
  for (const unsigned entries : {256u, 2u, 1u}) {
    for (const way& w : ways) {
      for (int bytes_at = 0; bytes_at < 8; ++bytes_at) {
        for (int drop_at = 0; drop_at < 10; ++drop_at) {
          SCOPED_TRACE(std::string(w.name) + ", bytes at " + std::to_string(bytes_at) +
                       ", dropped at " + std::to_string(drop_at));
          pipe_pair pipe;
          pr::runtime_options options;
          options.entries = entries;
          stepped_runtime rt(options);
          pr::fs::file f;
          rt.run(open_into(pipe.read_path(), f));
          // Read only until the request has resumed: what was resumed was delivered.
          rt.start(w.read(f));
          for (int step = 0; step < drop_at && rt.running(); ++step) {
            if (step == bytes_at) pipe.put("abc");
            // Without bytes there is nothing to wait for in the kernel.
            if (step < bytes_at && step >= 2) continue;
            rt.step();
          }
          const bool taken = !rt.running();
          rt.abort();
          if (bytes_at >= drop_at) pipe.put("abc");
          if (!taken) {
            std::string got;
            while (got.size() < 3) rt.run(read_some(f, got));
            EXPECT_EQ(got, "abc");
          }
          f = {};
        }
      }
      EXPECT_TRUE(memory_is_in_order());
      if (HasFailure()) return;
    }
  }
}

// case 10: the bytes were there and the reader ready, but it never resumed; others wait behind it
TEST(CancelOrder, what_a_ready_reader_leaves_goes_to_the_one_behind_in_order) {
  pipe_pair pipe;
  stepped_runtime rt;
  pr::fs::file f;
  rt.run(open_into(pipe.read_path(), f));
  rt.start([](pr::fs::file& file) -> pr::task<> {
    pr::buffer b(3);
    (void)co_await file.read_at(b, 0);
  }(f));
  rt.step_past(stage::submit);
  std::string got;
  auto& behind = pr::detail::spawn_awaitable_on(pr::detail::running_core(), std::source_location(),
                                                read_some(f, got));
  rt.step();  // it queues behind the first
  pipe.put("abcdef");
  rt.step_past(stage::reap);
  rt.abort();
  while (behind.state == pr::detail::task_state::live) rt.step();
  pr::detail::drop_handle(behind, false);
  while (got.size() < 6) rt.run(read_some(f, got));
  EXPECT_EQ(got, "abcdef");
}

// case 8: a timeout that is over touches nothing that comes later
TEST(CancelOrder, an_abandoned_timeout_never_hits_the_next_request) {
  pipe_pair pipe;
  pr::runtime rt;
  rt.run(
      [](pipe_pair& p) -> pr::task<> {
        auto f = co_await pr::fs::open(p.read_path());
        for (int i = 0; i < 50; ++i) {
          (void)co_await pr::timeout(0ms, f.read_at(watched_bytes(16), 0));
          p.put("x");
          // Had the cancel hit this one, it would fail or lose its byte.
          auto [bytes, n] = co_await f.read_at(watched_bytes(16), 0);
          EXPECT_EQ(n, 1u);
        }
      },
      std::ref(pipe));
  EXPECT_GT(rt.counters().cancels, 0u);
}

// case 12: records are used again at once, and a cancel names the earlier use only
TEST(CancelOrder, a_cancel_never_hits_a_newer_request_in_the_same_record) {
  pipe_pair dropped, kept;
  pr::runtime_options options;
  options.entries = 1;
  options.max_operations = 3;  // the waker's, and two that are used again and again
  pr::runtime rt(options);
  rt.run(
      [](pipe_pair& one, pipe_pair& two) -> pr::task<> {
        auto f = co_await pr::fs::open(one.read_path());
        auto g = co_await pr::fs::open(two.read_path());
        for (int i = 0; i < 200; ++i) {
          one.put("y");
          (void)co_await pr::timeout(0ms, f.read_at(watched_bytes(1), 0));
          auto reader = pr::spawn(g.read_at(watched_bytes(16), 0));
          for (int turn = 0; turn < 3; ++turn) co_await pr::nop();
          two.put("x");
          auto result = co_await std::move(reader);
          EXPECT_EQ(result.count, 1u);
        }
      },
      std::ref(dropped), std::ref(kept));
  EXPECT_TRUE(memory_is_in_order());
}

// case 11: the queue has one entry, and there are many cancels
TEST(CancelOrder, cancels_are_not_lost_when_the_queue_is_full) {
  pipe_pair pipe;
  pr::runtime_options options;
  options.entries = 1;
  pr::runtime rt(options);
  std::optional<pr::fs::file> files[20];
  rt.run(
      [](pipe_pair& p, std::optional<pr::fs::file>* all) -> pr::task<> {
        pr::task_group group;
        for (int i = 0; i < 20; ++i) {
          all[i] = co_await pr::fs::open(p.read_path());
          group.spawn(all[i]->read_at(watched_bytes(16), 0));
        }
        for (int i = 0; i < 3; ++i) co_await pr::nop();
        group.abort_all();
      },
      std::ref(pipe), files + 0);
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (rt.counters().operations != 0 && std::chrono::steady_clock::now() < give_up)
    rt.run(pr::nop());
  EXPECT_EQ(rt.counters().operations, 0u);
  EXPECT_EQ(rt.counters().cancels, 20u);
}

// case 9: twice, and after the end
TEST(CancelOrder, aborting_again_or_late_is_harmless) {
  pipe_pair pipe;
  pr::runtime rt;
  rt.run(
      [](pipe_pair& p) -> pr::task<> {
        auto f = co_await pr::fs::open(p.read_path());
        auto h = pr::spawn(f.read_at(watched_bytes(16), 0));
        co_await pr::nop();
        h.abort();
        h.abort();
        auto done = pr::spawn(pr::nop());
        co_await done;
        done.abort();
        p.put("x");
        auto [bytes, n] = co_await f.read_at(watched_bytes(16), 0);
        EXPECT_EQ(n, 1u);
      },
      std::ref(pipe));
  EXPECT_EQ(rt.counters().tasks, 0u);
}

// case 9: from another thread
TEST(CancelOrder, aborting_elsewhere_is_harmless) {
  PARKRING_NEEDS_REAL("threads");
  pipe_pair pipe;
  pr::runtime rt;
  rt.run(
      [](pipe_pair& p) -> pr::task<> {
        auto f = co_await pr::fs::open(p.read_path());
        auto elsewhere = pr::spawn(f.read_at(watched_bytes(16), 0));
        co_await pr::nop();
        std::thread other([h = std::move(elsewhere)]() mutable { h.abort(); });
        other.join();
        co_await pr::nop();
        p.put("x");
        auto [bytes, n] = co_await f.read_at(watched_bytes(16), 0);
        EXPECT_EQ(n, 1u);
      },
      std::ref(pipe));
  EXPECT_EQ(rt.counters().tasks, 0u);
}

// case 13
TEST(CancelOrder, a_group_aborts_its_own_only) {
  pipe_pair of_group, pipe;
  pr::runtime rt;
  rt.run(
      [](pipe_pair& o, pipe_pair& p) -> pr::task<> {
        auto f = co_await pr::fs::open(o.read_path());
        auto g = co_await pr::fs::open(p.read_path());
        auto kept = pr::spawn(g.read_at(watched_bytes(16), 0));
        pr::task_group group;
        group.spawn(f.read_at(watched_bytes(16), 0));
        co_await pr::nop();
        group.abort_all();
        co_await pr::nop();
        p.put("x");
        const auto result = co_await std::move(kept);
        EXPECT_EQ(result.count, 1u);
      },
      std::ref(of_group), std::ref(pipe));
}

// case 14
TEST(CancelOrder, a_timeout_and_an_abort_together_end_it_once) {
  pipe_pair pipe;
  pr::runtime rt;
  rt.run(
      [](pipe_pair& p) -> pr::task<> {
        auto f = co_await pr::fs::open(p.read_path());
        for (int i = 0; i < 20; ++i) {
          auto h = pr::spawn(pr::timeout(i % 2 == 0 ? 0us : 50us, f.read_at(watched_bytes(16), 0)));
          for (int turn = 0; turn < i % 4; ++turn) co_await pr::nop();
          h.abort();
        }
        p.put("x");
        auto [bytes, n] = co_await f.read_at(watched_bytes(16), 0);
        EXPECT_EQ(n, 1u);
      },
      std::ref(pipe));
}

// case 15
TEST(CancelOrder, a_composite_says_how_far_it_came) {
  pipe_pair pipe;
  pr::run([](pipe_pair& p) -> pr::task<> {
    auto f = co_await pr::fs::open(p.read_path());
    pr::buffer b(10);
    p.put("abc");
    p.close_write_end();
    auto all = co_await pr::as_result(f.read_exactly_at(b, 0));
    EXPECT_FALSE(all.has_value());
    EXPECT_EQ(all.error().transferred(), 3u);
    EXPECT_EQ(all.error().number(), ENODATA);
  }(pipe));
}

// case 16: nobody opens the other end
TEST(CancelOrder, an_open_that_never_ends_is_left_at_once) {
  scratch dir;
  const auto fifo = dir.fifo("fifo");
  const int before = open_descriptors();
  {
    pr::runtime rt;
    rt.run(
        [](std::filesystem::path path) -> pr::task<> {
          // Creating makes the kernel send it to a worker, where the open of a pipe blocks.
          EXPECT_FALSE(co_await pr::timeout(
              1ms, pr::fs::open(path, {.creation = pr::fs::creation::if_missing})));
        },
        fifo);
  }
  EXPECT_LE(open_descriptors_once_below(before), before);
}

}  // namespace
