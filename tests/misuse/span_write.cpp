// expect: does not say who keeps the memory alive.*parkring::buffer.*std::move.*copying.*borrowed
#include <array>
#include <span>

#include <parkring/parkring.hpp>

parkring::task<> write(parkring::fs::file& f) {
  const std::array<std::byte, 16> bytes{};
  (void)co_await f.write_at(std::span(bytes), 0);
}
