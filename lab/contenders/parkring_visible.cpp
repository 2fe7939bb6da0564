// What it costs to look inside: the loop of empty requests with each way of looking on, beside the
// same loop with none ("off").
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <parkring/parkring.hpp>
#include <utility>
#include <vector>

#include "../contender.hpp"

namespace lab {
namespace {

namespace pr = parkring;
using handles = std::vector<pr::join_handle<void>>;

constexpr unsigned looks_apart = 1'000;  // operations of a task between two looks at the counters

// Reads the counters of `rt` now and then, if there is one.
pr::task<void> nops(load& stream, unsigned slot, const pr::runtime* rt, std::uint64_t& seen) {
  unsigned until_look = looks_apart;
  while (stream.next(slot)) {
    co_await pr::nop();
    stream.done(slot);
    if (rt != nullptr && --until_look == 0) {
      seen += rt->counters().completions;
      until_look = looks_apart;
    }
  }
}

pr::task<void> drive(load& stream, unsigned depth, handles& tasks, const pr::runtime* looked_at) {
  std::uint64_t seen = 0;
  for (unsigned slot = 0; slot < depth; ++slot)
    tasks.push_back(pr::spawn(nops, std::ref(stream), slot, looked_at, std::ref(seen)));
  for (auto& one : tasks) co_await std::move(one);
  tasks.clear();
}

void run_nops(session& run, const pr::runtime_options& options, bool look = false) {
  pr::runtime rt(options);
  handles tasks;
  tasks.reserve(run.what().depth);
  while (load* stream = run.next_phase()) {
    const auto before = rt.counters().enters;
    rt.run(drive(*stream, run.what().depth, tasks, look ? &rt : nullptr));
    run.add_syscalls(rt.counters().enters - before);
  }
}

// The file is written when the session is over, which is not measured: it is the recording that a
// program would notice.
void run_recorded(session& run, bool every_resume) {
  const auto file = std::filesystem::temp_directory_path() / "parkring-lab-trace.json";
  {
    pr::trace::session recording(file, {.time_every_resume = every_resume});
    run_nops(run, {});
  }
  std::filesystem::remove(file);
}

}  // namespace

void add_parkring_visible(roster& to) {
  const auto add = [&](const char* name, work kind, void (*run)(session&)) {
    to.present.push_back({.name = name, .kind = kind, .run = run});
  };
  add("parkring/off", work::counters, [](session& run) { run_nops(run, {}); });
  add("parkring", work::counters, [](session& run) { run_nops(run, {}, true); });
  add("parkring/ages", work::counters, [](session& run) { run_nops(run, {.track_ages = true}); });
  add("parkring/stalls", work::counters,
      [](session& run) { run_nops(run, {.stall_threshold = std::chrono::milliseconds(100)}); });
  add("parkring/off", work::trace, [](session& run) { run_nops(run, {}); });
  add("parkring", work::trace, [](session& run) { run_recorded(run, false); });
  add("parkring/exact", work::trace, [](session& run) { run_recorded(run, true); });
}

}  // namespace lab
