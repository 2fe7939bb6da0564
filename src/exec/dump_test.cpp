#include <parkring/dump.hpp>

#include <gtest/gtest.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool names(const chain_dump& c, const char* function) {
  return std::ranges::any_of(c.frames,
                             [&](const code_place& p) { return has(p.function, function); });
}

// Runs the others until they all wait, then looks.
task<> look(runtime& rt, runtime_dump& into) {
  for (int i = 0; i < 3; ++i) co_await yield();
  into = rt.dump();
}

const task_dump& only_waiting(const runtime_dump& d) {
  const task_dump* found = nullptr;
  for (const task_dump& t : d.tasks)
    if (t.chain.status == task_status::waiting) {
      EXPECT_EQ(found, nullptr) << "several wait\n" << to_string(d);
      found = &t;
    }
  if (found == nullptr) ADD_FAILURE() << "none waits\n" << to_string(d);
  return found != nullptr ? *found : d.tasks.front();
}

task<> innermost(event& e) { co_await e.wait(); }
task<> between(event& e) { co_await innermost(e); }
task<> outermost(event& e) { co_await between(e); }

TEST(Dump, shows_the_chain_of_awaits_from_the_outside_in) {
  runtime rt;
  event e;
  auto waits = rt.spawn(outermost(e));
  runtime_dump d;
  rt.run(look(rt, d));
  const task_dump& t = only_waiting(d);
  ASSERT_EQ(t.chain.frames.size(), 3u) << to_string(d);
  EXPECT_TRUE(has(t.chain.frames[0].function, "outermost(parkring::event&)")) << to_string(d);
  EXPECT_TRUE(has(t.chain.frames[1].function, "between(parkring::event&)"));
  EXPECT_TRUE(has(t.chain.frames[2].function, "innermost(parkring::event&)"));
  ASSERT_EQ(t.chain.waits.size(), 1u);
  EXPECT_EQ(t.chain.waits[0].what, "event");
}

TEST(Dump, tells_where_a_task_was_spawned_and_by_whom) {
  runtime rt;
  event e;
  const auto here = std::source_location::current();
  auto by_line = rt.spawn(outermost(e));
  runtime_dump d;
  rt.run(
      [](runtime& r, runtime_dump& into, event& ev) -> task<> {
        auto by_code = spawn(outermost, std::ref(ev));
        co_await look(r, into);
      },
      std::ref(rt), std::ref(d), std::ref(e));
  ASSERT_EQ(d.tasks.size(), 3u);
  EXPECT_EQ(d.tasks[0].where.line(), here.line() + 1);
  EXPECT_TRUE(has(d.tasks[0].where.file_name(), "dump_test.cpp"));
  EXPECT_FALSE(d.tasks[0].spawned_by);
#if defined(__x86_64__) || defined(__aarch64__)
  EXPECT_EQ(d.tasks[2].where.line(), 0u);
  EXPECT_FALSE(d.tasks[2].spawned_in.module.empty());
  EXPECT_NE(d.tasks[2].spawned_in.offset, 0u);
#endif
  EXPECT_EQ(d.tasks[2].spawned_by, 2u);
}

TEST(Dump, tells_running_ready_and_waiting_apart) {
  runtime rt;
  event e;
  auto waiting = rt.spawn(outermost(e));
  runtime_dump d;
  rt.run(
      [](runtime& r, runtime_dump& into) -> task<> {
        co_await yield();
        auto begins = spawn([]() -> task<> { co_return; });
        into = r.dump();
      },
      std::ref(rt), std::ref(d));
  ASSERT_EQ(d.tasks.size(), 3u);
  EXPECT_EQ(d.tasks[0].chain.status, task_status::waiting);
  EXPECT_EQ(d.tasks[1].chain.status, task_status::running);
  EXPECT_EQ(d.tasks[2].chain.status, task_status::ready);
  EXPECT_TRUE(has(to_string(d), "running")) << d;
}

