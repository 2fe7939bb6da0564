// Calls about files for jobs on threads that may block: see kernel/file_calls.hpp.
#pragma once

#include <cerrno>

#include "base/owned_fd.hpp"
#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "kernel/file_calls.hpp"

namespace parkring::fs {

/// Those of the kernel that serves the running task. They outlive every job: a kernel is of the
/// process, or of a world that outlives its runtimes.
[[nodiscard]] inline kernel::file_calls& file_calls_here() noexcept {
  return exec::this_core().driver.ring.served_by().files();
}

/// A descriptor of an open file for a job: it stays open whatever becomes of the file's handle, and
/// closes with the job. Empty: errno says why.
[[nodiscard]] inline base::owned_fd kept_open(const detail::file_state& file) noexcept {
  const int fd = file_calls_here().duplicate(file.fd.get());
  if (fd < 0) errno = -fd;
  return base::owned_fd(fd);
}

}  // namespace parkring::fs
