// The search of whole trees.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <parkring/task.hpp>

#include "name_filter.hpp"
#include "pattern.hpp"
#include "print.hpp"
#include "search_file.hpp"

namespace prgrep {

struct grep_options {
  std::vector<std::string> patterns;
  std::vector<std::string> paths;  // "-": standard input; none: the working directory, whose files
                                   // are printed without its name in front
  pattern_options match;
  search_options search;
  print_options print;
  name_filter names;
  bool hidden = true;         // also names that begin with a dot
  bool follow_links = false;  // also those that are not given
  bool at_once = false;       // what is found is written at once
  bool silent = false;        // what cannot be read is counted, and not told
  unsigned threads = 1;
  /// Told every while, on the runtime's thread, how many files were searched.
  std::function<void(std::size_t)> progress{};
  /// Told, on any thread, of what could not be read, and of binary files that match.
  std::function<void(const std::string&)> tell{};
};

struct grep_result {
  std::size_t files = 0;     // searched
  std::size_t matching = 0;  // files that have a selected line
  std::size_t failed = 0;    // files and directories that could not be read
};

/// Searches, and writes to descriptor `output` what there is to print: of one file after the other;
/// of the files of a tree in the order in which they are done.
///
/// *Completes when* everything was searched and written, and with `report::nothing` once there is
/// an answer. *Owns* the options; the descriptor is the caller's to keep open. *Thread*: inside a
/// task, of a runtime with `threads` threads for `blocking`. *Drop*: threads at work end with the
/// file that they are at. *Errors*: std::invalid_argument for a pattern that is none,
/// std::system_error when the output cannot be written.
[[nodiscard]] parkring::task<grep_result> grep(grep_options options, int output);

}  // namespace prgrep
