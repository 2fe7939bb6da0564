#include <parkring/parkring.hpp>

parkring::task<> work() { co_return; }

parkring::task<> start() {
  parkring::spawn(work).detach();
  co_return;
}
