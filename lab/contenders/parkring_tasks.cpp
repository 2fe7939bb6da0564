// Parkring's tasks, timers and empty requests.
#include <chrono>
#include <cstdint>
#include <functional>
#include <parkring/parkring.hpp>
#include <utility>
#include <vector>

#include "../contender.hpp"

namespace lab {
namespace {

namespace pr = parkring;
using std::chrono::nanoseconds;
using handles = std::vector<pr::join_handle<void>>;

// Runs `drive(stream, depth, tasks)` for each phase; `tasks` keeps its memory from phase to phase.
template <class Drive>
void run_tasks(session& run, Drive drive) {
  pr::runtime rt;
  handles tasks;
  tasks.reserve(run.what().depth);
  while (load* stream = run.next_phase()) {
    const auto before = rt.counters().enters;
    rt.run(drive(*stream, run.what().depth, tasks));
    run.add_syscalls(rt.counters().enters - before);
  }
}

pr::task<void> join_all(handles& tasks) {
  for (auto& one : tasks) co_await std::move(one);
  tasks.clear();
}

// --- nop
// ------------------------------------------------------------------------------------------

pr::task<void> nops(load& stream, unsigned slot) {
  while (stream.next(slot)) {
    co_await pr::nop();
    stream.done(slot);
  }
}

pr::task<void> drive_nops(load& stream, unsigned depth, handles& tasks) {
  for (unsigned slot = 0; slot < depth; ++slot)
    tasks.push_back(pr::spawn(nops, std::ref(stream), slot));
  co_await join_all(tasks);
}

// --- spawn
// ----------------------------------------------------------------------------------------

pr::task<void> add_one(std::uint64_t& sum) {
  ++sum;
  co_return;
}

// Tasks that nobody joins: spawned in batches, and all run before the next batch.
pr::task<void> drive_spawns(load& stream, unsigned batch, handles&) {
  std::uint64_t sum = 0;
  while (stream.batch(batch)) {
    for (unsigned i = 0; i < batch; ++i) pr::spawn(add_one, std::ref(sum)).detach();
    co_await pr::yield();
  }
  if (sum != stream.operations()) fail("not every task ran");
}

pr::task<void> drive_joins(load& stream, unsigned batch, handles& tasks) {
  std::uint64_t sum = 0;
  while (stream.batch(batch)) {
    for (unsigned i = 0; i < batch; ++i) tasks.push_back(pr::spawn(add_one, std::ref(sum)));
    for (auto& one : tasks) co_await std::move(one);
    tasks.clear();
  }
  if (sum != stream.operations()) fail("not every task ran");
}

pr::task<void> drive_children(load& stream, unsigned batch, handles&) {
  std::uint64_t sum = 0;
  while (stream.batch(batch))
    for (unsigned i = 0; i < batch; ++i) co_await add_one(sum);
  if (sum != stream.operations()) fail("not every task ran");
}

// --- yield
// ----------------------------------------------------------------------------------------

pr::task<void> yields(load& stream, unsigned task, unsigned tasks, bool& more) {
  constexpr unsigned rounds = 64;
  for (;;) {
    if (task == 0) more = stream.batch(rounds * tasks);
    if (!more) co_return;
    for (unsigned round = 0; round < rounds; ++round) co_await pr::yield();
  }
}

pr::task<void> drive_yields(load& stream, unsigned depth, handles& tasks) {
  bool more = true;
  for (unsigned i = 0; i < depth; ++i)
    tasks.push_back(pr::spawn(yields, std::ref(stream), i, depth, std::ref(more)));
  co_await join_all(tasks);
}

// --- timer: armed and cancelled beside many pending ones
// ------------------------------------------

pr::task<void> sleep_long(unsigned i) {
  co_await pr::sleep_for(std::chrono::hours(1) + std::chrono::seconds(i));
}

// A timeout around a yield arms a timer, suspends once and cancels the timer; so the figure
// contains a yield.
pr::task<void> drive_timers(load& stream, unsigned pending, handles& tasks) {
  constexpr unsigned batch = 64;
  for (unsigned i = 0; i < pending; ++i) tasks.push_back(pr::spawn(sleep_long, i));
  co_await pr::yield();
  unsigned i = 0;
  while (stream.batch(batch)) {
    for (unsigned n = 0; n < batch; ++n)
      (void)co_await pr::timeout(std::chrono::hours(1) + std::chrono::seconds(i++ % 1024),
                                 pr::yield());
  }
  tasks.clear();  // aborts the sleepers
}

// --- sleep
// ----------------------------------------------------------------------------------------

pr::task<void> sleeper(load& stream, unsigned slot) {
  while (stream.next(slot)) {
    co_await pr::sleep_for(nanoseconds(stream.sleep_ns()));
    stream.done(slot);
  }
}

pr::task<void> drive_sleeps(load& stream, unsigned depth, handles& tasks) {
  for (unsigned slot = 0; slot < depth; ++slot)
    tasks.push_back(pr::spawn(sleeper, std::ref(stream), slot));
  co_await join_all(tasks);
}

}  // namespace

void add_parkring_tasks(roster& to) {
  const auto add = [&](const char* name, work kind, void (*run)(session&)) {
    to.present.push_back({.name = name, .kind = kind, .run = run});
  };
  add("parkring", work::nop, [](session& run) { run_tasks(run, drive_nops); });
  add("parkring", work::spawn, [](session& run) { run_tasks(run, drive_spawns); });
  add("parkring/join", work::spawn, [](session& run) { run_tasks(run, drive_joins); });
  add("parkring/child", work::spawn, [](session& run) { run_tasks(run, drive_children); });
  add("parkring", work::yield, [](session& run) { run_tasks(run, drive_yields); });
  add("parkring", work::timer, [](session& run) { run_tasks(run, drive_timers); });
  add("parkring", work::sleep, [](session& run) { run_tasks(run, drive_sleeps); });
}

}  // namespace lab
