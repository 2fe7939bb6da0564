// expect: does not say who keeps the memory alive.*parkring::buffer.*std::move.*copying.*borrowed
#include <vector>

#include <parkring/parkring.hpp>

parkring::task<> read(parkring::fs::file& f) {
  std::vector<char> bytes(16);
  (void)co_await f.read_at(bytes, 0);
}
