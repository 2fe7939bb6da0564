// Boost.Asio's channel, between coroutines of one thread.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>

#include "../contender.hpp"

namespace lab {
namespace {

namespace asio = boost::asio;
using values = asio::experimental::channel<void(boost::system::error_code, unsigned)>;

constexpr unsigned rounds = 64;
constexpr unsigned last = ~0U;

struct pair_of_channels {
  values there, back;
  explicit pair_of_channels(asio::io_context& context) : there(context, 1), back(context, 1) {}
};

asio::awaitable<void> ping(load& stream, unsigned pair, unsigned pairs, bool& more,
                           pair_of_channels& by) {
  for (unsigned value = 0;;) {
    if (pair == 0) more = stream.batch(2 * rounds * pairs);
    if (!more) break;
    for (unsigned round = 0; round < rounds; ++round) {
      co_await by.there.async_send({}, value, asio::use_awaitable);
      if (co_await by.back.async_receive(asio::use_awaitable) != value + 1)
        fail("a value was lost on its way");
      ++value;
    }
  }
  co_await by.there.async_send({}, last, asio::use_awaitable);
}

asio::awaitable<void> pong(pair_of_channels& by) {
  for (;;) {
    const unsigned value = co_await by.there.async_receive(asio::use_awaitable);
    if (value == last) co_return;
    co_await by.back.async_send({}, value + 1, asio::use_awaitable);
  }
}

void channels(session& run) {
  asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  std::deque<pair_of_channels> pairs;
  for (unsigned i = 0; i < run.what().depth; ++i) pairs.emplace_back(context);
  while (load* stream = run.next_phase()) {
    bool more = true;
    for (unsigned i = 0; i < pairs.size(); ++i) {
      asio::co_spawn(context, ping(*stream, i, run.what().depth, more, pairs[i]), asio::detached);
      asio::co_spawn(context, pong(pairs[i]), asio::detached);
    }
    context.run();
    context.restart();
  }
}

}  // namespace

void add_asio_sync(roster& to) {
  to.present.push_back({.name = "asio", .kind = work::channel, .run = channels});
}

}  // namespace lab
