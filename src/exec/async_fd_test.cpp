#include <parkring/async_fd.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/race.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

// A connected pair of sockets: one for the test, one for what is tested.
struct pair {
  std::array<int, 2> ends{-1, -1};
  pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0); }
  ~pair() {
    close_mine();
    close_peer();
  }
  int mine() const { return ends[0]; }
  void say(const char* text) const {
    EXPECT_EQ(::write(ends[1], text, std::strlen(text)), static_cast<ssize_t>(std::strlen(text)));
  }
  char hear() const {
    char c = 0;
    return ::read(ends[0], &c, 1) == 1 ? c : '-';
  }
  void close_mine() { close_one(ends[0]); }
  void close_peer() { close_one(ends[1]); }
  static void close_one(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
};

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST(AsyncFd, is_writable_at_once_and_readable_when_there_is_something) {
  auto body = []() -> task<> {
    pair p;
    auto fd = async_fd::borrow(p.mine());
    EXPECT_EQ(fd.get(), p.mine());
    EXPECT_EQ(co_await fd.writable(), fd_events::writable);
    auto reader = spawn([&]() -> task<char> {
      const fd_events seen = co_await fd.readable();
      EXPECT_TRUE(has(seen, fd_events::readable));
      co_return p.hear();
    });
    for (int i = 0; i < 3; ++i) co_await yield();
    p.say("x");
    EXPECT_EQ(co_await std::move(reader), 'x');
    EXPECT_FALSE(co_await timeout(1ms, fd.readable())) << "it was read";
  };
  run(body());
}

TEST(AsyncFd, several_tasks_wait_each_for_events_of_its_own) {
  auto body = []() -> task<> {
    pair p;
    auto fd = async_fd::borrow(p.mine());
    int readers = 0;
    auto wait = [&]() -> task<> {
      co_await fd.readable();
      ++readers;
    };
    auto a = spawn(wait), b = spawn(wait);
    bool urgent = false;
    auto never = spawn([&]() -> task<> {
      co_await fd.ready(fd_events::priority);
      urgent = true;
    });
    EXPECT_TRUE(
        has(co_await fd.ready(fd_events::readable | fd_events::writable), fd_events::writable));
    EXPECT_EQ(readers, 0);
    p.say("y");
    co_await std::move(a);
    co_await std::move(b);
    EXPECT_EQ(readers, 2) << "readiness is not used up by who sees it";
    EXPECT_FALSE(urgent);
  };
  run(body());
}

TEST(AsyncFd, the_end_of_the_peer_is_told) {
  auto body = []() -> task<> {
    pair p;
    auto fd = async_fd::borrow(p.mine());
    p.close_peer();
    const fd_events seen = co_await fd.ready(fd_events::read_hang_up);
    EXPECT_TRUE(has(seen, fd_events::read_hang_up));
    EXPECT_TRUE(has(seen, fd_events::hang_up)) << "told unasked";
  };
  run(body());
}

TEST(AsyncFd, an_owned_descriptor_is_closed_when_its_last_poll_has_ended) {
  runtime rt;
  pair p;
  const int mine = std::exchange(p.ends[0], -1);
  auto body = [&]() -> task<> {
    auto fd = async_fd::own(mine);
    EXPECT_FALSE(co_await timeout(1ms, fd.readable()));  // leaves a poll that is cancelled
    auto moved = std::move(fd);
    EXPECT_EQ(fd.get(), -1);
    EXPECT_EQ(moved.get(), mine);
  };
  rt.run(body());
  auto wait = [&]() -> task<> {
    while (is_open(mine)) co_await sleep_for(100us);
  };
  rt.run(wait());
  char c;
  EXPECT_EQ(::read(p.ends[1], &c, 1), 0) << "the peer sees the end";
}

