#include <array>
#include <span>

#include <parkring/parkring.hpp>

parkring::task<> write(parkring::fs::file& f) {
  const std::array<std::byte, 16> bytes{};
  (void)co_await f.write_at(parkring::borrowed(std::span(bytes)), 0);
}
