// Which kernel serves a ring, and why.
//
// What comes first decides: the kernel of the calling thread (a simulated world), what the caller
// wants, the environment (PARKRING_KERNEL=linux or threads), and else Linux as long as it makes
// rings. Whether it does is seen when the ring is made, since a limit can be met, or a filter
// installed, at any time: whoever makes a ring asks `instead` when that failed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernel/kernel.hpp"
#include "ring/setup_error.hpp"

namespace parkring::ring {

enum class wanted_kernel : std::uint8_t { any, linux_rings, threads };

struct choice {
  kernel::kernel* served_by = nullptr;
  std::string why;        // a sentence without its full stop: "Linux 6.18 offers io_uring"
  bool if_it_can = true;  // when no ring can be made the threads serve instead

  /// What to try after a set-up on this choice failed with `error`, an errno. None when that error
  /// has to be told.
  [[nodiscard]] std::optional<choice> instead(int error, const surroundings& around) const;
};

/// *Errors*: `std::system_error` when the environment names a kernel that does not exist.
[[nodiscard]] choice choose_kernel(wanted_kernel wanted);

/// As above for an environment and a machine of the caller's; `variable` is null when it is not
/// set.
[[nodiscard]] choice choose_kernel(wanted_kernel wanted, const char* variable,
                                   std::string_view release);

/// The choice as it ends now: makes a small ring and drops it, to see whether it can be made.
/// *Errors*: as above, and `setup_failed` when a runtime would fail for it too.
[[nodiscard]] choice try_kernel(wanted_kernel wanted);

}  // namespace parkring::ring
