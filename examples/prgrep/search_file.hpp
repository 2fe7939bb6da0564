// One file: which of its lines are selected, and which are printed around them.
//
// It is read piece by piece; what is kept from one piece to the next is a line whose end is to
// come, and lines that may be printed before a selected one. A NUL makes a file binary from the
// piece on that has it: lines before were printed, of those behind only that there is one is told.
// Pieces are as large as grep's, so that it says the same of the same file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "output.hpp"
#include "pattern.hpp"
#include "print.hpp"

namespace prgrep {

enum class report { lines, counts, names_with, names_without, nothing };
enum class binary_files { told, searched, left_out };

struct search_options {
  report what = report::lines;
  binary_files binary = binary_files::told;
  bool invert = false;                // lines that do not match are selected
  std::uint64_t at_most = ~0ULL;      // lines of a file that are selected
  std::size_t before = 0, after = 0;  // lines printed around each
  bool in_groups = false;             // with a separator between those that are not adjacent
  char line_end = '\n';
};

/// What is searched. May throw what reading throws.
class source {
 public:
  virtual ~source() = default;
  /// 0: the end.
  virtual std::size_t read(char* to, std::size_t size) = 0;
  /// As it is printed. Asked for only when it is.
  virtual std::string name() = 0;
};

/// Searches files one after the other. One for each thread.
class file_searcher {
 public:
  file_searcher(const pattern& what, const search_options& options, const print_options& print);

  struct outcome {
    bool selected = false;     // a line was
    bool binary_told = false;  // that a binary file matches is to be told
  };
  /// Reads to the end, or as far as the answer needs, and prints. Throws what `from` throws, after
  /// what was found before is printed; and std::system_error when that is not possible.
  outcome search(source& from, output& to);

 private:
  void begin(source& from);
  void meet_binary(char* at, const char* end);
  void search_lines(const char* from, const char* end);
  void select(const char* line, const char* end);
  void print_after(const char* until);
  void print(const char* line, const char* end, line_kind kind);
  [[nodiscard]] std::size_t keep(const char* searched, const char* end);
  void count_lines_to(const char* at);
  void finish();
  [[nodiscard]] std::string_view name();
  [[nodiscard]] bool is_over() const noexcept { return selected_ >= enough_ && after_left_ == 0; }

  const pattern& pattern_;
  const search_options options_;
  const print_options print_options_;
  printer printer_;
  match_space space_;
  std::vector<char> memory_;
  std::string text_;  // printed, and not yet handed on
  // Of the file that is being searched:
  source* from_ = nullptr;
  std::string name_;
  std::uint64_t selected_ = 0;
  std::uint64_t enough_ = 0;          // so many lines end the search
  bool silent_ = false;               // lines are not printed
  bool binary_ = false;               // from here on
  std::uint64_t before_binary_ = 0;   // lines selected when that was found
  const char* first_ = nullptr;       // the first line that is in memory
  const char* printed_to_ = nullptr;  // behind the line printed last, if that is where it was
  std::size_t after_left_ = 0;        // lines to be printed from there on
  bool any_printed_ = false;
  std::uint64_t line_ = 0;         // the number of the line that `counted_` is in, from 0 on
  const char* counted_ = nullptr;  // lines before it are counted
};

}  // namespace prgrep