TEST(Dump, tells_how_long_is_left_of_a_sleep) {
  runtime rt;
  auto sleeps = rt.spawn([]() -> task<> { co_await sleep_for(1h); });
  runtime_dump d;
  rt.run(look(rt, d));
  const task_dump& t = only_waiting(d);
  ASSERT_EQ(t.chain.waits.size(), 1u);
  EXPECT_EQ(t.chain.waits[0].what, "sleep");
  ASSERT_TRUE(t.chain.waits[0].left);
  EXPECT_GT(*t.chain.waits[0].left, 59min);
  EXPECT_LE(*t.chain.waits[0].left, 61min);
}

TEST(Dump, a_join_names_the_task_that_is_joined) {
  runtime rt;
  event e;
  auto joined = rt.spawn(outermost(e));
  auto joins = rt.spawn([](join_handle<void>& h) -> task<> { co_await h; }, std::ref(joined));
  auto grouped = rt.spawn(
      [](event& ev) -> task<> {
        task_group g;
        g.spawn(outermost, std::ref(ev));
        co_await g.join();
      },
      std::ref(e));
  runtime_dump d;
  rt.run(look(rt, d));
  ASSERT_EQ(d.tasks[1].chain.waits.size(), 1u) << d;
  EXPECT_EQ(d.tasks[1].chain.waits[0].what, "join of task #1");
  ASSERT_EQ(d.tasks[2].chain.waits.size(), 1u) << d;
  EXPECT_EQ(d.tasks[2].chain.waits[0].what, "join of a group of 1");
}

TEST(Dump, combinators_are_trees) {
  runtime rt;
  event e;
  auto waits = rt.spawn(
      [](event& ev) -> task<> {
        (void)co_await timeout(1h,
                               when_all(between(ev), race(sleep_for(2h), innermost(ev)), yield()));
      },
      std::ref(e));
  runtime_dump d;
  rt.run(look(rt, d));
  const task_dump& t = only_waiting(d);
  ASSERT_EQ(t.chain.waits.size(), 1u) << d;
  const wait_dump& limit = t.chain.waits[0];
  EXPECT_EQ(limit.what, "timeout");
  EXPECT_TRUE(limit.left);
  ASSERT_EQ(limit.branches.size(), 1u);
  ASSERT_EQ(limit.branches[0].waits.size(), 1u) << d;
  const wait_dump& all = limit.branches[0].waits[0];
  EXPECT_EQ(all.what, "when_all");
  ASSERT_EQ(all.branches.size(), 3u);
  EXPECT_TRUE(names(all.branches[0], "between")) << d;
  EXPECT_TRUE(names(all.branches[0], "innermost"));
  ASSERT_EQ(all.branches[1].waits.size(), 1u);
  EXPECT_EQ(all.branches[1].waits[0].what, "race");
  ASSERT_EQ(all.branches[1].waits[0].branches.size(), 2u);
  EXPECT_EQ(all.branches[1].waits[0].branches[0].waits[0].what, "sleep");
  EXPECT_EQ(all.branches[2].status, task_status::ended);
}

TEST(Dump, a_request_under_a_timeout_shows_both) {
  runtime rt;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  auto waits = rt.spawn(
      [](int fd) -> task<> {
        auto f = fs::adopt_descriptor(fd, "pipe");
        buffer b(64);
        (void)co_await timeout(1h, f.read_at(b, 0));
      },
      ends[0]);
  runtime_dump d;
  rt.run(
      [](runtime& r, runtime_dump& into) -> task<> {
        do {
          co_await sleep_for(100us);
          into = r.dump();
        } while (into.counters.operations == 0 || into.tasks[0].chain.waits.size() != 2);
      },
      std::ref(rt), std::ref(d));
  const auto& waits_for = d.tasks[0].chain.waits;
  ASSERT_TRUE(waits_for[0].operation) << d;
  EXPECT_EQ(waits_for[0].operation->name, "read_at");
  EXPECT_EQ(waits_for[0].operation->length, 64u);
  EXPECT_TRUE(waits_for[0].operation->in_flight);
  EXPECT_EQ(waits_for[1].what, "timeout");
  EXPECT_TRUE(d.orphans.empty());
  waits.abort();  // the read becomes an orphan, which is being cancelled
  const auto after = rt.dump();
  ASSERT_EQ(after.orphans.size(), 1u) << after;
  EXPECT_EQ(after.orphans[0].name, "read_at");
  EXPECT_TRUE(after.orphans[0].cancelling);
  EXPECT_TRUE(has(to_string(after), "orphan: read_at(")) << after;
  ::close(ends[1]);
}