TEST(AsyncFd, release_ends_the_waits_and_the_kernel_lets_go) {
  auto body = []() -> task<> {
    pair p;
    auto fd = async_fd::borrow(p.mine());
    auto waiting = [&]() -> task<int> {
      auto r = co_await as_result(fd.readable());
      EXPECT_FALSE(r.has_value());
      co_return r.error().number();
    };
    auto a = spawn(waiting), b = spawn(waiting);
    for (int i = 0; i < 3; ++i) co_await yield();
    EXPECT_EQ(co_await fd.release(), p.mine());
    EXPECT_EQ(fd.get(), -1);
    p.close_mine();
    char c;
    EXPECT_EQ(::read(p.ends[1], &c, 1), 0) << "nothing keeps the closed socket";
    EXPECT_EQ(co_await std::move(a), ECANCELED);
    EXPECT_EQ(co_await std::move(b), ECANCELED);
    EXPECT_EQ(co_await waiting(), ECANCELED) << "also who comes later";
    EXPECT_EQ(co_await fd.release(), -1) << "it was given already";
  };
  run(body());
}

TEST(AsyncFd, a_released_descriptor_that_was_owned_is_not_closed) {
  pair p;
  const int mine = p.mine();
  auto body = [&]() -> task<> {
    auto fd = async_fd::own(mine);
    EXPECT_FALSE(co_await timeout(1ms, fd.readable()));
    EXPECT_EQ(co_await fd.release(), mine);
  };
  run(body());
  EXPECT_TRUE(is_open(mine));
}

TEST(AsyncFd, a_wait_keeps_an_owned_descriptor_open) {
  auto body = []() -> task<> {
    pair p;
    auto fd = std::optional(async_fd::own(std::exchange(p.ends[0], -1)));
    auto wait = fd->readable();
    fd.reset();
    p.say("z");
    EXPECT_TRUE(has(co_await std::move(wait), fd_events::readable));
  };
  run(body());
}

TEST(AsyncFd, what_is_not_open_is_an_error_that_says_so) {
  auto body = []() -> task<> {
    auto fd = async_fd::borrow(1'000'000);
    try {
      co_await fd.readable();
      ADD_FAILURE() << "no error";
    } catch (const io_error& e) {
      EXPECT_EQ(e.code(), std::errc::bad_file_descriptor);
      EXPECT_NE(std::string(e.what()).find("descriptor 1000000"), std::string::npos) << e.what();
    }
  };
  run(body());
}

TEST(AsyncFd, may_be_dropped_on_another_thread_and_after_its_runtime) {
  pair p;
  const int mine = std::exchange(p.ends[0], -1);
  pair q;
  const int later = std::exchange(q.ends[0], -1);
  std::optional<async_fd> outlives;
  {
    runtime rt;
    auto body = [&]() -> task<> {
      auto fd = async_fd::own(mine);
      outlives.emplace(async_fd::own(later));
      co_await race(outlives->writable(), outlives->readable());
      EXPECT_FALSE(co_await timeout(1ms, fd.readable()));
      std::thread([gone = std::move(fd)] {}).join();
      while (is_open(mine)) co_await sleep_for(100us);
    };
    rt.run(body());
  }
  EXPECT_TRUE(is_open(later));
  outlives.reset();
  EXPECT_FALSE(is_open(later));
}

TEST(AsyncFd, goes_on_in_another_runtime_when_its_own_has_gone) {
  pair p;
  auto fd = async_fd::borrow(p.mine());
  const auto wait = [&]() -> task<> {
    EXPECT_TRUE(has(co_await fd.writable(), fd_events::writable));
  };
  run(wait());
  run(wait());
  std::thread([&] { run(wait()); }).join();
}

TEST(AsyncFd, a_runtime_of_few_requests_serves_many_waits_in_turn) {
  runtime rt({.entries = 1, .max_operations = 2});
  pair p;
  auto body = [&]() -> task<> {
    auto fd = async_fd::borrow(p.mine());
    int ended = 0, cancelled = 0;
    std::vector<join_handle<void>> all;
    for (int i = 0; i < 6; ++i)
      all.push_back(spawn([&]() -> task<> {
        const auto r = co_await as_result(fd.readable());
        r ? ++ended : ++cancelled;
      }));
    co_await yield();
    EXPECT_EQ(co_await fd.release(), p.mine()) << "also those that wait for a record end";
    for (auto& h : all) co_await std::move(h);
    EXPECT_EQ(ended, 0);
    EXPECT_EQ(cancelled, 6);
  };
  rt.run(body());
}

}  // namespace
}  // namespace parkring
