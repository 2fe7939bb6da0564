// Boost.Asio's random_access_file on io_uring, awaited by coroutines: one file object for each
// read in flight, since a file object starts its next read only when the last one has ended.
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/random_access_file.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <vector>

#include "../contender.hpp"
#include "buffers.hpp"

#if !defined(BOOST_ASIO_HAS_FILE)
#error "Boost.Asio was configured without files"
#endif

namespace lab {
namespace {

namespace asio = boost::asio;

asio::awaitable<void> reader(load& stream, asio::random_access_file& file, std::byte* data,
                             std::size_t size, unsigned slot) {
  std::uint64_t offset = 0;
  while (stream.next(slot, offset)) {
    const std::size_t got =
        co_await file.async_read_some_at(offset, asio::buffer(data, size), asio::use_awaitable);
    stream.done(slot, data, got);
  }
}

void read(session& run) {
  const unsigned depth = run.what().depth;
  const std::size_t size = run.what().block;
  buffers memory(depth, size);
  // One thread only, and no locking inside.
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  std::vector<asio::random_access_file> files;
  files.reserve(depth);
  for (unsigned slot = 0; slot < depth; ++slot) files.emplace_back(context, run.open_file());
  while (load* stream = run.next_phase()) {
    for (unsigned slot = 0; slot < depth; ++slot)
      asio::co_spawn(context, reader(*stream, files[slot], memory[slot], size, slot),
                     asio::detached);
    context.run();
    context.restart();
  }
}

}  // namespace

void add_asio_reads(roster& to) {
  to.present.push_back({.name = "asio", .kind = work::read, .run = read});
}

}  // namespace lab
