// From what runtimes have recorded to the JSON of Chrome's trace events.
#pragma once

#include <parkring/trace.hpp>

#include <iosfwd>
#include <memory>
#include <span>

#include "base/ticks.hpp"
#include "exec/trace_recording.hpp"

namespace parkring::exec {

/// Times are microseconds from `begin` on; those of simulated worlds from the start of the world.
trace::summary write_trace(std::ostream& out, base::tick_mark begin, double ticks_per_ns,
                           std::span<const std::shared_ptr<trace_track>> tracks,
                           std::size_t max_events);

}  // namespace parkring::exec
