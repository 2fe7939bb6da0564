// Sockets of type SOCK_STREAM, of all three families.
//
//   fresh ── connect ──▶ connecting ──▶ connected ──▶ broken (a reset, a time-out, a crash)
//     ▲                      │
//     └── connect tells ── failed
//   fresh ── listen ──▶ listening ── shutdown ──▶ fresh
//
// A listener holds those that wait to be accepted, and knows the connections that it answered and
// that have not opened here yet. Both count for the backlog.
#pragma once

#include "kernel/sim/connection.hpp"
#include "kernel/sim/socket.hpp"

namespace parkring::kernel::sim {

class stream_socket final : public socket {
 public:
  stream_socket(network& net, host_id host, sa_family_t family) noexcept
      : socket(net, host, family, SOCK_STREAM) {}
  /// Connects two fresh ones of AF_UNIX.
  static void pair(stream_socket& a, stream_socket& b);

  [[nodiscard]] int listen(int backlog) noexcept override;
  [[nodiscard]] int accept(ref<socket>& out, address* peer) noexcept override;
  [[nodiscard]] int connect(const sockaddr* to, socklen_t size) noexcept override;
  [[nodiscard]] int shutdown(int how) noexcept override;
  [[nodiscard]] long send(const iovec* parts, std::size_t count, int flags, const sockaddr* to,
                          socklen_t size) noexcept override;
  [[nodiscard]] long receive(const iovec* parts, std::size_t count, int flags,
                             received* info) noexcept override;
  [[nodiscard]] int getpeername(address& out) const override;
  [[nodiscard]] unsigned poll_events() const noexcept override;
  [[nodiscard]] bool listening() const noexcept override { return state_ == state::listening; }
  [[nodiscard]] bool connected() const noexcept override {
    return state_ != state::fresh && state_ != state::listening;
  }
  void crash() noexcept override;
  void reset_now() noexcept;

  // ---- what its connection calls; it may be gone after each of them ----

  void connection_opened() noexcept;
  void connection_failed(int error) noexcept;
  /// The connection was reset, or timed out.
  void broken(int error) noexcept;
  /// Of AF_UNIX: the other end closed.
  void peer_closed(int error) noexcept;
  /// Of a listener: whether one more may come, those that came, and a new one.
  [[nodiscard]] bool has_room() const noexcept;
  [[nodiscard]] detail::intrusive_list<connection>& opening() noexcept { return opening_; }
  void add_to_accept(connection& c) noexcept;

 private:
  enum class state : std::uint8_t { fresh, connecting, failed, connected, listening, broken };

  void last_reference_goes() noexcept override;
  void buffers_changed() noexcept override;
  [[nodiscard]] int connect_inet(const address& to) noexcept;
  [[nodiscard]] int connect_unix(const address& to) noexcept;
  void attach(ref<connection> c, unsigned side) noexcept;
  void stop_listening() noexcept;
  [[nodiscard]] bool no_more_to_receive() const noexcept;

  state state_ = state::fresh;
  std::uint8_t side_ = 0;        // of the connection
  bool told_connected_ = false;  // connect(2) has answered 0
  bool shut_receive_ = false;
  bool shut_send_ = false;
  bool peer_shut_receive_ = false;  // of AF_UNIX
  bool child_ = false;              // was accepted: counts for its port
  bool child_shares_ = false;
  ref<connection> connection_;  // from `connecting` on
  // Of a listener.
  std::size_t backlog_ = 0;
  ring_queue<ref<stream_socket>> waiting_;
  detail::intrusive_list<connection> opening_;
};

}  // namespace parkring::kernel::sim
