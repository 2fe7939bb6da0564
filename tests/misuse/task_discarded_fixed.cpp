#include <parkring/parkring.hpp>

parkring::task<> work() { co_return; }

parkring::task<> start() {
  co_await work();
  co_return;
}
