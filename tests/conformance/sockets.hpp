// Sockets on the loopback address, made by requests. There is no request that tells which port was
// chosen for a socket, so ports are tried until one is free.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "conformance/client.hpp"

namespace parkring::conformance {

struct loopback {
  sockaddr_in in{};

  explicit loopback(std::uint16_t port = 0) {
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  [[nodiscard]] const sockaddr* at() const { return reinterpret_cast<const sockaddr*>(&in); }
  [[nodiscard]] sockaddr* at() { return reinterpret_cast<sockaddr*>(&in); }
  static constexpr socklen_t size = sizeof(sockaddr_in);
};

/// Below the range from which systems choose by themselves; other processes start elsewhere.
inline std::uint16_t next_port() {
  static unsigned count = static_cast<unsigned>(::getpid()) * 37;
  return static_cast<std::uint16_t>(20'000 + count++ % 12'000);
}

/// A socket bound to a port of its own, listening when `backlog` is not 0.
inline int bound_socket(client& io, int type, int backlog, loopback& where) {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int fd = io.run(make_socket(AF_INET, type | SOCK_CLOEXEC));
    if (fd < 0) return fd;
    where = loopback(next_port());
    const int result = io.bind_and_listen(fd, where.at(), loopback::size, backlog);
    if (result == 0) return fd;
    io.close(fd);
    if (result != -EADDRINUSE) return result;
  }
  return -EADDRINUSE;
}

struct connection {
  int client = -1;
  int server = -1;
};

/// Two ends of a TCP connection, through a listener that goes again.
inline connection make_connection(client& io) {
  connection c;
  loopback where;
  const int listener = bound_socket(io, SOCK_STREAM, 8, where);
  EXPECT_GE(listener, 0);
  c.client = io.run(make_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC));
  EXPECT_GE(c.client, 0);
  const std::uint64_t accepting = io.start(accept_on(listener));
  EXPECT_EQ(io.run(connect_to(c.client, where.at(), loopback::size)), 0);
  c.server = io.next(accepting).res;
  EXPECT_GE(c.server, 0);
  io.close(listener);
  return c;
}

}  // namespace parkring::conformance
