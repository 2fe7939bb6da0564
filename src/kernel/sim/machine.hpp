// The simulated machine: virtual time, a disk, a network, descriptors, and the rings served by it.
//
// Steps. Each request that begins, and each that is done, is a step. The power may be cut before
// any step, or at a time; which requests under way are done all the same is drawn. From then on
// nothing has an effect:
//   running    programs run
//   stopping   the power went, nothing can happen any more, or too much has, within the call that a
//              ring is in
//   stopped    rings of this life answer -ESHUTDOWN and end all requests with -ECANCELED
// `restart` begins the next life: the disk as it survived, no descriptors, the clock goes on.
//
// Random numbers. Each part draws from a generator of its own, so that leaving out one fault does
// not change anything else: that is what shrinking relies on.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <parkring/sim/options.hpp>

#include "kernel/emulated/ring.hpp"
#include "kernel/sim/descriptors.hpp"
#include "kernel/sim/event_queue.hpp"
#include "kernel/sim/fault_plan.hpp"
#include "kernel/sim/file_system.hpp"
#include "kernel/sim/network.hpp"
#include "kernel/sim/pipe.hpp"
#include "kernel/sim/random.hpp"
#include "kernel/sim/trace.hpp"

namespace parkring::kernel::sim {

class machine {
 public:
  enum class stop_reason : std::uint8_t { none, power_cut, nothing_can_happen, too_many_steps };
  static constexpr std::uint64_t start_ns = 1'000'000'000;  // what its steady clock begins with

  machine(std::uint64_t seed, const parkring::sim::world_options& options);
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;

  /// Counts a step. False when the machine stops here: then the step must not happen.
  [[nodiscard]] bool step() noexcept;
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] std::optional<std::uint64_t> first_cut() const noexcept { return first_cut_; }
  [[nodiscard]] std::optional<std::uint64_t> last_cut() const noexcept { return last_cut_; }
  /// The step that happens, which began with the last `step`.
  [[nodiscard]] std::uint64_t this_step() const noexcept { return steps_ - 1; }
  /// A program calls the machine: one that does so again and again without a step hangs.
  void count_call() noexcept;
  /// Before this step; at the next one, if that has been already.
  void cut_at_step(std::uint64_t step) noexcept { cut_step_ = step; }
  void cut_at_time(std::uint64_t ns) { time.schedule_at(power_goes_, ns); }
  /// No cut that was asked for comes any more.
  void keep_power() noexcept;

  /// Cuts the power, or says why nothing happens any more. What cut was asked for is forgotten.
  void stop(stop_reason why) noexcept;
  [[nodiscard]] stop_reason stopped() const noexcept { return stopped_; }
  /// Which life it is, from 0 on; rings belong to one.
  [[nodiscard]] unsigned life() const noexcept { return life_; }
  /// After `stop`, once the requests under way were settled: what was not durable is gone.
  void lose_power() noexcept;
  void restart();

  /// What goes wrong with an operation, if anything; each fault has an ordinal, by which it can be
  /// suppressed in another run of the seed.
  [[nodiscard]] std::optional<fault_decision> strike(const parkring::sim::operation& op,
                                                     const nature& of = {});
  /// One of fault::cancel_wins, completion_wins and cancel_too_late.
  [[nodiscard]] parkring::sim::fault race_of_cancel();
  /// An errno for the call that submits, or 0.
  [[nodiscard]] int refuse_enter();
  struct injection {
    std::uint64_t ordinal;
    parkring::sim::fault what;
  };
  [[nodiscard]] const std::vector<injection>& injected() const noexcept { return injected_; }
  void suppress(std::uint64_t ordinal) { suppressed_.insert(ordinal); }
  void set_faults(const parkring::sim::faults& f);

  /// From now on without chance in the times.
  void be_calm() noexcept { calm = net.calm = true; }

  [[nodiscard]] std::uint64_t now_ns() const noexcept { return time.now_ns(); }
  [[nodiscard]] std::chrono::nanoseconds age() const noexcept {
    return std::chrono::nanoseconds(time.now_ns() - start_ns);
  }
  [[nodiscard]] std::uint64_t realtime_ns() const noexcept;
  /// A little time passes, as in every system call.
  void pass_call() noexcept { time.pass(time.now_ns() + draw_ns(200, 1'000)); }
  /// How long something takes.
  [[nodiscard]] std::uint64_t draw_ns(std::uint64_t least, std::uint64_t most) noexcept {
    return calm ? least : timing.between(least, most);
  }

  /// `step`: the one that happens, or that comes next.
  void log(std::uint64_t step, trace_entry::kind what, const char* name, std::uint64_t request = 0,
           int subject = -1, std::uint64_t offset = 0, std::uint64_t length = 0,
           std::int64_t result = 0);
  void note(const std::string& words);

  // In the order in which they may be torn down from the last to the first.
  event_queue time;
  random timing;   // of latencies and orders
  random choices;  // of what survives, and which side wins
  random program;  // for programs that want randomness of the world's
  trace log_book;
  file_system files;
  class network net;
  descriptors table;
  std::map<std::uint64_t, ref<pipe>> named_pipes;  // by the number of their inode
  fault_plan faults;
  // Rings, by what their descriptors refer to: for messages between them.
  std::vector<std::pair<const endpoint*, emulated::ring*>> rings;
  host_id current_host = localhost;  // where sockets are made
  std::uint64_t operations = 0;      // requests that were begun
  bool calm = false;                 // no chance in the times that anything takes

 private:
  struct power_switch : event {
    machine& of;
    explicit power_switch(machine& m) noexcept : event(&act), of(m) {}
    static void act(event& e) noexcept;
  };

  machine(random seeds, const parkring::sim::world_options& options);
  [[nodiscard]] bool too_many() const noexcept { return steps_ + calls_ >= max_steps_; }

  std::uint64_t steps_ = 0;
  std::uint64_t calls_ = 0;          // those without a step since the one before
  std::uint64_t steps_at_call_ = 0;  // how many there were at the last call
  std::uint64_t max_steps_;
  std::uint64_t cut_step_ = ~std::uint64_t{0};
  power_switch power_goes_{*this};
  stop_reason stopped_ = stop_reason::none;
  std::optional<std::uint64_t> first_cut_, last_cut_;
  bool cut_done_ = false;
  parkring::sim::latencies latencies_;
  random fault_seeds_;
  std::uint64_t strikes_ = 0;
  std::vector<injection> injected_;
  std::set<std::uint64_t> suppressed_;
  unsigned life_ = 0;
};

}  // namespace parkring::kernel::sim
