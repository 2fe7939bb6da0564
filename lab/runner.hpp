// Runs rows: all contenders of a row, interleaved round by round.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "progress.hpp"
#include "result.hpp"
#include "row.hpp"

namespace lab {

class data_file;
struct contender;

struct run_plan {
  std::vector<row> rows;
  bool quick = false;  // the contenders of the quick run only
  unsigned rounds = 5;
  std::chrono::steady_clock::duration time{};  // for all rows together
  int cpu = 0;
  bool noatime = false;
  bool trace_all = false;               // count the system calls of every contender by tracing it
  std::vector<std::string> contenders;  // names, or parts before a slash; empty means all
};

/// `file` is asked for once, and only when a row reads.
results run_rows(const run_plan& plan, const std::function<const data_file&()>& file,
                 progress& screen);

}  // namespace lab
