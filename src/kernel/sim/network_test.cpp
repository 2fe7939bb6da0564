#include "kernel/sim/network.hpp"

#include <netinet/tcp.h>

#include <array>
#include <chrono>
#include <set>
#include <vector>

#include "kernel/sim/network_fixture.hpp"

namespace parkring::kernel::sim {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t second = 1'000'000'000;

class Network : public NetworkTest {
 protected:
  int bind(socket& s, const raw_address& to) { return s.bind(to.get(), to.size); }
  void share(socket& s, int option) {
    const int yes = 1;
    EXPECT_EQ(s.setsockopt(SOL_SOCKET, option, &yes, sizeof yes), 0);
  }
};

TEST_F(Network, a_partition_makes_connecting_time_out_after_127_seconds) {
  const host_id far = net.add_host({ip_address::v4(10, 1, 1, 1)});
  const auto l = listener(inet("10.1.1.1", 80), 16, far);
  net.partition(localhost, far);
  const auto s = make();
  const std::uint64_t start = time.now_ns();
  EXPECT_EQ(connect(*s, inet("10.1.1.1", 80)), -EINPROGRESS);
  settle();
  EXPECT_EQ(time.now_ns() - start, 127 * second);
  int error = 0;
  socklen_t size = sizeof error;
  EXPECT_EQ(s->getsockopt(SOL_SOCKET, SO_ERROR, &error, &size), 0);
  EXPECT_EQ(error, ETIMEDOUT);
  EXPECT_EQ(connect(*s, inet("10.1.1.1", 80)), -ECONNABORTED);
  EXPECT_EQ(connect(*s, inet("10.1.1.1", 80)), -EINPROGRESS);
  time.pass(time.now_ns() + second / 2);
  net.heal();
  settle();
  EXPECT_EQ(connect(*s, inet("10.1.1.1", 80)), 0);
}

TEST_F(Network, nobody_at_an_address_times_out_too) {
  const auto s = make();
  EXPECT_EQ(connect(*s, inet("192.0.2.1", 80)), -EINPROGRESS);
  settle();
  EXPECT_EQ(connect(*s, inet("192.0.2.1", 80)), -ETIMEDOUT);
}

TEST_F(Network, a_connection_goes_on_when_a_partition_heals) {
  const host_id far = net.add_host();
  auto [client, server] = connected(localhost, far);
  net.partition(localhost, far);
  EXPECT_EQ(put(*client, "over the gap"), 12);
  settle_until(time.now_ns() + 60 * second);
  EXPECT_EQ(get(*server), "EAGAIN");
  EXPECT_EQ(put(*client, " and more"), 9);
  net.heal(localhost, far);
  settle();
  EXPECT_EQ(get(*server), "over the gap and more");
  EXPECT_EQ(put(*server, "yes"), 3);
  settle();
  EXPECT_EQ(get(*client), "yes");
}

TEST_F(Network, a_partition_that_lasts_times_out_who_sends_and_then_resets_the_other) {
  const host_id far = net.add_host();
  auto [client, server] = connected(localhost, far);
  net.partition(localhost, far);
  const std::uint64_t start = time.now_ns();
  EXPECT_EQ(put(*client, "x"), 1);
  settle();
  EXPECT_GT(time.now_ns() - start, 924 * second);
  EXPECT_LT(time.now_ns() - start, 924 * second + 121 * second);
  EXPECT_EQ(get(*client), "ETIMEDOUT");
  EXPECT_EQ(get(*server), "EAGAIN");
  net.heal();
  EXPECT_EQ(put(*server, "are you there"), 13);
  settle();
  EXPECT_EQ(get(*server), "ECONNRESET");
}

TEST_F(Network, without_a_way_back_bytes_arrive_but_stay_in_the_senders_buffer) {
  const host_id far = net.add_host();
  auto [client, server] = connected(localhost, far);
  net.cut(far, localhost);
  const std::string block(net.options().send_buffer, 'b');
  EXPECT_EQ(put(*client, block), static_cast<long>(block.size()));
  settle_until(time.now_ns() + second);
  EXPECT_EQ(get(*server, block.size()), block);
  EXPECT_EQ(put(*client, "x"), -EAGAIN);
  net.heal();
  settle_until(time.now_ns() + 10 * second);
  EXPECT_EQ(put(*client, "x"), 1);
  settle();
}

TEST_F(Network, a_crash_resets_those_who_talk_to_the_host) {
  const host_id far = net.add_host();
  auto [client, server] = connected(localhost, far);
  const auto l = listener(inet("0.0.0.0", 80), 16, far);
  EXPECT_EQ(put(*server, "last"), 4);
  settle();
  net.crash(far);
  settle();
  EXPECT_EQ(get(*client), "last");
  EXPECT_EQ(get(*client), "ECONNRESET");
  EXPECT_EQ(get(*server), "ECONNRESET");
  address at;
  ASSERT_TRUE(net.address_of(far, AF_INET, at.ip));
  at.family = AF_INET;
  at.port = 80;
  const auto s = make();
  EXPECT_EQ(connect(*s, raw(at)), -EINPROGRESS);
  settle();
  EXPECT_EQ(connect(*s, raw(at)), -ECONNREFUSED);
}

TEST_F(Network, resets_at_will_and_at_random_end_both_sides) {
  auto [a, b] = connected();
  net.reset(*a);
  EXPECT_EQ(get(*a), "ECONNRESET");
  EXPECT_EQ(get(*b), "ECONNRESET");
  auto [c, d] = connected();
  net.set_link(localhost, localhost, {.reset = 1});
  EXPECT_EQ(put(*c, "x"), 1);
  settle();
  EXPECT_EQ(get(*c), "ECONNRESET");
  EXPECT_EQ(get(*d), "x");
  EXPECT_EQ(get(*d), "ECONNRESET");
}

TEST_F(Network, loss_delays_a_connection_and_breaks_nothing) {
  auto [a, b] = connected();
  net.set_link(localhost, localhost, {.latency_min = 1ms, .latency_max = 1ms, .loss = 0.5});
  std::string sent;
  std::string got;
  const std::uint64_t start = time.now_ns();
  for (int i = 0; i < 50; ++i) {
    sent += std::to_string(i);
    EXPECT_EQ(put(*a, std::to_string(i)), static_cast<long>(std::to_string(i).size()));
    settle();
    got += get(*b);
  }
  EXPECT_EQ(got, sent);
  EXPECT_GT(time.now_ns() - start, second);
}

TEST_F(Network, bandwidth_spreads_what_is_sent_over_time) {
  auto [a, b] = connected();
  net.set_link(localhost, localhost, {.bytes_per_second = 1'000'000});
  const std::uint64_t start = time.now_ns();
  EXPECT_EQ(put(*a, std::string(100'000, 'x')), 100'000);
  settle();
  EXPECT_EQ(get(*b, 100'000).size(), 100'000U);
  EXPECT_NEAR(static_cast<double>(time.now_ns() - start), 1e8, 1e6);
}

TEST_F(Network, latencies_lie_between_their_bounds_and_exponential_ones_near_the_least) {
  random r(5);
  for (const auto shape : {parkring::sim::spread::uniform, parkring::sim::spread::exponential}) {
    sim::link l({.latency_min = 1ms, .latency_max = 9ms, .latency_spread = shape});
    double sum = 0;
    for (int i = 0; i < 20'000; ++i) {
      const std::uint64_t ns = l.delay_ns(0, 1, r);
      ASSERT_GE(ns, 1'000'000U);
      ASSERT_LE(ns, 9'000'000U);
      sum += static_cast<double>(ns);
    }
    const double expected = shape == parkring::sim::spread::uniform ? 5e6 : 2e6;
    EXPECT_NEAR(sum / 20'000, expected, 5e4);
  }
}

TEST_F(Network, a_name_is_bound_once_unless_it_is_shared) {
  const auto a = make();
  EXPECT_EQ(bind(*a, inet("127.0.0.1", 0)), 0);
  EXPECT_NE(a->getsockname().port, 0);
  EXPECT_EQ(bind(*a, inet("127.0.0.1", 0)), -EINVAL);
  EXPECT_EQ(bind(*make(), raw(a->getsockname())), -EADDRINUSE);
  EXPECT_EQ(bind(*make(), inet("0.0.0.0", a->getsockname().port)), -EADDRINUSE);
  EXPECT_EQ(bind(*make(AF_INET6), inet("::", a->getsockname().port)), -EADDRINUSE);
  EXPECT_EQ(bind(*make(), inet("127.0.0.2", a->getsockname().port)), 0);
  EXPECT_EQ(bind(*make(), inet("192.0.2.1", 80)), -EADDRNOTAVAIL);
  EXPECT_EQ(bind(*make(), inet("::1", 80)), -EAFNOSUPPORT);
  const auto only = make(AF_INET6);
  const int yes = 1;
  EXPECT_EQ(only->setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes), 0);
  EXPECT_EQ(bind(*only, inet("::", a->getsockname().port)), 0);
  const auto u = make(AF_UNIX);
  EXPECT_EQ(bind(*u, unix_name("/run/x")), 0);
  EXPECT_EQ(bind(*make(AF_UNIX), unix_name("/run/x")), -EADDRINUSE);
  const auto chosen = make(AF_UNIX);
  EXPECT_EQ(bind(*chosen, unix_name("")), 0);
  EXPECT_EQ(chosen->getsockname().path, std::string("\0"
                                                    "00000",
                                                    6));
}

TEST_F(Network, a_port_with_accepted_connections_is_busy_for_who_does_not_reuse_it) {
  auto l = listener(inet("127.0.0.1", 80));
  const auto client = make();
  EXPECT_EQ(connect(*client, inet("127.0.0.1", 80)), -EINPROGRESS);
  settle();
  auto server = accept(*l);
  l = {};
  EXPECT_EQ(bind(*make(), inet("127.0.0.1", 80)), -EADDRINUSE);
  server = {};
  EXPECT_EQ(bind(*make(), inet("127.0.0.1", 80)), 0);
  const auto again = make();
  share(*again, SO_REUSEADDR);
  EXPECT_EQ(bind(*again, inet("127.0.0.1", 80)), 0);
  EXPECT_EQ(again->listen(1), 0);
  const auto second_one = make();
  share(*second_one, SO_REUSEADDR);
  EXPECT_EQ(bind(*second_one, inet("127.0.0.1", 80)), -EADDRINUSE);
}

TEST_F(Network, listeners_that_share_a_port_share_its_connections) {
  std::array<ref<socket>, 2> both;
  for (auto& l : both) {
    l = make();
    share(*l, SO_REUSEPORT);
    ASSERT_EQ(bind(*l, inet("127.0.0.1", 80)), 0);
    ASSERT_EQ(l->listen(64), 0);
  }
  std::vector<ref<socket>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(make());
    EXPECT_EQ(connect(*clients.back(), inet("127.0.0.1", 80)), -EINPROGRESS);
  }
  settle();
  std::array<int, 2> got{};
  for (std::size_t i = 0; i < 2; ++i) {
    for (ref<socket> s; both[i]->accept(s, nullptr) == 0;) ++got[i];
  }
  EXPECT_EQ(got[0] + got[1], 40);
  EXPECT_GT(got[0], 5);
  EXPECT_GT(got[1], 5);
}

TEST_F(Network, a_listener_of_both_families_is_reached_by_both) {
  const auto l = listener(inet("::", 80));
  const auto four = make();
  const auto six = make(AF_INET6);
  EXPECT_EQ(connect(*four, inet("127.0.0.1", 80)), -EINPROGRESS);
  settle();
  EXPECT_EQ(connect(*six, inet("::1", 80)), -EINPROGRESS);
  settle();
  ref<socket> s;
  address peer;
  EXPECT_EQ(l->accept(s, &peer), 0);
  EXPECT_EQ(peer.family, AF_INET6);
  EXPECT_EQ(peer.ip, ip_address::v4(127, 0, 0, 1));
  EXPECT_EQ(l->accept(s, &peer), 0);
  EXPECT_EQ(peer.ip, ip_address::loopback(AF_INET6));
}

TEST_F(Network, options_are_kept_and_buffers_show_doubled) {
  const auto s = make();
  int value = 10'000;
  socklen_t size = sizeof value;
  EXPECT_EQ(s->setsockopt(SOL_SOCKET, SO_SNDBUF, &value, size), 0);
  value = 0;
  EXPECT_EQ(s->getsockopt(SOL_SOCKET, SO_SNDBUF, &value, &size), 0);
  EXPECT_EQ(value, 20'000);
  value = 1;
  EXPECT_EQ(s->setsockopt(IPPROTO_TCP, TCP_NODELAY, &value, size), 0);
  value = 0;
  EXPECT_EQ(s->getsockopt(IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(s->getsockopt(SOL_SOCKET, SO_TYPE, &value, &size), 0);
  EXPECT_EQ(value, SOCK_STREAM);
  EXPECT_EQ(s->getsockopt(SOL_SOCKET, 9999, &value, &size), -ENOPROTOOPT);
  EXPECT_EQ(s->setsockopt(SOL_SOCKET, SO_SNDBUF, &value, 1), -EINVAL);
}

TEST_F(Network, kinds_of_sockets_that_there_are_not_are_refused) {
  ref<socket> s;
  EXPECT_EQ(net.make_socket(localhost, AF_APPLETALK, SOCK_STREAM, 0, s), -EAFNOSUPPORT);
  EXPECT_EQ(net.make_socket(localhost, AF_INET, SOCK_RAW, 0, s), -ESOCKTNOSUPPORT);
  EXPECT_EQ(net.make_socket(localhost, AF_INET, SOCK_STREAM, IPPROTO_UDP, s), -EPROTONOSUPPORT);
  ref<socket> t;
  EXPECT_EQ(net.make_pair(localhost, AF_INET, SOCK_STREAM, 0, s, t), -EOPNOTSUPP);
}

// ---- one seed, one history ----

/// Clients and servers that do at random what they can, under every fault there is.
struct storm {
  event_queue time{0};
  network net;
  random r;
  host_id far;
  std::vector<ref<socket>> sockets;
  std::uint64_t hash = 0;

  explicit storm(std::uint64_t seed) : net(time, random(seed), faults()), r(seed + 1) {
    far = net.add_host({ip_address::v4(10, 7, 7, 7)});
  }
  static parkring::sim::network_options faults() {
    parkring::sim::network_options o;
    o.remote.loss = o.remote.duplication = o.remote.reorder = 0.05;
    o.remote.reset = 0.01;
    o.remote.latency_spread = parkring::sim::spread::exponential;
    o.send_buffer = 3000;
    o.receive_buffer = 2000;
    return o;
  }
  void mix(std::int64_t value) {
    hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x100'0000'01b3 + time.now_ns();
  }
  void make(int family, int type, host_id host) {
    ref<socket> s;
    EXPECT_EQ(net.make_socket(host, family, type, 0, s), 0);
    if (r.below(2) == 0) {
      const raw_address at = inet("0.0.0.0", static_cast<std::uint16_t>(80 + r.below(3)));
      mix(s->bind(at.get(), at.size));
      if (r.below(2) == 0) mix(s->listen(static_cast<int>(r.below(3))));
    }
    sockets.push_back(std::move(s));
  }
  void act() {
    if (sockets.size() < 12) {
      make(AF_INET, r.below(4) == 0 ? SOCK_DGRAM : SOCK_STREAM, r.below(2) == 0 ? localhost : far);
      return;
    }
    const std::size_t which = r.below(sockets.size());
    const ref<socket> held = sockets[which];
    socket& s = *held;
    std::array<char, 1500> bytes{};
    const raw_address to = inet(r.below(2) == 0 ? "10.0.0.1" : "10.7.7.7",
                                static_cast<std::uint16_t>(80 + r.below(3)));
    switch (r.below(12)) {
      case 0:
        mix(s.connect(to.get(), to.size));
        break;
      case 1: {
        ref<socket> child;
        mix(s.accept(child, nullptr));
        if (child) sockets.push_back(std::move(child));
        break;
      }
      case 2:
        sockets.erase(sockets.begin() + static_cast<std::ptrdiff_t>(which));
        break;
      case 3:
        mix(s.shutdown(static_cast<int>(r.below(3))));
        break;
      case 4:
        if (r.below(20) == 0) net.crash(far);
        break;
      case 5:
        (r.below(3) == 0 ? net.partition(localhost, far) : net.heal());
        break;
      case 6:
      case 7:
        mix(s.endpoint::read(bytes.data(), r.below(bytes.size()) + 1));
        break;
      case 8: {
        const iovec part{bytes.data(), r.below(bytes.size())};
        mix(s.send(&part, 1, 0, s.type() == SOCK_DGRAM ? to.get() : nullptr, to.size));
        break;
      }
      default:
        mix(s.endpoint::write(bytes.data(), r.below(bytes.size()) + 1));
        break;
    }
    mix(s.poll_events());
  }
  std::uint64_t run(int steps) {
    for (int i = 0; i < steps; ++i) {
      if (!time.empty() && r.below(2) == 0) {
        time.run_next();
      } else {
        act();
      }
    }
    sockets.clear();
    net.heal();
    while (!time.empty()) time.run_next();
    EXPECT_EQ(net.all().endpoints, 0U);
    EXPECT_EQ(net.all().connections, 0U);
    EXPECT_EQ(net.all().datagrams, 0U);
    return hash ^ net.history();
  }
};

TEST(NetworkStorm, a_seed_gives_one_history_and_leaves_nothing_behind) {
  std::set<std::uint64_t> different;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const std::uint64_t first = storm(seed).run(300);
    ASSERT_EQ(storm(seed).run(300), first) << "seed " << seed;
    different.insert(first);
  }
  EXPECT_EQ(different.size(), 1000U);
}

}  // namespace
}  // namespace parkring::kernel::sim
