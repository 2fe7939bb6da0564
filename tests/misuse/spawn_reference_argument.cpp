// expect: share an object by reference, say so with std::ref
#include <functional>

#include <parkring/parkring.hpp>

parkring::task<> count(int& n) {
  ++n;
  co_return;
}

parkring::task<> start() {
  int n = 0;
  auto h = parkring::spawn(count, n);
  co_await h;
}
