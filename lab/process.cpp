#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>

namespace lab {
namespace {

// What the child sends: small enough for one atomic write to a pipe.
struct report {
  bool good;
  measurement figures;
  char text[512];
};

int report_pipe = -1;  // in the child, where fail() writes to

void send(const report& what) noexcept {
  if (::write(report_pipe, &what, sizeof(what)) != sizeof(what)) ::_exit(4);
}

[[noreturn]] void run_child(const contender& who, const session_plan& plan, int cpu) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    report what{};
    what.good = true;
    what.figures = measure_here(who, plan, cpu);
    send(what);
  } catch (const std::exception& error) {
    fail("%s", error.what());
  }
  ::_exit(0);
}

std::string describe(int status) {
  if (WIFSIGNALED(status)) return std::string("ended by signal ") + ::sigdescr_np(WTERMSIG(status));
  return "ended with code " + std::to_string(WEXITSTATUS(status)) + " and no result";
}

}  // namespace

void fail(const char* format, ...) {
  report what{};
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(what.text, sizeof(what.text), format, arguments);
  va_end(arguments);
  if (report_pipe < 0) {
    std::fprintf(stderr, "parkring-lab: %s\n", what.text);
    ::_exit(1);
  }
  send(what);
  ::_exit(3);
}

measurement measure_here(const contender& who, const session_plan& plan, int cpu) {
  if (!who.all_cpus) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<std::size_t>(cpu), &only);
    if (::sched_setaffinity(0, sizeof(only), &only) < 0)
      fail("pin to cpu %d: %s; choose another with --cpu", cpu, std::strerror(errno));
  }
  session run(plan);
  who.run(run);
  return run.result();
}

outcome measure_in_child(const contender& who, const session_plan& plan, int cpu,
                         std::chrono::milliseconds patience) {
  outcome result;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) {
    result.failure = std::string("pipe: ") + std::strerror(errno);
    return result;
  }
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    report_pipe = ends[1];
    run_child(who, plan, cpu);
  }
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    result.failure = std::string("fork: ") + std::strerror(errno);
    return result;
  }

  report what{};
  pollfd watched{.fd = ends[0], .events = POLLIN, .revents = 0};
  const bool answered = ::poll(&watched, 1, static_cast<int>(patience.count())) > 0;
  const bool complete = answered && ::read(ends[0], &what, sizeof(what)) == sizeof(what);
  if (!answered) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::close(ends[0]);

  if (!answered)
    result.failure = "no result after " + std::to_string(patience.count()) + " ms";
  else if (!complete)
    result.failure = describe(status);
  else if (!what.good)
    result.failure = what.text;
  else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    result.failure = "after the measurement: " + describe(status);
  else
    result.figures = what.figures;
  return result;
}

}  // namespace lab
