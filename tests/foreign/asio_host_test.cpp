#include <parkring/hosts/asio.hpp>

#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "foreign/progress.hpp"

namespace pr = parkring;
namespace ba = boost::asio;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

class asio_activity {
 public:
  explicit asio_activity(ba::io_context& io) : timer_(io), socket_(io) {}

  void serve(side_by_side& s) {
    // A duplicate, since Asio closes what it has.
    socket_.assign(ba::local::stream_protocol(), ::dup(s.sockets.theirs()));
    tick(s);
    wait(s);
  }
  void stop() {
    stopped_ = true;  // a handler may be on its way already
    timer_.cancel();
    socket_.close();
  }

 private:
  void tick(side_by_side& s) {
    timer_.expires_after(1ms);
    timer_.async_wait([this, &s](const boost::system::error_code& failed) {
      if (failed || stopped_) return;
      ++s.made.timers;
      tick(s);
    });
  }
  void wait(side_by_side& s) {
    socket_.async_wait(ba::socket_base::wait_read,
                       [this, &s](const boost::system::error_code& failed) {
                         if (failed) return;
                         s.sockets.answer(s.made);
                         wait(s);
                       });
  }

  bool stopped_ = false;
  ba::steady_timer timer_;
  ba::local::stream_protocol::socket socket_;
};

TEST(AsioHost, its_timers_and_sockets_and_our_reads_progress_together) {
  pr::hosted rt;
  ba::io_context io(1);
  asio_activity theirs(io);
  pr::hosts::asio host(io, rt);
  side_by_side both;
  theirs.serve(both);
  rt.spawn([&]() -> pr::task<> {
      co_await both.all();
      theirs.stop();
      host.stop();
    }).detach();
  io.run();
  EXPECT_TRUE(both.made.all());
}

TEST(AsioHost, neither_starves_when_both_are_busy) {
  pr::hosted rt;
  ba::io_context io(1);
  asio_activity theirs(io);
  pr::hosts::asio host(io, rt);
  side_by_side both;
  theirs.serve(both);
  bool stop = false;
  int handlers = 0;
  const std::function<void()> busy = [&] {
    ++handlers;
    if (!stop) ba::post(io, busy);
  };
  ba::post(io, busy);
  rt.spawn([&]() -> pr::task<> {
      while (handlers < 1000 || both.made.timers < 5) co_await pr::yield();
      co_await both.all();
      stop = true;
      theirs.stop();
      host.stop();
    }).detach();
  io.run();
  EXPECT_TRUE(both.made.all());
}

TEST(AsioHost, handlers_enter_by_call_and_threads_by_post) {
  pr::hosted rt;
  ba::io_context io(1);
  pr::hosts::asio host(io, rt);
  pr::event from_handler, from_thread;
  ba::steady_timer timer(io, 1ms);
  timer.async_wait([&](const boost::system::error_code&) { rt.call([&] { from_handler.set(); }); });
  std::thread other;
  bool done = false;
  rt.spawn([&]() -> pr::task<> {
      co_await from_handler.wait();
      other = std::thread([&] { rt.post([&] { from_thread.set(); }); });
      co_await from_thread.wait();
      done = true;
      host.stop();
    }).detach();
  io.run();
  EXPECT_TRUE(done);
  other.join();
}

TEST(AsioHost, context_and_runtime_may_end_in_either_order) {
  for (const bool runtime_first : {true, false}) {
    auto io = std::make_unique<ba::io_context>(1);
    std::optional<pr::hosted> rt(std::in_place);
    auto host = std::make_unique<pr::hosts::asio>(*io, *rt);
    rt->spawn([]() -> pr::task<> { co_await pr::sleep_for(1h); }).detach();
    io->poll();
    if (runtime_first) {
      rt.reset();
      io->run();  // nothing keeps it
    }
    host.reset();
    io.reset();
    rt.reset();
  }
}

TEST(AsioHost, is_quiet_while_a_task_sleeps_for_ever) {
  pr::hosted rt;
  ba::io_context io(1);
  pr::hosts::asio host(io, rt);
  rt.spawn([]() -> pr::task<> {
      co_await pr::sleep_for(std::chrono::nanoseconds::max());
    }).detach();
  int handlers = 0;
  while (io.poll_one() != 0) ASSERT_LT(++handlers, 1000) << "it should settle";
  EXPECT_TRUE(rt.has_tasks());
}

}  // namespace
