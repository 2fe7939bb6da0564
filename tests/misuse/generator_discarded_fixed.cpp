#include <parkring/parkring.hpp>

parkring::generator<int> numbers() { co_yield 1; }

parkring::task<> use() {
  auto g = numbers();
  while (auto n = co_await g.next()) (void)*n;
}
