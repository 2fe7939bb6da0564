// test-args: {source} /proc/self/status /dev/null
// Prints files, pipes, terminals and what /proc makes up; `-` or nothing is the standard input.
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace pr::literals;

// The standard output may block, so a thread that may writes it. The bytes move there.
auto print(pr::buffer part, std::size_t count) {
  return pr::blocking([part = std::move(part), count] {
    const std::string_view text = part.text(0, count);
    if (!std::cout.write(text.data(), static_cast<std::streamsize>(text.size())).flush())
      throw std::runtime_error("the standard output takes no more bytes");
  });
}

// The next part is read while the one before is printed.
pr::task<> cat(std::filesystem::path path) {
  auto file = co_await pr::fs::open(path);
  pr::buffer part(64_KiB);
  std::uint64_t at = 0;  // what has no position ignores it
  for (std::size_t count = co_await file.read_at(part, at); count != 0;) {
    at += count;
    pr::buffer next(64_KiB);
    auto [printed, got] =
        co_await pr::when_all(print(std::move(part), count), file.read_at(next, at));
    part = std::move(next);
    count = got;
  }
}

pr::task<> cat_all(std::vector<std::string_view> names) {
  for (auto name : names) co_await cat(name == "-" ? "/dev/stdin" : name);
}

int main(int argc, char** argv) try {
  std::vector<std::string_view> names(argv + 1, argv + argc);
  if (names.empty()) names.push_back("-");
  pr::run(cat_all(std::move(names)));
} catch (const std::exception& e) {
  std::cerr << "cat: " << e.what() << '\n';
  return 1;
}
