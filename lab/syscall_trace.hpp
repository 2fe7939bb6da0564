// Counts every system call of a contender exactly, as strace -c -f would, by tracing a short run.
#pragma once

#include "contender.hpp"
#include "session.hpp"

namespace lab {

/// Called by a session at the start and at the end of the timed phase of a traced run.
void mark_for_tracer() noexcept;

/// System calls per operation, over a few thousand operations and all threads that the contender
/// starts; NaN when tracing is not permitted here or the run fails.
double traced_syscalls_per_op(const contender& who, session_plan plan, int cpu);

}  // namespace lab
