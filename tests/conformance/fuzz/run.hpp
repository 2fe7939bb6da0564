// Runs a program on a machine and tells what could be seen: each result, each byte that was read,
// and the tree of files that is left. What file systems may have differently is left out: sizes
// and link counts of directories, numbers of files, blocks, times.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "conformance/client.hpp"
#include "conformance/fuzz/program.hpp"
#include "conformance/fuzz/waits.hpp"

namespace parkring::conformance::fuzz {

struct outcome {
  /// One line for each operation, in order; equal lines are equal outcomes.
  std::vector<std::string> answers;
  /// One line for each file and directory that is left, with its content.
  std::vector<std::string> tree;
};

/// One machine, and all that programs need on it, used for many programs one after the other.
class runner {
 public:
  /// Works in new directories below `root`.
  runner(kernel::kernel& k, std::string root);

  /// Leaves nothing behind.
  [[nodiscard]] outcome run(const program& p);
  [[nodiscard]] bool supports(unsigned opcode) const { return io_.supports(opcode); }

 private:
  struct attempt;
  [[nodiscard]] abi::sqe entry_of(const operation& o, attempt& a);
  void run_step(const step& s, std::vector<std::string>& answers);
  void settle(const operation& o, std::int32_t result);
  [[nodiscard]] std::string seen(const operation& o, const attempt& a, std::int32_t result);
  void walk(const std::string& path, const std::string& shown, unsigned depth,
            std::vector<std::string>& tree);
  void remove(const std::string& path, unsigned depth);
  void close_all();

  client io_;
  waits waits_;
  std::string root_;
  std::string directory_;
  unsigned runs_ = 0;
  char* fixed_;  // registered, a part for each operation of a step
  int open_[direct_from];
};

/// The program of a seed for both of them: what is too young for one of their kernels both do
/// without.
[[nodiscard]] program generate_for(std::uint64_t seed, unsigned steps, const runner& a,
                                   const runner& b);

struct difference {
  std::size_t operation;  // counted through all steps; their number when only the trees differ
  std::string expected;
  std::string got;
};

/// The first one; empty when the outcomes are the same.
[[nodiscard]] std::optional<difference> compare(const outcome& expected, const outcome& got);

/// Leaves out steps and operations of `p` as long as `reference` and `other` still differ.
[[nodiscard]] program shrink(program p, runner& reference, runner& other);

/// What a person needs to know: the seed, both answers, the smallest program that shows it.
[[nodiscard]] std::string report(std::uint64_t seed, const program& p, const difference& first,
                                 runner& reference, runner& other);

}  // namespace parkring::conformance::fuzz
