#include "tree_runs.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "../clock.hpp"
#include "../contender.hpp"

namespace lab {
namespace {

double nanoseconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_usec) * 1e3;
}

}  // namespace

void run_in_children(session& run, unsigned units, const std::function<void()>& before,
                     const tree_run& what) {
  double wall = 0, user = 0, system = 0;
  unsigned runs = 0;
  while (runs == 0 || wall < static_cast<double>(run.plan().nanoseconds)) {
    before();
    std::fflush(nullptr);
    const auto start = clock_ns();
    const pid_t child = ::fork();
    if (child < 0) fail("fork: %s", std::strerror(errno));
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::_exit(what());
    }
    int status = 0;
    rusage used{};
    while (::wait4(child, &status, 0, &used) < 0 && errno == EINTR) {
    }
    wall += static_cast<double>(clock_ns() - start);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("it did not end well: %d", status);
    user += nanoseconds(used.ru_utime);
    system += nanoseconds(used.ru_stime);
    ++runs;
  }
  const double operations = static_cast<double>(units) * runs;
  measurement figures;
  figures.ops_per_s = operations / wall * 1e9;
  figures.cpu_ns_per_op = (user + system) / operations;
  figures.user_ns_per_op = user / operations;
  run.hand_in(figures);
}

int become_quiet(const char* const* command) {
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) ::dup2(nowhere, STDOUT_FILENO);
  ::execvp(command[0], const_cast<char* const*>(command));
  return 127;
}

bool program_in_path(const char* program) {
  const char* const path = std::getenv("PATH");
  std::string_view folders = path != nullptr ? path : "";
  while (!folders.empty()) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    const auto candidate = std::filesystem::path(folders.substr(0, end)) / program;
    if (::access(candidate.c_str(), X_OK) == 0) return true;
    folders.remove_prefix(std::min(end + 1, folders.size()));
  }
  return false;
}

}  // namespace lab
