// The threads that do what may block, one pool for all rings of the process.
//
// Two classes, as the kernel's own workers have: bounded for what ends by itself, unbounded for
// what may wait for somebody else for ever, so that waiting never keeps files from being served.
// The end of a wait may itself be a job of that class (the other end of a FIFO), so it is given as
// many threads as the process may have. A third class is for what was ready when it was looked at,
// which the waiting shall not keep from being served either.
// A thread starts when a job finds no idle one, up to the limit of its class, and ends after idling
// for a while, long beside the cost of a start, and not longer: as long as another thread shares the
// descriptors the kernel counts references to them, which makes each read in place dearer. Threads
// are detached, have small stacks and block all signals but the one that interrupts them
// (interrupter.hpp); the pool is never destroyed, so they may run while the process exits.
//
// A forked child has none of the threads, and the lock may be held by one of them: it starts over
// with a pool of its own, and what was queued in the parent's is the parent's.
#pragma once

#include <array>
#include <condition_variable>
#include <mutex>

#include "kernel/threads/job.hpp"

namespace parkring::kernel::threads {

class workers {
 public:
  /// The pool of this process.
  [[nodiscard]] static workers& shared() noexcept;

  workers() noexcept;
  workers(const workers&) = delete;
  workers& operator=(const workers&) = delete;

  /// Takes the job over until it comes home; `j.home` must be set. False when there is no thread
  /// and none can be started: then it is the caller's again.
  [[nodiscard]] bool submit(job& j) noexcept;

  enum class withdrawal : std::uint8_t {
    withdrawn,  // it has not begun and will not: it is the caller's again
    running,    // it goes on; if it is interruptible it was told to end now
    done        // it is on its way home
  };
  [[nodiscard]] withdrawal withdraw(job& j) noexcept;

  /// Sets the limits of the bounded and the unbounded class that are not 0, and answers what they
  /// were.
  std::array<unsigned, 2> limit(std::array<unsigned, 2> wanted) noexcept;

  /// Threads of a class, now.
  [[nodiscard]] unsigned running(worker_class c) noexcept;

 private:
  struct team {
    std::mutex mutex;
    std::condition_variable work;
    job* first = nullptr;
    job* last = nullptr;
    unsigned queued = 0;
    unsigned idle = 0;
    unsigned running = 0;  // threads that have not ended
    unsigned limit = 1;

    void append(job& j) noexcept;
    void remove(job& j) noexcept;
    [[nodiscard]] bool wants_thread() const noexcept { return queued > idle && running < limit; }
  };

  [[nodiscard]] static bool start_thread(team& t) noexcept;
  static void serve(team& t);
  static void hand_back(team& t, job& j) noexcept;
  static void replace(team& t) noexcept;
  static void end_unserved(team& t, std::unique_lock<std::mutex>& lock) noexcept;
  [[nodiscard]] team& team_of(worker_class c) noexcept {
    return teams_[static_cast<std::size_t>(c)];
  }

  std::array<team, 3> teams_;
};

}  // namespace parkring::kernel::threads
