// Random programs whose outcome is determined, so that machines can be compared.
//
// A program is a list of steps, a step a few operations on files that are submitted together: one
// alone, a chain, or a batch of operations that change nothing; or it is a few operations that wait
// on pipes and timers (waits.hpp), one after the other. Descriptors are named by places: what a
// step opens takes its place when the whole step is done, so that no number of a descriptor
// matters. Places from `direct_from` on are slots of the table of registered files, which take
// effect at once: chains open, use and close them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/abi.hpp"

namespace parkring::conformance::fuzz {

namespace abi = parkring::kernel::abi;

inline constexpr unsigned places = 6;
inline constexpr unsigned direct_from = 4;
inline constexpr unsigned pipes = 2;               // their places, in steps that wait
inline constexpr std::uint32_t most_bytes = 8192;  // of one transfer
/// The names that directories have entries of. All paths are made of them.
inline constexpr char names[] = {'a', 'b', 'c', 'd'};

struct operation {
  abi::op opcode = abi::op_nop;
  unsigned place = 0;        // of the file, where the opcode has one
  bool by_place = false;     // STATX of the open file instead of a path
  std::string path;          // below the directory of the program
  std::string other_path;    // the second one of those that have two
  bool at_position = false;  // instead of `offset`
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  std::uint32_t flags = 0;   // of the opcode
  std::uint8_t pattern = 0;  // of the bytes that are written
  bool hard_linked = false;  // in a chain: to the next
};

struct step {
  enum class shape : std::uint8_t { alone, chain, batch, waits };
  shape how = shape::alone;
  std::vector<operation> operations;
};

using program = std::vector<step>;

/// The same program for the same seed, everywhere.
[[nodiscard]] program generate(std::uint64_t seed, unsigned steps);

[[nodiscard]] std::string describe(const operation& o);
[[nodiscard]] std::string describe(const program& p);
[[nodiscard]] std::size_t size_of(const program& p);

}  // namespace parkring::conformance::fuzz
