// The command line of prgrep: options and exit codes are those of grep -r.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <parkring/runtime.hpp>

#include "grep.hpp"

namespace pr = parkring;

namespace {

struct command {
  prgrep::grep_options grep;
  bool no_names = false;
  bool names = false;
  bool silent = false;
  bool progress = false;
  bool as_it_is = false;  // what grep has to be told
  std::string hidden = "search";
};

// CLI11 takes [a,b] for a list, and would take an expression like [0-9] to pieces. With a byte
// behind it, which no argument has, it is one no more.
constexpr char no_list = '\1';
void as_no_list(std::string& argument) {
  if (argument.starts_with('[') && argument.ends_with(']')) argument += no_list;
}
void as_it_was(std::string& argument) {
  if (argument.starts_with('[') && argument.ends_with(no_list)) argument.pop_back();
}

void describe(CLI::App& app, command& c) {
  auto& g = c.grep;
  // grep's -h says something else.
  app.set_help_flag("--help", "print this and exit");
  auto* pattern = app.add_option("-e,--regexp", g.pattern, "the pattern, also if it begins with -");
  app.add_option("PATTERN_AND_PATHS", g.paths,
                 "what is looked for, unless -e gives it; then files and directories, of which all "
                 "that is below is searched; without one, the working directory");
  app.add_flag("-F,--fixed-strings", g.match.fixed, "the pattern is text, no expression");
  app.add_flag("-E,--extended-regexp,-P,--perl-regexp", c.as_it_is,
               "the pattern is a regular expression of PCRE2, as it is anyway");
  app.add_flag("-i,--ignore-case", g.match.ignore_case, "upper and lower case are the same");
  app.add_flag("-w,--word-regexp", g.match.word, "only whole words match");
  app.add_flag("-v,--invert-match", g.print.invert, "select lines that do not match");
  app.add_flag("-n,--line-number", g.print.line_numbers, "print line numbers");
  app.add_flag("-H,--with-filename", c.names, "print the name in front of lines, also of one file");
  app.add_flag("-h,--no-filename", c.no_names, "print no names in front of lines");
  app.add_flag("-l,--files-with-matches", g.print.only_names, "print names of files only");
  app.add_flag("-c,--count", g.print.only_counts, "print how many lines of each file are selected");
  app.add_flag("-a,--text", g.print.text, "search files with a NUL in their beginning like others");
  app.add_flag("-q,--quiet", g.print.quiet, "print nothing; end at the first match");
  app.add_flag("-s,--no-messages", c.silent, "say nothing of files that cannot be read");
  app.add_flag("-r,--recursive", c.as_it_is, "directories are searched, as they are anyway");
  app.add_option("--hidden", c.hidden, "names that begin with a dot below what is named")
      ->check(CLI::IsMember({"search", "skip"}))
      ->capture_default_str();
  app.add_option("-j,--threads", g.threads, "threads that search; 0: one for each processor");
  app.add_flag("--progress", c.progress, "tell on a terminal how many files were searched");
  app.footer(
      "Exit code: 0 if a line was selected, 1 if not, 2 after an error.\n"
      "Links are followed where they are named here, not below. What is no regular file is left "
      "out.");
  app.final_callback([pattern, &g] {
    for (std::string& path : g.paths) as_it_was(path);
    as_it_was(g.pattern);
    if (pattern->count() != 0) return;
    if (g.paths.empty()) throw CLI::RequiredError("PATTERN");
    g.pattern = std::move(g.paths.front());
    g.paths.erase(g.paths.begin());
  });
}

int run(command c) {
  auto& g = c.grep;
  if (g.threads == 0) g.threads = std::max(1U, std::thread::hardware_concurrency());
  std::error_code ignored;
  const bool one_file =
      g.paths.size() == 1 && !std::filesystem::is_directory(g.paths.front(), ignored);
  g.print.names = c.names || (!c.no_names && !one_file);
  g.hidden = c.hidden == "search";
  if (!c.silent)
    g.complain = [](const std::string& what) { std::cerr << "prgrep: " << what << '\n'; };
  const bool tells = c.progress && ::isatty(STDERR_FILENO) == 1;
  if (tells) g.progress = [](std::size_t files) { std::fprintf(stderr, "\r%zu files ", files); };
  const bool quiet = g.print.quiet;
  pr::runtime runtime({.blocking_threads = g.threads + 1});
  const auto result = runtime.run(prgrep::grep(std::move(g), STDOUT_FILENO));
  if (tells)
    std::fprintf(stderr, "\r%zu files searched, %zu match\n", result.files, result.matching);
  if (result.failed != 0 && !(quiet && result.matching != 0)) return 2;
  return result.matching != 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  command c;
  c.grep.threads = 0;
  CLI::App app("Searches files, and all files below directories, for lines that match a pattern.");
  describe(app, c);
  try {
    std::vector<std::string> arguments(argv, argv + argc);
    std::vector<const char*> pointers;
    for (std::string& argument : arguments) {
      as_no_list(argument);
      pointers.push_back(argument.c_str());
    }
    app.parse(argc, pointers.data());
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return run(std::move(c));
} catch (const std::exception& e) {
  std::cerr << "prgrep: " << e.what() << '\n';
  return 2;
}
