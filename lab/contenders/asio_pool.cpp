// Boost.Asio without io_uring: pread posted to a thread_pool, awaited by coroutines on the thread
// of an io_context, which is what a program does where rings are forbidden.
#include <unistd.h>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "../contender.hpp"
#include "buffers.hpp"

namespace lab {
namespace {

namespace asio = boost::asio;

struct place {
  int fd;
  std::byte* data;
  std::size_t size;
};

// Completes on the io_context with what pread answered on the pool.
template <class Token>
auto read_on(asio::thread_pool& pool, asio::io_context& context, place into, std::uint64_t offset,
             Token&& token) {
  return asio::async_initiate<Token, void(ssize_t)>(
      [&pool, &context, into, offset](auto handler) {
        asio::post(pool, [&context, into, offset, handler = std::move(handler),
                          work = asio::make_work_guard(context)]() mutable {
          const ssize_t got = ::pread(into.fd, into.data, into.size, static_cast<off_t>(offset));
          asio::post(context,
                     [handler = std::move(handler), got]() mutable { std::move(handler)(got); });
        });
      },
      token);
}

asio::awaitable<void> reader(load& stream, asio::thread_pool& pool, asio::io_context& context,
                             place into, unsigned slot) {
  std::uint64_t offset = 0;
  while (stream.next(slot, offset)) {
    const ssize_t got = co_await read_on(pool, context, into, offset, asio::use_awaitable);
    stream.done(slot, into.data, static_cast<std::size_t>(got));
  }
}

template <int Threads>
void read(session& run) {
  const unsigned depth = run.what().depth;
  const std::size_t size = run.what().block;
  const int fd = run.open_file();
  buffers memory(depth, size);
  {
    asio::thread_pool pool(Threads);
    asio::io_context context(1);  // run by one thread, posted to by several
    while (load* stream = run.next_phase()) {
      for (unsigned slot = 0; slot < depth; ++slot)
        asio::co_spawn(context, reader(*stream, pool, context, {fd, memory[slot], size}, slot),
                       asio::detached);
      context.run();
      context.restart();
    }
    pool.join();
  }
  ::close(fd);
}

}  // namespace

void add_asio_pool(roster& to) {
  to.present.push_back({.name = "asio-pool", .kind = work::read, .run = read<4>, .all_cpus = true});
  to.present.push_back({.name = "asio-pool/2",
                        .kind = work::read,
                        .run = read<2>,
                        .quick = false,
                        .all_cpus = true});
}

}  // namespace lab
