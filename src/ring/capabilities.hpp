// What the kernel at hand can do, asked once and then remembered.
//
// The ring finds its own set-up flags; this is for code that chooses between opcodes, and for
// people who want to know why the ring is not used.
#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "kernel/abi.hpp"
#include "kernel/kernel.hpp"
#include "ring/setup_error.hpp"

namespace parkring::ring {

struct capabilities {
  int error = 0;    // of making a ring; 0 when rings can be made
  explanation why;  // in words, when error is not 0
  surroundings around;

  std::uint32_t setup_flags = 0;  // setup_* a default ring runs with
  std::uint32_t features = 0;     // feat_*
  std::bitset<256> opcodes;       // that the kernel says it supports
  bool registered_descriptor = false;

  [[nodiscard]] bool available() const noexcept { return error == 0; }
  [[nodiscard]] bool has(kernel::abi::op opcode) const noexcept { return opcodes[opcode]; }
  [[nodiscard]] bool has_feature(std::uint32_t feature) const noexcept {
    return (features & feature) == feature;
  }
  [[nodiscard]] bool has_setup_flag(std::uint32_t flag) const noexcept {
    return (setup_flags & flag) == flag;
  }
};

/// Asks `k` now. Makes one small ring on this thread and drops it.
[[nodiscard]] capabilities probe(kernel::kernel& k);

/// What the Linux kernel this process runs on can do; asked at the first call. Any thread.
[[nodiscard]] const capabilities& this_machine();

/// One set-up flag, tried on a ring of its own together with the flags it needs.
struct flag_trial {
  const char* name;         // "DEFER_TASKRUN"
  std::uint32_t flag;       // setup_*
  std::uint32_t tried_set;  // the flag and its companions
  int error;                // 0: taken
};

/// Tries every flag a ring of ours could have. Makes as many rings as there are flags.
[[nodiscard]] std::vector<flag_trial> try_setup_flags(kernel::kernel& k);

}  // namespace parkring::ring
