// Parkring on two workers.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <parkring/parkring.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "../contender.hpp"

namespace lab {
namespace {

namespace pr = parkring;

template <unsigned Workers, class Drive>
void run_workers(session& run, Drive drive) {
  pr::runtime rt({.workers = Workers});
  while (load* stream = run.next_phase()) {
    const auto before = rt.counters();
    rt.run(drive(*stream, run));
    const auto after = rt.counters();
    run.add_syscalls((after.enters - before.enters) + (after.inline_hits - before.inline_hits) +
                     (after.inline_misses - before.inline_misses) + (after.wakes - before.wakes));
  }
}

// --- spawn + join: two tasks, each of which starts tasks and awaits them

constexpr unsigned spawners = 2, each = 64, rounds_of_spawns = 16;

pr::task<std::uint64_t> one_more(std::uint64_t n) { co_return n + 1; }

pr::task<std::uint64_t> spawns() {
  std::uint64_t sum = 0;
  std::vector<pr::remote_handle<std::uint64_t>> tasks;
  tasks.reserve(each);
  for (unsigned round = 0; round < rounds_of_spawns; ++round) {
    for (unsigned i = 0; i < each; ++i) tasks.push_back(pr::spawn_anywhere(one_more, i));
    for (auto& task : tasks) sum += co_await task;
    tasks.clear();
  }
  co_return sum;
}

pr::task<void> drive_spawns(load& stream, session&) {
  while (stream.batch(spawners * each * rounds_of_spawns)) {
    std::array<pr::remote_handle<std::uint64_t>, spawners> all{pr::spawn_anywhere(spawns),
                                                               pr::spawn_anywhere(spawns)};
    for (auto& one : all)
      if (co_await one != std::uint64_t{rounds_of_spawns} * each * (each + 1) / 2)
        fail("a task was lost");
  }
}

// --- channel: pairs that send one value to and fro; a hop is one operation

constexpr unsigned hops = 64;

pr::task<void> ping(unsigned rounds, pr::channel_sender<unsigned> to,
                    pr::channel_receiver<unsigned> from) {
  for (unsigned value = 0; value < rounds; ++value) {
    co_await to.send(value);
    if (*co_await from.receive() != value + 1) fail("a value was lost on its way");
  }
}

pr::task<void> pong(pr::channel_sender<unsigned> to, pr::channel_receiver<unsigned> from) {
  while (auto value = co_await from.receive()) co_await to.send(*value + 1);
}

// Wherever they come to run.
pr::task<void> drive_channels(load& stream, session& run) {
  const unsigned pairs = run.what().depth;
  std::vector<pr::remote_handle<void>> all;
  while (stream.batch(2 * hops * pairs)) {
    for (unsigned i = 0; i < pairs; ++i) {
      auto there = pr::channel<unsigned>(1);
      auto back = pr::channel<unsigned>(1);
      all.push_back(
          pr::spawn_anywhere(ping, hops, std::move(there.sender), std::move(back.receiver)));
      all.push_back(pr::spawn_anywhere(pong, std::move(back.sender), std::move(there.receiver)));
    }
    for (auto& one : all) co_await one;
    all.clear();
  }
}

using ends = std::pair<pr::channel_sender<unsigned>, pr::channel_receiver<unsigned>>;

pr::task<void> nothing() { co_return; }

pr::task<void> all_pongs(std::vector<ends> of, std::shared_ptr<std::atomic<bool>> begun) {
  begun->store(true);
  pr::task_group group;
  for (auto& [to, from] : of) group.spawn(pong, std::move(to), std::move(from));
  co_await group.join();
}

// Each hop goes to the other worker.
pr::task<void> drive_crossing_channels(load& stream, session& run) {
  const unsigned pairs = run.what().depth;
  while (stream.batch(2 * hops * pairs)) {
    pr::task_group pings;
    std::vector<ends> there;
    for (unsigned i = 0; i < pairs; ++i) {
      auto out = pr::channel<unsigned>(1);
      auto back = pr::channel<unsigned>(1);
      pings.spawn(ping, hops, std::move(out.sender), std::move(back.receiver));
      there.emplace_back(std::move(back.sender), std::move(out.receiver));
    }
    auto begun = std::make_shared<std::atomic<bool>>(false);
    auto pongs = pr::spawn_anywhere(all_pongs, std::move(there), begun);
    pr::spawn_anywhere(nothing).detach();  // so that the one before can be taken
    // This worker is kept busy until the other one has done so.
    while (!begun->load()) std::this_thread::yield();
    co_await pings.join();
    co_await pongs;
  }
}

// --- semaphore: one permit, handed from task to task

pr::task<void> take_turns(unsigned times, pr::semaphore& one) {
  for (unsigned i = 0; i < times; ++i) const auto permit = co_await one.acquire();
}

pr::task<void> drive_semaphore(load& stream, session& run) {
  pr::semaphore one(1);
  std::vector<pr::remote_handle<void>> all;
  while (stream.batch(hops * run.what().depth)) {
    for (unsigned i = 0; i < run.what().depth; ++i)
      all.push_back(pr::spawn_anywhere(take_turns, hops, std::ref(one)));
    for (auto& task : all) co_await task;
    all.clear();
  }
}

// --- reads of the page cache: as many tasks as the row's depth, wherever they run

constexpr std::uint64_t bytes_read = 1U << 30;
constexpr unsigned reads_of_each = 8192, reads_at_a_place = 64;

// The file, opened once on each worker.
struct files_of_workers {
  std::array<pr::fs::file, 2> of;
};

pr::task<void> open_here(session& run, files_of_workers& files) {
  pr::fs::file& mine = files.of[pr::this_task::worker()];
  if (mine) co_return;
  mine =
      co_await pr::fs::open(run.path(), {.access = pr::fs::access::read, .noatime = run.noatime()});
}

// Now and then it may go on where there is less to do.
pr::task<void> read_some(session& run, files_of_workers& files, std::uint64_t seed) {
  const std::size_t size = run.what().block;
  const std::uint64_t blocks = bytes_read / size;
  pr::buffer memory(size);
  for (unsigned i = 0; i < reads_of_each; i += reads_at_a_place) {
    co_await open_here(run, files);
    pr::fs::file& file = files.of[pr::this_task::worker()];
    for (unsigned k = 0; k < reads_at_a_place; ++k) {
      seed = seed * 0x5851'F42D'4C95'7F2DU + 0x1405'7B7E'F767'814FU;
      const std::uint64_t block = ((seed >> 32) * blocks) >> 32;
      if (co_await file.read_at(memory, block * size) != size) fail("a read was short");
    }
    co_await pr::yield_anywhere();
  }
}

pr::task<void> drive_reads(load& stream, session& run) {
  files_of_workers files;
  const unsigned depth = run.what().depth;
  std::vector<pr::remote_handle<void>> all;
  std::uint64_t seed = 1;
  while (stream.batch(depth * reads_of_each)) {
    for (unsigned i = 0; i < depth; ++i)
      all.push_back(pr::spawn_anywhere(read_some, std::ref(run), std::ref(files), ++seed));
    for (auto& one : all) co_await one;
    all.clear();
  }
}

}  // namespace

void add_parkring_workers(roster& to) {
  const auto add = [&](const char* name, work kind, void (*run)(session&)) {
    to.present.push_back({.name = name, .kind = kind, .run = run, .all_cpus = true});
  };
  add("parkring", work::spawn_2w, [](session& run) { run_workers<2>(run, drive_spawns); });
  add("parkring/1-worker", work::spawn_2w, [](session& run) { run_workers<1>(run, drive_spawns); });
  add("parkring", work::channel_2w, [](session& run) { run_workers<2>(run, drive_channels); });
  add("parkring/crossing", work::channel_2w,
      [](session& run) { run_workers<2>(run, drive_crossing_channels); });
  add("parkring/1-worker", work::channel_2w,
      [](session& run) { run_workers<1>(run, drive_channels); });
  add("parkring", work::semaphore_2w, [](session& run) { run_workers<2>(run, drive_semaphore); });
  add("parkring/1-worker", work::semaphore_2w,
      [](session& run) { run_workers<1>(run, drive_semaphore); });
  add("parkring", work::read_2w, [](session& run) { run_workers<2>(run, drive_reads); });
  add("parkring/1-worker", work::read_2w, [](session& run) { run_workers<1>(run, drive_reads); });
}

}  // namespace lab
