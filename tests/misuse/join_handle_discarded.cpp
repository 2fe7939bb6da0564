// expect: dropping the handle aborts the task
#include <parkring/parkring.hpp>

parkring::task<> work() { co_return; }

parkring::task<> start() {
  parkring::spawn(work);
  co_return;
}
