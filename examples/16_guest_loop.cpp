// test-args: {source}
// Another event loop inside a runtime. The loop is an epoll set with a timer, as many programs have
// one; libuv, GLib and sd-event are brought in by one line each (<parkring/guests/*.hpp>).
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <iostream>
#include <system_error>

#include <parkring/guests/epoll.hpp>
#include <parkring/parkring.hpp>

namespace pr = parkring;

// The loop that was there before.
class old_loop {
 public:
  old_loop() : set_(::epoll_create1(EPOLL_CLOEXEC)), timer_(::timerfd_create(CLOCK_MONOTONIC, 0)) {
    epoll_event e{};
    e.events = EPOLLIN;
    const itimerspec every{{0, 1'000'000}, {0, 1'000'000}};  // a millisecond
    if (::epoll_ctl(set_, EPOLL_CTL_ADD, timer_, &e) != 0 ||
        ::timerfd_settime(timer_, 0, &every, nullptr) != 0)
      throw std::system_error(errno, std::generic_category(), "old_loop");
  }
  ~old_loop() {
    ::close(timer_);
    ::close(set_);
  }
  int descriptor() const { return set_; }
  void dispatch(const epoll_event&) {
    std::uint64_t expirations;
    if (::read(timer_, &expirations, sizeof expirations) > 0) ++ticks;
  }
  int ticks = 0;

 private:
  int set_;
  int timer_;
};

pr::task<int> read_beside(std::filesystem::path path, old_loop& loop) {
  int reads = 0;
  auto file = co_await pr::fs::open(path, {.inline_first = pr::fs::inline_mode::never});
  pr::buffer buf(4096);
  for (; loop.ticks < 3; ++reads) co_await file.read_at(buf, 0);
  co_return reads;
}

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  old_loop loop;
  pr::guest guest =
      pr::guests::epoll(loop.descriptor(), [&](const epoll_event& e) { loop.dispatch(e); });

  pr::runtime rt;
  rt.park_on(guest);  // from now on it waits for both
  const int reads = rt.run(read_beside, argv[1], std::ref(loop));
  std::cout << (reads > 0 ? "the file was read" : "nothing was read")
            << " while the old loop ticked " << loop.ticks << " times or more\n";
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
