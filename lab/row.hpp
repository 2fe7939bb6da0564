// What is measured: one row of the lab is one kind of work under one set of conditions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lab {

enum class work {
  nop,
  read,
  spawn,
  yield,
  timer,
  timers,
  sleep,
  channel,
  semaphore,
  shard_call,
  shard_call_busy,
  drop,
  simulated,
  counters,
  trace,
  spawn_2w,
  channel_2w,
  semaphore_2w,
  read_2w,
  cq_reader,
  read_many,
  read_sequential,
  walk,
  copy_tree,
  log,
  io_front,
  io_beside,
  io_scan,
  prgrep
};

/// Which part of the data file a row reads.
enum class extent { none, hot_set, whole_file };

struct row {
  std::string_view name;
  work kind;
  unsigned depth;  // operations in flight; tasks of the yield, sleep and semaphore rows; pairs of
                   // channels; ranges of a list that is read at once
  extent part = extent::none;
  bool direct = false;
  bool tree = false;         // of many files, see tree_files.hpp
  bool cold = false;         // the kernel has cached nothing of it
  bool traffic = false;      // beside it sockets are answered, see contenders/parkring_readers.cpp
  bool checksum = false;     // read the extent once, in order, and sum every byte
  bool in_order = false;     // read the extent in order, again and again
  std::size_t block = 4096;  // bytes per operation
  unsigned sample_every =
      61;  // every how many operations the latency is taken; prime, so that no slot is favoured
  bool show_user_time = false;  // say how much of the CPU time is user time
  bool by_cpu_time = false;     // contenders are compared by CPU time, not by rate
  unsigned weight = 1;          // its part of the time, compared with other rows
  bool quick = false;           // part of `parkring-lab quick`
};

inline constexpr std::size_t hot_set_bytes = 4U << 20;

/// All rows, in the order in which they are run: cached ones before direct ones, so that the page
/// cache is filled once.
const std::vector<row>& all_rows();

/// The rows named by `patterns`: a full name (`read-cached/32`) or the part before the slash.
/// No pattern means all. Throws std::invalid_argument, naming the pattern that fits no row.
std::vector<row> select_rows(const std::vector<std::string>& patterns);

}  // namespace lab
