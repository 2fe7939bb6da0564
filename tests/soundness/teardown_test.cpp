// The end of a runtime, with all kinds of things still under way.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>

#include "exec/core.hpp"
#include "support/child_process.hpp"
#include "support/faulty_kernel.hpp"
#include "support/machine.hpp"
#include "support/scratch.hpp"
#include "support/watched_memory.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

pr::task<> read_into_watched(std::filesystem::path path, pr::fs::open_options options,
                             std::size_t size) {
  auto f = co_await pr::fs::open(path, options);
  for (;;) (void)co_await f.read_at(watched_bytes(size), 0);
}

pr::task<> read_direct_into_watched(std::filesystem::path path, std::uint64_t offset) {
  // Any alignment will do for a request that fails; one that succeeds is made by the buffers below.
  auto f = co_await pr::fs::open(path, {.direct = true});
  for (;;) {
    pr::buffer b(4096, pr::aligned(f));
    (void)co_await f.read_at(b, offset);
  }
}

pr::task<> idle_reader(std::filesystem::path path) {
  auto f = co_await pr::fs::open(path);
  (void)co_await f.read_at(watched_bytes(4096), 0);
}

pr::task<> open_for_ever(std::filesystem::path path) {
  for (;;) auto f = co_await pr::fs::open(path);
}

// The kernel tries a plain open without blocking; one that may create goes to a worker thread.
pr::task<> open_on_worker(std::filesystem::path path) {
  auto f = co_await pr::fs::open(path, {.creation = pr::fs::creation::if_missing});
}

pr::task<> forget_reads(std::filesystem::path path) {  // leaves orphans behind
  auto f = co_await pr::fs::open(path, {.inline_first = pr::fs::inline_mode::never});
  for (int i = 0; i < 20; ++i) (void)co_await pr::timeout(0ms, f.read_at(watched_bytes(65536), 0));
}

void spin(pr::runtime& rt, int turns) {
  rt.run(
      [](int n) -> pr::task<> {
        while (n-- > 0) co_await pr::nop();
      },
      turns);
}

class Teardown : public ::testing::TestWithParam<unsigned> {
 protected:
  scratch dir_{std::filesystem::current_path()};
  std::filesystem::path big_ = dir_.file("big", std::string(1 << 20, 'x'));
  int descriptors_before_ = open_descriptors();

  void TearDown() override {
    EXPECT_EQ(graveyard::instance().disturbed(), 0u) << "freed memory was written to";
    EXPECT_EQ(graveyard::instance().alive, 0u) << "memory was not freed";
    graveyard::instance().clear();
    EXPECT_LE(open_descriptors_once_below(descriptors_before_), descriptors_before_)
        << "descriptors stayed open";
  }
  [[nodiscard]] pr::runtime_options options() const { return {.entries = GetParam()}; }
};

INSTANTIATE_TEST_SUITE_P(QueueSizes, Teardown, ::testing::Values(1u, 2u, 256u));

