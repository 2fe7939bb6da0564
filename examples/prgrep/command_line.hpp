// The command line of prgrep.
#pragma once

#include <string>

#include "grep.hpp"

namespace prgrep {

struct command {
  grep_options grep;
  bool progress = false;  // is shown on a terminal
};

/// What the arguments say, or the code to end with: all that is to be said then was said.
struct parsed {
  command what;
  int end_with = -1;  // -1: go on
};
/// Throws std::system_error for a file of patterns that cannot be read.
[[nodiscard]] parsed parse(int argc, char** argv);

}  // namespace prgrep
