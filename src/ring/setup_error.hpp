// Why a ring could not be made, and what can be done about it.
#pragma once

#include <string>
#include <system_error>

namespace parkring::ring {

/// What the process knows about its surroundings that explains a refusal.
struct surroundings {
  std::string release;         // of the running kernel, "6.1.0"
  int io_uring_disabled = -1;  // sysctl kernel.io_uring_disabled; -1 where it does not exist
  int seccomp_mode = -1;       // of /proc/self/status: 0 none, 2 filtered; -1 unknown
  bool memlock_unlimited = false;
  unsigned long long memlock_bytes = 0;  // soft limit of locked memory

  [[nodiscard]] static surroundings read();
};

struct explanation {
  std::string reason;  // a clause: "a seccomp filter refuses io_uring_setup"
  std::string remedy;  // a sentence: "Allow ..."
};

/// In words, what `error` (a positive errno of io_uring_setup or of mapping the ring) means here.
[[nodiscard]] explanation explain_setup_error(int error, const surroundings& around);

/// Thrown when a ring cannot be made. what() names the call, the errno, the cause and the remedy.
class setup_failed : public std::system_error {
 public:
  setup_failed(int error, unsigned entries);
};

/// "EPERM" for 1, "errno 4095" for a number without a name.
[[nodiscard]] std::string errno_name(int error);

}  // namespace parkring::ring
