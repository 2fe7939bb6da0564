// Who reads the completions of a runtime: what its options ask for, else the environment
// (PARKRING_READER=park, thread or task), else the park layer. Beside Linux's own rings it is
// always the park layer: an emulated ring makes its completions inside of `enter`.
#pragma once

#include <optional>

#include <parkring/runtime.hpp>

namespace parkring::exec {

/// `linux_rings`: whether io_uring serves the runtime.
/// *Errors*: `std::system_error` when the environment names a reader that does not exist.
[[nodiscard]] completion_reader choose_reader(std::optional<completion_reader> wanted,
                                              bool linux_rings);

/// As above for an environment of the caller's; `variable` is null when it is not set.
[[nodiscard]] completion_reader choose_reader(std::optional<completion_reader> wanted,
                                              bool linux_rings, const char* variable);

}  // namespace parkring::exec
