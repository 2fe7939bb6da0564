#include "session.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <vector>

#include "allocation_count.hpp"
#include "statistics.hpp"
#include "syscall_trace.hpp"

namespace lab {
namespace {

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max() / 4;

load::limits warm_up_limits(const row& what) {
  if (what.part == extent::none)
    return {.operations = 8192, .nanoseconds = 100'000'000, .verify_each = false};
  const std::uint64_t blocks = what.checksum ? 16 : what.direct ? 64 : 2048;
  return {.operations = std::max<std::uint64_t>(blocks, 4ULL * what.depth),
          .nanoseconds = no_limit,
          .verify_each = true};
}

}  // namespace

int session::open_file() const {
  const int flags =
      O_RDONLY | O_CLOEXEC | (what().direct ? O_DIRECT : 0) | (noatime() ? O_NOATIME : 0);
  const int fd = ::open(path(), flags);
  if (fd < 0) fail("open %s: %s", path(), std::strerror(errno));
  return fd;
}

load* session::next_phase() {
  switch (phase_) {
    case phase::none:
      phase_ = phase::warm_up;
      load_ = std::make_unique<load>(what(), *plan_.table, warm_up_limits(what()));
      return load_.get();
    case phase::warm_up: {
      phase_ = phase::timed;
      const std::uint64_t operations = plan_.operations != 0 ? plan_.operations : no_limit;
      const std::uint64_t time = plan_.nanoseconds != 0 ? plan_.nanoseconds : no_limit;
      syscalls_ = 0;
      load_ = std::make_unique<load>(
          what(), *plan_.table,
          load::limits{.operations = operations, .nanoseconds = time, .verify_each = false});
      if (plan_.traced) mark_for_tracer();
      count_allocations();
      switches_start_ = context_switches();
      user_start_ = user_ns();
      cpu_start_ = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
      wall_start_ = clock_ns();
      return load_.get();
    }
    case phase::timed:
      finish();
      break;
    case phase::over:
      break;
  }
  phase_ = phase::over;
  return nullptr;
}

void session::finish() {
  const auto wall = static_cast<double>(clock_ns() - wall_start_);
  const auto cpu = static_cast<double>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_start_);
  const auto user = static_cast<double>(user_ns() - user_start_);
  const auto switches = static_cast<double>(context_switches() - switches_start_);
  const auto allocations = counted_allocations();
  if (plan_.traced) mark_for_tracer();
  const auto operations = static_cast<double>(load_->operations());
  if (operations == 0) fail("no operation was done in the time given");

  std::vector<double> latencies = load_->latencies_ns();
  std::sort(latencies.begin(), latencies.end());
  result_.ops_per_s = operations / wall * 1e9;
  result_.p50_ns = quantile(latencies, 0.50);
  result_.p99_ns = quantile(latencies, 0.99);
  result_.cpu_ns_per_op = cpu / operations;
  result_.user_ns_per_op = std::min(user, cpu) / operations;
  result_.switches_per_op = switches / operations;
  if (syscalls_known_) result_.syscalls_per_op = static_cast<double>(syscalls_) / operations;
  if (allocations >= 0) result_.allocs_per_op = static_cast<double>(allocations) / operations;
  result_.share = load_->verified_share();
}

}  // namespace lab
