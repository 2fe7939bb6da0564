// What only requests can ask for: sockets, and reading at the position of a file. On a ring of the
// world, without a runtime.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <parkring/sim/world.hpp>

#include "ring/ring.hpp"

namespace parkring::sim {
namespace {

namespace abi = kernel::abi;
using namespace std::chrono_literals;

class requests {
 public:
  explicit requests(world& w) : inside_(w), ring_(*kernel::this_thread_kernel, {.entries = 16}) {
    EXPECT_EQ(ring_.bind_to_this_thread(), 0);
  }

  /// Queues one; `of` is how its answer is asked for.
  void start(const abi::sqe& e, std::uint64_t of) {
    abi::sqe& queued = *ring_.take();
    queued = e;
    queued.user_data = of;
    (void)ring_.enter();
  }
  /// Waits until all of these are answered, or nothing can happen any more.
  int answer(std::uint64_t of) {
    for (int turns = 0; turns < 10'000 && !answers_.contains(of); ++turns) {
      const int entered = ring_.enter(1);
      ring_.reap([&](const abi::cqe& c) { answers_[c.user_data] = c.res; });
      if (entered == -ESHUTDOWN) break;
    }
    EXPECT_TRUE(answers_.contains(of));
    return answers_[of];
  }
  int run(const abi::sqe& e) {
    start(e, ++last_);
    return answer(last_);
  }

  static abi::sqe entry(unsigned opcode, int fd, const void* at = nullptr, std::size_t size = 0) {
    abi::sqe e;
    ring::clear(e);
    e.opcode = static_cast<std::uint8_t>(opcode);
    e.fd = fd;
    e.addr = reinterpret_cast<std::uintptr_t>(at);
    e.len = static_cast<std::uint32_t>(size);
    return e;
  }
  int open(const char* path, int flags) {
    abi::sqe e = entry(abi::op_openat, AT_FDCWD, path, 0644);
    e.open_flags = static_cast<std::uint32_t>(flags);
    return run(e);
  }
  int read_on(int fd, void* to, std::size_t size) {  // at its position
    abi::sqe e = entry(abi::op_read, fd, to, size);
    e.off = ~std::uint64_t{0};
    return run(e);
  }
  int socket(int type) {
    abi::sqe e = entry(abi::op_socket, AF_INET);
    e.off = static_cast<std::uint64_t>(type);
    return run(e);
  }
  int bind(int fd, const sockaddr_in& where) {
    abi::sqe e = entry(abi::op_bind, fd, &where);
    e.addr2 = sizeof where;
    return run(e);
  }
  static abi::sqe connection_to(int fd, const sockaddr_in& where) {
    abi::sqe e = entry(abi::op_connect, fd, &where);
    e.off = sizeof where;
    return e;
  }

