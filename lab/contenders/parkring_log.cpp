// Parkring's log: as many tasks as the row's depth append, each waits until its record is durable.
// What was appended long ago is truncated, so that files are used again, as in the others' loops.
#include <functional>
#include <parkring/parkring.hpp>
#include <vector>

#include "../contender.hpp"
#include "log_folder.hpp"

namespace lab {
namespace {

namespace pr = parkring;

pr::task<void> append(load& stream, unsigned slot, pr::fs::log& log) {
  constexpr std::uint64_t kept = log_file_bytes / 8;
  const std::vector<std::byte> record(log_record_bytes, std::byte{'r'});
  while (stream.next(slot)) {
    const pr::fs::lsn at = co_await log.append(pr::copying(record));
    stream.done(slot);
    if (slot == 0 && at.value > log.first().value + kept) co_await log.truncate_before(at);
  }
}

pr::task<void> drive(load& stream, unsigned depth, pr::fs::log& log) {
  pr::task_group group;
  for (unsigned i = 0; i < depth; ++i) group.spawn(append, std::ref(stream), i, std::ref(log));
  co_await group.join();
  co_await log.truncate_before(log.durable_end());
}

// The others write over a file that is there, again and again. So does a log whose files are being
// used again: that is awaited before anything is measured.
pr::task<pr::fs::log> open_prepared(const log_folder& folder) {
  auto log = co_await pr::fs::log::open(folder.path() / "wal", {.segment = log_file_bytes / 4});
  const std::vector<std::byte> large(2U << 20);
  for (unsigned i = 1; log.counters().recycled < 3; ++i) {
    const pr::fs::lsn at = co_await log.append(pr::copying(large));
    if (i % 4 == 0) co_await log.truncate_before(at);
  }
  co_return log;
}

void group_commit(session& run) {
  const log_folder folder;
  pr::runtime rt;
  pr::fs::log log = rt.run(open_prepared(folder));
  while (load* stream = run.next_phase()) {
    const auto before = rt.counters().enters;
    rt.run(drive(*stream, run.what().depth, log));
    run.add_syscalls(rt.counters().enters - before);
  }
  rt.run(log.close());
}

}  // namespace

void add_parkring_log(roster& to) {
  to.present.push_back(
      {.name = "parkring", .kind = work::log, .run = group_commit, .quick = false});
}

}  // namespace lab
