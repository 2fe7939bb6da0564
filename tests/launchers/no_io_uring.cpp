// no-io-uring [--errno NAME] COMMAND ARGS...: runs a command where io_uring is forbidden, as under
// the seccomp profiles of containers. Its three system calls answer EPERM, or ENOSYS.
//
// Ends as the command does; with 77 where no filter can be installed, which ctest takes for
// "skipped"; with 2 when it is called wrongly, and 127 when the command cannot be run.
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "support/privileges.hpp"

int main(int argc, char** argv) {
  constexpr long sys_setup = 425, sys_enter = 426, sys_register = 427;  // the same on all machines
  int error = EPERM, at = 1;
  if (argc > 2 && std::string_view(argv[1]) == "--errno") {
    const std::string_view name = argv[2];
    error = name == "EPERM" ? EPERM : name == "ENOSYS" ? ENOSYS : 0;
    at = 3;
  }
  if (error == 0 || at >= argc) {
    std::fprintf(stderr, "usage: no-io-uring [--errno EPERM|ENOSYS] COMMAND ARGS...\n");
    return 2;
  }
  if (!parkring::testing::deny_syscalls({sys_setup, sys_enter, sys_register}, error)) {
    std::fprintf(stderr, "no-io-uring: skipped, no seccomp filter can be installed here: %s\n",
                 std::strerror(errno));
    return 77;
  }
  if (::syscall(sys_setup, 1, nullptr) != -1 || errno != error) {
    std::fprintf(stderr, "no-io-uring: the filter is installed, but io_uring is not refused\n");
    return 2;
  }
  ::execvp(argv[at], argv + at);
  std::fprintf(stderr, "no-io-uring: cannot run %s: %s\n", argv[at], std::strerror(errno));
  return 127;
}
