// expect: operator co_await|await_ready
#include <parkring/parkring.hpp>

parkring::task<int> number() { co_return 1; }

parkring::task<int> sum() {
  auto t = number();
  const int first = co_await t;
  co_return first + co_await t;
}
