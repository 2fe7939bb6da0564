// Searches trees as grep -r does: options, output and exit codes are grep's.
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

#include <parkring/runtime.hpp>

#include "command_line.hpp"

namespace pr = parkring;

namespace {

int run(prgrep::command c) {
  auto& g = c.grep;
  g.tell = [](const std::string& what) { std::cerr << "prgrep: " + what + '\n'; };
  const bool shows = c.progress && ::isatty(STDERR_FILENO) == 1;
  if (shows) g.progress = [](std::size_t files) { std::fprintf(stderr, "\r%zu files ", files); };
  const bool quiet = g.search.what == prgrep::report::nothing;
  if (g.search.at_most == 0) return 1;  // as grep, whatever is asked
  pr::runtime runtime({.blocking_threads = g.threads});
  const auto result = runtime.run(prgrep::grep(std::move(g), STDOUT_FILENO));
  if (shows)
    std::fprintf(stderr, "\r%zu files searched, %zu match\n", result.files, result.matching);
  if (result.failed != 0 && !(quiet && result.matching != 0)) return 2;
  return result.matching != 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  auto command = prgrep::parse(argc, argv);
  return command.end_with >= 0 ? command.end_with : run(std::move(command.what));
} catch (const std::exception& e) {
  std::cerr << "prgrep: " << e.what() << '\n';
  return 2;
}
