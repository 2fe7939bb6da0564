// expect: co_await it
#include <chrono>

#include <parkring/parkring.hpp>

parkring::task<> wait() {
  parkring::sleep_for(std::chrono::seconds(1));
  co_return;
}
