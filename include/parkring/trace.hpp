// Recording what the runtimes of a process do, for Perfetto or chrome://tracing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace parkring::trace {

struct options {
  /// Memory for each runtime. When it is full the oldest events go: the file has the last ones.
  std::size_t bytes_per_runtime = std::size_t{16} << 20;
  /// Read the clock at each resume of a task. Else only as often as costs little: resumes that take
  /// less than a quarter of a microsecond are measured many at a time, and share the time
  /// evenly.
  bool time_every_resume = false;
  /// Events of each runtime in the file, the last ones; a million are some 200 MB.
  std::size_t max_events = 1'000'000;
};

/// What a recording had.
struct summary {
  std::uint64_t runtimes = 0;
  std::uint64_t events = 0;      // written
  std::uint64_t bytes_lost = 0;  // of memory, of older events that are not in the file
};

/// Begins to record all runtimes of the process, from their next turn on.
///
/// Recorded are turns, resumes of tasks, requests of the ring from submission to completion,
/// enters, wakes and timers; not what is served inline, which `runtime_counters::inline_hits`
/// counts. *Thread*: any. *Errors*: `std::system_error` when `file` cannot be made; a recording
/// while another one runs fails a check.
void start(const std::filesystem::path& file, const options& o = {});

/// Ends the recording and writes the file, in the JSON of Chrome's trace events. Waits for no
/// runtime. Without a recording it does nothing.
///
/// *Thread*: any. *Errors*: `std::system_error` when the file cannot be written.
summary stop();

/// Records as long as it lives. Its destructor writes the file, and says on standard error when it
/// cannot; `stop()` throws instead.
class session {
 public:
  explicit session(const std::filesystem::path& file, const options& o = {}) { start(file, o); }
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  ~session();
};

}  // namespace parkring::trace
