// Drops a scenario at every point where it can be dropped.
//
// A `stepped_runtime` does what the run loop does, in steps smaller than a turn, so that a test
// can stop between any two of them:
//   resume   one waiter is resumed: afterwards a request is described, queued or deferred
//   submit   the queue is handed to the kernel: what was queued is in flight
//   wait     until something has happened: completions lie in the queue, unread
//   reap     completions are read and timers fired: waiters are ready, none was resumed
#pragma once

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <memory>
#include <vector>

#include <parkring/runtime.hpp>
#include <parkring/task.hpp>

namespace parkring::exec {
class core;
}

namespace parkring::testing {

/// What must be back where it was when everything that was started has ended.
struct inventory {
  std::size_t descriptors = 0;  // of the process
  std::ptrdiff_t frames = 0;    // coroutine frames and buffer blocks of this thread
  std::size_t operations = 0;
  std::size_t orphans = 0;
  std::size_t tasks = 0;
  std::size_t buffers = 0;
  bool operator==(const inventory&) const = default;
};
std::ostream& operator<<(std::ostream& out, const inventory& i);

/// `expected` with no more descriptors than `now`: a thread of the kernel may have been about to
/// close one when the inventory was taken.
[[nodiscard]] inventory tightened(inventory expected, const inventory& now);

/// The part of the inventory that exists without a runtime.
[[nodiscard]] inventory inventory_of_process();

class stepped_runtime {
 public:
  explicit stepped_runtime(const runtime_options& options = {});
  stepped_runtime(const stepped_runtime&) = delete;
  stepped_runtime& operator=(const stepped_runtime&) = delete;
  /// Tears the runtime down where it stands.
  ~stepped_runtime();

  /// Starts a task, which `abort` and `finish` are about; the one before must have ended.
  void start(task<> t);
  /// Whether the task has not ended.
  [[nodiscard]] bool running() const;
  /// Destroys the task where it waits, and forgets it.
  void abort();
  /// Steps until the task has ended; throws what it threw.
  void finish();
  /// start + finish.
  void run(task<> t);

  enum class stage { resume, submit, wait, reap };
  /// Does one step and says which.
  stage step();
  /// Steps until `s` was done.
  void step_past(stage s);
  /// Steps, at most a few seconds, until the inventory is `expected`, or fewer descriptors; gives
  /// what it is at last.
  inventory settle(const inventory& expected);

  [[nodiscard]] inventory take_inventory() const;
  [[nodiscard]] runtime_counters counters() const;
  [[nodiscard]] exec::core& core() noexcept { return *core_; }

 private:
  void resume_one();
  void run_messages();
  void wait_for_something(bool briefly);

  std::unique_ptr<exec::core> core_;
  struct scopes;
  std::unique_ptr<scopes> scopes_;
  detail::task_cell* root_ = nullptr;
  stage done_ = stage::reap;
};

using scenario = std::function<task<>()>;

struct drop_options {
  /// Each is tried; the first also with a teardown at every point.
  std::vector<runtime_options> runtimes;
};
/// Queues of the default size, 2 and 1; and of size 1 with few records.
[[nodiscard]] drop_options every_queue_size();

/// Runs what `make` gives to its end, then again and again, dropped one step later each time, and
/// checks after each that the inventory is back at its start. Gives the number of drops.
std::size_t drop_everywhere(const scenario& make, const drop_options& options = every_queue_size());

}  // namespace parkring::testing
