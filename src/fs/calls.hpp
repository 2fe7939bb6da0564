// Calls about files for jobs on threads that may block: see kernel/file_calls.hpp.
#pragma once

#include "exec/core.hpp"
#include "kernel/file_calls.hpp"

namespace parkring::fs {

/// Those of the kernel that serves the running task. They outlive every job: a kernel is of the
/// process, or of a world that outlives its runtimes.
[[nodiscard]] inline kernel::file_calls& file_calls_here() noexcept {
  return exec::this_core().driver.ring.served_by().files();
}

}  // namespace parkring::fs
