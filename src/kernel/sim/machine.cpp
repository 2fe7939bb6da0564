#include "kernel/sim/machine.hpp"

#include <parkring/detail/check.hpp>

namespace parkring::kernel::sim {
namespace {

constexpr std::uint64_t epoch_ns = 1'700'000'000'000'000'000;  // of the wall clock then

}  // namespace

// The generators are split in this order, which is part of what a seed means.
machine::machine(std::uint64_t seed, const parkring::sim::world_options& options)
    : machine(random(seed), options) {}

machine::machine(random seeds, const parkring::sim::world_options& options)
    : time(start_ns),
      timing(seeds.split()),
      choices(seeds.split()),
      program(seeds.split()),
      log_book(options.trace_entries),
      files(options.disk, seeds.next()),
      net(time, seeds.split(), options.network),
      faults(options.faults, options.latencies, seeds.split()),
      max_steps_(options.max_steps),
      latencies_(options.latencies),
      fault_seeds_(seeds.split()) {}

std::uint64_t machine::realtime_ns() const noexcept { return epoch_ns + time.now_ns(); }

std::optional<fault_decision> machine::strike(const parkring::sim::operation& op,
                                              const nature& of) {
  auto struck = faults.decide(op, of);
  const std::uint64_t ordinal = struck ? ++strikes_ : 0;
  // What follows from an earlier fault has no ordinal of its own, so that the ordinals of others do
  // not depend on it.
  if (auto follows = faults.follow(op)) return follows;
  if (!struck || suppressed_.contains(ordinal)) return std::nullopt;
  faults.happens(*struck, op);
  injected_.push_back({ordinal, struck->what});
  return struck;
}

parkring::sim::fault machine::race_of_cancel() {
  using parkring::sim::fault;
  constexpr fault all[] = {fault::cancel_wins, fault::completion_wins, fault::cancel_too_late};
  const auto struck = strike({.kind = parkring::sim::operation_kind::cancel,
                              .name = "cancel",
                              .step = steps_,
                              .time = age()});
  if (struck) return struck->what;
  return calm ? fault::cancel_wins : all[choices.below(3)];
}

int machine::refuse_enter() {
  const auto struck = strike({.kind = parkring::sim::operation_kind::enter,
                              .name = "enter",
                              .step = steps_,
                              .time = age()});
  return struck ? struck->error : 0;
}

void machine::set_faults(const parkring::sim::faults& f) {
  faults = fault_plan(f, latencies_, fault_seeds_.split());
}

bool machine::step() noexcept {
  if (stopped_ != stop_reason::none) return false;
  const bool time_to_go = power_goes_.scheduled() && power_goes_.due_ns() <= time.now_ns();
  if (steps_ >= cut_step_ || time_to_go) {
    stop(stop_reason::power_cut);
    return false;
  }
  if (too_many()) {
    stop(stop_reason::too_many_steps);
    return false;
  }
  ++steps_;
  return true;
}

void machine::count_call() noexcept {
  if (steps_ == steps_at_call_) ++calls_;
  steps_at_call_ = steps_;
  if (too_many()) stop(stop_reason::too_many_steps);
}

void machine::power_switch::act(event& e) noexcept {
  static_cast<power_switch&>(e).of.stop(stop_reason::power_cut);
}

void machine::keep_power() noexcept {
  cut_step_ = ~std::uint64_t{0};
  power_goes_.unschedule();
}

void machine::stop(stop_reason why) noexcept {
  if (stopped_ != stop_reason::none) return;
  stopped_ = why;
  keep_power();
  switch (why) {
    case stop_reason::none:
      break;
    case stop_reason::power_cut:
      last_cut_ = steps_;
      if (!first_cut_) first_cut_ = steps_;
      note("the power is cut");
      log_book.mark();
      break;
    case stop_reason::nothing_can_happen:
      note("nothing can happen any more");
      break;
    case stop_reason::too_many_steps:
      note("there were too many steps");
      break;
  }
}

void machine::restart() {
  PARKRING_CHECK(stopped_ == stop_reason::power_cut,
                 "only a machine without power is started again");
  PARKRING_CHECK(cut_done_, "let the runtime that was cut off end first");
  stopped_ = stop_reason::none;
  cut_done_ = false;
  current_host = localhost;
  ++life_;
  note("the power is back");
}

void machine::lose_power() noexcept {
  if (cut_done_) return;
  cut_done_ = true;
  table.forget_all();
  named_pipes.clear();
  net.crash(localhost);
  files.power_cut(choices);
}

void machine::log(std::uint64_t step, trace_entry::kind what, const char* name,
                  std::uint64_t request, int subject, std::uint64_t offset, std::uint64_t length,
                  std::int64_t result) {
  log_book.add({.step = step,
                .time_ns = time.now_ns(),
                .what = what,
                .name = name,
                .request = request,
                .subject = subject,
                .offset = offset,
                .length = length,
                .result = result});
}

void machine::note(const std::string& words) {
  log(steps_, trace_entry::kind::note, "", 0, log_book.subject(words));
}

}  // namespace parkring::kernel::sim
