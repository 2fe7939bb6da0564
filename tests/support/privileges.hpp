// What the children of a test do to themselves: see in_child.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace parkring::testing {

/// Becomes an ordinary user, if the process is root. False when that is refused.
inline bool drop_privileges() {
  if (::geteuid() != 0) return true;
  constexpr unsigned nobody = 65534;
  return ::setgid(nobody) == 0 && ::setuid(nobody) == 0;
}

/// Lets the system calls `numbers` fail with `error` in this process, for ever.
inline bool deny_syscalls(std::initializer_list<long> numbers, int error) {
  std::vector<sock_filter> program;
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  for (const long n : numbers) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(n), 0, 1));
    program.push_back(
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog whole{static_cast<unsigned short>(program.size()), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0;
}

/// Whether a filter around this process refuses io_uring already: see launchers/no_io_uring.cpp.
inline bool io_uring_is_refused() {
  constexpr long sys_setup = 425;
  ::syscall(sys_setup, 0, nullptr);  // EINVAL or EFAULT where it is allowed
  return errno == EPERM || errno == ENOSYS || errno == EACCES;
}

inline bool limit(int resource, rlim_t value) {
  const rlimit both{value, value};
  return ::setrlimit(static_cast<__rlimit_resource>(resource), &both) == 0;
}

}  // namespace parkring::testing
