// A finished line of the lab: one contender in one row.
#pragma once

#include <string>
#include <vector>

#include "measurement.hpp"

namespace lab {

struct result {
  std::string row;
  std::string contender;
  measurement figures;     // medians of the rounds
  double ratio = unknown;  // to the row's limit; 1.0 is as good
  unsigned rounds = 0;
  double spread = 0;
  std::string failure;  // when not empty, the figures mean nothing
};

struct results {
  std::vector<result> lines;         // grouped by row
  std::vector<std::string> remarks;  // what a reader of the figures must know
};

}  // namespace lab
