#include <functional>

#include <parkring/parkring.hpp>

parkring::task<> count(int& n) {
  ++n;
  co_return;
}

parkring::task<> start() {
  int n = 0;
  auto h = parkring::spawn(count, std::ref(n));
  co_await h;
}
