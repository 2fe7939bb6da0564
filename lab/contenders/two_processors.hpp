// Two threads that shall not share a processor: contenders are pinned to one.
#pragma once

#include <sched.h>
#include <unistd.h>

namespace lab {

/// Puts the calling thread on the processor after `cpu`, where there is one.
inline void run_beside(int cpu) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>((cpu + 1) % static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN))),
          &set);
  (void)::sched_setaffinity(0, sizeof set, &set);
}

/// Work of some two microseconds.
inline void some_work() noexcept {
  for (unsigned i = 0; i < 4'000; ++i) asm volatile("");
}

}  // namespace lab
