// Objects that outlive their runtime, runtimes within runtimes, and forked children.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/child_process.hpp"
#include "support/machine.hpp"
#include "support/scale.hpp"
#include "support/scratch.hpp"
#include "support/watched_memory.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

pr::fs::file open_here(pr::runtime& rt, const std::filesystem::path& path,
                       pr::fs::open_options o = {}) {
  return rt.run(pr::fs::open(path, o));
}

// ---- case 31: file or buffer outliving the runtime ----

TEST(Outliving, a_file_and_a_buffer_may_go_after_their_runtime) {
  scratch dir;
  const auto path = dir.file("f", "hello");
  const int before = open_descriptors();
  {
    pr::fs::file file;
    pr::buffer buffer;
    {
      pr::runtime rt;
      file = open_here(rt, path);
      buffer = rt.run([]() -> pr::task<pr::buffer> { co_return pr::buffer(100); });
      EXPECT_EQ(rt.run(file.read_at(buffer, 0)), 5u);
    }
    EXPECT_EQ(buffer.text(0, 5), "hello") << "the memory of the pool must outlive the runtime";
    EXPECT_EQ(open_descriptors(), before + 1) << "the handle still owns the descriptor";
  }
  EXPECT_LE(open_descriptors_once_below(before), before);
}

TEST(Outliving, a_file_registered_with_the_ring_closes_after_its_runtime) {
  scratch dir;
  const auto path = dir.file("f", "hello");
  const int before = open_descriptors();
  {
    pr::fs::file file;
    pr::runtime rt;
    file = open_here(rt, path, {.inline_first = pr::fs::inline_mode::never});
    for (int i = 0; i < 10; ++i) (void)rt.run(file.read_at(std::string(5, ' '), 0));
    EXPECT_LT(rt.counters().unregistered_files, 10u);
    std::swap(file, file);
  }
  EXPECT_LE(open_descriptors_once_below(before), before);
}

TEST(Outliving, handles_may_be_destroyed_on_another_thread_before_and_after_the_end) {
  PARKRING_NEEDS_REAL("threads");
  scratch dir;
  const auto path = dir.file("f", std::string(4096, 'x'));
  const int before = open_descriptors();
  for (const bool after : {false, true}) {
    auto rt = std::make_unique<pr::runtime>();
    pipe_pair idle;
    auto file = open_here(*rt, path);
    auto stream = open_here(*rt, idle.read_path());
    pr::buffer quiet(64), busy(64);
    std::optional<pr::join_handle<std::size_t>> reading(rt->spawn(stream.read_at(busy, 0)));
    rt->run([]() -> pr::task<> { co_await pr::nop(); });
    EXPECT_TRUE(busy.locked());
    if (after) rt.reset();
    std::thread([file = std::move(file), stream = std::move(stream), quiet = std::move(quiet),
                 busy = std::move(busy), reading = std::move(reading)]() mutable {
      reading.reset();
    }).join();
    if (rt != nullptr) {  // what the other thread let go comes home as messages
      // The cancel's answer may take its time: only that it comes is promised.
      for (int n = 0; n < 5000 && rt->counters().operations != 0; ++n)
        rt->run([]() -> pr::task<> { co_await pr::sleep_for(1ms); });
      EXPECT_EQ(rt->counters().operations, 0u);
      EXPECT_EQ(rt->counters().buffers, 0u);
    }
  }
  EXPECT_LE(open_descriptors_once_below(before), before);
}

TEST(Outliving, described_requests_and_unstarted_tasks_may_go_after_the_runtime) {
  scratch dir;
  const auto path = dir.file("f", "hello");
  const int before = open_descriptors();
  {
    std::unique_ptr<pr::fs::rw_operation<pr::fs::locking>> read;
    std::unique_ptr<pr::fs::size_operation> size;
    std::unique_ptr<pr::task<>> whole;
    pr::buffer a(5), b(5);
    {
      pr::runtime rt;
      auto file = open_here(rt, path);
      read = std::make_unique<pr::fs::rw_operation<pr::fs::locking>>(file.read_at(a, 0));
      size = std::make_unique<pr::fs::size_operation>(file.size());
      whole = std::make_unique<pr::task<>>(file.write_all_at(b, 0));
    }
    EXPECT_TRUE(a.locked());
    read.reset();
    size.reset();
    whole.reset();
    EXPECT_FALSE(a.locked());
    EXPECT_FALSE(b.locked());
  }
  EXPECT_LE(open_descriptors_once_below(before), before);
}

