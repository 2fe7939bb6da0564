#include <parkring/parkring.hpp>

parkring::task<int> number() { co_return 1; }

parkring::task<int> sum() {
  auto t = number();
  const int first = co_await std::move(t);
  co_return first + co_await number();
}
