// test-args: {source}
// Reads the first KiB of a file. Nothing blocks, and nothing can be freed under the kernel.
#include <iostream>
#include <parkring/parkring.hpp>

namespace pr = parkring;

pr::task<std::string> get_cache(std::filesystem::path path) {
  auto file = co_await pr::fs::open(path);  // openat goes through the ring: nothing blocks
  pr::buffer buf(1024);                     // from the runtime's registered pool
  auto n = co_await file.read_at(buf, 0);   // buf is locked while the kernel has it
  co_return std::string(buf.text(0, n));
}

int main(int argc, char** argv) try {
  std::cout << pr::run(get_cache(argc > 1 ? argv[1] : "/etc/hostname"));
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
