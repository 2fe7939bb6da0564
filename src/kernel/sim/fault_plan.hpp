// Decides for each operation of a world what goes wrong with it, and how long it takes.
//
// The callback is asked first, then the rules in the order of `parkring::sim::fault`; the first
// that strikes is the only one. A rule draws only for operations it applies to, so adding one
// leaves the draws of operations of other kinds alone. What was decided may yet be suppressed: only
// what `happens` has consequences, and a path with a sticky error overrides what else was decided.
#pragma once

#include <parkring/sim/faults.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/sim/random.hpp"

namespace parkring::kernel::sim {

/// A name with * (anything, also '/') and ? (one character).
bool matches(std::string_view pattern, std::string_view text) noexcept;

struct fault_decision {
  parkring::sim::fault what = parkring::sim::fault::error;
  int error = 0;             // to answer with, positive; 0: the operation is done nevertheless
  std::uint64_t length = 0;  // of short reads and writes: what to do of it, at least 1
  std::uint64_t where = 0;   // a random number for the rest: which bit, which place
  std::chrono::nanoseconds delay{0};
};

/// What can happen to an operation beside what its kind tells.
struct nature {
  std::uint64_t unit = 1;      // it transfers multiples of this many bytes
  bool may_be_short = true;    // it can transfer a part of what was asked for
  bool may_need_space = true;  // it can make the disk fuller
  bool syncs_too = false;      // a write that is durable when it ends (O_DSYNC)
};

class fault_plan {
 public:
  using operation = parkring::sim::operation;

  fault_plan(parkring::sim::faults faults, parkring::sim::latencies latencies, random draws);

  /// Nothing, mostly.
  std::optional<fault_decision> decide(const operation& op, const nature& of = {});
  /// A fault that was decided was not suppressed.
  void happens(const fault_decision& d, const operation& op);
  /// What earlier faults mean for it: EIO on a path with a sticky error.
  std::optional<fault_decision> follow(const operation& op) const;
  /// How long it takes, without faults; `calm`: without chance.
  std::chrono::nanoseconds latency_of(parkring::sim::operation_kind kind, bool calm);

  const parkring::sim::faults& faults() const noexcept { return faults_; }
  /// How often a kind has struck.
  std::uint64_t struck(parkring::sim::fault kind) const noexcept {
    return struck_[static_cast<std::size_t>(kind)];
  }

 private:
  struct active_rule {
    parkring::sim::fault kind;
    std::uint64_t eligible = 0;  // operations so far
  };

  bool strikes(active_rule& active, const operation& op, const nature& of);
  fault_decision decision(const parkring::sim::injected& what, const operation& op,
                          const nature& of);

  parkring::sim::faults faults_;
  parkring::sim::latencies latencies_;
  random draws_;
  random times_;
  std::vector<active_rule> rules_;
  std::array<std::vector<std::uint8_t>, parkring::sim::operation_kinds> of_kind_;  // into rules_
  std::array<std::uint64_t, parkring::sim::fault_kinds + 1> struck_{};
  std::set<std::string, std::less<>> broken_;  // paths with a sticky error
};

/// A value of the distribution.
std::chrono::nanoseconds draw(const parkring::sim::latency& from, random& draws);

}  // namespace parkring::kernel::sim
