// How the simulated machine tells requests apart, by their opcodes.
#pragma once

#include <cstdint>

#include <parkring/sim/faults.hpp>

namespace parkring::kernel::sim {

/// How a request is carried out.
enum class manner : std::uint8_t { none, file, path, stream, socket };

[[nodiscard]] manner manner_of(unsigned opcode) noexcept;
/// Its kind for faults and latencies.
[[nodiscard]] parkring::sim::operation_kind kind_of(unsigned opcode, bool of_stream) noexcept;

}  // namespace parkring::kernel::sim
