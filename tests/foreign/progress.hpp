// What runs side by side in the tests of guests and hosts, counted: tasks of ours that read a file
// through the ring, and sleep; timers and sockets of a foreign loop.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include <parkring/parkring.hpp>

#include "support/scratch.hpp"

namespace parkring::testing {

/// Of all that was to go on, how often it did.
struct progress {
  static constexpr int enough = 20;
  int reads = 0;    // ours
  int naps = 0;     // ours
  int timers = 0;   // theirs
  int sockets = 0;  // theirs

  [[nodiscard]] bool all() const noexcept {
    return reads >= enough && naps >= enough && timers >= enough && sockets >= enough;
  }
};

/// Two connected sockets. Each byte that the loop's end gets comes back to us, and we send the
/// next.
struct socket_pair {
  std::array<int, 2> ends{-1, -1};
  socket_pair() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
  }
  socket_pair(const socket_pair&) = delete;
  socket_pair& operator=(const socket_pair&) = delete;
  ~socket_pair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  [[nodiscard]] int theirs() const noexcept { return ends[0]; }
  [[nodiscard]] int ours() const noexcept { return ends[1]; }

  /// In a callback of the loop: takes what has come, and answers it.
  void answer(progress& p) const noexcept {
    char c;
    while (::read(theirs(), &c, 1) == 1) {
      ++p.sockets;
      (void)!::write(theirs(), &c, 1);
    }
  }
};

/// Our tasks. They end when everything has made enough progress.
class side_by_side {
 public:
  side_by_side() : path_(dir_.file("data", std::string(4096, 'd'))) {}

  task<> all() {
    auto reader = spawn(&side_by_side::read, this);
    auto sleeper = spawn(&side_by_side::nap, this);
    auto talker = spawn(&side_by_side::talk, this);
    co_await std::move(reader);
    co_await std::move(sleeper);
    co_await std::move(talker);
  }

  progress made;
  socket_pair sockets;

 private:
  task<> read() {
    auto f = co_await fs::open(path_, {.inline_first = fs::inline_mode::never});
    buffer b(4096);
    while (!made.all()) {
      EXPECT_EQ(co_await f.read_at(b, 0), 4096u);
      ++made.reads;
    }
  }
  task<> nap() {
    while (!made.all()) {
      co_await sleep_for(std::chrono::microseconds(200));
      ++made.naps;
    }
  }
  task<> talk() {
    auto fd = async_fd::borrow(sockets.ours());
    char c = 'a';
    EXPECT_EQ(::write(sockets.ours(), &c, 1), 1);
    while (!made.all()) {
      co_await fd.readable();
      EXPECT_EQ(::read(sockets.ours(), &c, 1), 1);
      EXPECT_EQ(::write(sockets.ours(), &c, 1), 1);
    }
    co_await fd.release();
  }

  scratch dir_;
  std::filesystem::path path_;
};

}  // namespace parkring::testing
