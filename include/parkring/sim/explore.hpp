// Many worlds: a scenario under one seed after another, on all cores, until one of them fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <parkring/sim/world.hpp>

namespace parkring::sim {

/// What `require` throws.
class requirement_failed : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Fails a scenario, with `what` as the reason, unless `holds`.
inline void require(bool holds, const std::string& what) {
  if (!holds) throw requirement_failed(what);
}

struct explore_options {
  std::uint64_t first_seed = 1;
  std::uint64_t seeds = 1'000;
  unsigned threads = 0;  ///< 0: one for each core
  world_options world{};
  /// Look for a smaller failure of the same seed: fewer faults, an earlier power cut, no chance in
  /// the times that requests take.
  bool shrink = true;
  std::size_t trace_lines = 40;
  bool print = true;  ///< a failure goes to standard error too
};

/// The failure of the lowest seed that fails, as small as it could be made.
struct failure {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;                   ///< of the world, when it failed
  std::string what;                         ///< the text of the exception
  std::optional<std::uint64_t> cut_step;    ///< where the power was cut last
  std::optional<std::uint64_t> forced_cut;  ///< where the first cut was put, or moved to
  std::vector<world::injection> faults;     ///< those that it takes
  std::vector<std::uint64_t> without;       ///< ordinals of faults that it does not take
  bool calm = false;                        ///< it also fails without chance in the times
  bool repeatable = true;                   ///< false: the same seed gave something else
  std::string trace;                        ///< what led to the last cut, and the last events

  /// All of it in words.
  [[nodiscard]] std::string text() const;
};

struct exploration {
  std::uint64_t seeds = 0;       ///< worlds run, without those for shrinking
  std::uint64_t operations = 0;  ///< requests in them
  std::uint64_t steps = 0;
  std::optional<failure> first;

  [[nodiscard]] bool ok() const noexcept { return !first.has_value(); }
  /// What was found, in words.
  [[nodiscard]] std::string text() const;
};

/// Runs `scenario` in a world of each seed. It fails by throwing (`require` throws), and must use
/// nothing but its world, since it runs on several threads at once. Given the same options it finds
/// the same failure.
///
/// *Thread*: any; starts threads of its own and waits for them.
[[nodiscard]] exploration explore(const explore_options& options,
                                  const std::function<void(world&)>& scenario);

/// Runs `scenario` once more as it failed, to look at it in a debugger; here, in one thread.
///
/// *Errors*: what the scenario throws, which is that failure if it is repeatable.
void replay(const explore_options& options, const failure& what,
            const std::function<void(world&)>& scenario);

/// The same, of a failure that `explore_power_cuts` found.
void replay(const explore_options& options, const failure& what,
            const std::function<void(world&)>& program, const std::function<void(world&)>& check);

/// Runs `program` once for each step that it takes under the seed, with the power cut there, and
/// `check` in the same world afterwards; and both once without a cut. `check` may cut the power
/// too.
[[nodiscard]] exploration explore_power_cuts(const explore_options& options,
                                             const std::function<void(world&)>& program,
                                             const std::function<void(world&)>& check);

}  // namespace parkring::sim
