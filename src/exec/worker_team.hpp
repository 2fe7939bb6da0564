// A runtime of several workers: each is a thread with a core of its own, that is a ring, timers and
// tasks, and they share out roaming tasks.
//
// Who has a roaming task that is on its way:
//   next_up     of one worker: what its tasks have spawned last. Nobody else sees it, so a task
//               that spawns another and waits for it costs no read-modify-write of shared memory.
//               What was there before goes to the queue.
//   queue       of one worker (exec/work_queue.hpp): others take half of it.
//   injection   of the team: from other threads, and what a queue had no room for. Under a mutex.
// All three are taken from in turn, so none is left waiting while the others are served; and a
// worker that is busy with tasks it has placed takes a new one every few turns (`turns_between`).
//
// A worker without work looks at the injection queue and at the queues of the others, for a while
// again and again, since to sleep and be woken costs 20 us where cores are virtual; how long,
// depends on how often that was of use. Then it says that it sleeps, looks once more, and parks:
// see exec/sleepers.hpp.
//
// Worker 0 is the thread that made the runtime, and works while it runs `run`. The others have
// threads of their own and work always.
//
// The end: `stop` makes the other workers leave their loops, each destroys its tasks, with what its
// queue has, and its core, on its own thread; the queues live until all threads have ended. Then
// worker 0 destroys what the injection queue has, and its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <parkring/detail/roaming_task.hpp>
#include <parkring/runtime.hpp>

#include "exec/sleepers.hpp"
#include "exec/work_queue.hpp"

namespace parkring::exec {

class core;
class worker_team;

/// Roaming tasks in the order in which they came, for any thread.
class injection_queue {
 public:
  /// False: the team has ended.
  [[nodiscard]] bool push(detail::roaming_task& t) noexcept;
  [[nodiscard]] detail::roaming_task* pop() noexcept;
  /// Refuses from now on.
  void close() noexcept;
  /// May lag behind.
  [[nodiscard]] bool empty() const noexcept {
    return count_.load(std::memory_order_acquire) == 0;  // pairs with the changes
  }

 private:
  std::mutex mutex_;
  detail::roaming_task* first_ = nullptr;
  detail::roaming_task** last_ = &first_;
  bool closed_ = false;
  std::atomic<std::size_t> count_{0};
};

class worker {
 public:
  worker(worker_team& team, unsigned n) noexcept : number(n), team_(team) {}
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  // ---- on its own thread ----

  /// A task of this worker has spawned `t`.
  void add(detail::roaming_task& t) noexcept;
  /// `t` may go on on any worker.
  void share(detail::roaming_task& t) noexcept;
  /// What to run next of its own, or of the injection queue now and then; null: there is nothing.
  [[nodiscard]] detail::roaming_task* take() noexcept;
  /// As `take`, when the team has ended: what is left here, and in the injection queue.
  [[nodiscard]] detail::roaming_task* take_last() noexcept;
  [[nodiscard]] bool empty() const noexcept { return next_up_ == nullptr && queue_.empty(); }
  /// Whether it has so many that what they ask for makes a batch.
  [[nodiscard]] bool has_several() const noexcept { return queue_.size() > 2; }
  /// Looks for work, and for what happens to `c`, which has nothing to do. False: there is nothing,
  /// and it has been said that this worker sleeps.
  [[nodiscard]] bool find_work(core& c) noexcept;
  /// Whether it would look for long: what is queued should go to the kernel before.
  [[nodiscard]] bool spins_long() const noexcept { return spins_ >= 16; }
  /// After the park that follows.
  void end_sleep() noexcept;
  /// It will not work for a while, or never again: others may have all that it has.
  void leave_all() noexcept;
  [[nodiscard]] bool others_idle() const noexcept;

  static constexpr unsigned turns_between = 8;  // turns until one of the queue is placed although
                                                // there is other work

  const unsigned number;
  detail::home_ref home;       // set before others may wake it
  std::uint64_t steals = 0;    // tasks taken from others' queues, a half counts as one
  std::uint64_t injected = 0;  // tasks taken from the injection queue
  std::uint64_t moved = 0;     // tasks that had begun and went on their way

 private:
  friend worker_team;
  void leave_next_up() noexcept;
  void push(detail::roaming_task& t) noexcept;
  [[nodiscard]] detail::roaming_task* look_around() noexcept;
  void found(detail::roaming_task& t) noexcept;
  void searched() noexcept;

  worker_team& team_;
  detail::roaming_task* next_up_ = nullptr;
  unsigned in_a_row_ = 0;  // how many came from `next_up_`
  unsigned takes_ = 0;
  unsigned spins_ = most_spins / 4;  // rounds of looking before a sleep
  unsigned victim_ = 0;              // where to look first
  bool sleeps_ = false;              // it has said so
  bool searches_ = false;            // it is counted as a searcher
  basic_work_queue<detail::roaming_task> queue_;

  static constexpr unsigned most_spins = 1'024;
  static constexpr unsigned first_looks = 64;  // at messages and completions alone
  static constexpr unsigned most_in_a_row = 16;
  static constexpr unsigned between_injected = 61;  // takes until the injection queue comes first
};

/// How many processors this process may use; 0: unknown.
[[nodiscard]] unsigned usable_processors() noexcept;

class worker_team {
 public:
  /// `first` is worker 0's core. Starts the others, with the same kernel. Throws as `runtime` does.
  worker_team(core& first, const runtime_options& options, unsigned workers);
  worker_team(const worker_team&) = delete;
  worker_team& operator=(const worker_team&) = delete;
  ~worker_team() { stop(); }

  /// From any thread. False: the team has ended; `t` is the caller's.
  [[nodiscard]] bool inject(detail::roaming_task& t) noexcept;
  /// Its name: never 0, and never that of another.
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  /// Ends the others' threads; idempotent.
  void stop() noexcept;
  [[nodiscard]] unsigned size() const noexcept { return static_cast<unsigned>(workers_.size()); }
  [[nodiscard]] const worker& at(unsigned number) const noexcept { return *workers_[number]; }
  [[nodiscard]] bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

 private:
  friend worker;
  void wake_one() noexcept;
  [[nodiscard]] bool work_anywhere(const worker& but) const noexcept;
  void serve(unsigned number, const runtime_options& options, std::promise<void>& told) noexcept;

  core& first_;
  const std::uint64_t id_;
  injection_queue injection_;
  sleepers sleepers_;
  std::atomic<bool> stopping_{false};
  std::vector<std::unique_ptr<worker>> workers_;
  std::vector<std::thread> threads_;
};

}  // namespace parkring::exec
