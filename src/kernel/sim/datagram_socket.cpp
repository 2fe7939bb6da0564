#include "kernel/sim/datagram_socket.hpp"

#include <poll.h>

#include <algorithm>
#include <cstring>

#include "kernel/sim/network.hpp"

namespace parkring::kernel::sim {
namespace {

constexpr std::size_t headers = 28;  // of IPv4 and UDP
constexpr std::size_t most_v4 = 65'507;
constexpr std::size_t most_v6 = 65'527;

void copy_in(std::vector<std::byte>& to, const iovec* parts, std::size_t count, std::size_t size) {
  to.reserve(size);
  for (std::size_t i = 0; i < count; ++i) {
    const auto* from = static_cast<const std::byte*>(parts[i].iov_base);
    to.insert(to.end(), from, from + parts[i].iov_len);
  }
}

/// It has travelled: the event's action.
void arrive(event& e) noexcept {
  std::unique_ptr<datagram> d(&static_cast<datagram&>(e));
  d->unlink();
  network& net = d->net;
  if (!net.open(d->from_host, d->to_host)) return;
  socket* const to = net.sockets_of(d->to_host).datagrams.receiver(d->to, d->from);
  net.note(d->bytes.size() * 2 + (to != nullptr));
  if (to != nullptr) return static_cast<datagram_socket*>(to)->take(std::move(d));
  // The answer of a host where nobody has the port; who is connected hears of it, udp(7).
  socket* const sender = net.sockets_of(d->from_host).datagrams.receiver(d->from, d->to);
  if (sender != nullptr && sender->connected() && net.open(d->to_host, d->from_host))
    static_cast<datagram_socket*>(sender)->refused();
}

/// Sends `d`, or another like it, on its way.
void depart(std::unique_ptr<datagram> d) {
  network& net = d->net;
  sim::link& way = net.way(d->from_host, d->to_host);
  random& r = net.numbers();
  std::uint64_t due =
      net.time().now_ns() + net.delay_ns(d->from_host, d->to_host, d->bytes.size() + headers);
  if (r.chance(way.options().loss)) return;
  if (r.chance(way.options().reorder)) {
    due += (due - net.time().now_ns()) * r.between(1, 4);
  } else {
    way.last_datagram_ns = due = std::max(due, way.last_datagram_ns);
  }
  datagram& travelling = *d.release();
  net.travelling().push_back(travelling);
  net.time().schedule_at(travelling, due);
}

}  // namespace

datagram::datagram(network& n) : event(arrive), net(n), from_host{}, to_host{} {
  ++net.all().datagrams;
}
datagram::~datagram() { --net.all().datagrams; }

void datagram_socket::pair(datagram_socket& a, datagram_socket& b) noexcept {
  a.other_ = &b;
  b.other_ = &a;
  a.connected_ = b.connected_ = true;
  a.peer_.family = b.peer_.family = AF_UNIX;
}

// ---- whom it talks to ----

int datagram_socket::connect(const sockaddr* to, socklen_t size) noexcept {
  if (to != nullptr && size >= sizeof(sa_family_t) && to->sa_family == AF_UNSPEC) {
    connected_ = false;
    other_ = nullptr;
    peer_ = {};
    return 0;
  }
  address a;
  if (const int error = parse_target(to, size, a); error != 0) return error;
  if (family_ == AF_UNIX) {
    if (const int error = find_unix(a, other_); error != 0) return error;
  } else if (const int error = bind_for(a); error != 0) {
    return error;
  }
  peer_ = std::move(a);
  connected_ = true;
  return 0;
}

int datagram_socket::find_unix(const address& to, datagram_socket*& out) const noexcept {
  const auto& names = net_.sockets_of(host_).names;
  const auto at = names.find(to.path);
  if (at == names.end()) return to.path[0] == '\0' ? -ECONNREFUSED : -ENOENT;
  if (at->second->type() != SOCK_DGRAM) return -EPROTOTYPE;
  auto* const found = static_cast<datagram_socket*>(at->second);
  if (found->other_ != nullptr && found->other_ != this) return -EPERM;
  out = found;
  return 0;
}

int datagram_socket::getpeername(address& out) const {
  if (!connected_) return -ENOTCONN;
  out = peer_;
  return 0;
}

// ---- messages ----

long datagram_socket::send(const iovec* parts, std::size_t count, int flags, const sockaddr* to,
                           socklen_t size) noexcept {
  if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
  const long offered = total_size(parts, count);
  if (offered < 0) return offered;
  if (dead_) return -ENETDOWN;
  if (error_ != 0) return -take_error();
  const auto bytes = static_cast<std::size_t>(offered);
  if (family_ != AF_UNIX) {
    if (bytes > (family_ == AF_INET ? most_v4 : most_v6)) return -EMSGSIZE;
    if (shut_send_) return -EPIPE;
    if (to == nullptr) return connected_ ? send_inet(parts, count, bytes, peer_) : -EDESTADDRREQ;
    address a;
    if (const int error = parse_target(to, size, a); error != 0) return error;
    return a.port == 0 ? -EINVAL : send_inet(parts, count, bytes, a);
  }
  datagram_socket* receiver = other_;
  if (to != nullptr) {
    address a;
    if (const int error = parse_target(to, size, a); error != 0) return error;
    if (const int error = find_unix(a, receiver); error != 0) return error;
  } else if (!connected_) {
    return -ENOTCONN;
  } else if (receiver == nullptr) {
    connected_ = false;  // it closed: told once
    return -ECONNREFUSED;
  }
  return send_unix(parts, count, bytes, *receiver);
}

long datagram_socket::send_inet(const iovec* parts, std::size_t count, std::size_t size,
                                const address& to) noexcept {
  if (!bound_) {
    if (const int error = bind_to(name_, -EAGAIN); error != 0) return error;
  }
  auto d = std::make_unique<datagram>(net_);
  d->from_host = host_;
  d->to = to;
  d->from = name_;
  if (d->from.ip.is_any()) {
    const sa_family_t family = to.ip.is_v4() ? AF_INET : AF_INET6;
    if (to.ip.is_loopback()) {
      d->from.ip = ip_address::loopback(family);
    } else if (!net_.address_of(host_, family, d->from.ip)) {
      return -ENETUNREACH;
    }
  }
  if (!net_.find(host_, to.ip, d->to_host)) return static_cast<long>(size);  // nobody is there
  copy_in(d->bytes, parts, count, size);
  if (net_.numbers().chance(net_.way(host_, d->to_host).options().duplication)) {
    auto twin = std::make_unique<datagram>(net_);
    twin->from_host = d->from_host;
    twin->to_host = d->to_host;
    twin->from = d->from;
    twin->to = d->to;
    twin->bytes = d->bytes;
    depart(std::move(twin));
  }
  depart(std::move(d));
  return static_cast<long>(size);
}

long datagram_socket::send_unix(const iovec* parts, std::size_t count, std::size_t size,
                                datagram_socket& to) noexcept {
  if (shut_send_ || to.shut_receive_) return -EPIPE;
  if (size > options_.send_buffer) return -EMSGSIZE;
  if (to.full()) return -EAGAIN;
  auto d = std::make_unique<datagram>(net_);
  d->from_host = d->to_host = host_;
  if (bound_) d->from = name_;
  copy_in(d->bytes, parts, count, size);
  net_.note(size);
  to.used_ += size + overhead;
  to.waiting_.push(std::move(d));
  to.notify();
  return static_cast<long>(size);
}

void datagram_socket::take(std::unique_ptr<datagram> d) noexcept {
  const std::size_t size = d->bytes.size() + overhead;
  if (shut_receive_ || dead_ || used_ + size > 2 * options_.receive_buffer) return;
  used_ += size;
  d->from.family = family_;
  waiting_.push(std::move(d));
  notify();
}

void datagram_socket::refused() noexcept {
  error_ = ECONNREFUSED;
  notify();
}

long datagram_socket::receive(const iovec* parts, std::size_t count, int flags,
                              received* info) noexcept {
  if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
  if (error_ != 0) return -take_error();
  const long wanted = total_size(parts, count);
  if (wanted < 0) return wanted;
  if (waiting_.empty()) {
    if (dead_) return -ENETDOWN;
    return shut_receive_ ? 0 : -EAGAIN;
  }
  const datagram& d = *waiting_.front();
  const std::size_t size = d.bytes.size();
  const std::size_t n = std::min(static_cast<std::size_t>(wanted), size);
  std::size_t done = 0;
  for (std::size_t i = 0; done < n; ++i) {
    const std::size_t now = std::min(n - done, parts[i].iov_len);
    if (now > 0) std::memcpy(parts[i].iov_base, d.bytes.data() + done, now);
    done += now;
  }
  if (info != nullptr) {
    info->from = d.from;
    info->flags = n < size ? MSG_TRUNC : 0;
    info->more = waiting_.size() > 1;
  }
  if ((flags & MSG_PEEK) == 0) {
    const bool was_full = full();
    used_ -= size + overhead;
    waiting_.pop();
    if (family_ == AF_UNIX && was_full) tell_senders();
  }
  return static_cast<long>((flags & MSG_TRUNC) != 0 ? size : n);
}

/// Of AF_UNIX: there is room again. Those that send here without being connected are not known, so
/// all that may be are told.
void datagram_socket::tell_senders() noexcept {
  std::vector<ref<socket>> senders;
  net_.sockets().for_each([&](socket& s) {
    if (s.family() == AF_UNIX && s.type() == SOCK_DGRAM && s.host() == host_ && &s != this) {
      senders.emplace_back(&s);
    }
  });
  for (const ref<socket>& s : senders) s->changed();
}

// ---- ends ----

int datagram_socket::shutdown(int how) noexcept {
  if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
  if (!connected_ && family_ != AF_UNIX) return -ENOTCONN;
  shut_receive_ = shut_receive_ || how != SHUT_WR;
  shut_send_ = shut_send_ || how != SHUT_RD;
  notify();
  return 0;
}

void datagram_socket::forget_by_others() noexcept {
  if (family_ != AF_UNIX) return;
  net_.sockets().for_each([&](socket& s) {
    if (s.family() != AF_UNIX || s.type() != SOCK_DGRAM) return;
    auto& other = static_cast<datagram_socket&>(s);
    if (other.other_ == this) other.other_ = nullptr;
  });
}

void datagram_socket::crash() noexcept {
  dead_ = true;
  forget_by_others();
  waiting_.clear();
  unbind();
  notify();
}

void datagram_socket::last_reference_goes() noexcept {
  const bool was_full = full();
  forget_by_others();
  waiting_.clear();
  if (family_ == AF_UNIX && was_full) {
    unbind();
    shut_receive_ = true;
    tell_senders();  // they will hear that it is gone
  }
}

unsigned datagram_socket::poll_events() const noexcept {
  unsigned events = dead_ || error_ != 0 ? POLLERR : 0U;
  if (!waiting_.empty() || shut_receive_ || events != 0) events |= POLLIN | POLLRDNORM;
  if (shut_receive_) events |= POLLRDHUP;
  if (shut_receive_ && shut_send_) events |= POLLHUP;
  if (other_ == nullptr || !other_->full()) events |= POLLOUT | POLLWRNORM;
  return events;
}

}  // namespace parkring::kernel::sim
