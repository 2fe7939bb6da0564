// Options are those of GNU grep, as far as there are any; expressions are those of PCRE2.
#include "command_line.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "../support/plain_arguments.hpp"

namespace prgrep {
namespace {

// What the options say before it is known what they mean together.
struct words {
  std::vector<std::string> arguments;
  bool pattern_given = false;
  bool recursive = false;
  bool byte_lines = false;
  std::optional<bool> names;
  std::optional<std::size_t> before, after, context;
  std::string color = "never";
  std::string hidden = "search";
  bool quiet = false, counts = false;
  std::optional<report> names_of;
  bool as_it_is = false;  // what grep has to be told
};

// Each line is a pattern of its own.
void add_patterns(std::vector<std::string>& to, const std::string& text) {
  for (std::size_t at = 0;;) {
    const std::size_t end = text.find('\n', at);
    to.push_back(text.substr(at, end - at));
    if (end == std::string::npos) return;
    at = end + 1;
  }
}

void add_patterns_of(std::vector<std::string>& to, const std::string& file) {
  std::ifstream named;
  if (file != "-") named.open(file);
  std::istream& from = file == "-" ? std::cin : named;
  if (!from) throw std::system_error(errno, std::generic_category(), file);
  const std::string text{std::istreambuf_iterator<char>(from), {}};
  if (text.empty()) return;  // no pattern, and not one that is empty
  add_patterns(to, text.ends_with('\n') ? text.substr(0, text.size() - 1) : text);
}

class description {
 public:
  description(CLI::App& app, command& c, words& w) : app_(app), c_(c), w_(w) {
    // grep's -h says something else.
    app.set_help_flag("--help", "print this and exit");
    what_is_looked_for();
    which_files();
    what_is_printed();
    app.footer(
        "Exit code: 0 if a line was selected, 1 if not, 2 after an error.\n"
        "Links are followed where they are named here, not below. What is no regular file is left "
        "out, unless it is named. Text is bytes: a file that is not UTF-8 is searched like "
        "others.");
  }

 private:
  // Each time it is said, in the order in which all is said.
  void each(const char* name, std::function<void(const std::string&)> take, const char* says) {
    app_.add_option_function<std::string>(
            name, [take](const std::string& s) { take(support::plain_arguments::said(s)); }, says)
        ->trigger_on_parse();
  }
  void flag(const char* name, bool& to, const char* says) { app_.add_flag(name, to, says); }
  void now(const char* name, std::function<void()> take, const char* says) {
    app_.add_flag_function(
            name, [take](std::int64_t) { take(); }, says)
        ->trigger_on_parse();
  }

  void what_is_looked_for() {
    auto& g = c_.grep;
    each(
        "-e,--regexp", [this](const auto& s) { take_patterns(s); },
        "a pattern, also if it begins with -; any number of times");
    each(
        "-f,--file",
        [this](const auto& s) {
          w_.pattern_given = true;
          add_patterns_of(c_.grep.patterns, s);
        },
        "a file with a pattern in each line; -: standard input");
    app_.add_option("PATTERN_AND_PATHS", w_.arguments,
                    "what is looked for, unless -e or -f gives it; then files and directories, of "
                    "which all that is below is searched; - is standard input. Without one, "
                    "standard input, or the working directory with -r or on a terminal");
    flag("-F,--fixed-strings", g.match.fixed, "patterns are text, no expressions");
    flag("-E,--extended-regexp,-P,--perl-regexp", w_.as_it_is,
         "patterns are regular expressions of PCRE2, as they are anyway");
    flag("-i,--ignore-case", g.match.ignore_case, "upper and lower case are the same");
    flag("-w,--word-regexp", g.match.word, "only whole words match");
    flag("-x,--line-regexp", g.match.whole_line, "only whole lines match");
    flag("-v,--invert-match", g.search.invert, "select lines that do not match");
    flag("-z,--null-data", w_.byte_lines, "lines end with a zero byte");
    app_.add_option("-m,--max-count", g.search.at_most, "end a file after so many selected lines");
  }

