// test-args: {source} {work}/longest
// Counts the lines of a file and writes its longest ones to another, each with its number; of a
// file of any length it has no more than a few buffers in memory.
#include <cstdint>
#include <iostream>
#include <string>
#include <utility>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace pr::literals;

pr::task<std::uint64_t> longest_lines(std::filesystem::path from, std::filesystem::path to) {
  pr::fs::reader file(co_await pr::fs::open(from), {.buffer_size = 64_KiB});
  auto lines = pr::fs::lines(file, {.max_length = 16_MiB});

  pr::fs::writer out(co_await pr::fs::open(to, {.access = pr::fs::access::write,
                                                .creation = pr::fs::creation::if_missing,
                                                .truncate = true}));
  std::size_t longest = 0;
  while (auto line = co_await lines.next()) {  // a view, until the next call
    if (line->size() <= longest) continue;
    longest = line->size();
    const std::string number = std::to_string(lines.count());
    co_await out.write(number + ": ");
    co_await out.write(*line);
    co_await out.write("\n");
  }
  co_await out.close();  // only now all of it is written
  co_return lines.count();
}

int main(int argc, char** argv) try {
  if (argc != 3) throw std::invalid_argument("call it with a file to read and one to write");
  std::cout << pr::run(longest_lines(argv[1], argv[2])) << " lines\n";
} catch (const std::exception& e) {
  std::cerr << "lines: " << e.what() << '\n';
  return 1;
}
