// expect: does not say who keeps the memory alive.*parkring::buffer.*std::move.*copying.*borrowed
#include <array>
#include <span>

#include <parkring/parkring.hpp>

parkring::task<> read(parkring::fs::file& f) {
  std::array<std::byte, 16> bytes{};
  (void)co_await f.read_at(std::span(bytes), 0);
}
