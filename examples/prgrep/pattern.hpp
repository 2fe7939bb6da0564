// What is looked for: a literal, or a regular expression of PCRE2, compiled to machine code.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "literal.hpp"

namespace prgrep {

struct pattern_options {
  bool fixed = false;        // the pattern is text, not an expression
  bool ignore_case = false;  // in UTF-8
  bool word = false;         // no letter, digit or underscore beside a match
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

/// Any number of threads may use one pattern, each with a space of its own.
class pattern {
 public:
  /// Throws std::invalid_argument with what is wrong, and where.
  pattern(const std::string& text, const pattern_options& options);
  ~pattern();
  pattern(const pattern&) = delete;
  pattern& operator=(const pattern&) = delete;

  /// A place in the first line of [from, end) that matches, or null. `from` begins a line.
  ///
  /// Throws std::runtime_error where the expression needs more steps than PCRE2 allows.
  [[nodiscard]] const char* find(const char* from, const char* end, match_space& space) const;

 private:
  [[nodiscard]] const char* find_literal(const char* from, const char* end) const noexcept;
  struct expression;
  std::optional<literal_finder> literal_;
  bool word_ = false;
  std::unique_ptr<expression> expression_;
};

}  // namespace prgrep
