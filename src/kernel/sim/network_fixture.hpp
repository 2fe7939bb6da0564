// What the tests of sockets share: a network on its own virtual time, and sockets on it.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "kernel/sim/network.hpp"

namespace parkring::kernel::sim {

/// An address as system calls take it.
struct raw_address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
};

inline raw_address raw(const address& a) {
  raw_address r;
  r.size = a.store(reinterpret_cast<sockaddr*>(&r.bytes), sizeof r.bytes);
  return r;
}
inline raw_address inet(const char* ip, std::uint16_t port) {
  address a;
  a.port = port;
  a.family = std::strchr(ip, ':') != nullptr ? AF_INET6 : AF_INET;
  a.ip = ip_address::any(a.family);
  inet_pton(a.family, ip, a.family == AF_INET ? &a.ip.bytes[12] : a.ip.bytes.data());
  return raw(a);
}
inline raw_address unix_name(std::string path) {
  address a;
  a.family = AF_UNIX;
  a.path = std::move(path);
  return raw(a);
}

inline long put(endpoint& e, std::string_view text) { return e.write(text.data(), text.size()); }
/// What a read gives, or the name of its error.
inline std::string get(endpoint& e, std::size_t most = 4096) {
  std::string text(most, '\0');
  const long n = e.read(text.data(), most);
  if (n < 0) return strerrorname_np(static_cast<int>(-n));
  text.resize(static_cast<std::size_t>(n));
  return text;
}

class NetworkTest : public testing::Test {
 protected:
  explicit NetworkTest(const parkring::sim::network_options& options = {}, std::uint64_t seed = 1)
      : net(time, random(seed), options) {}
  ~NetworkTest() override {
    EXPECT_EQ(net.all().endpoints, 0U);
    EXPECT_EQ(net.all().connections, 0U);
  }

  ref<socket> make(int family = AF_INET, int type = SOCK_STREAM, host_id host = localhost) {
    ref<socket> s;
    EXPECT_EQ(net.make_socket(host, family, type, 0, s), 0);
    return s;
  }
  ref<socket> listener(const raw_address& at, int backlog = 16, host_id host = localhost) {
    ref<socket> s = make(at.get()->sa_family, SOCK_STREAM, host);
    EXPECT_EQ(s->bind(at.get(), at.size), 0);
    EXPECT_EQ(s->listen(backlog), 0);
    return s;
  }
  static int connect(socket& s, const raw_address& to) { return s.connect(to.get(), to.size); }
  static ref<socket> accept(socket& listener) {
    ref<socket> s;
    EXPECT_EQ(listener.accept(s, nullptr), 0);
    return s;
  }
  /// A connected pair, from `from` to a listener on `to`.
  std::pair<ref<socket>, ref<socket>> connected(host_id from = localhost, host_id to = localhost) {
    address at;
    EXPECT_TRUE(net.address_of(to, AF_INET, at.ip));
    at.family = AF_INET;
    ref<socket> l = make(AF_INET, SOCK_STREAM, to);
    EXPECT_EQ(l->bind(raw(at).get(), raw(at).size), 0);
    EXPECT_EQ(l->listen(1), 0);
    ref<socket> client = make(AF_INET, SOCK_STREAM, from);
    EXPECT_EQ(connect(*client, raw(l->getsockname())), -EINPROGRESS);
    settle();
    ref<socket> server;
    EXPECT_EQ(l->accept(server, nullptr), 0);
    return {std::move(client), std::move(server)};
  }

  void settle() {
    while (!time.empty()) time.run_next();
  }
  void settle_until(std::uint64_t ns) {
    while (!time.empty() && time.next_ns() <= ns) time.run_next();
    time.pass(ns);
  }

  event_queue time{1'000'000'000};
  network net;
};

/// Counts how often it is told.
struct counting_watcher : watcher {
  int told = 0;
  counting_watcher()
      : watcher([](watcher& w) noexcept { ++static_cast<counting_watcher&>(w).told; }) {}
};

}  // namespace parkring::kernel::sim
