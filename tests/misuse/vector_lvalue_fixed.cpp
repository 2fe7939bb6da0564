#include <vector>

#include <parkring/parkring.hpp>

parkring::task<> read(parkring::fs::file& f) {
  std::vector<char> bytes(16);
  (void)co_await f.read_at(std::move(bytes), 0);
}