TEST(Outliving, a_suspended_task_object_may_go_after_the_runtime_that_made_its_file) {
  scratch dir;
  const auto path = dir.file("f", "hello");
  pr::buffer buffer(5);
  {
    pr::runtime rt;
    auto file = open_here(rt, path);
    auto operation = file.read_at(buffer, 0);
    // The next runtime of this thread reuses the place of the first: it must not be mistaken.
    auto other = std::make_unique<pr::runtime>();
    other.reset();
    EXPECT_TRUE(buffer.locked());
  }
  EXPECT_FALSE(buffer.locked());
}

struct static_objects {
  std::unique_ptr<pr::runtime> early;
  pr::fs::file file;
  pr::buffer pooled, unpooled{64};
  std::optional<pr::join_handle<void>> handle;
  std::unique_ptr<pr::runtime> runtime;  // destroyed first
};

TEST(Outliving, everything_may_be_destroyed_with_the_statics_in_any_order) {
  PARKRING_NEEDS_REAL("forked processes");
  scratch dir;
  const auto path = dir.file("f", "hello");
  for (const bool runtime_first : {false, true}) {
    const auto r = in_child(
        [&] {
          static static_objects all;
          auto& slot = runtime_first ? all.runtime : all.early;
          slot = std::make_unique<pr::runtime>();
          all.file = open_here(*slot, path);
          all.pooled = slot->run([]() -> pr::task<pr::buffer> { co_return pr::buffer(100); });
          all.handle.emplace(slot->spawn(
              [](pr::fs::file& f, pr::buffer& b) -> pr::task<> {
                (void)co_await f.read_at(b, 0);
                co_await pr::sleep_for(1h);
              },
              std::ref(all.file), std::ref(all.pooled)));
          slot->run([]() -> pr::task<> { co_await pr::yield(); });
          return 0;
        },
        child_end::through_exit);
    EXPECT_EQ(r.status, 0) << r;
    EXPECT_EQ(r.output.find("parkring:"), std::string::npos) << r;  // sanitizers may speak
  }
}

// ---- case 32: nested runtimes (destroying a runtime in its own task: tests/crash) ----

TEST(Nested, a_runtime_may_run_inside_a_task_of_another) {
  scratch dir;
  const auto path = dir.file("f", "inner");
  const auto text = pr::run([](std::filesystem::path p) -> pr::task<std::string> {
    auto outer = co_await pr::fs::open(p);
    std::string inner = pr::run(pr::fs::read_file(p));
    auto [mine, n] = co_await outer.read_at(std::string(5, ' '), 0);
    co_return inner + mine.substr(0, n);
  }(path));
  EXPECT_EQ(text, "innerinner");
}

TEST(Nested, a_runtime_may_be_made_run_and_destroyed_by_different_tasks_of_another) {
  pr::run([]() -> pr::task<> {
    auto inner = std::make_unique<pr::runtime>();
    auto sleeping = inner->spawn(pr::sleep_for(1h));
    auto h = pr::spawn([&]() -> pr::task<> {
      inner->run([]() -> pr::task<> { co_await pr::nop(); });
      co_return;
    });
    co_await h;
    EXPECT_FALSE(sleeping.done());
    auto g = pr::spawn([&]() -> pr::task<> {
      inner.reset();
      co_return;
    });
    co_await g;
    EXPECT_TRUE(sleeping.done());
  }());
}

TEST(Nested, a_task_of_the_inner_runtime_that_joins_one_of_the_outer_is_resumed_by_its_own) {
  bool joined = false;
  pr::run([](bool& result) -> pr::task<> {
    pr::runtime inner;
    auto outers = pr::spawn([]() -> pr::task<int> {
      co_await pr::yield();
      co_return 7;
    });
    auto inners = inner.spawn(
        [](pr::join_handle<int>& h, bool& done) -> pr::task<> { done = co_await h == 7; },
        std::ref(outers), std::ref(result));
    inner.run([]() -> pr::task<> { co_await pr::yield(); });
    while (!outers.done()) co_await pr::yield();
    co_await pr::yield();
    EXPECT_FALSE(result) << "an inner task ran in the outer run loop";
    inner.run([](pr::join_handle<void>& h) -> pr::task<> { co_await h; }, std::ref(inners));
  }(joined));
  EXPECT_TRUE(joined);
}

// ---- case 33: wake after death ----

TEST(AfterDeath, a_post_is_refused_and_its_function_destroyed) {
  auto token = std::make_shared<int>(0);
  std::optional<pr::remote> remote;
  {
    pr::runtime rt;
    remote.emplace(rt.remote());
    EXPECT_TRUE(remote->post([token] { ++*token; }));
    rt.run([]() -> pr::task<> { co_await pr::yield(); });
  }
  EXPECT_EQ(*token, 1);
  EXPECT_FALSE(remote->post([token] { ++*token; }));
  EXPECT_EQ(token.use_count(), 1);
  pr::runtime next;  // likely in the place of the first
  EXPECT_FALSE(remote->post([token] { ++*token; }));
  next.run([]() -> pr::task<> { co_await pr::yield(); });
  EXPECT_EQ(*token, 1);
}

