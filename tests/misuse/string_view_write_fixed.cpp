#include <string_view>

#include <parkring/parkring.hpp>

parkring::task<> write(parkring::fs::file& f, std::string_view text) {
  (void)co_await f.write_at(parkring::copying(text), 0);
}
