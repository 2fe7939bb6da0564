#include "kernel/sim/socket.hpp"

#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "kernel/sim/network.hpp"

namespace parkring::kernel::sim {

socket::socket(network& net, host_id host, sa_family_t family, int type) noexcept
    : endpoint(net.all()), net_(net), host_(host), family_(family), type_(type) {
  name_.family = family;
  if (family != AF_UNIX) name_.ip = ip_address::any(family);
  options_.send_buffer = net.options().send_buffer;
  options_.receive_buffer = net.options().receive_buffer;
  net.add(*this);
}

socket::~socket() {
  unbind();
  detail::list_node::unlink();
}

int socket::bind(const sockaddr* to, socklen_t size) noexcept {
  address a;
  if (const int error = a.parse(to, size); error != 0) return error;
  if (a.family != family_) return family_ == AF_UNIX ? -EINVAL : -EAFNOSUPPORT;
  if (bound_ || connected()) return -EINVAL;
  if (family_ != AF_UNIX && !a.ip.is_any() && !net_.owns(host_, a.ip)) return -EADDRNOTAVAIL;
  return bind_to(std::move(a), -EADDRINUSE);
}

int socket::bind_to(address to, int none_left) noexcept {
  host_sockets& all = net_.sockets_of(host_);
  if (family_ != AF_UNIX) {
    port_table& table = type_ == SOCK_STREAM ? all.streams : all.datagrams;
    if (const int error = table.add(*this, to, none_left); error != 0) return error;
  } else {
    while (to.path.empty()) {  // an abstract name of five digits, as unix(7) tells
      std::array<char, 8> digits;
      const auto end = std::to_chars(digits.begin(), digits.end(), all.next_name++, 16).ptr;
      std::string digit_string(digits.begin(), end);
      digit_string.insert(0, 5 - std::min<std::size_t>(5, digit_string.size()), '0');
      to.path = std::string(1, '\0') + digit_string;
      if (all.names.contains(to.path)) to.path.clear();
    }
    if (!all.names.try_emplace(to.path, this).second) return -EADDRINUSE;
  }
  name_ = std::move(to);
  bound_ = true;
  return 0;
}

int socket::bind_for(const address& to) noexcept {
  address own = name_;
  if (own.ip.is_any()) {
    const sa_family_t family = to.ip.is_v4() ? AF_INET : AF_INET6;
    if (to.ip.is_loopback()) {
      own.ip = ip_address::loopback(family);
    } else if (!net_.address_of(host_, family, own.ip)) {
      return -ENETUNREACH;
    }
  }
  if (bound_) {
    name_.ip = own.ip;
    return 0;
  }
  return bind_to(std::move(own), -EADDRNOTAVAIL);
}

void socket::unbind() noexcept {
  if (!std::exchange(bound_, false)) return;
  host_sockets& all = net_.sockets_of(host_);
  if (family_ == AF_UNIX) {
    all.names.erase(name_.path);
  } else {
    (type_ == SOCK_STREAM ? all.streams : all.datagrams).remove(*this, name_.port);
  }
}

int socket::parse_target(const sockaddr* to, socklen_t size, address& out) const noexcept {
  if (const int error = out.parse(to, size); error != 0) return error;
  if (out.family != family_) return family_ == AF_UNIX ? -EINVAL : -EAFNOSUPPORT;
  if (family_ == AF_UNIX) return out.path.empty() ? -EINVAL : 0;
  if (out.ip.is_any()) out.ip = ip_address::loopback(out.ip.is_v4() ? AF_INET : AF_INET6);
  return 0;
}

namespace {

constexpr int buffer_greatest = 212'992;  // net.core.wmem_max, as usual

std::size_t buffer_size(int asked, int least_shown) noexcept {
  return static_cast<std::size_t>(std::max(std::clamp(asked, 0, buffer_greatest), least_shown / 2));
}

}  // namespace

int socket::setsockopt(int level, int name, const void* value, socklen_t size) noexcept {
  if (level == SOL_SOCKET && name == SO_LINGER) {
    ::linger l;
    if (size < sizeof l) return -EINVAL;
    std::memcpy(&l, value, sizeof l);
    options_.linger = l.l_onoff != 0;
    options_.linger_seconds = l.l_linger;
    return 0;
  }
  int number;
  if (size < sizeof number) return -EINVAL;
  std::memcpy(&number, value, sizeof number);
  if (level == SOL_SOCKET) {
    switch (name) {
      case SO_REUSEADDR:
        options_.reuse_address = number != 0;
        return 0;
      case SO_REUSEPORT:
        options_.reuse_port = number != 0;
        return 0;
      case SO_KEEPALIVE:
        options_.keep_alive = number != 0;
        return 0;
      case SO_SNDBUF:
        options_.send_buffer = buffer_size(number, 4608);
        break;
      case SO_RCVBUF:
        options_.receive_buffer = buffer_size(number, 2304);
        break;
      default:
        return -ENOPROTOOPT;
    }
    buffers_changed();
    return 0;
  }
  if (level == IPPROTO_TCP && name == TCP_NODELAY && type_ == SOCK_STREAM && family_ != AF_UNIX) {
    options_.no_delay = number != 0;
    return 0;
  }
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && family_ == AF_INET6) {
    if (bound_) return -EINVAL;
    options_.only_v6 = number != 0;
    return 0;
  }
  return family_ == AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
}

int socket::getsockopt(int level, int name, void* value, socklen_t* size) noexcept {
  const auto tell = [&](const void* from, std::size_t n) {
    *size = std::min(*size, static_cast<socklen_t>(n));
    std::memcpy(value, from, *size);
    return 0;
  };
  int number = 0;
  if (level == SOL_SOCKET) {
    switch (name) {
      case SO_LINGER: {
        const ::linger l{options_.linger, options_.linger_seconds};
        return tell(&l, sizeof l);
      }
      case SO_ERROR:
        number = take_error();
        break;
      case SO_TYPE:
        number = type_;
        break;
      case SO_DOMAIN:
        number = family_;
        break;
      case SO_ACCEPTCONN:
        number = listening();
        break;
      case SO_REUSEADDR:
        number = options_.reuse_address;
        break;
      case SO_REUSEPORT:
        number = options_.reuse_port;
        break;
      case SO_KEEPALIVE:
        number = options_.keep_alive;
        break;
      case SO_SNDBUF:
        number = static_cast<int>(2 * options_.send_buffer);
        break;
      case SO_RCVBUF:
        number = static_cast<int>(2 * options_.receive_buffer);
        break;
      case SO_PROTOCOL:
        number = family_ == AF_UNIX ? 0 : (type_ == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
        break;
      default:
        return -ENOPROTOOPT;
    }
    return tell(&number, sizeof number);
  }
  if (level == IPPROTO_TCP && name == TCP_NODELAY && type_ == SOCK_STREAM && family_ != AF_UNIX) {
    number = options_.no_delay;
    return tell(&number, sizeof number);
  }
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && family_ == AF_INET6) {
    number = options_.only_v6;
    return tell(&number, sizeof number);
  }
  return family_ == AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
}

}  // namespace parkring::kernel::sim
