// What a simulated world is made of.
#pragma once

#include <cstddef>
#include <cstdint>

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
  /// A program that has taken so many steps hangs: `world::run` throws `too_many_steps`. A call
  /// into the kernel that leads to no step counts as one.
  std::uint64_t max_steps = 10'000'000;
};

}  // namespace parkring::sim
