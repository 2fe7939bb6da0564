// Parkring on the simulated machine: how many operations it gets through in real time. Nothing but
// Parkring does this, so its only limit is itself: the rows are there to keep a budget.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <parkring/parkring.hpp>
#include <parkring/sim/world.hpp>
#include <string>
#include <utility>
#include <vector>

#include "../contender.hpp"

namespace lab {
namespace {

namespace pr = parkring;

constexpr std::size_t block = 4096;
constexpr std::uint64_t file_bytes = std::uint64_t{4} << 20;

// What a task needs; it outlives all of them.
struct job {
  load& stream;
  pr::fs::file& file;
  pr::sim::world& w;
};

pr::task<> reads(const job& its, unsigned slot) {
  pr::buffer memory(block);
  while (its.stream.next(slot)) {
    const std::uint64_t offset = its.w.random(file_bytes / block) * block;
    const std::size_t n = co_await its.file.read_at(memory, offset);
    if (n != block) fail("a read of the simulated disk gave %zu bytes", n);
    its.stream.done(slot);
  }
}

// Of ten operations five read, three write, one syncs, and one opens a file and closes it.
pr::task<> mixed(const job& its, unsigned slot) {
  pr::buffer memory(block);
  while (its.stream.next(slot)) {
    const std::uint64_t offset = its.w.random(file_bytes / block) * block;
    const std::uint64_t drawn = its.w.random(10);
    if (drawn < 5) {
      co_await its.file.read_at(memory, offset);
    } else if (drawn < 8) {
      co_await its.file.write_at(memory, offset);
    } else if (drawn < 9) {
      co_await its.file.datasync();
    } else {
      pr::fs::file other = co_await pr::fs::open("/other");
      co_await std::move(other).close();
    }
    its.stream.done(slot);
  }
}

using worker = pr::task<> (*)(const job&, unsigned);

pr::task<> all_workers(session* run, pr::sim::world* w, worker work) {
  pr::fs::file file = co_await pr::fs::open("/file", {.access = pr::fs::access::read_write});
  while (load* stream = run->next_phase()) {
    const job its{*stream, file, *w};
    pr::task_group group;
    for (unsigned slot = 0; slot < run->what().depth; ++slot)
      group.spawn(work, std::cref(its), slot);
    co_await group.join();
    run->add_syscalls(0);
  }
}

template <worker Work>
void run_world(session& run) {
  pr::sim::world w(1);
  w.write_file("/file", std::string(file_bytes, 'x'));
  w.write_file("/other", "");
  w.run([&] { return all_workers(&run, &w, Work); });
}

}  // namespace

void add_parkring_sim(roster& to) {
  to.present.push_back({.name = "parkring",
                        .kind = work::simulated,
                        .run = run_world<reads>,
                        .remark = "real time of a simulated machine"});
  to.present.push_back({.name = "parkring/mixed",
                        .kind = work::simulated,
                        .run = run_world<mixed>,
                        .remark = "half reads; writes, syncs, opens"});
}

}  // namespace lab
