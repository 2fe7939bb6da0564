// Sockets of type SOCK_DGRAM, of all three families.
//
// Of AF_INET and AF_INET6: a message leaves at once and travels as an event of its own; it is lost
// when the link says so, when the way is cut at its arrival, when nobody is bound there, or when
// the receiver's buffer is full. The sender is never told. Of AF_UNIX: it arrives at once, and a
// full receiver answers -EAGAIN.
#pragma once

#include <memory>
#include <vector>

#include "kernel/sim/byte_queue.hpp"
#include "kernel/sim/event_queue.hpp"
#include "kernel/sim/socket.hpp"

namespace parkring::kernel::sim {

/// A message, on its way or received.
struct datagram : event, detail::list_node {
  network& net;
  host_id from_host;
  host_id to_host;
  address from;
  address to;
  std::vector<std::byte> bytes;

  explicit datagram(network& n);
  ~datagram();
};

class datagram_socket final : public socket {
 public:
  datagram_socket(network& net, host_id host, sa_family_t family) noexcept
      : socket(net, host, family, SOCK_DGRAM) {}
  static void pair(datagram_socket& a, datagram_socket& b) noexcept;

  [[nodiscard]] int listen(int) noexcept override { return -EOPNOTSUPP; }
  [[nodiscard]] int accept(ref<socket>&, address*) noexcept override { return -EOPNOTSUPP; }
  [[nodiscard]] int connect(const sockaddr* to, socklen_t size) noexcept override;
  [[nodiscard]] int shutdown(int how) noexcept override;
  [[nodiscard]] long send(const iovec* parts, std::size_t count, int flags, const sockaddr* to,
                          socklen_t size) noexcept override;
  [[nodiscard]] long receive(const iovec* parts, std::size_t count, int flags,
                             received* info) noexcept override;
  [[nodiscard]] int getpeername(address& out) const override;
  [[nodiscard]] unsigned poll_events() const noexcept override;
  [[nodiscard]] bool listening() const noexcept override { return false; }
  [[nodiscard]] bool connected() const noexcept override { return connected_; }
  void crash() noexcept override;

  /// What it sent arrived where nobody is.
  void refused() noexcept;
  /// It arrived here; it is dropped when there is no room.
  void take(std::unique_ptr<datagram> d) noexcept;

 private:
  static constexpr std::size_t most_waiting = 11;  // of AF_UNIX: net.unix.max_dgram_qlen and one
  static constexpr std::size_t overhead = 256;     // what a message counts beside its bytes

  void last_reference_goes() noexcept override;
  [[nodiscard]] long send_inet(const iovec* parts, std::size_t count, std::size_t size,
                               const address& to) noexcept;
  [[nodiscard]] long send_unix(const iovec* parts, std::size_t count, std::size_t size,
                               datagram_socket& to) noexcept;
  [[nodiscard]] int find_unix(const address& to, datagram_socket*& out) const noexcept;
  [[nodiscard]] bool full() const noexcept { return waiting_.size() >= most_waiting; }
  void forget_by_others() noexcept;
  void tell_senders() noexcept;

  bool connected_ = false;
  bool dead_ = false;  // its machine stopped
  bool shut_receive_ = false;
  bool shut_send_ = false;
  datagram_socket* other_ = nullptr;  // of AF_UNIX: whom it is connected to, while that is open
  std::size_t used_ = 0;              // of the receive buffer
  ring_queue<std::unique_ptr<datagram>> waiting_;
};

}  // namespace parkring::kernel::sim
