// Each measurement runs in a process of its own, so that none inherits the heap, the caches or the
// mistakes of another.
#pragma once

#include <chrono>
#include <string>

#include "contender.hpp"
#include "measurement.hpp"
#include "session.hpp"

namespace lab {

struct outcome {
  measurement figures;
  std::string failure;  // empty when it went well
};

/// Forks, pins the child to `cpu` (unless the contender uses all), runs and reports. A child that
/// does not end within `patience` is killed, and that is its failure.
outcome measure_in_child(const contender& who, const session_plan& plan, int cpu,
                         std::chrono::milliseconds patience);

/// The same inside this process; lab::fail() ends the process with the text on standard error.
measurement measure_here(const contender& who, const session_plan& plan, int cpu);

}  // namespace lab
