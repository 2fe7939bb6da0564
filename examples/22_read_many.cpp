// test-args: {source} 8
// Samples a file: reads some lines' worth of bytes at as many places as told, as few requests, and
// counts the letters in them.
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <vector>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace pr::literals;

pr::task<> sample(std::filesystem::path path, std::uint64_t places) {
  auto file = co_await pr::fs::open(path);
  const std::uint64_t size = co_await file.size();

  std::vector<pr::fs::range> ranges;
  for (std::uint64_t i = 0; i < places; ++i) ranges.push_back({size / places * i, 80});

  auto parts = pr::fs::read_many(file, ranges, {.max_in_flight = 64, .merge_gap = 4_KiB});
  std::size_t letters = 0, bytes = 0;
  while (auto part = co_await parts.next()) {
    for (const unsigned char c : part->text()) letters += std::isalpha(c) != 0;
    bytes += part->text().size();
  }
  std::cout << letters << " letters in " << bytes << " bytes from " << places << " places, by "
            << parts.counts().reads << " reads\n";
}

int main(int argc, char** argv) try {
  if (argc != 3) throw std::invalid_argument("usage: read_many FILE PLACES");
  const std::uint64_t places = std::strtoull(argv[2], nullptr, 10);
  if (places == 0) throw std::invalid_argument("PLACES must be at least 1");
  pr::run(sample(argv[1], places));
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
