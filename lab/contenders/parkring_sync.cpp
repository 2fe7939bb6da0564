// Parkring's channels and semaphores.
#include <functional>
#include <optional>
#include <parkring/parkring.hpp>
#include <utility>
#include <vector>

#include "../contender.hpp"

namespace lab {
namespace {

namespace pr = parkring;

constexpr unsigned rounds = 64;

template <class Drive>
void run_sync(session& run, Drive drive) {
  pr::runtime rt;
  while (load* stream = run.next_phase()) {
    const auto before = rt.counters().enters;
    rt.run(drive(*stream, run.what().depth));
    run.add_syscalls(rt.counters().enters - before);
  }
}

// --- channel: pairs that send one value to and fro; a hop is one operation
// ------------------------

pr::task<void> ping(load& stream, unsigned pair, unsigned pairs, bool& more,
                    pr::channel_sender<unsigned> to, pr::channel_receiver<unsigned> from) {
  for (unsigned value = 0;;) {
    if (pair == 0) more = stream.batch(2 * rounds * pairs);
    if (!more) co_return;
    for (unsigned round = 0; round < rounds; ++round) {
      co_await to.send(value);
      if (*co_await from.receive() != value + 1) fail("a value was lost on its way");
      ++value;
    }
  }
}

pr::task<void> pong(pr::channel_sender<unsigned> to, pr::channel_receiver<unsigned> from) {
  while (auto value = co_await from.receive()) co_await to.send(*value + 1);
}

pr::task<void> drive_channels(load& stream, unsigned pairs) {
  bool more = true;
  pr::task_group group;
  for (unsigned i = 0; i < pairs; ++i) {
    auto there = pr::channel<unsigned>(1);
    auto back = pr::channel<unsigned>(1);
    group.spawn(ping, std::ref(stream), i, pairs, std::ref(more), std::move(there.sender),
                std::move(back.receiver));
    group.spawn(pong, std::move(back.sender), std::move(there.receiver));
  }
  co_await group.join();
}

// --- semaphore: one permit, handed from task to task
// ----------------------------------------------

pr::task<void> take_turns(load& stream, unsigned task, unsigned tasks, bool& more,
                          pr::semaphore& one) {
  for (;;) {
    if (task == 0) more = stream.batch(rounds * tasks);
    if (!more) co_return;
    for (unsigned round = 0; round < rounds; ++round) const auto permit = co_await one.acquire();
  }
}

pr::task<void> drive_semaphore(load& stream, unsigned tasks) {
  bool more = true;
  pr::semaphore one(1);
  pr::task_group group;
  for (unsigned i = 0; i < tasks; ++i)
    group.spawn(take_turns, std::ref(stream), i, tasks, std::ref(more), std::ref(one));
  co_await group.join();
}

}  // namespace

void add_parkring_sync(roster& to) {
  to.present.push_back({.name = "parkring", .kind = work::channel, .run = [](session& run) {
                          run_sync(run, drive_channels);
                        }});
  to.present.push_back({.name = "parkring", .kind = work::semaphore, .run = [](session& run) {
                          run_sync(run, drive_semaphore);
                        }});
}

}  // namespace lab
