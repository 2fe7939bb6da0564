// Requests that are dropped in flight: what is measured lasts from the request to the reuse of its
// record, so it contains the start of the request and of the task that awaits it.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <parkring/parkring.hpp>
#include <vector>

#include "../contender.hpp"
#include "pipes.hpp"

namespace lab {
namespace {

namespace pr = parkring;
using files = std::vector<pr::fs::file>;
using handles = std::vector<pr::join_handle<void>>;

pr::task<void> read_once(pr::fs::file& file, pr::buffer& memory) {
  co_await file.read_at(memory, 0);
  fail("a read that was to be dropped has ended");
}

// The records have ended when the buffers are unlocked. The kernel ends some twenty a turn.
pr::task<void> ended(const std::vector<pr::buffer>& memory) {
  for (const pr::buffer& one : memory)
    while (one.locked()) co_await pr::nop();
}

// Reads of empty pipes wait for ever, so their drop cancels them; one pipe for each, since reads of
// one pipe take turns. An empty request goes to the
// kernel behind them: when it has ended they are in flight.
pr::task<void> drop_waiting(load& stream, unsigned batch, files& from,
                            std::vector<pr::buffer>& memory, handles& tasks) {
  while (stream.batch(batch)) {
    for (unsigned i = 0; i < batch; ++i)
      tasks.push_back(pr::spawn(read_once, std::ref(from[i]), std::ref(memory[i])));
    co_await pr::nop();
    tasks.clear();
    co_await ended(memory);
  }
}

// Reads of a regular file are not cancelled but left to finish. They are dropped as soon as they
// are queued: from memory they end before anybody could drop them later.
pr::task<void> drop_finishing(load& stream, unsigned batch, files& from,
                              std::vector<pr::buffer>& memory, handles& tasks) {
  while (stream.batch(batch)) {
    for (unsigned i = 0; i < batch; ++i)
      tasks.push_back(pr::spawn(read_once, std::ref(from[i]), std::ref(memory[i])));
    co_await pr::yield();
    tasks.clear();
    co_await ended(memory);
  }
}

pr::task<pr::fs::file> adopt(int fd) {
  co_return pr::fs::adopt_descriptor(fd, "lab", {.inline_first = pr::fs::inline_mode::never});
}

template <class Drive>
void run_drops(session& run, const std::vector<int>& fds, bool cancelled, Drive drive) {
  pr::runtime rt;
  files from;
  for (const int fd : fds) from.push_back(rt.run(adopt(::dup(fd))));
  const unsigned depth = run.what().depth;
  std::vector<pr::buffer> memory;
  for (unsigned i = 0; i < depth; ++i) memory.emplace_back(run.what().block);
  handles tasks;
  tasks.reserve(depth);
  while (load* stream = run.next_phase()) {
    const auto before = rt.counters();
    rt.run(drive(*stream, depth, from, memory, tasks));
    const auto after = rt.counters();
    run.add_syscalls(after.enters - before.enters);
    if (after.abandoned - before.abandoned != stream->operations())
      fail("%llu of %llu requests were in flight when they were dropped",
           static_cast<unsigned long long>(after.abandoned - before.abandoned),
           static_cast<unsigned long long>(stream->operations()));
    if (after.cancels - before.cancels != (cancelled ? stream->operations() : 0))
      fail("not every drop was a cancel, or one was that need not be");
  }
}

void pipe_drops(session& run) {
  const pipes empty(run.what().depth);
  run_drops(run, empty.readers(), true, drop_waiting);
}

void regular_drops(session& run) {
  const int fd = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);  // in the page cache for sure
  if (fd < 0) fail("open /proc/self/exe: %s", std::strerror(errno));
  run_drops(run, std::vector<int>(run.what().depth, fd), false, drop_finishing);
  ::close(fd);
}

}  // namespace

void add_parkring_drops(roster& to) {
  to.present.push_back({.name = "parkring", .kind = work::drop, .run = pipe_drops});
  to.present.push_back({.name = "parkring/regular", .kind = work::drop, .run = regular_drops});
}

}  // namespace lab
