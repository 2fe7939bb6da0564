#include "proc/signal_table.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <new>
#include <string>

#include <parkring/error.hpp>

#include "base/fork_held_mutex.hpp"

namespace parkring::proc {
namespace {

using word = std::atomic<std::uint64_t>;  // sender << 32 | count
static_assert(word::is_always_lock_free, "the handler may take no lock");

constinit std::array<word, last_signal + 1> words{};
constinit std::array<word, last_signal + 1> orders{};
constinit word arrivals_of_all{0};
constinit std::atomic<int> the_event{-1};

void on_signal(int number, siginfo_t* info, void*) {
  const int errno_before = errno;
  const auto at = static_cast<std::size_t>(number);
  const bool by_process =
      info != nullptr &&
      (info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL);
  const auto sender = static_cast<std::uint32_t>(by_process ? info->si_pid : 0);
  orders[at].store(arrivals_of_all.fetch_add(1, std::memory_order_relaxed),
                   std::memory_order_relaxed);
  std::uint64_t before = words[at].load(std::memory_order_relaxed), after;
  do after = std::uint64_t{sender} << 32 | static_cast<std::uint32_t>(before + 1);
  // Release: the order before the count; pairs with the acquire in `look`.
  while (!words[at].compare_exchange_weak(before, after, std::memory_order_release,
                                          std::memory_order_relaxed));
  const std::uint64_t one = 1;
  // When it fails the counter is full, and readable.
  [[maybe_unused]] const auto written =
      ::write(the_event.load(std::memory_order_relaxed), &one, sizeof one);
  errno = errno_before;
}

bool is_ours(const struct sigaction& s) noexcept {
  return (s.sa_flags & SA_SIGINFO) != 0 && s.sa_sigaction == &on_signal;
}

void event_of_its_own() {
  const int shared = the_event.load(std::memory_order_relaxed);
  const int fresh = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fresh < 0) return;  // then each wakes the other, which finds nothing
  ::dup3(fresh, shared, O_CLOEXEC);
  ::close(fresh);
}

struct subscriptions {
  base::fork_held_mutex mutex;
  std::array<unsigned, last_signal + 1> users{};
  std::array<struct sigaction, last_signal + 1> before{};

  // 0 or an errno.
  int install(int number) noexcept {
    struct sigaction ours {};
    ours.sa_sigaction = &on_signal;
    // Calls of others go on after it; and threads that have a stack for signals use that.
    ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    ::sigemptyset(&ours.sa_mask);
    const auto at = static_cast<std::size_t>(number);
    struct sigaction replaced {};
    if (::sigaction(number, &ours, &replaced) != 0) return errno;
    // Others may have put ours back after it was removed; what was there before it counts.
    if (!is_ours(replaced)) before[at] = replaced;
    return 0;
  }
  void remove(int number) noexcept {
    struct sigaction now {};
    if (::sigaction(number, nullptr, &now) == 0 && is_ours(now))
      ::sigaction(number, &before[static_cast<std::size_t>(number)], nullptr);
  }
  void make_event() {
    if (the_event.load(std::memory_order_relaxed) >= 0) return;
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
      throw io_error({errno, "signals", "eventfd",
                      "raise the limit of descriptors (ulimit -n) if it is reached"});
    if (::pthread_atfork(nullptr, nullptr, &event_of_its_own) != 0) {
      ::close(fd);
      throw std::bad_alloc();
    }
    the_event.store(fd, std::memory_order_relaxed);
  }
};

// Never destroyed: objects in static storage may end their subscriptions while the process ends.
subscriptions& all() {
  static auto* const s = new subscriptions;
  return *s;
}

bool repeats_what_caused_it(int number) noexcept {
  return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL;
}

[[noreturn]] void refuse(int number, int error) {
  const char* name = ::sigabbrev_np(number);
  const std::string shown = name != nullptr ? std::string("SIG") + name : std::to_string(number);
  throw io_error({error, "signals", shown,
                  repeats_what_caused_it(number)
                      ? "a thread that goes on after it only causes it again"
                      : "this signal cannot be caught, or is the C library's own"});
}

}  // namespace

void signal_table::subscribe(signal_set wanted) {
  for (int n = 1; n <= last_signal; ++n)
    if ((wanted & bit_of(n)) != 0 && repeats_what_caused_it(n)) refuse(n, EINVAL);
  subscriptions& s = all();
  const std::lock_guard lock(s.mutex);
  s.make_event();
  for (int n = 1; n <= last_signal; ++n) {
    if ((wanted & bit_of(n)) == 0) continue;
    auto& users = s.users[static_cast<std::size_t>(n)];
    if (users == 0) {
      if (const int error = s.install(n); error != 0) {
        for (int done = 1; done < n; ++done)
          if ((wanted & bit_of(done)) != 0 && --s.users[static_cast<std::size_t>(done)] == 0)
            s.remove(done);
        refuse(n, error);
      }
    }
    ++users;
  }
}

void signal_table::unsubscribe(signal_set wanted) noexcept {
  subscriptions& s = all();
  const std::lock_guard lock(s.mutex);
  for (int n = 1; n <= last_signal; ++n)
    if ((wanted & bit_of(n)) != 0 && --s.users[static_cast<std::size_t>(n)] == 0) s.remove(n);
}

arrivals signal_table::look(int number) noexcept {
  // Pairs with the release in the handler.
  const std::uint64_t w = words[static_cast<std::size_t>(number)].load(std::memory_order_acquire);
  return {static_cast<std::uint32_t>(w), static_cast<pid_t>(w >> 32)};
}

std::uint64_t signal_table::order_of(int number) noexcept {
  return orders[static_cast<std::size_t>(number)].load(std::memory_order_relaxed);
}

int signal_table::event() noexcept { return the_event.load(std::memory_order_relaxed); }

}  // namespace parkring::proc
