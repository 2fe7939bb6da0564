// How lines and names are printed: as grep prints them, to the byte.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "pattern.hpp"

namespace prgrep {

struct print_options {
  bool names = true;  // in front of each line
  bool line_numbers = false;
  bool only_matching = false;    // of a line the parts that match, each as a line
  bool inverted = false;         // the selected lines are those that do not match
  bool colors = false;           // as a terminal shows them
  bool zero_after_name = false;  // and not a colon or a line's end
  char line_end = '\n';
};

/// Behind names and numbers.
enum class line_kind : char { selected = ':', context = '-' };

/// Appends to a text what is printed of one file after the other. One for each thread.
class printer {
 public:
  printer(const pattern& what, const print_options& how) : pattern_(what), how_(how) {}

  /// The line [begin, end), without its end.
  void line(std::string& to, std::string_view name, std::size_t number, const char* begin,
            const char* end, line_kind kind);
  void name(std::string& to, std::string_view name) const;
  void count(std::string& to, std::string_view name, std::size_t lines) const;
  /// Between groups of lines that are not adjacent.
  void separator(std::string& to) const;

 private:
  void head(std::string& to, std::string_view name, std::size_t number, char sign) const;
  void name_and_sign(std::string& to, std::string_view name, char sign) const;
  void colored(std::string& to, const char* color, std::string_view text) const;

  const pattern& pattern_;
  const print_options how_;
  match_space space_;
};

}  // namespace prgrep