TEST(Dump, a_blocking_call_and_the_return_of_a_buffer_are_named) {
  runtime rt;
  std::atomic<bool> go_on{false};
  auto waits = rt.spawn(
      [](std::atomic<bool>& flag) -> task<> {
        auto call = [&flag] {
          while (!flag) std::this_thread::sleep_for(100us);
        };
        co_await blocking(call);
      },
      std::ref(go_on));
  runtime_dump d;
  rt.run(look(rt, d));
  const task_dump& t = only_waiting(d);
  ASSERT_EQ(t.chain.waits.size(), 1u) << d;
  EXPECT_EQ(t.chain.waits[0].what, "blocking call");
  go_on = true;
  rt.run(std::move(waits));
}

task<> deep(int n, event& e) {
  if (n > 0)
    co_await deep(n - 1, e);
  else
    co_await e.wait();
}

TEST(Dump, of_a_long_chain_both_ends_are_shown) {
  runtime rt;
  event e;
  auto waits = rt.spawn(deep(10'000, e));
  runtime_dump d;
  rt.run(look(rt, d));
  const task_dump& t = only_waiting(d);
  EXPECT_EQ(t.chain.frames.size() + t.chain.left_out, 10'001u);
  EXPECT_LE(t.chain.frames.size(), 32u);
  EXPECT_EQ(t.chain.waits.size(), 1u);
  EXPECT_TRUE(has(to_string(d), "more\n"));
}

TEST(Dump, ages_are_told_in_turns_and_where_asked_for_in_time) {
  for (const bool time : {false, true}) {
    runtime rt({.track_ages = time});
    event e;
    auto waits = rt.spawn(outermost(e));
    runtime_dump d;
    rt.run(
        [](runtime& r, runtime_dump& into) -> task<> {
          for (int i = 0; i < 5; ++i) co_await sleep_for(2ms);
          into = r.dump();
        },
        std::ref(rt), std::ref(d));
    EXPECT_GE(d.tasks[0].age.turns, 5u);
    EXPECT_EQ(d.tasks[0].age.time.has_value(), time);
    if (time) {
      EXPECT_GE(*d.tasks[0].age.time, 9ms);
    }
  }
}

TEST(Dump, another_thread_gets_one_between_two_tasks) {
  runtime rt;
  event e;
  auto waits = rt.spawn(outermost(e));
  std::optional<runtime_dump> d;
  std::thread other([&, far = rt.remote()] {
    d = far.dump(60s);
    (void)far.post([&] { e.set(); });
  });
  rt.run(std::move(waits));
  other.join();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->tasks.size(), 2u);  // and the one that run() joins it by
}

TEST(Dump, a_runtime_that_is_gone_or_not_run_gives_none) {
  std::optional<remote> far;
  {
    runtime rt;
    far = rt.remote();
    std::thread other([&] { EXPECT_FALSE(far->dump(1ms)); });  // it is not being run
    other.join();
  }
  std::thread other([&] { EXPECT_FALSE(far->dump(60s)); });
  other.join();
}

TEST(Dump, values_copy_and_compare) {
  runtime rt;
  event e;
  auto waits = rt.spawn(outermost(e));
  runtime_dump d;
  rt.run(look(rt, d));
  const task_dump copy = d.tasks[0];
  EXPECT_EQ(copy, d.tasks[0]);
}

}  // namespace
}  // namespace parkring
