// Closing a descriptor, whichever kernel it came from.
//
// A descriptor of a simulated machine is a number from 2^30 on. Linux never gives such a number:
// the sysctl fs.nr_open bounds it far below. So the number alone tells where it is to be closed,
// also in a file handle that outlives its runtime and knows no kernel any more.
#pragma once

#include <atomic>

namespace parkring::base {

inline constexpr int first_simulated_descriptor = 1 << 30;

/// Closes a descriptor of a simulated machine: 0 or -errno. Set by the code that simulates, before
/// it gives the first descriptor; null until then. Called from any thread.
using close_function = int (*)(int fd) noexcept;
extern constinit std::atomic<close_function> close_simulated;

/// As close(2): 0 or -errno. -EBADF for a number that no kernel has given.
int close_descriptor(int fd) noexcept;

}  // namespace parkring::base
