// What all sockets have: names, options, and the calls of Linux with Linux's results.
//
// Calls answer 0, a count, or -errno. None waits: -EAGAIN and, from connect, -EINPROGRESS; then a
// watcher is told, and the same call made again gives the result: connect then answers 0 once, or
// the error of the attempt, after which it may be tried anew.
//
// What a dead socket answers, whose host crashed: of streams as after a reset, of datagrams
// -ENETDOWN.
#pragma once

#include <cstdint>

#include "kernel/sim/address.hpp"
#include "kernel/sim/endpoint.hpp"

namespace parkring::kernel::sim {

class network;

/// A machine on the network; the number counts from 0, which is the one that the program runs on.
enum class host_id : unsigned {};
inline constexpr host_id localhost{0};

struct socket_options {
  bool reuse_address = false;
  bool reuse_port = false;
  bool only_v6 = false;
  bool no_delay = false;
  bool keep_alive = false;
  bool linger = false;
  int linger_seconds = 0;
  std::size_t send_buffer = 0;  // bytes of data; getsockopt shows twice as many, as Linux does
  std::size_t receive_buffer = 0;
};

/// What a receive tells beside its bytes.
struct received {
  address from;       // family AF_UNSPEC when there is none to tell
  int flags = 0;      // MSG_TRUNC
  bool more = false;  // there is more to read at once
};

class socket : public endpoint, public detail::list_node {
 public:
  using endpoint::read;
  using endpoint::write;
  [[nodiscard]] long read(const iovec* parts, std::size_t count) noexcept final {
    return receive(parts, count, 0, nullptr);
  }
  [[nodiscard]] long write(const iovec* parts, std::size_t count) noexcept final {
    return send(parts, count, MSG_NOSIGNAL, nullptr, 0);
  }
  [[nodiscard]] socket* as_socket() noexcept final { return this; }

  [[nodiscard]] int bind(const sockaddr* to, socklen_t size) noexcept;
  [[nodiscard]] virtual int listen(int backlog) noexcept = 0;
  /// `peer` may be null.
  [[nodiscard]] virtual int accept(ref<socket>& out, address* peer) noexcept = 0;
  [[nodiscard]] virtual int connect(const sockaddr* to, socklen_t size) noexcept = 0;
  [[nodiscard]] virtual int shutdown(int how) noexcept = 0;
  /// `to` may be null. Flags: MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE, MSG_EOR and MSG_WAITALL change
  /// nothing here; what asks for more than this network has is -EOPNOTSUPP.
  [[nodiscard]] virtual long send(const iovec* parts, std::size_t count, int flags,
                                  const sockaddr* to, socklen_t size) noexcept = 0;
  /// Flags: MSG_PEEK, MSG_TRUNC; MSG_WAITALL is the caller's to loop for. `info` may be null.
  [[nodiscard]] virtual long receive(const iovec* parts, std::size_t count, int flags,
                                     received* info) noexcept = 0;

  /// The own address; of a socket that is not bound, of its family and otherwise empty.
  [[nodiscard]] address getsockname() const { return name_; }
  [[nodiscard]] virtual int getpeername(address& out) const = 0;
  [[nodiscard]] int setsockopt(int level, int name, const void* value, socklen_t size) noexcept;
  [[nodiscard]] int getsockopt(int level, int name, void* value, socklen_t* size) noexcept;

  [[nodiscard]] host_id host() const noexcept { return host_; }
  [[nodiscard]] sa_family_t family() const noexcept { return family_; }
  [[nodiscard]] int type() const noexcept { return type_; }
  [[nodiscard]] const address& name() const noexcept { return name_; }
  [[nodiscard]] const address& peer() const noexcept { return peer_; }
  [[nodiscard]] const socket_options& options() const noexcept { return options_; }
  [[nodiscard]] virtual bool listening() const noexcept = 0;
  [[nodiscard]] virtual bool connected() const noexcept = 0;
  /// The machine it is on has stopped.
  virtual void crash() noexcept = 0;
  void changed() noexcept { notify(); }

 protected:
  socket(network& net, host_id host, sa_family_t family, int type) noexcept;
  ~socket() override;

  /// Binds to `to`, whose port may be 0. Once.
  [[nodiscard]] int bind_to(address to, int none_left) noexcept;
  /// Chooses an own address from which to reach `to`: 0 or -errno.
  [[nodiscard]] int bind_for(const address& to) noexcept;
  void unbind() noexcept;
  /// Parses where to send or connect: of this family, no longer "any". 0 or -errno.
  [[nodiscard]] int parse_target(const sockaddr* to, socklen_t size, address& out) const noexcept;
  [[nodiscard]] int take_error() noexcept { return std::exchange(error_, 0); }
  virtual void buffers_changed() noexcept {}

  network& net_;
  const host_id host_;
  const sa_family_t family_;
  const int type_;
  bool bound_ = false;  // in the table of its host
  int error_ = 0;       // SO_ERROR: a positive errno, told once
  address name_;
  address peer_;
  socket_options options_;
};

}  // namespace parkring::kernel::sim