  void which_files() {
    auto& g = c_.grep;
    flag("-r,--recursive", w_.recursive, "directories are searched, as they are anyway");
    now(
        "-R,--dereference-recursive", [this] { w_.recursive = c_.grep.follow_links = true; },
        "follow links below directories, too");
    each(
        "--include", [&g](const auto& s) { g.names.include(s); },
        "search only files whose name fits this GLOB");
    each(
        "--exclude", [&g](const auto& s) { g.names.exclude(s); },
        "leave out files whose name fits this GLOB");
    each(
        "--exclude-dir", [&g](const auto& s) { g.names.exclude_directory(s); },
        "leave out directories whose name fits this GLOB");
    app_.add_option("--hidden", w_.hidden, "names that begin with a dot below what is named")
        ->check(CLI::IsMember({"search", "skip"}))
        ->capture_default_str();
    now(
        "-a,--text", [&g] { g.search.binary = binary_files::searched; },
        "search files that have a NUL like others");
    now(
        "-I", [&g] { g.search.binary = binary_files::left_out; },
        "leave files out that have a NUL");
    app_.add_option("-j,--threads", g.threads, "threads that search; 0: one for each processor");
  }

  void what_is_printed() {
    auto& g = c_.grep;
    flag("-n,--line-number", g.print.line_numbers, "print line numbers");
    now(
        "-H,--with-filename", [this] { w_.names = true; },
        "print the name in front of lines, also of one file");
    now(
        "-h,--no-filename", [this] { w_.names = false; }, "print no names in front of lines");
    flag("-o,--only-matching", g.print.only_matching, "print only the parts of lines that match");
    now(
        "-l,--files-with-matches", [this] { w_.names_of = report::names_with; },
        "print names of files only");
    now(
        "-L,--files-without-match", [this] { w_.names_of = report::names_without; },
        "print names of the files that have no selected line");
    flag("-c,--count", w_.counts, "print how many lines of each file are selected");
    app_.add_option("-B,--before-context", w_.before, "print so many lines before selected ones");
    app_.add_option("-A,--after-context", w_.after, "print so many lines behind selected ones");
    app_.add_option("-C,--context", w_.context, "both");
    flag("-q,--quiet,--silent", w_.quiet, "print nothing; end at the first match");
    flag("-s,--no-messages", g.silent, "say nothing of files that cannot be read");
    flag("-Z,--null", g.print.zero_after_name, "print a zero byte behind names");
    flag("--line-buffered", g.at_once, "write what is found at once");
    app_.add_flag("--color{auto},--colour{auto}", w_.color,
                  "show what matches: always, never, or where a terminal shows it")
        ->check(CLI::IsMember({"always", "never", "auto"}));
    flag("--progress", c_.progress, "tell on a terminal how many files were searched");
  }

  void take_patterns(const std::string& text) {
    w_.pattern_given = true;
    add_patterns(c_.grep.patterns, text);
  }

  CLI::App& app_;
  command& c_;
  words& w_;
};

void put_together(command& c, words& w) {
  auto& g = c.grep;
  for (std::string& argument : w.arguments)
    argument = support::plain_arguments::said(std::move(argument));
  auto paths = w.arguments.begin();
  if (!w.pattern_given) {
    if (w.arguments.empty()) throw CLI::RequiredError("PATTERN");
    add_patterns(g.patterns, *paths++);
  }
  g.paths.assign(paths, w.arguments.end());
  if (g.paths.empty() && !w.recursive && ::isatty(STDIN_FILENO) == 0) g.paths = {"-"};

  std::error_code ignored;
  const bool one_file =
      g.paths.size() == 1 && !std::filesystem::is_directory(g.paths.front(), ignored);
  g.print.names = w.names.value_or(!one_file);
  g.print.inverted = g.search.invert;
  g.search.in_groups = w.before || w.after || w.context;
  g.search.before = w.before.value_or(w.context.value_or(0));
  g.search.after = w.after.value_or(w.context.value_or(0));
  if (w.byte_lines) g.match.line_end = g.search.line_end = g.print.line_end = '\0';
  if (w.counts) g.search.what = report::counts;
  if (w.names_of) g.search.what = *w.names_of;
  if (w.quiet) g.search.what = report::nothing;
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  g.print.colors = w.color == "always" || (w.color == "auto" && terminal);
  g.at_once |= terminal;
  g.hidden = w.hidden == "search";
  if (g.threads == 0) g.threads = std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

parsed parse(int argc, char** argv) {
  parsed p;
  p.what.grep.threads = 0;
  words w;
  CLI::App app("Searches files, and all files below directories, for lines that match a pattern.");
  const description all(app, p.what, w);
  try {
    const support::plain_arguments arguments(argc, argv);
    app.parse(arguments.count(), arguments.pointers());
    put_together(p.what, w);
  } catch (const CLI::ParseError& e) {
    p.end_with = app.exit(e) == 0 ? 0 : 2;
  }
  return p;
}

}  // namespace prgrep
