#include <chrono>

#include <parkring/parkring.hpp>

parkring::task<> wait() {
  co_await parkring::sleep_for(std::chrono::seconds(1));
  co_return;
}
