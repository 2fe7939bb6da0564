#include "kernel/sim/network.hpp"

#include <algorithm>
#include <cerrno>

#include "kernel/sim/connection.hpp"
#include "kernel/sim/datagram_socket.hpp"
#include "kernel/sim/stream_socket.hpp"

namespace parkring::kernel::sim {

network::network(event_queue& time, random numbers, const parkring::sim::network_options& options)
    : time_(time), numbers_(numbers), options_(options) {
  add_host();
}

network::~network() {
  while (datagram* d = travelling_.pop_front()) delete d;
  while (connection* c = unheld_.pop_front()) c->release();
  PARKRING_CHECK(sockets_.empty(), "close every socket before the network goes");
}

host_id network::add_host(std::initializer_list<ip_address> addresses) {
  const auto number = static_cast<unsigned>(hosts_.size());
  const host_id id{number};
  host_state& h = hosts_.emplace_back();
  h.addresses = addresses;
  if (h.addresses.empty()) {
    const auto high = static_cast<std::uint8_t>((number + 1) >> 8);
    const auto low = static_cast<std::uint8_t>(number + 1);
    h.addresses.push_back(ip_address::v4(10, 0, high, low));
    h.addresses.push_back({{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low}});
  }
  for (const ip_address& ip : h.addresses) {
    PARKRING_CHECK(addresses_.try_emplace(ip, id).second, "an address belongs to one host");
  }
  for (std::vector<sim::link>& from : links_) from.emplace_back(options_.remote);
  links_.emplace_back(hosts_.size(), sim::link(options_.remote));
  way(id, id).set(options_.loopback);
  return id;
}

bool network::owns(host_id id, const ip_address& ip) const noexcept {
  return ip.is_loopback() ||
         std::ranges::count(hosts_[static_cast<unsigned>(id)].addresses, ip) > 0;
}

bool network::address_of(host_id id, sa_family_t family, ip_address& out) const noexcept {
  for (const ip_address& ip : hosts_[static_cast<unsigned>(id)].addresses) {
    if (ip.is_v4() != (family == AF_INET)) continue;
    out = ip;
    return true;
  }
  return false;
}

bool network::find(host_id from, const ip_address& ip, host_id& out) const noexcept {
  out = from;
  if (ip.is_loopback()) return true;
  const auto at = addresses_.find(ip);
  if (at == addresses_.end()) return false;
  out = at->second;
  return true;
}

int network::make_socket(host_id host, int family, int type, int protocol,
                         ref<socket>& out) noexcept {
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) return -EAFNOSUPPORT;
  if (type < 0 || type > SOCK_PACKET) return -EINVAL;
  if (type != SOCK_STREAM && type != SOCK_DGRAM) return -ESOCKTNOSUPPORT;
  const int usual = family == AF_UNIX ? 0 : type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
  if (protocol != 0 && protocol != usual) return -EPROTONOSUPPORT;
  const auto of = static_cast<sa_family_t>(family);
  if (type == SOCK_STREAM) {
    out = ref<socket>(new stream_socket(*this, host, of));
  } else {
    out = ref<socket>(new datagram_socket(*this, host, of));
  }
  return 0;
}

int network::make_pair(host_id host, int family, int type, int protocol, ref<socket>& a,
                       ref<socket>& b) noexcept {
  if (family != AF_UNIX) {
    return family == AF_INET || family == AF_INET6 ? -EOPNOTSUPP : -EAFNOSUPPORT;
  }
  if (const int error = make_socket(host, family, type, protocol, a); error != 0) return error;
  if (const int error = make_socket(host, family, type, protocol, b); error != 0) return error;
  if (type == SOCK_STREAM) {
    stream_socket::pair(static_cast<stream_socket&>(*a), static_cast<stream_socket&>(*b));
  } else {
    datagram_socket::pair(static_cast<datagram_socket&>(*a), static_cast<datagram_socket&>(*b));
  }
  return 0;
}

void network::set_link(host_id a, host_id b, const parkring::sim::link_options& options) noexcept {
  way(a, b).set(options);
  way(b, a).set(options);
}

void network::partition(host_id a, host_id b) noexcept {
  cut(a, b);
  cut(b, a);
}

void network::partition(std::span<const host_id> some, std::span<const host_id> others) noexcept {
  for (const host_id a : some) {
    for (const host_id b : others) partition(a, b);
  }
}

void network::heal(host_id a, host_id b) noexcept {
  way(a, b).cut = false;
  way(b, a).cut = false;
}

void network::heal() noexcept {
  for (std::vector<sim::link>& from : links_) {
    for (sim::link& l : from) l.cut = false;
  }
}

void network::reset(socket& s) noexcept {
  if (s.type() == SOCK_STREAM) static_cast<stream_socket&>(s).reset_now();
}

// Sockets may come and go while watchers are told, so each is held, and the list is read first.
std::vector<ref<socket>> network::sockets_on(host_id host) noexcept {
  std::vector<ref<socket>> all;
  sockets_.for_each([&](socket& s) {
    if (s.host() == host) all.emplace_back(&s);
  });
  return all;
}

void network::reset(host_id host) noexcept {
  for (const ref<socket>& s : sockets_on(host)) reset(*s);
}

void network::crash(host_id host) noexcept {
  for (const ref<socket>& s : sockets_on(host)) s->crash();
}

}  // namespace parkring::kernel::sim
