// Lets others end a system call that this thread waits in: the call answers EINTR.
//
// By a signal to this thread only, which a timer repeats until the call has ended, because one that
// comes before the call has begun would be lost. Nothing is left half-way: a call that has just
// succeeded gives its answer. (pthread_cancel(3) loses the descriptor that an open has just made.)
//
// The signal is the highest real-time one that has its default action when one is first needed. It
// is blocked but in such calls, and all other signals are blocked there. Where there is none, or
// the program has taken it over since, calls go on.
#pragma once

#include <time.h>

namespace parkring::kernel::threads {

class interrupter {
 public:
  /// For the thread that makes it, which destroys it.
  interrupter() noexcept;
  interrupter(const interrupter&) = delete;
  interrupter& operator=(const interrupter&) = delete;
  ~interrupter();

  /// This thread: around the calls that may be interrupted.
  void open() noexcept { let_in(true); }
  void shut() noexcept { let_in(false); }
  /// This thread, after `shut`: no more signals.
  void calm() noexcept { repeat(0); }

  /// Any thread, while nobody destroys it: the call that it is in, or the next one, is interrupted
  /// until `calm`.
  void interrupt() noexcept;

 private:
  void let_in(bool in) const noexcept;
  void repeat(long period_ns) noexcept;

  int signal_ = 0;  // 0: nothing can be interrupted
  timer_t timer_{};
};

}  // namespace parkring::kernel::threads
