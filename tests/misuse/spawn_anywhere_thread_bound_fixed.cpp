#include <parkring/parkring.hpp>

parkring::task<> child() { co_return; }

parkring::task<> use() {
  auto handle = parkring::spawn_anywhere(child);
  auto far = parkring::spawn_anywhere(
      [](parkring::remote_handle<void> h) -> parkring::task<> { co_await h; }, std::move(handle));
  co_await far;
}