// Case 28.
TEST_P(Teardown, with_everything_under_way_frees_all_and_nothing_is_written_afterwards) {
  pipe_pair idle;
  descriptors_before_ = open_descriptors();
  // More turns where the first reads take longer.
  for (int turns = 0; turns < 8 || (turns < 2'000 && graveyard::instance().buried() == 0);
       ++turns) {
    pr::runtime rt(options());
    std::vector<pr::join_handle<void>> handles;
    for (unsigned i = 0; i < 8; ++i) {
      handles.push_back(rt.spawn(read_direct_into_watched(big_, i * 4096)));
      handles.push_back(
          rt.spawn(read_into_watched(big_, {.inline_first = pr::fs::inline_mode::never}, 65536)));
      handles.push_back(rt.spawn(idle_reader(idle.read_path())));
      handles.push_back(rt.spawn(open_for_ever(big_)));
      handles.push_back(rt.spawn(forget_reads(big_)));
    }
    spin(rt, turns);
  }
  EXPECT_GT(graveyard::instance().buried(), 0u);
  idle.put("late bytes");  // a request that survived would read them now
  EXPECT_EQ(graveyard::instance().disturbed(), 0u);
  idle.close_read_end();
  idle.close_write_end();
  descriptors_before_ -= 2;
}

// Case 28: entries that were pushed and never entered.
TEST_P(Teardown, with_unsubmitted_entries) {
  pr::runtime rt(options());
  std::vector<pr::join_handle<void>> handles;
  for (int i = 0; i < 50; ++i) handles.push_back(rt.spawn(open_for_ever(big_)));
  // The first resume of each pushes its entry; the run ends before the next enter.
  rt.run([]() -> pr::task<> { co_return; });
  EXPECT_GT(rt.counters().operations, 0u);
}

// Case 28: completions that hold descriptors and were never read.
TEST_P(Teardown, with_unread_completions_that_hold_descriptors) {
  for (int round = 0; round < 20; ++round) {
    pr::runtime rt(options());
    std::vector<pr::join_handle<void>> handles;
    for (int i = 0; i < 50; ++i) handles.push_back(rt.spawn(open_for_ever(big_)));
    rt.run(
        [](int r) -> pr::task<> {
          for (int i = 0; i < r; ++i) co_await pr::nop();
        },
        round % 4);
  }
}

// Case 28: a request that a worker thread of the kernel serves.
TEST_P(Teardown, with_an_open_that_waits_on_a_worker) {
  const auto fifo = dir_.fifo("fifo");
  const auto start = std::chrono::steady_clock::now();
  {
    pr::runtime rt(options());
    auto stuck = rt.spawn(open_on_worker(fifo));
    rt.run([]() -> pr::task<> { co_await pr::sleep_for(20ms); });
    EXPECT_FALSE(stuck.done());
    EXPECT_EQ(rt.counters().operations, 1u);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

// Writes that are dropped in flight are finished although their runtime ends at once. Those behind
// a sync are not begun by then, so that a cancel would find them.
TEST_P(Teardown, with_dropped_writes_leaves_them_to_finish) {
  constexpr unsigned writes = 32, size = 16'384;
  const auto target = dir_.file("target", "");
  const auto write = [](pr::fs::file& f, unsigned i) -> pr::task<> {
    co_await f.write_at(watched_bytes(size, static_cast<char>('a' + i % 26)),
                        std::uint64_t{i} * size);
  };
  const auto write_synced = [](pr::fs::file& f, unsigned i) -> pr::task<> {
    co_await pr::link(
        f.write_at(std::string(size, static_cast<char>('a' + i % 26)), std::uint64_t{i} * size),
        f.datasync(), f.write_at(std::string(size, 'z'), std::uint64_t{writes + i} * size));
  };
  const bool linkable = GetParam() >= 3;
  {
    auto o = options();
    o.shutdown_patience = 60s;  // the disk may be slow
    pr::runtime rt(o);
    auto file = rt.run(pr::fs::open(target, {.access = pr::fs::access::write,
                                             .data_sync = !linkable,
                                             .inline_first = pr::fs::inline_mode::never}));
    std::vector<pr::join_handle<void>> handles;
    for (unsigned i = 0; i < writes; ++i) {
      if (linkable)
        handles.push_back(rt.spawn(write_synced, std::ref(file), i));
      else
        handles.push_back(rt.spawn(write, std::ref(file), i));
    }
    rt.run([]() -> pr::task<> { co_return; });
    EXPECT_GT(rt.counters().operations, 0u);
    handles.clear();
    EXPECT_GT(rt.counters().orphans, 0u);
  }
  std::string expected;
  for (unsigned i = 0; i < writes; ++i) expected.append(size, static_cast<char>('a' + i % 26));
  if (linkable) expected.append(std::size_t{writes} * size, 'z');
  EXPECT_TRUE(content_of(target) == expected) << "a write was lost";
}

// Case 28: no patience at all still reaps what the kernel gives back at once.
TEST_P(Teardown, without_patience_still_takes_what_is_there) {
  auto o = options();
  o.shutdown_patience = 0ms;
  pr::runtime rt(o);
  if (rt.kernel() != "linux")
    GTEST_SKIP() << "an open is not given back at once by " << rt.kernel() << ", so it is leaked";
  std::vector<pr::join_handle<void>> handles;
  for (int i = 0; i < 8; ++i) handles.push_back(rt.spawn(pr::nop()));
  auto closing = rt.spawn(open_for_ever(big_));
  rt.run([]() -> pr::task<> { co_await pr::nop(); });
}

// Case 30: frames, wakers and operations that refer to each other.
TEST_P(Teardown, of_tasks_that_hold_each_others_handles) {
  struct knot {
    std::optional<pr::join_handle<void>> other;
    watched_bytes memory = watched_bytes(64);
  };
  {
    pr::runtime rt(options());
    auto a = std::make_shared<knot>(), b = std::make_shared<knot>();
    const auto wait_for_other = [](std::shared_ptr<knot> mine) -> pr::task<> {
      co_await pr::yield();
      co_await *mine->other;
    };
    a->other.emplace(rt.spawn(wait_for_other, b));
    b->other.emplace(rt.spawn(wait_for_other, a));
    a.reset();
    b.reset();
    spin(rt, 5);
    EXPECT_EQ(rt.counters().tasks, 2u);
  }
}

// Case 30: a posted function that holds its own way to post.
TEST_P(Teardown, of_a_message_that_posts_itself_again_ends) {
  auto token = std::make_shared<int>(0);
  {
    pr::runtime rt(options());
    struct again {
      pr::remote to;
      std::shared_ptr<int> token;
      void operator()() {
        ++*token;
        to.post(again{to, token});
      }
    };
    rt.remote().post(again{rt.remote(), token});
    spin(rt, 5);
  }
  EXPECT_GT(*token, 0);
  EXPECT_EQ(token.use_count(), 1) << "a message was not destroyed";
}

// ---- a request that never completes ----

int die_with_a_stuck_request(const std::filesystem::path& fifo_dir) {
  static auto& kernel = *new faulty_kernel;
  kernel.ignore_cancels = true;
  pipe_pair idle;
  std::size_t alive_inside = 0;
  const auto start = std::chrono::steady_clock::now();
  {
    pr::runtime rt = pr::exec::runtime_access::make(kernel, {.shutdown_patience = 100ms});
    auto stuck = rt.spawn(idle_reader(idle.read_path()));
    for (int i = 0; i < 5'000 && graveyard::instance().alive == 0; ++i) rt.run(pr::sleep_for(1ms));
    rt.run(pr::sleep_for(10ms));
    alive_inside = graveyard::instance().alive;
    (void)fifo_dir;
  }
  if (std::chrono::steady_clock::now() - start > 10s) return 2;
  if (alive_inside != 1) return 3;
  // The memory was not freed, for the kernel may still write to it.
  if (graveyard::instance().alive != 1) return 4;
  return 0;
}

// Cases 29 and 35.
TEST(TeardownLeak, what_never_completes_is_reported_after_a_bounded_time_and_never_freed) {
  PARKRING_NEEDS_REAL("forked processes");
  scratch dir;
  const auto r = in_child([&] { return die_with_a_stuck_request(dir.root()); });
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_NE(r.output.find("did not give back"), std::string::npos) << r;
  EXPECT_NE(r.output.find("1 read_at"), std::string::npos) << r;
  EXPECT_NE(r.output.find("100 ms"), std::string::npos) << r;
}

// Case 29: a write that is left to finish and does not is cancelled in time, and reported.
TEST(TeardownLeak, a_dropped_write_that_does_not_finish_is_cancelled_and_reported) {
  PARKRING_NEEDS_REAL("forked processes");
  const auto r = in_child([] {
    scratch dir;
    const auto path = dir.file("f", "");
    pipe_pair never;
    static auto& kernel = *new faulty_kernel;
    kernel.stall_writes_on = never.read_end();
    const auto start = std::chrono::steady_clock::now();
    {
      pr::runtime rt = pr::exec::runtime_access::make(kernel, {.shutdown_patience = 400ms});
      auto file = rt.run(pr::fs::open(
          path, {.access = pr::fs::access::write, .inline_first = pr::fs::inline_mode::never}));
      auto h = rt.spawn(file.write_at(watched_bytes(4096, 'x'), 0));
      rt.run(pr::nop());
    }
    if (std::chrono::steady_clock::now() - start > 10s) return 2;
    return graveyard::instance().alive == 0 ? 0 : 3;
  });
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_NE(r.output.find("1 request(s) that were left to finish"), std::string::npos) << r;
  EXPECT_EQ(r.output.find("did not give back"), std::string::npos) << r;
}

// Case 29: a blocking call cannot be cancelled; its thread is left alone.
TEST(TeardownLeak, a_blocking_call_that_does_not_return_is_reported_and_left_alone) {
  PARKRING_NEEDS_REAL("forked processes");
  const auto r = in_child([] {
    static std::atomic<bool> release{false}, ended{false};
    const auto start = std::chrono::steady_clock::now();
    {
      pr::runtime rt({.shutdown_patience = 50ms});
      auto h = rt.spawn(pr::blocking([] {
        while (!release) std::this_thread::sleep_for(1ms);
        ended = true;
        return std::string(1000, 'x');
      }));
      rt.run([]() -> pr::task<> { co_await pr::sleep_for(20ms); });
    }
    if (std::chrono::steady_clock::now() - start > 10s) return 2;
    release = true;  // it ends after its runtime: that must do no harm
    while (!ended) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(20ms);
    return 0;
  });
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_NE(r.output.find("blocking call(s) did not return in time"), std::string::npos) << r;
}

// Case 35: the buffer and the file of a leaked request stay leaked when their handles go.
TEST(TeardownLeak, handles_of_a_leaked_request_do_not_free_what_it_uses) {
  PARKRING_NEEDS_REAL("forked processes");
  const auto r = in_child([] {
    static auto& kernel = *new faulty_kernel;
    kernel.ignore_cancels = true;
    pipe_pair idle;
    pr::fs::file file;
    pr::buffer buffer;
    std::byte* memory = nullptr;
    {
      pr::runtime rt = pr::exec::runtime_access::make(kernel, {.shutdown_patience = 50ms});
      file = rt.run(pr::fs::open(idle.read_path()));
      buffer = pr::buffer(4096);
      memory = buffer.bytes().data();
      auto h = rt.spawn(file.read_at(buffer, 0));
      rt.run([]() -> pr::task<> { co_await pr::sleep_for(10ms); });
    }
    if (!buffer.locked()) return 2;
    try {
      (void)buffer.bytes();
      return 3;
    } catch (const pr::buffer_locked&) {
    }
    const int before = open_descriptors();
    file = {};
    buffer = {};
    if (open_descriptors() != before) return 4;  // closing it would free its number for others
    memory[0] = std::byte{1};                    // a fault, were it unmapped
    return 0;
  });
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_NE(r.output.find("did not give back"), std::string::npos) << r;
}

}  // namespace
