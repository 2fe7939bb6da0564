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
      files(with_seed(options.disk, seeds.next())),
      net(time, seeds.split(), options.network),
      faults(options.faults, options.latencies, seeds.split()),
      latencies_(options.latencies),
      fault_seeds_(seeds.split()) {}

disk_options machine::with_seed(disk_options o, std::uint64_t seed) noexcept {
  o.seed = seed;
  return o;
}

std::uint64_t machine::realtime_ns() const noexcept { return epoch_ns + time.now_ns(); }

std::optional<fault_decision> machine::strike(parkring::sim::operation_kind kind, const char* name,
                                              int subject, std::uint64_t offset,
                                              std::uint64_t length) {
  auto struck = faults.decide({.kind = kind,
                               .name = name,
                               .path = log_book.subject_text(subject),
                               .offset = offset,
                               .length = length,
                               .step = steps_,
                               .time = std::chrono::nanoseconds(time.now_ns() - start_ns)});
  if (!struck) return struck;
  const std::uint64_t ordinal = ++strikes_;
  if (suppressed_.contains(ordinal)) return std::nullopt;
  injected_.push_back({ordinal, struck->what});
  return struck;
}

parkring::sim::fault machine::race_of_cancel() {
  using parkring::sim::fault;
  constexpr fault all[] = {fault::cancel_wins, fault::completion_wins, fault::cancel_too_late};
  const auto struck = strike(parkring::sim::operation_kind::cancel, "cancel", -1, 0, 0);
  if (struck) return struck->what;
  return calm ? fault::cancel_wins : all[choices.below(3)];
}

int machine::refuse_enter() {
  const auto struck = strike(parkring::sim::operation_kind::enter, "enter", -1, 0, 0);
  return struck ? struck->error : 0;
}

void machine::set_faults(const parkring::sim::faults& f) {
  faults = fault_plan(f, latencies_, fault_seeds_.split());
}

bool machine::step() noexcept {
  if (stopped_ != stop_reason::none) return false;
  if (steps_ == cut_step_ || time.now_ns() >= cut_ns_) {
    stop(stop_reason::power_cut);
    return false;
  }
  ++steps_;
  return true;
}

void machine::stop(stop_reason why) noexcept {
  if (stopped_ != stop_reason::none) return;
  stopped_ = why;
  if (why == stop_reason::power_cut) {
    last_cut_ = steps_;
    if (!first_cut_) first_cut_ = steps_;
  }
  note(why == stop_reason::power_cut ? "the power is cut" : "nothing can happen any more");
}

void machine::restart() {
  PARKRING_CHECK(stopped_ == stop_reason::power_cut,
                 "only a machine without power is started again");
  PARKRING_CHECK(cut_done_, "let the runtime that was cut off end first");
  stopped_ = stop_reason::none;
  cut_done_ = false;
  keep_power();
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

void machine::log(trace_entry::kind what, const char* name, std::uint64_t request, int subject,
                  std::uint64_t offset, std::uint64_t length, std::int64_t result) {
  log_book.add({.step = steps_,
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
  log(trace_entry::kind::note, "", 0, log_book.subject(words), 0, 0, 0);
}

}  // namespace parkring::kernel::sim
