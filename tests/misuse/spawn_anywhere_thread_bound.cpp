// expect: belongs to the runtime of one thread
#include <parkring/parkring.hpp>

parkring::task<> child() { co_return; }

parkring::task<> use() {
  auto handle = parkring::spawn(child);
  auto far = parkring::spawn_anywhere(
      [](parkring::join_handle<void> h) -> parkring::task<> { co_await h; }, std::move(handle));
  co_await far;
}
