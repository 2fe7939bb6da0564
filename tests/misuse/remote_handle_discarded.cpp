// expect: dropping the handle aborts the task
#include <parkring/parkring.hpp>

parkring::task<> child() { co_return; }

parkring::task<> use() {
  parkring::spawn_anywhere(child);
  co_return;
}
