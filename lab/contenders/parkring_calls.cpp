// Calls of a shard from another runtime.
#include <atomic>
#include <functional>
#include <parkring/parkring.hpp>

#include "../contender.hpp"
#include "two_processors.hpp"

namespace lab {
namespace {

namespace pr = parkring;

pr::task<void> calls(load& stream, pr::shards& there, unsigned slot) {
  const auto same = [](unsigned n) { return n; };
  while (stream.next(slot)) {
    if (co_await there.on(0, same, slot) != slot) fail("a wrong answer");
    stream.done(slot);
  }
}

pr::task<void> drive(load& stream, pr::shards& there, unsigned depth) {
  pr::task_group group;
  for (unsigned slot = 0; slot < depth; ++slot)
    group.spawn(calls, std::ref(stream), std::ref(there), slot);
  co_await group.join();
}

pr::task<void> be_busy(std::atomic<bool>& end) {
  while (!end) {
    some_work();
    co_await pr::nop();  // a request in each turn, as of a shard that serves files
  }
}

void call(session& run) {
  const int cpu = ::sched_getcpu();
  std::atomic<bool> end{false};
  pr::runtime rt;
  pr::shards there({.shards = 1, .pin = false});
  const bool busy = run.what().kind == work::shard_call_busy;
  there.blocking_on(0, [&] {
    run_beside(cpu);
    if (busy) pr::spawn(be_busy, std::ref(end)).detach();
  });
  while (load* stream = run.next_phase()) {
    const auto calls_made = [&] { return rt.counters().enters + 2 * rt.counters().wakes; };
    const auto before = calls_made();
    rt.run(drive(*stream, there, run.what().depth));
    run.add_syscalls(calls_made() - before);
  }
  end = true;
}

}  // namespace

void add_parkring_calls(roster& to) {
  for (const work kind : {work::shard_call, work::shard_call_busy})
    to.present.push_back({.name = "inbox", .kind = kind, .run = call});
}

}  // namespace lab
