// Runs a function in a forked child, for what a test cannot do to its own process: install a
// seccomp filter, give up privileges, lower limits, end while requests are in flight.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <ostream>
#include <string>
#include <utility>

namespace parkring::testing {

struct child_result {
  int status = -1;     // as returned by the function; -1 when a signal ended the child
  int signal = 0;      // that ended it, or 0
  std::string output;  // what it wrote to stderr
};

inline std::ostream& operator<<(std::ostream& out, const child_result& r) {
  return out << "status " << r.status << ", signal " << r.signal << ", stderr:\n" << r.output;
}

enum class child_end { at_once, through_exit };

/// Runs `fn`, which returns an int, in a child and waits for it. An exception is status 111 and its
/// text is in the output. A child that hangs is ended by SIGALRM. With `through_exit` the child
/// leaves through exit(), so static destructors and handlers run.
template <class Fn>
child_result in_child(Fn&& fn, child_end end = child_end::at_once, unsigned limit_seconds = 30) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) std::abort();
  if (child == 0) {
    ::close(ends[0]);
    ::dup2(ends[1], STDERR_FILENO);
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[1]);
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(limit_seconds);
    int status = 111;
    try {
      status = std::forward<Fn>(fn)();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
    }
    std::fflush(nullptr);
    if (end == child_end::through_exit) std::exit(status);
    ::_exit(status);
  }
  ::close(ends[1]);
  child_result r;
  char part[512];
  for (ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0;)
    r.output.append(part, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int raw = 0;
  while (::waitpid(child, &raw, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(raw)) r.status = WEXITSTATUS(raw);
  if (WIFSIGNALED(raw)) r.signal = WTERMSIG(raw);
  return r;
}

}  // namespace parkring::testing
