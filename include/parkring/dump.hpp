// What every task of a runtime does and waits for, as a value and as text.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <vector>

#include <parkring/counters.hpp>

namespace parkring {

class runtime;

/// A place in the program's code.
struct code_place {
  std::string function;      // its name, where the program was not stripped; else empty
  std::string module;        // the file, and
  std::uint64_t offset = 0;  // where in it: what `addr2line -e module offset` takes
  const void* address = nullptr;
  bool operator==(const code_place&) const = default;
};

/// How long ago: in turns of the run loop, and in time if `runtime_options::track_ages` is on.
struct dump_age {
  std::uint32_t turns = 0;
  std::optional<std::chrono::milliseconds> time;
  bool operator==(const dump_age&) const = default;
};

/// A request that exists.
struct operation_dump {
  std::string name;  // "read_at"
  std::string text;  // "read_at(/data/x, offset 0, 4096 bytes)"
  std::string path;  // where it has one, of reads and writes
  std::optional<std::uint64_t> offset;
  std::uint64_t length = 0;
  dump_age age;
  bool in_flight = false;  // the kernel has it; else it waits for room in the queue or in its chain
  bool cancelling = false;  // a cancel was asked for
  bool operator==(const operation_dump&) const = default;
};

enum class task_status : std::uint8_t {
  running,  // it is what runs, and asks for this dump
  ready,    // waits for its turn only
  waiting,
  ended,  // of a combinator's branch: it has its result, the others not yet
};

struct wait_dump;

/// Coroutines that await each other, and what the innermost waits for.
struct chain_dump {
  task_status status = task_status::waiting;
  std::vector<code_place> frames;  // outermost first; of a long chain both ends
  std::size_t left_out = 0;        // frames in the middle
  std::vector<wait_dump> waits;    // empty: unknown, or nothing
  bool operator==(const chain_dump&) const;
};

/// One thing that a coroutine waits for.
struct wait_dump {
  std::string what;                         // in words: "sleep", "event", "join of task #3", ...
  std::optional<operation_dump> operation;  // a request
  std::optional<std::chrono::nanoseconds> left;  // of a sleep or a timeout
  std::vector<chain_dump> branches;              // of a combinator, which `what` names
  bool operator==(const wait_dump&) const = default;
};

/// A live task.
struct task_dump {
  std::size_t number = 0;                 // from 1, in the order of spawning, in this dump
  const void* id = nullptr;               // the same in all dumps, as long as the task lives
  std::optional<std::size_t> spawned_by;  // the number of the live task that did, or of one above
  std::source_location where;             // of the spawn; empty (line 0) where `spawned_in` tells
  code_place spawned_in;                  // of `spawn(fn, args...)`, which cannot know its line
  dump_age age;
  chain_dump chain;
  std::vector<wait_dump> other_waits;  // of coroutines of foreign types in between
  bool operator==(const task_dump& o) const {
    return number == o.number && id == o.id && chain == o.chain;
  }
};

/// What a runtime's tasks do. The text form has a line for each thing.
struct runtime_dump {
  std::string kernel;
  runtime_counters counters;
  std::vector<task_dump> tasks;
  std::vector<operation_dump> orphans;  // requests whose waiter has gone
};

[[nodiscard]] std::string to_string(const code_place& place);
/// "main.cpp:12 (main)"; empty where the location is.
[[nodiscard]] std::string to_string(const std::source_location& where);
[[nodiscard]] std::string to_string(const task_dump& t);
[[nodiscard]] std::string to_string(const runtime_dump& d);
std::ostream& operator<<(std::ostream& out, const runtime_dump& d);

/// Writes dumps of a runtime to standard error when the process gets a signal.
///
/// As long as it lives. A thread of its own asks the runtime and writes what it answers. A runtime
/// that is inside a task and does not answer within a second is told of all the same: which task
/// that is, where it was resumed and since when; the others cannot be looked at then.
/// Several runtimes may use one signal. The last to go restores what the signal did before. Each
/// resume of a task costs some 20 ns meanwhile. *Owns* the signal's action. *Thread*: the
/// runtime's. *Errors*: `std::system_error` for a signal that cannot be caught, or when no thread
/// can be had.
class dump_on_signal {
 public:
  dump_on_signal(runtime& rt, int signal);
  dump_on_signal(const dump_on_signal&) = delete;
  dump_on_signal& operator=(const dump_on_signal&) = delete;
  ~dump_on_signal();

 private:
  struct target;
  std::shared_ptr<target> target_;
};

inline bool chain_dump::operator==(const chain_dump&) const = default;

}  // namespace parkring
