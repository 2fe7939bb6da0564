// The search of whole trees.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <parkring/task.hpp>

#include "pattern.hpp"
#include "search_file.hpp"

namespace prgrep {

struct grep_options {
  std::string pattern;
  std::vector<std::string> paths;  // none: the working directory, without its name in front
  pattern_options match;
  print_options print;
  bool hidden = true;  // also names that begin with a dot
  unsigned threads = 1;
  /// Told every while, on the runtime's thread, how many files were searched.
  std::function<void(std::size_t)> progress{};
  /// Told, on the runtime's thread, of what could not be read.
  std::function<void(const std::string&)> complain{};
};

struct grep_result {
  std::size_t files = 0;     // searched
  std::size_t matching = 0;  // files that have a selected line
  std::size_t failed = 0;    // files and directories that could not be read
};

/// Searches, and writes to descriptor `output` what there is to print: of one file after the other,
/// of files in the order in which they are done.
///
/// *Completes when* everything was searched and written. *Owns* the options; the descriptor is the
/// caller's to keep open. *Thread*: inside a task, of a runtime with `threads + 1` threads for
/// `blocking`. *Drop*: threads at work end with the file that they are at; nothing is written any
/// more but what a thread is writing. *Errors*: std::invalid_argument for a pattern that is none,
/// std::system_error when the output cannot be written.
[[nodiscard]] parkring::task<grep_result> grep(grep_options options, int output);

}  // namespace prgrep
