// expect: operator co_await|await_ready
#include <parkring/parkring.hpp>

parkring::task<> read(parkring::fs::file& f, parkring::buffer& b) {
  auto operation = f.read_at(b, 0);
  (void)co_await operation;
  (void)co_await operation;
}
