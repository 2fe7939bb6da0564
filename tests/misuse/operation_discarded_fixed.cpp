#include <parkring/parkring.hpp>

parkring::task<> save(parkring::fs::file& f) {
  co_await f.datasync();
  co_return;
}