 private:
  world::entered inside_;
  ring::ring ring_;
  std::map<std::uint64_t, int> answers_;
  std::uint64_t last_ = 1'000;
};

sockaddr_in address_of(std::uint32_t ip, std::uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(ip);
  return a;
}
constexpr std::uint32_t first_host = 0x0a00'0001, second_host = 0x0a00'0002;

// Two ends of a connection: from the first host to the second.
struct connected {
  int here = -1, there = -1;
  connected(world& w, requests& io, host other) {
    const sockaddr_in where = address_of(second_host, 7);
    w.use_host(other);
    const int listener = io.socket(SOCK_STREAM);
    EXPECT_EQ(io.bind(listener, where), 0);
    EXPECT_EQ(io.run(requests::entry(abi::op_listen, listener, nullptr, 8)), 0);
    w.use_host({});
    here = io.socket(SOCK_STREAM);
    io.start(requests::entry(abi::op_accept, listener), 1);
    EXPECT_EQ(io.run(requests::connection_to(here, where)), 0);
    there = io.answer(1);
    EXPECT_GE(there, 0);
  }
};

TEST(WorldRequests, a_datagram_is_never_cut_short) {
  world w(1, {.faults = {.short_read = {.probability = 1}, .short_write = {.probability = 1}}});
  requests io(w);
  const sockaddr_in where = address_of(first_host, 9);
  const int to = io.socket(SOCK_DGRAM), from = io.socket(SOCK_DGRAM);
  ASSERT_EQ(io.bind(to, where), 0);
  ASSERT_EQ(io.run(requests::connection_to(from, where)), 0);
  const std::string sent(1'000, 'd');
  std::string got(2'000, '\0');
  EXPECT_EQ(io.run(requests::entry(abi::op_send, from, sent.data(), sent.size())), 1'000);
  EXPECT_EQ(io.run(requests::entry(abi::op_recv, to, got.data(), got.size())), 1'000);
  EXPECT_EQ(io.run(requests::entry(abi::op_write, from, sent.data(), sent.size())), 1'000);
  EXPECT_EQ(io.run(requests::entry(abi::op_read, to, got.data(), got.size())), 1'000);
  EXPECT_TRUE(w.injected().empty()) << "and nothing is said to have struck";
}

TEST(WorldRequests, a_transfer_over_a_connection_is_cut_short_only_where_it_has_an_effect) {
  world w(1);
  const host other = w.add_host();
  requests io(w);
  const connected c(w, io, other);
  w.set_faults({.short_read = {.probability = 1}, .short_write = {.probability = 1}});
  const std::string sent(100, 's');
  std::string got(100, '\0');
  iovec part{got.data(), got.size()};
  const int n = io.run(requests::entry(abi::op_send, c.here, sent.data(), sent.size()));
  EXPECT_GT(n, 0);
  EXPECT_LT(n, 100);
  EXPECT_EQ(w.injected().size(), 1U);
  EXPECT_EQ(io.run(requests::entry(abi::op_readv, c.there, &part, 1)), n);
  EXPECT_EQ(w.injected().size(), 1U) << "the length of parts is theirs";
}

TEST(WorldRequests, a_callback_is_told_the_position_of_a_file) {
  std::vector<std::uint64_t> offsets;
  faults f;
  f.callback = [&](const operation& op) -> std::optional<injected> {
    if (op.kind == operation_kind::read || op.kind == operation_kind::receive)
      offsets.push_back(op.offset);
    return std::nullopt;
  };
  world w(1, {.faults = f});
  w.write_file("/a", std::string(100, 'x'));
  const auto pipe = w.make_pipe();
  EXPECT_EQ(w.put(pipe.write_end, "text"), 4U);
  requests io(w);
  char b[60];
  const int fd = io.open("/a", O_RDONLY);
  EXPECT_EQ(io.read_on(fd, b, 60), 60);
  EXPECT_EQ(io.read_on(fd, b, 60), 40);
  EXPECT_EQ(io.read_on(pipe.read_end, b, 60), 4);
  EXPECT_EQ(offsets, (std::vector<std::uint64_t>{0, 60, 0}));
}

TEST(WorldRequests, one_way_between_hosts_is_blocked_and_one_pair_is_healed) {
  world w(1);
  const host other = w.add_host();
  requests io(w);
  const connected c(w, io, other);
  std::string got(10, '\0');
  const auto arrives = [&](int from, int to, std::uint64_t of) {
    EXPECT_EQ(io.run(requests::entry(abi::op_send, from, "x", 1)), 1);
    const auto before = w.now();
    io.start(requests::entry(abi::op_recv, to, got.data(), got.size()), of);
    EXPECT_EQ(io.answer(of), 1);
    return w.now() - before;
  };
  w.block({}, other);
  EXPECT_LT(arrives(c.there, c.here, 2), 150ms) << "this way is free";
  EXPECT_EQ(io.run(requests::entry(abi::op_send, c.here, "y", 1)), 1);
  io.start(requests::entry(abi::op_recv, c.there, got.data(), got.size()), 3);
  EXPECT_LT(arrives(c.there, c.here, 4), 150ms);
  w.heal({}, other);
  EXPECT_EQ(io.answer(3), 1) << "sent again once the way is free";
}

TEST(WorldRequests, the_connections_of_a_host_are_reset) {
  world w(1);
  const host other = w.add_host();
  requests io(w);
  const connected c(w, io, other);
  w.reset_connections(other);
  char b[10];
  EXPECT_EQ(io.run(requests::entry(abi::op_recv, c.here, b, sizeof b)), -ECONNRESET);
  EXPECT_EQ(io.run(requests::entry(abi::op_recv, c.there, b, sizeof b)), -ECONNRESET);
}

// Bytes and datagrams over ways that lose, delay and reorder, and a power cut of one end.
std::uint64_t hash_of_traffic(std::uint64_t seed) {
  const link_options bad{.latency_min = 50us,
                         .latency_max = 900us,
                         .latency_spread = spread::exponential,
                         .loss = 0.1,
                         .duplication = 0.1,
                         .reorder = 0.2,
                         .bytes_per_second = 1'000'000};
  world w(seed, {.faults = faults::bearable(0.05)});
  const host other = w.add_host();
  w.set_link({}, other, bad);
  requests io(w);
  const auto socket = [&](int type) {
    int fd;
    do fd = io.socket(type);
    while (fd == -EAGAIN || fd == -EINTR);
    return fd;
  };
  w.use_host(other);
  const int to = socket(SOCK_DGRAM);
  (void)io.bind(to, address_of(second_host, 9));
  w.use_host({});
  const int from = socket(SOCK_DGRAM);
  (void)io.run(requests::connection_to(from, address_of(second_host, 9)));
  std::string got(500, '\0');
  for (std::uint64_t i = 0; i < 10; ++i) {
    const std::string sent(1 + w.random(400), static_cast<char>('a' + i));
    io.start(requests::entry(abi::op_recv, to, got.data(), got.size()), 10 + i);
    for (int copies = 0; copies < 5; ++copies)
      (void)io.run(requests::entry(abi::op_send, from, sent.data(), sent.size()));
    (void)io.answer(10 + i);
  }
  return w.hash();
}

TEST(WorldRequests, one_seed_is_one_history_of_the_network) {
  std::set<std::uint64_t> different;
  for (std::uint64_t seed = 1; seed <= 1'000; ++seed) {
    const auto first = hash_of_traffic(seed);
    ASSERT_EQ(first, hash_of_traffic(seed)) << "seed " << seed;
    different.insert(first);
  }
  EXPECT_EQ(different.size(), 1'000U);
}

TEST(WorldRequests, in_a_calm_world_the_way_takes_as_long_every_time) {
  world w(1);
  w.calm();
  const host other = w.add_host();
  requests io(w);
  const connected c(w, io, other);
  std::set<std::chrono::nanoseconds> times;
  char b[10];
  for (std::uint64_t i = 0; i < 10; ++i) {
    io.start(requests::entry(abi::op_recv, c.there, b, sizeof b), 10 + i);
    const auto before = w.now();
    EXPECT_EQ(io.run(requests::entry(abi::op_send, c.here, "x", 1)), 1);
    EXPECT_EQ(io.answer(10 + i), 1);
    times.insert(w.now() - before);
  }
  EXPECT_EQ(times.size(), 1U);
}

}  // namespace
}  // namespace parkring::sim
