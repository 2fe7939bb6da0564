// expect: spawn keeps its callable
#include <functional>

#include <parkring/parkring.hpp>

parkring::task<> start() {
  int captured = 1;
  auto work = [captured]() -> parkring::task<int> { co_return captured; };
  auto h = parkring::spawn(std::ref(work));
  (void)co_await h;
}
