// What is looked for: a literal, or regular expressions of PCRE2, compiled to machine code.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "literal.hpp"

namespace prgrep {

struct pattern_options {
  bool fixed = false;        // the patterns are text, not expressions
  bool ignore_case = false;  // in UTF-8
  bool word = false;         // no letter, digit or underscore beside a match
  bool whole_line = false;   // a match is all of its line
  char line_end = '\n';      // or zero
};

/// What one thread needs to match expressions.
class match_space {
 public:
  match_space();
  ~match_space();
  match_space(const match_space&) = delete;
  match_space& operator=(const match_space&) = delete;

 private:
  friend class pattern;
  struct memory;
  std::unique_ptr<memory> memory_;
};

struct matched {
  const char* begin;
  const char* end;
};

/// An expression needs more steps on some line than PCRE2 allows.
struct pattern_too_hard : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Any number of threads may use one pattern, each with a space of its own.
class pattern {
 public:
  /// Any of the texts; of none no line. Throws std::invalid_argument with what is wrong, and where.
  pattern(const std::vector<std::string>& texts, const pattern_options& options);
  ~pattern();
  pattern(const pattern&) = delete;
  pattern& operator=(const pattern&) = delete;

  /// A place in the first line of [from, end) that matches, or null. `from` begins a line.
  ///
  /// Throws `pattern_too_hard`.
  [[nodiscard]] const char* find(const char* from, const char* end, match_space& space) const;

  /// The first match in the line [line, end) that begins at `at` or behind it.
  [[nodiscard]] std::optional<matched> find_in_line(const char* line, const char* at,
                                                    const char* end, match_space& space) const;

 private:
  [[nodiscard]] const char* find_literal(const char* from, const char* at,
                                         const char* end) const noexcept;
  [[nodiscard]] bool stands_alone(const char* from, const char* at, const char* end) const noexcept;

  const pattern_options options_;
  struct expression;
  std::optional<literal_finder> literal_;
  std::unique_ptr<expression> expression_;  // neither: there is no pattern
};

}  // namespace prgrep
