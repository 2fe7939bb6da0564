#include "kernel/threads/interrupter.hpp"

#include <signal.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid  // an older C library's name for it
#endif

namespace parkring::kernel::threads {

namespace {

constexpr long period_ns = 1'000'000;

void only_interrupts(int) {}

bool is_ours(int signal) noexcept {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == &only_interrupts;
}

// The signal, of which the process has one for all; 0 when there is none.
int the_signal() noexcept {
  static const int found = [] {
    for (int signal = SIGRTMAX; signal >= SIGRTMIN; --signal) {
      struct sigaction now {};
      if (::sigaction(signal, nullptr, &now) != 0) continue;
      if (now.sa_handler != SIG_DFL) continue;
      struct sigaction wanted {};
      wanted.sa_handler = &only_interrupts;  // without SA_RESTART: calls answer EINTR
      ::sigfillset(&wanted.sa_mask);
      if (::sigaction(signal, &wanted, nullptr) == 0) return signal;
    }
    return 0;
  }();
  return found;
}

}  // namespace

interrupter::interrupter() noexcept : signal_(the_signal()) {
  if (signal_ == 0) return;
  struct sigevent to {};
  to.sigev_notify = SIGEV_THREAD_ID;
  to.sigev_signo = signal_;
  to.sigev_notify_thread_id = ::gettid();
  if (::timer_create(CLOCK_MONOTONIC, &to, &timer_) != 0) signal_ = 0;
}

interrupter::~interrupter() {
  if (signal_ != 0) ::timer_delete(timer_);
}

void interrupter::let_in(bool in) const noexcept {
  if (signal_ == 0) return;
  sigset_t one;
  ::sigemptyset(&one);
  ::sigaddset(&one, signal_);
  ::pthread_sigmask(in ? SIG_UNBLOCK : SIG_BLOCK, &one, nullptr);
}

void interrupter::repeat(long period) noexcept {
  if (signal_ == 0) return;
  const itimerspec when{{0, period}, {0, period != 0 ? 1 : 0}};
  ::timer_settime(timer_, 0, &when, nullptr);
}

void interrupter::interrupt() noexcept {
  if (signal_ != 0 && is_ours(signal_)) repeat(period_ns);
}

}  // namespace parkring::kernel::threads
