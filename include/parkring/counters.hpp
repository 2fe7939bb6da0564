// What a runtime has done, in numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>

namespace parkring {

/// What a runtime has done, and every slow path it took. All but the last four only grow.
///
/// Each is counted where it happens, by an increment on the runtime's thread. Two things cannot be
/// counted, because the kernel does not tell: requests that it handed to a thread of its own, and
/// completions that it kept because the queue was full (the next `enter` brings them; one that it
/// refuses for their sake is a `refused_enters`).
struct runtime_counters {
  std::uint64_t turns = 0;        // of the run loop: each parks once
  std::uint64_t guest_turns = 0;  // turns given to guests
  std::uint64_t enters = 0;       // io_uring_enter calls; submissions / enters is the batch
  std::uint64_t reader_enters =
      0;                           // those of the thread that reads completions, where there is one
  std::uint64_t reader_wakes = 0;  // system calls by which it woke the runtime's
  std::uint64_t reader_waits = 0;  // of it, for the runtime's to take what it has
  std::uint64_t other_sleeps = 0;  // of the runtime's, elsewhere than in an enter
  std::uint64_t submissions = 0;   // requests handed to the ring, each part of a chain for itself
  std::uint64_t completions = 0;   // answers read, of cancels and of multishot requests too
  std::uint64_t resubmissions = 0;         // requests that a signal had interrupted, sent again
  std::uint64_t cancels = 0;               // cancels sent
  std::uint64_t abandoned = 0;             // waiters that left a request in flight: dropped awaits
  std::uint64_t deferrals = 0;             // requests that found the submission queue full
  std::uint64_t starvations = 0;           // requests that found no free record: `max_operations`
  std::uint64_t refused_enters = 0;        // answered with EAGAIN (no memory) or EBUSY (overflow)
  std::uint64_t wakes = 0;                 // system calls by which others woke the sleeping thread
  std::uint64_t inline_hits = 0;           // reads and writes served without the ring
  std::uint64_t inline_misses = 0;         // inline tries that would have blocked
  std::uint64_t unregistered_buffers = 0;  // ring requests on memory that is not registered
  std::uint64_t unregistered_files = 0;    // ring requests on files that are not (yet) registered
  std::uint64_t steals = 0;                // times that a worker took tasks from another's queue
  std::uint64_t injections = 0;            // tasks taken from the queue for all workers
  std::uint64_t moves = 0;                 // tasks that went on elsewhere at a `yield_anywhere`
  std::uint64_t tasks_failed = 0;          // detached tasks that ended by an exception
  std::uint64_t stalls = 0;    // resumes that took longer than `runtime_options::stall_threshold`
  std::size_t tasks = 0;       // now: live tasks
  std::size_t operations = 0;  // now: requests that exist, orphans among them
  std::size_t orphans = 0;     // now: requests whose waiter has gone
  std::size_t buffers = 0;     // now: buffers out of the pool

  bool operator==(const runtime_counters&) const = default;
  runtime_counters& operator+=(const runtime_counters& other) noexcept;
};

/// All counters that are not 0, in one line: "turns 12, enters 12, submissions 40, ...".
[[nodiscard]] std::string to_string(const runtime_counters& c);
std::ostream& operator<<(std::ostream& out, const runtime_counters& c);

}  // namespace parkring
