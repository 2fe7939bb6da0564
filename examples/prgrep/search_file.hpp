// One file: its lines, matched and printed as grep prints them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "pattern.hpp"

namespace prgrep {

struct print_options {
  bool line_numbers = false;
  bool names = true;  // in front of each line
  bool only_names = false;
  bool only_counts = false;
  bool invert = false;  // lines that do not match
  bool text = false;    // binary files are like others
  bool quiet = false;   // nothing is printed
};

/// Searches files one after the other. One for each thread.
class file_searcher {
 public:
  file_searcher(const pattern& what, const print_options& print);

  /// Reads the open file to its end, and adds what is to be printed of it to `output`. True if a
  /// line was selected. Throws std::system_error when it cannot be read.
  ///
  /// `short_is_end`: on this file system a read that gives less than was asked for has met the end.
  bool search(int fd, std::string_view name, bool short_is_end, std::string& output);

 private:
  void search_lines(const char* from, const char* end);
  void select(const char* line, const char* end);
  void count_lines_to(const char* at);

  const pattern& pattern_;
  const print_options print_;
  const bool one_is_enough_;  // all that is asked is whether there is a line
  match_space space_;
  std::vector<char> memory_;
  // Of the file that is being searched:
  std::string_view name_;
  std::string* output_ = nullptr;
  bool binary_ = false;
  std::size_t selected_ = 0;
  std::size_t line_ = 0;           // the number of the line that `counted_` is in, from 0 on
  const char* counted_ = nullptr;  // newlines before it are counted
};

}  // namespace prgrep
