// What a simulated world is made of.
#pragma once

#include <cstddef>

#include <parkring/sim/disk.hpp>
#include <parkring/sim/faults.hpp>
#include <parkring/sim/network.hpp>

namespace parkring::sim {

/// The parts of a world. By default a good disk, a good network and no faults: but every order that
/// the kernel may choose is drawn, and every latency.
struct world_options {
  disk_options disk{};
  network_options network{};
  sim::faults faults{};
  sim::latencies latencies{};
  /// How many of the last events are kept for `world::trace`; the hash covers all.
  std::size_t trace_entries = 256;
};

}  // namespace parkring::sim
