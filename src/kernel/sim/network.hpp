// The network: hosts, the links between them, and every socket.
//
// What travels is an event of the queue: a connection's bytes wait in the connection, a datagram is
// a thing of its own. A link draws from the network's generator, in the order of sends, so a seed
// and a program give one history.
// Every socket must be gone before the network is.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <parkring/sim/network.hpp>

#include "kernel/sim/event_queue.hpp"
#include "kernel/sim/link.hpp"
#include "kernel/sim/ports.hpp"
#include "kernel/sim/random.hpp"
#include "kernel/sim/socket.hpp"

namespace parkring::kernel::sim {

class connection;
struct datagram;

class network {
 public:
  network(event_queue& time, random numbers, const parkring::sim::network_options& options);
  network(const network&) = delete;
  network& operator=(const network&) = delete;
  ~network();

  // ---- sockets ----

  /// `type` without SOCK_NONBLOCK and SOCK_CLOEXEC, which are the descriptor's. 0 or -errno.
  [[nodiscard]] int make_socket(host_id host, int family, int type, int protocol,
                                ref<socket>& out) noexcept;
  [[nodiscard]] int make_pair(host_id host, int family, int type, int protocol, ref<socket>& a,
                              ref<socket>& b) noexcept;
  [[nodiscard]] census& all() noexcept { return all_; }

  // ---- hosts ----

  /// A further host, reached at `addresses`, or at 10.0.0.n and fd00::n when there are none.
  host_id add_host(std::initializer_list<ip_address> addresses = {});
  [[nodiscard]] std::size_t hosts() const noexcept { return hosts_.size(); }
  /// Whether `ip` is one of the host's, its loopback addresses included.
  [[nodiscard]] bool owns(host_id host, const ip_address& ip) const noexcept;
  /// The first address of that family; false when it has none.
  [[nodiscard]] bool address_of(host_id host, sa_family_t family, ip_address& out) const noexcept;
  /// Which host answers at `ip` when `from` asks; false when none does.
  [[nodiscard]] bool find(host_id from, const ip_address& ip, host_id& out) const noexcept;

  // ---- what happens to it ----

  bool calm = false;  // no chance in what links take
  [[nodiscard]] sim::link& way(host_id from, host_id to) noexcept {
    return links_[static_cast<unsigned>(from)][static_cast<unsigned>(to)];
  }
  [[nodiscard]] bool open(host_id from, host_id to) noexcept { return !way(from, to).cut; }
  /// How both ways between two hosts behave from now on.
  void set_link(host_id a, host_id b, const parkring::sim::link_options& options) noexcept;
  /// Nothing passes from one to the other, until `heal`. What is under way is lost on arrival;
  /// a connection sends it again: after 200 ms, then after twice as long each time, up to 120 s,
  /// and gives up with ETIMEDOUT after 924.6 s; connect(2) after 127 s.
  void cut(host_id from, host_id to) noexcept { way(from, to).cut = true; }
  void partition(host_id a, host_id b) noexcept;
  void partition(std::span<const host_id> some, std::span<const host_id> others) noexcept;
  void heal(host_id a, host_id b) noexcept;
  void heal() noexcept;
  /// Both ends of this socket's connection see a reset, now.
  void reset(socket& s) noexcept;
  /// The same, of all connections of a host.
  void reset(host_id host) noexcept;
  /// The host stops and is back at once with nothing open: its sockets are dead, and those who talk
  /// to them see a reset when it has travelled.
  void crash(host_id host) noexcept;

  /// Changes with everything that arrives: equal histories have equal ones.
  [[nodiscard]] std::uint64_t history() const noexcept { return history_; }

  // ---- for sockets and connections ----

  [[nodiscard]] event_queue& time() noexcept { return time_; }
  [[nodiscard]] random& numbers() noexcept { return numbers_; }
  [[nodiscard]] const parkring::sim::network_options& options() const noexcept { return options_; }
  [[nodiscard]] host_sockets& sockets_of(host_id host) noexcept {
    return *hosts_[static_cast<unsigned>(host)].sockets;
  }
  void add(socket& s) noexcept { sockets_.push_back(s); }
  [[nodiscard]] detail::intrusive_list<socket>& sockets() noexcept { return sockets_; }
  /// Connections that nobody holds yet, each with a reference of this list.
  [[nodiscard]] detail::intrusive_list<connection>& unheld() noexcept { return unheld_; }
  /// Datagrams on their way, which the network owns.
  [[nodiscard]] detail::intrusive_list<datagram>& travelling() noexcept { return travelling_; }
  [[nodiscard]] std::uint64_t delay_ns(host_id from, host_id to, std::size_t bytes) noexcept {
    return way(from, to).delay_ns(time_.now_ns(), bytes, numbers_, calm);
  }
  void note(std::uint64_t what) noexcept {
    history_ = (std::rotl(history_, 5) ^ what ^ time_.now_ns()) * 0x9e37'79b9'7f4a'7c15;
  }
  [[nodiscard]] std::uint64_t next_connection() noexcept { return ++connections_made_; }

 private:
  struct host_state {
    std::vector<ip_address> addresses;
    std::unique_ptr<host_sockets> sockets = std::make_unique<host_sockets>();
  };
  [[nodiscard]] std::vector<ref<socket>> sockets_on(host_id host) noexcept;

  event_queue& time_;
  random numbers_;
  const parkring::sim::network_options options_;
  census all_;
  std::vector<host_state> hosts_;
  std::vector<std::vector<sim::link>> links_;  // [from][to]
  std::map<ip_address, host_id> addresses_;
  detail::intrusive_list<socket> sockets_;  // in the order they were made
  detail::intrusive_list<connection> unheld_;
  detail::intrusive_list<datagram> travelling_;
  std::uint64_t history_ = 0;
  std::uint64_t connections_made_ = 0;
};

}  // namespace parkring::kernel::sim
