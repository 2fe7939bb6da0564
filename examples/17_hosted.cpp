// test-args: {source}
// A runtime inside another event loop: here a plain epoll loop, with a timer of its own. Asio,
// libuv and GLib are hosts by one line each (<parkring/hosts/*.hpp>).
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <iostream>
#include <string>

#include <parkring/hosts/epoll.hpp>
#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace std::chrono_literals;

pr::task<> count_bytes(std::filesystem::path path, pr::event& next, std::size_t& bytes) {
  co_await next.wait();  // the host's timer says when
  bytes = (co_await pr::fs::read_file(path)).size();
  co_await pr::sleep_for(1ms);
}

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  const itimerspec soon{{0, 0}, {0, 1'000'000}};
  ::timerfd_settime(timer, 0, &soon, nullptr);
  epoll_event e{};
  e.events = EPOLLIN;
  ::epoll_ctl(set, EPOLL_CTL_ADD, timer, &e);

  pr::event next;
  std::size_t bytes = 0;
  {
    pr::hosted rt;
    pr::hosts::epoll host(set, rt);  // its descriptor is in the set
    auto counting = rt.spawn(count_bytes, argv[1], std::ref(next), std::ref(bytes));

    while (rt.has_tasks()) {
      std::array<epoll_event, 16> events;
      const int n = ::epoll_wait(set, events.data(), events.size(), host.timeout_ms());
      for (int i = 0; i < n; ++i) {
        if (host.is_mine(events[static_cast<std::size_t>(i)])) continue;
        std::uint64_t expirations;
        if (::read(timer, &expirations, sizeof expirations) > 0)
          rt.call([&] { next.set(); });  // from a callback of the host into the runtime
      }
      host.turn();
    }
  }
  ::close(timer);
  ::close(set);
  std::cout << (bytes != 0 ? "read" : "did not read") << " a file between two callbacks\n";
  return bytes != 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