// ---- case 34: fork with operations in flight ----

TEST(Fork, a_child_destroys_everything_and_the_parents_operations_go_on) {
  PARKRING_NEEDS_REAL("forked processes");
  scratch dir;
  const auto path = dir.file("f", std::string(1 << 20, 'a'));
  pipe_pair pipe;
  const int before = open_descriptors();
  {
    auto rt = std::make_unique<pr::runtime>();
    auto file = std::make_unique<pr::fs::file>(
        open_here(*rt, path, {.inline_first = pr::fs::inline_mode::never}));
    auto stream = std::make_unique<pr::fs::file>(open_here(*rt, pipe.read_path()));
    pr::buffer waiting(16);
    std::vector<pr::join_handle<pr::owned_result<std::string>>> reads;
    for (unsigned i = 0; i < 16; ++i)
      reads.push_back(rt->spawn(file->read_at(std::string(65536, ' '), i * 65536)));
    std::optional<pr::join_handle<std::size_t>> idle(rt->spawn(stream->read_at(waiting, 0)));
    rt->run([]() -> pr::task<> { co_await pr::yield(); });  // some are pushed, none is entered
    const auto r = in_child([&] {
      const bool refused = !rt->remote().post([] {});
      idle.reset();
      reads.clear();
      waiting = {};
      stream.reset();
      file.reset();
      rt.reset();
      if (pr::run(pr::fs::read_file(path)).size() != 1u << 20) return 2;  // a ring of its own
      return refused ? 0 : 3;
    });
    EXPECT_EQ(r.status, 0) << r;
    pipe.put("after the fork");
    rt->run([&]() -> pr::task<> {
      for (auto& read : reads) {
        auto [text, n] = co_await read;
        EXPECT_EQ(n, 65536u);
        EXPECT_EQ(text, std::string(65536, 'a'));
      }
      EXPECT_EQ(co_await *idle, 14u);
    });
    EXPECT_EQ(waiting.text(0, 14), "after the fork");
  }
  EXPECT_LE(open_descriptors_once_below(before), before);
}

// Case 34: the pool's memory is used by other threads at the moment of the fork.
TEST(Fork, a_child_drops_and_makes_buffers_while_the_parents_threads_do) {
  PARKRING_NEEDS_REAL("forked processes");
  if (under_asan) GTEST_SKIP() << "the sanitizer's own allocator does not survive such a fork";
  const int forks = scaled(400);
  pr::runtime rt;
  pr::buffer of_runtime;
  rt.run([&]() -> pr::task<> {
    of_runtime = pr::buffer(4096);
    co_return;
  });
  pr::buffer of_process(4096);
  pr::buffer split(8192);
  pr::buffer part = split.split_off(4096);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      while (!stop) {
        pr::buffer a(512), b(4096);
        pr::buffer c(1 << 20);
      }
    });
  int failed = 0;
  for (int i = 0; i < forks && failed == 0; ++i) {
    const auto r = in_child(
        [&] {
          of_process = {};
          of_runtime = {};
          part = {};
          split = pr::buffer(512);
          split = pr::buffer(1 << 20);
          return 0;
        },
        child_end::at_once, 10);
    if (r.status != 0) {
      ADD_FAILURE() << "fork " << i << ": " << r;
      ++failed;
    }
  }
  stop = true;
  for (auto& t : threads) t.join();
}

TEST(Fork, a_child_forked_inside_a_task_leaves_the_run_and_ends_normally) {
  PARKRING_NEEDS_REAL("forked processes");
  scratch dir;
  const auto path = dir.file("f", "hello");
  for (const auto how : {child_end::at_once, child_end::through_exit}) {
    pr::run([](std::filesystem::path p, child_end end) -> pr::task<> {
      auto file = co_await pr::fs::open(p);
      pr::buffer buffer(5);
      auto described =
          std::make_unique<pr::fs::rw_operation<pr::fs::locking>>(file.read_at(buffer, 0));
      auto other = pr::spawn(pr::sleep_for(1ms));
      const auto r = in_child(
          [&] {
            file = {};  // the request holds the last reference now
            described.reset();
            other.abort();
            return 0;
          },
          end);
      EXPECT_EQ(r.status, 0) << r;
      EXPECT_EQ(co_await std::move(*described), 5u);
      EXPECT_EQ(buffer.text(), "hello");
      co_await other;
    }(path, how));
  }
}

}  // namespace
