// Boost.Asio's thread_pool of two threads, with the channel that several threads may use.
#include <unistd.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "../contender.hpp"
#include "buffers.hpp"

namespace lab {
namespace {

namespace asio = boost::asio;
using values = asio::experimental::concurrent_channel<void(boost::system::error_code, unsigned)>;

constexpr unsigned spawners = 2, each = 64, rounds_of_spawns = 16, hops = 64;

// --- spawn + join: the last of a round tells its spawner by a channel

asio::awaitable<void> one_more(std::atomic<unsigned>& left, std::atomic<std::uint64_t>& sum,
                               std::uint64_t n, values& done) {
  sum.fetch_add(n + 1, std::memory_order_relaxed);
  if (left.fetch_sub(1, std::memory_order_acq_rel) == 1)
    co_await done.async_send({}, 0U, asio::use_awaitable);
}

asio::awaitable<void> spawns(asio::thread_pool& pool) {
  std::atomic<std::uint64_t> sum{0};
  values done(pool, 1);
  for (unsigned round = 0; round < rounds_of_spawns; ++round) {
    std::atomic<unsigned> left{each};
    for (unsigned i = 0; i < each; ++i)
      asio::co_spawn(pool, one_more(left, sum, i, done), asio::detached);
    co_await done.async_receive(asio::use_awaitable);
  }
  if (sum.load() != std::uint64_t{rounds_of_spawns} * each * (each + 1) / 2)
    fail("a task was lost");
}

void spawn(session& run) {
  asio::thread_pool pool(2);
  while (load* stream = run.next_phase())
    while (stream->batch(spawners * each * rounds_of_spawns)) {
      std::vector<std::future<void>> all;
      for (unsigned i = 0; i < spawners; ++i)
        all.push_back(asio::co_spawn(pool, spawns(pool), asio::use_future));
      for (auto& one : all) one.get();
    }
  pool.join();
}

// --- channel

asio::awaitable<void> ping(unsigned rounds, values& to, values& from) {
  for (unsigned value = 0; value < rounds; ++value) {
    co_await to.async_send({}, value, asio::use_awaitable);
    if (co_await from.async_receive(asio::use_awaitable) != value + 1)
      fail("a value was lost on its way");
  }
}

asio::awaitable<void> pong(unsigned rounds, values& to, values& from) {
  for (unsigned i = 0; i < rounds; ++i) {
    const unsigned value = co_await from.async_receive(asio::use_awaitable);
    co_await to.async_send({}, value + 1, asio::use_awaitable);
  }
}

void channels(session& run) {
  asio::thread_pool pool(2);
  const unsigned pairs = run.what().depth;
  while (load* stream = run.next_phase())
    while (stream->batch(2 * hops * pairs)) {
      std::deque<values> channel;
      std::vector<std::future<void>> all;
      for (unsigned i = 0; i < 2 * pairs; ++i) channel.emplace_back(pool, 1);
      for (unsigned i = 0; i < pairs; ++i) {
        values &there = channel[2 * i], &back = channel[2 * i + 1];
        all.push_back(asio::co_spawn(pool, ping(hops, there, back), asio::use_future));
        all.push_back(asio::co_spawn(pool, pong(hops, back, there), asio::use_future));
      }
      for (auto& one : all) one.get();
    }
  pool.join();
}

// --- semaphore: a channel that holds one value

asio::awaitable<void> take_turns(unsigned times, values& one) {
  for (unsigned i = 0; i < times; ++i) {
    const unsigned permit = co_await one.async_receive(asio::use_awaitable);
    co_await one.async_send({}, permit, asio::use_awaitable);
  }
}

void semaphore(session& run) {
  asio::thread_pool pool(2);
  values one(pool, 1);
  one.try_send(boost::system::error_code(), 1U);
  while (load* stream = run.next_phase())
    while (stream->batch(hops * run.what().depth)) {
      std::vector<std::future<void>> all;
      for (unsigned i = 0; i < run.what().depth; ++i)
        all.push_back(asio::co_spawn(pool, take_turns(hops, one), asio::use_future));
      for (auto& task : all) task.get();
    }
  pool.join();
}

// --- reads of the page cache: pread on the pool's threads

constexpr std::uint64_t bytes_read = 1U << 30;
constexpr unsigned reads_of_each = 8192;

asio::awaitable<void> read_some(int fd, std::byte* memory, std::size_t size, std::uint64_t seed) {
  const auto executor = co_await asio::this_coro::executor;
  const std::uint64_t blocks = bytes_read / size;
  for (unsigned i = 0; i < reads_of_each; ++i) {
    seed = seed * 0x5851'F42D'4C95'7F2DU + 0x1405'7B7E'F767'814FU;
    const std::uint64_t block = ((seed >> 32) * blocks) >> 32;
    co_await asio::post(executor, asio::use_awaitable);
    if (::pread(fd, memory, size, static_cast<off_t>(block * size)) != static_cast<ssize_t>(size))
      fail("a read was short");
  }
}

void reads(session& run) {
  asio::thread_pool pool(2);
  const unsigned depth = run.what().depth;
  const std::size_t size = run.what().block;
  const int fd = run.open_file();
  buffers memory(depth, size);
  std::uint64_t seed = 1;
  while (load* stream = run.next_phase())
    while (stream->batch(depth * reads_of_each)) {
      std::vector<std::future<void>> all;
      for (unsigned i = 0; i < depth; ++i)
        all.push_back(
            asio::co_spawn(pool, read_some(fd, memory[i], size, ++seed), asio::use_future));
      for (auto& one : all) one.get();
    }
  pool.join();
  ::close(fd);
}

}  // namespace

void add_asio_workers(roster& to) {
  const auto add = [&](work kind, void (*run)(session&)) {
    to.present.push_back({.name = "asio", .kind = kind, .run = run, .all_cpus = true});
  };
  add(work::spawn_2w, spawn);
  add(work::channel_2w, channels);
  add(work::semaphore_2w, semaphore);
  add(work::read_2w, reads);
}

}  // namespace lab
