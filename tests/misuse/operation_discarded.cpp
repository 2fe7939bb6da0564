// expect: a request does nothing until it is awaited|nodiscard|unused-result
#include <parkring/parkring.hpp>

parkring::task<> save(parkring::fs::file& f) {
  f.datasync();
  co_return;
}
