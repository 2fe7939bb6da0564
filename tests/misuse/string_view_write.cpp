// expect: does not say who keeps the memory alive.*parkring::buffer.*std::move.*copying.*borrowed
#include <string_view>

#include <parkring/parkring.hpp>

parkring::task<> write(parkring::fs::file& f, std::string_view text) {
  (void)co_await f.write_at(text, 0);
}
