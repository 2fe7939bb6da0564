// Starting a program: the part that may block, and so runs on a thread of the pool.
//
// posix_spawn(3) neither copies this process's memory maps nor returns before the program runs:
// what exec says comes back as its answer. In the child the C library blocks all signals until our
// handlers are gone, so none of them runs there.
//
// The plan owns all that the call needs. Its descriptors are close-on-exec and above the standard
// three, so that putting one of them into its place never covers another.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <parkring/proc/command.hpp>

#include "base/owned_fd.hpp"
#include "proc/child.hpp"

namespace parkring::proc {

struct start_plan {
  std::string program;
  std::vector<std::string> arguments;  // the program's name first
  std::vector<std::string> environment;
  std::string directory;  // empty: ours
  struct stream {
    bool null = false;
    base::owned_fd fd;  // none: inherited, or null
  };
  std::array<stream, 3> streams;
  bool leads_group = false;
  bool kill_on_drop = false;
};

struct start_answer {
  int error = 0;  // an errno, and then what failed:
  const char* what = "spawn";
  child started;
};

[[nodiscard]] start_answer start(start_plan& plan);

/// A duplicate that is close-on-exec and none of the standard three; or -errno.
[[nodiscard]] int duplicate_above_standard(int fd) noexcept;

}  // namespace parkring::proc
