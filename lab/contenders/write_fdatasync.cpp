// A log without group commit: each record is written and synced by itself, one after the other.
#include <unistd.h>

#include <vector>

#include "../contender.hpp"
#include "log_file.hpp"

namespace lab {
namespace {

void one_by_one(session& run) {
  const log_folder folder;
  log_file file(folder);
  const std::vector<char> record(log_record_bytes + 16, 'r');
  while (load* stream = run.next_phase()) {
    std::uint64_t calls = 0;
    while (stream->next(0)) {
      const auto at = static_cast<off_t>(file.place(record.size()));
      const auto n = ::pwrite(file.descriptor(), record.data(), record.size(), at);
      if (n != static_cast<ssize_t>(record.size()) || ::fdatasync(file.descriptor()) != 0)
        fail("a record was not written");
      stream->done(0);
      calls += 2;
    }
    run.add_syscalls(calls);
  }
}

}  // namespace

void add_write_fdatasync(roster& to) {
  to.present.push_back(
      {.name = "write+fdatasync", .kind = work::log, .run = one_by_one, .quick = false});
}

}  // namespace lab
