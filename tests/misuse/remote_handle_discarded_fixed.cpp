#include <parkring/parkring.hpp>

parkring::task<> child() { co_return; }

parkring::task<> use() {
  parkring::spawn_anywhere(child).detach();
  co_return;
}
