// expect: a task does nothing until it is awaited or spawned
#include <parkring/parkring.hpp>

parkring::task<> work() { co_return; }

parkring::task<> start() {
  work();
  co_return;
}
