// Boost.Asio's coroutines and timers.
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include "../contender.hpp"
#include "many_timers.hpp"

namespace lab {
namespace {

namespace asio = boost::asio;

asio::awaitable<void> add_one(std::uint64_t& sum) {
  ++sum;
  co_return;
}

void spawn(session& run) {
  constexpr unsigned batch = 64;
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  std::uint64_t sum = 0;
  while (load* stream = run.next_phase()) {
    while (stream->batch(batch)) {
      for (unsigned i = 0; i < batch; ++i) asio::co_spawn(context, add_one(sum), asio::detached);
      context.run();
      context.restart();
    }
  }
  if (sum == 0) fail("no coroutine ran");
}

asio::awaitable<void> yield_in_batches(load& stream, unsigned task, unsigned tasks, bool& more) {
  constexpr unsigned rounds = 64;
  for (;;) {
    if (task == 0) more = stream.batch(rounds * tasks);
    if (!more) co_return;
    for (unsigned round = 0; round < rounds; ++round) co_await asio::post(asio::use_awaitable);
  }
}

void yield(session& run) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  const unsigned tasks = run.what().depth;
  while (load* stream = run.next_phase()) {
    bool more = true;
    for (unsigned task = 0; task < tasks; ++task)
      asio::co_spawn(context, yield_in_batches(*stream, task, tasks, more), asio::detached);
    context.run();
    context.restart();
  }
}

void arm_and_cancel(session& run) {
  constexpr unsigned batch = 64;
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  std::deque<asio::steady_timer> pending;
  for (unsigned i = 0; i < run.what().depth; ++i) {
    asio::steady_timer& timer = pending.emplace_back(context);
    timer.expires_after(std::chrono::hours(1) + std::chrono::seconds(i));
    timer.async_wait([](const boost::system::error_code&) {});
  }
  std::deque<asio::steady_timer> timers;
  for (unsigned i = 0; i < batch; ++i) timers.emplace_back(context);
  while (load* stream = run.next_phase()) {
    unsigned i = 0;
    while (stream->batch(batch)) {
      for (asio::steady_timer& timer : timers) {
        timer.expires_after(std::chrono::hours(1) + std::chrono::seconds(i++ % 1024));
        timer.async_wait([](const boost::system::error_code&) {});
        timer.cancel();
      }
      context.poll();
    }
  }
  pending.clear();
  context.poll();
}

void arm_and_cancel_many(session& run) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  const unsigned n = run.what().depth;
  std::deque<asio::steady_timer> pending, some;
  for (unsigned i = 0; i < n; ++i) pending.emplace_back(context);
  for (unsigned i = 0; i < n; ++i) some.emplace_back(context);
  const auto ignore = [](const boost::system::error_code&) {};
  many_timers times;
  const auto arm = [&](asio::steady_timer& timer) {
    timer.expires_after(std::chrono::nanoseconds(times.wait_ns()));
    timer.async_wait(ignore);
  };
  for (asio::steady_timer& timer : pending) arm(timer);
  while (load* stream = run.next_phase()) {
    while (stream->batch(n)) {
      for (asio::steady_timer& timer : some) arm(timer);
      context.poll();
      for (asio::steady_timer& timer : some) timer.cancel();
      context.poll();
    }
  }
  pending.clear();
  context.poll();
}

asio::awaitable<void> sleeper(load& stream, unsigned slot, asio::steady_timer& timer) {
  while (stream.next(slot)) {
    timer.expires_after(std::chrono::nanoseconds(stream.sleep_ns()));
    co_await timer.async_wait(asio::use_awaitable);
    stream.done(slot);
  }
}

void sleep(session& run) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  std::deque<asio::steady_timer> timers;
  for (unsigned i = 0; i < run.what().depth; ++i) timers.emplace_back(context);
  while (load* stream = run.next_phase()) {
    for (unsigned slot = 0; slot < run.what().depth; ++slot)
      asio::co_spawn(context, sleeper(*stream, slot, timers[slot]), asio::detached);
    context.run();
    context.restart();
  }
}

}  // namespace

void add_asio_tasks(roster& to) {
  to.present.push_back({.name = "asio", .kind = work::spawn, .run = spawn});
  to.present.push_back({.name = "asio", .kind = work::yield, .run = yield});
  to.present.push_back({.name = "asio", .kind = work::timer, .run = arm_and_cancel});
  to.present.push_back({.name = "asio", .kind = work::timers, .run = arm_and_cancel_many});
  to.present.push_back({.name = "asio", .kind = work::sleep, .run = sleep});
}

}  // namespace lab
