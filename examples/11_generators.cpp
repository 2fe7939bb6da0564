// test-args: {source} /etc/passwd
// Reads files in parts, as a stream, and looks at several parts of several files at once.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace pr::literals;
using path = std::filesystem::path;

// A coroutine that awaits and yields: the lines of a file, read in parts.
pr::generator<std::string> lines(path p) {
  auto file = co_await pr::fs::open(p);
  pr::buffer part(4_KiB);
  std::string line;
  for (std::uint64_t at = 0;;) {
    const std::size_t n = co_await file.read_at(part, at);
    if (n == 0) break;
    at += n;
    const std::string text(part.text(0, n));  // its own: the buffer is used again
    for (const char c : text) {
      if (c != '\n') {
        line += c;
      } else {
        co_yield std::move(line);
        line.clear();
      }
    }
  }
  if (!line.empty()) co_yield std::move(line);
}

struct measured {
  std::string line;
  std::size_t length;
};

// Something that takes its time for each.
pr::task<measured> measure(std::string line) {
  co_await pr::yield();
  const std::size_t n = line.size();
  co_return measured{std::move(line), n};
}

pr::task<> report(path first, path second) {
  // One after another, by hand; dropping the generator closes the file.
  auto all = lines(first);
  if (auto line = co_await all.next()) std::cout << "begins with: " << *line << '\n';

  // Or as a pipe: nothing is read before somebody asks, and then no more than eight ahead.
  auto filled = [](const std::string& line) { return !line.empty(); };
  auto long_lines = lines(first) | pr::filter(filled) | pr::map(measure) | pr::buffered(8);
  std::size_t longest = 0;
  while (auto m = co_await long_lines.next()) longest = std::max(longest, m->length);
  std::cout << "the longest line has " << longest << " characters\n";

  // Both files at once, their lines as they come.
  auto some = co_await (pr::merge(lines(first), lines(second)) | pr::take(10) | pr::collect());
  std::cout << some.size() << " lines of both\n";
}

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: generators FILE FILE\n";
    return 2;
  }
  pr::run(report(argv[1], argv[2]));
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
