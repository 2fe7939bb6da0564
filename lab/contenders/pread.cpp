// The plain loop: one pread after the other, whatever the depth of the row.
#include <unistd.h>

#include "../contender.hpp"
#include "buffers.hpp"

namespace lab {
namespace {

void read(session& run) {
  const int fd = run.open_file();
  const std::size_t size = run.what().block;
  buffers memory(1, size);
  std::byte* const data = memory[0];
  while (load* stream = run.next_phase()) {
    std::uint64_t calls = 0;
    std::uint64_t offset = 0;
    while (stream->next(0, offset)) {
      const auto got = ::pread(fd, data, size, static_cast<off_t>(offset));
      stream->done(0, data, static_cast<std::size_t>(got));
      ++calls;
    }
    run.add_syscalls(calls);
  }
  ::close(fd);
}

}  // namespace

void add_pread(roster& to) {
  to.present.push_back({.name = "pread", .kind = work::read, .run = read});
}

}  // namespace lab
