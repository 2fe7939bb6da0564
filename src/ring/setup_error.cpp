#include "ring/setup_error.hpp"

#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <cerrno>
#include <fstream>

namespace parkring::ring {

namespace {

int read_disabled_sysctl() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  int value = -1;
  return file >> value ? value : -1;
}

int read_seccomp_mode() {
  std::ifstream file("/proc/self/status");
  for (std::string key; file >> key;) {
    int mode = -1;
    if (key == "Seccomp:" && file >> mode) return mode;
  }
  return -1;
}

explanation explain_refusal(const surroundings& around) {
  if (around.io_uring_disabled == 2) {
    return {"io_uring is switched off for all processes (kernel.io_uring_disabled is 2)",
            "Set the sysctl kernel.io_uring_disabled to 0."};
  }
  if (around.io_uring_disabled == 1) {
    return {"io_uring is switched off for unprivileged processes (kernel.io_uring_disabled is 1)",
            "Set the sysctl kernel.io_uring_disabled to 0, or add this user's group as "
            "kernel.io_uring_group."};
  }
  if (around.seccomp_mode > 0) {
    return {"a seccomp filter of this process refuses io_uring, as most container run-times do",
            "Allow the system calls io_uring_setup, io_uring_enter and io_uring_register in the "
            "container's seccomp profile."};
  }
  return {"a security policy of this machine refuses io_uring",
          "Look for a security module's denial in the kernel log, and allow io_uring there."};
}

explanation explain_memory(const surroundings& around) {
  if (around.memlock_unlimited) {
    return {"the machine or the control group has no memory left for the ring",
            "Free memory, raise the control group's limit, or ask for fewer entries."};
  }
  return {"no memory for the ring; the limit of locked memory is " +
              std::to_string(around.memlock_bytes / 1024) + " KiB",
          "Raise the limit of locked memory (ulimit -l, LimitMEMLOCK=) or the control group's "
          "memory limit, or ask for fewer entries."};
}

std::string describe(int error, unsigned entries) {
  const explanation why = explain_setup_error(error, surroundings::read());
  return "io_uring_setup of " + std::to_string(entries) + " entries failed with " +
         errno_name(error) + ": " + why.reason + ". " + why.remedy + " The system says";
}

}  // namespace

surroundings surroundings::read() {
  surroundings around;
  if (utsname names{}; ::uname(&names) == 0) around.release = names.release;
  around.io_uring_disabled = read_disabled_sysctl();
  around.seccomp_mode = read_seccomp_mode();
  if (rlimit limit{}; ::getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
    around.memlock_unlimited = limit.rlim_cur == RLIM_INFINITY;
    around.memlock_bytes = limit.rlim_cur;
  }
  return around;
}

explanation explain_setup_error(int error, const surroundings& around) {
  switch (error) {
    case EPERM:
    case EACCES:
      return explain_refusal(around);
    case ENOSYS:
      // Some filters answer ENOSYS to pretend that the kernel is older.
      if (around.seccomp_mode > 0) {
        return {"this kernel (" + around.release +
                    ") has no usable io_uring, or a seccomp filter of this process hides it",
                "Run on Linux 6.1 or later, and allow the io_uring system calls in the container's "
                "seccomp profile."};
      }
      return {"this kernel (" + around.release + ") has no io_uring, or one too old to use",
              "Run on Linux 6.1 or later, built with CONFIG_IO_URING."};
    case EINVAL:
      return {"this kernel (" + around.release + ") knows none of the set-up flags tried",
              "Run on Linux 6.1 or later."};
    case ENOMEM:
      return explain_memory(around);
    case EMFILE:
      return {"this process has no free file descriptor",
              "Raise the limit of open files (ulimit -n, LimitNOFILE=) or close some."};
    case ENFILE:
      return {"the machine has no free file descriptor",
              "Raise the sysctl fs.file-max or close files."};
    default:
      return {"the kernel (" + around.release + ") refuses the ring",
              "See io_uring_setup(2) for this errno."};
  }
}

setup_failed::setup_failed(int error, unsigned entries)
    : std::system_error(error, std::generic_category(), describe(error, entries)) {}

std::string errno_name(int error) {
  if (const char* name = ::strerrorname_np(error); name != nullptr) return name;
  return "errno " + std::to_string(error);
}

}  // namespace parkring::ring
