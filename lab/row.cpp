#include "row.hpp"

#include <stdexcept>

namespace lab {
namespace {

constexpr std::size_t large_block = 256U << 10;

}  // namespace

const std::vector<row>& all_rows() {
  static const std::vector<row> rows = {
      {.name = "nop/1", .kind = work::nop, .depth = 1},
      {.name = "nop/32", .kind = work::nop, .depth = 32},
      {.name = "spawn", .kind = work::spawn, .depth = 64},
      {.name = "yield", .kind = work::yield, .depth = 16},
      {.name = "timer", .kind = work::timer, .depth = 1024},
      {.name = "timer-million", .kind = work::timers, .depth = 1'000'000},
      {.name = "sleep", .kind = work::sleep, .depth = 2000, .by_cpu_time = true},
      {.name = "channel", .kind = work::channel, .depth = 32},
      {.name = "semaphore", .kind = work::semaphore, .depth = 16},
      {.name = "shard-call/1", .kind = work::shard_call, .depth = 1},
      {.name = "shard-call/32", .kind = work::shard_call, .depth = 32},
      {.name = "shard-call-busy/1", .kind = work::shard_call_busy, .depth = 1},
      {.name = "shard-call-busy/32", .kind = work::shard_call_busy, .depth = 32},
      {.name = "drop",
       .kind = work::drop,
       .depth = 64,
       .show_user_time = true,
       .by_cpu_time = true},
      {.name = "counters", .kind = work::counters, .depth = 32},
      {.name = "trace", .kind = work::trace, .depth = 32},
      {.name = "spawn-2w", .kind = work::spawn_2w, .depth = 64},
      {.name = "channel-2w", .kind = work::channel_2w, .depth = 32},
      {.name = "semaphore-2w", .kind = work::semaphore_2w, .depth = 16},
      {.name = "log", .kind = work::log, .depth = 64, .sample_every = 7, .weight = 2},
      {.name = "prgrep", .kind = work::prgrep, .depth = 2, .weight = 3},
      {.name = "sim", .kind = work::simulated, .depth = 32, .by_cpu_time = true},

      {.name = "read-cached/1", .kind = work::read, .depth = 1, .part = extent::hot_set},
      {.name = "read-cached/32",
       .kind = work::read,
       .depth = 32,
       .part = extent::hot_set,
       .quick = true},
      {.name = "read-cached/128", .kind = work::read, .depth = 128, .part = extent::hot_set},

      {.name = "read-cached-2w", .kind = work::read_2w, .depth = 64, .part = extent::whole_file},

      {.name = "read-cached-1g/1",
       .kind = work::read,
       .depth = 1,
       .part = extent::whole_file,
       .quick = true},
      {.name = "read-cached-1g/32",
       .kind = work::read,
       .depth = 32,
       .part = extent::whole_file,
       .quick = true},
      {.name = "read-cached-1g/128",
       .kind = work::read,
       .depth = 128,
       .part = extent::whole_file,
       .quick = true},
      {.name = "checksum-cached",
       .kind = work::read,
       .depth = 4,
       .part = extent::whole_file,
       .checksum = true,
       .block = large_block,
       .sample_every = 3,
       .weight = 3,
       .quick = true},

      {.name = "read-many", .kind = work::read_many, .depth = 100'000, .part = extent::whole_file},

      {.name = "read-direct/1",
       .kind = work::read,
       .depth = 1,
       .part = extent::whole_file,
       .direct = true,
       .sample_every = 5,
       .quick = true},
      {.name = "read-direct/32",
       .kind = work::read,
       .depth = 32,
       .part = extent::whole_file,
       .direct = true,
       .sample_every = 5,
       .quick = true},
      {.name = "read-direct/128",
       .kind = work::read,
       .depth = 128,
       .part = extent::whole_file,
       .direct = true,
       .sample_every = 5,
       .quick = true},
      {.name = "read-sequential",
       .kind = work::read_sequential,
       .depth = 16,
       .part = extent::whole_file,
       .direct = true,
       .in_order = true,
       .block = 2 * large_block,
       .sample_every = 3,
       .weight = 2},
      {.name = "cq-reader/one",
       .kind = work::cq_reader,
       .depth = 1,
       .part = extent::whole_file,
       .direct = true,
       .sample_every = 5},
      {.name = "cq-reader/disk",
       .kind = work::cq_reader,
       .depth = 16,
       .part = extent::whole_file,
       .direct = true,
       .sample_every = 5},
      {.name = "cq-reader/mixed",
       .kind = work::cq_reader,
       .depth = 16,
       .part = extent::whole_file,
       .direct = true,
       .traffic = true,
       .sample_every = 5},
      {.name = "io-scheduler/front",
       .kind = work::io_front,
       .depth = 1,
       .part = extent::whole_file,
       .direct = true,
       .weight = 3},
      {.name = "io-scheduler/beside",
       .kind = work::io_beside,
       .depth = 8,
       .part = extent::whole_file,
       .direct = true},
      {.name = "io-scheduler/scan",
       .kind = work::io_scan,
       .depth = 8,
       .part = extent::whole_file,
       .direct = true},
      {.name = "checksum-direct",
       .kind = work::read,
       .depth = 4,
       .part = extent::whole_file,
       .direct = true,
       .checksum = true,
       .block = large_block,
       .sample_every = 3,
       .weight = 5,
       .quick = true},

      {.name = "walk", .kind = work::walk, .depth = 1, .tree = true},
      {.name = "prcp", .kind = work::copy_tree, .depth = 1, .tree = true, .weight = 3},
      {.name = "prcp-cold",
       .kind = work::copy_tree,
       .depth = 1,
       .tree = true,
       .cold = true,
       .weight = 3},
  };
  return rows;
}

std::vector<row> select_rows(const std::vector<std::string>& patterns) {
  if (patterns.empty()) return all_rows();
  std::vector<bool> used(patterns.size());
  std::vector<row> chosen;
  for (const row& candidate : all_rows()) {
    const auto group = candidate.name.substr(0, candidate.name.find('/'));
    bool wanted = false;
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (patterns[i] != candidate.name && patterns[i] != group) continue;
      used[i] = true;
      wanted = true;
    }
    if (wanted) chosen.push_back(candidate);
  }
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    if (used[i]) continue;
    std::string text = "there is no row named " + patterns[i] + "; the rows are:";
    for (const row& known : all_rows()) text.append(" ").append(known.name);
    throw std::invalid_argument(text);
  }
  return chosen;
}

}  // namespace lab
