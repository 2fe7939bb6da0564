#include "kernel/sim/address.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace parkring::kernel::sim {

ip_address ip_address::v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) noexcept {
  return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}};
}

ip_address ip_address::any(sa_family_t family) noexcept {
  return family == AF_INET ? v4(0, 0, 0, 0) : ip_address{};
}

ip_address ip_address::loopback(sa_family_t family) noexcept {
  if (family == AF_INET) return v4(127, 0, 0, 1);
  ip_address a;
  a.bytes[15] = 1;
  return a;
}

bool ip_address::is_v4() const noexcept {
  const ip_address prefix = v4(0, 0, 0, 0);
  return std::equal(bytes.begin(), bytes.begin() + 12, prefix.bytes.begin());
}

bool ip_address::is_any() const noexcept { return *this == ip_address{} || *this == any(AF_INET); }

bool ip_address::is_loopback() const noexcept {
  return is_v4() ? bytes[12] == 127 : *this == loopback(AF_INET6);
}

int address::parse(const sockaddr* from, socklen_t size) noexcept {
  if (from == nullptr || size < static_cast<socklen_t>(sizeof(sa_family_t))) return -EINVAL;
  *this = {};
  std::memcpy(&family, from, sizeof family);
  if (family == AF_INET) {
    sockaddr_in in;
    if (size < sizeof in) return -EINVAL;
    std::memcpy(&in, from, sizeof in);
    port = ntohs(in.sin_port);
    ip = ip_address::any(AF_INET);
    std::memcpy(&ip.bytes[12], &in.sin_addr, 4);
    return 0;
  }
  if (family == AF_INET6) {
    sockaddr_in6 in;
    if (size < offsetof(sockaddr_in6, sin6_scope_id)) return -EINVAL;
    std::memcpy(&in, from, std::min<std::size_t>(size, sizeof in));
    port = ntohs(in.sin6_port);
    std::memcpy(ip.bytes.data(), &in.sin6_addr, 16);
    return 0;
  }
  if (family != AF_UNIX) return -EAFNOSUPPORT;
  if (size > sizeof(sockaddr_un)) return -EINVAL;
  const std::size_t length = size - offsetof(sockaddr_un, sun_path);
  const char* name = reinterpret_cast<const char*>(from) + offsetof(sockaddr_un, sun_path);
  if (length == 0) return 0;
  path.assign(name, name[0] == '\0' ? length : strnlen(name, length));
  return 0;
}

socklen_t address::store(sockaddr* to, socklen_t room) const noexcept {
  sockaddr_storage all{};
  std::size_t size = sizeof(sa_family_t);
  if (family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, &ip.bytes[12], 4);
    std::memcpy(&all, &in, size = sizeof in);
  } else if (family == AF_INET6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, ip.bytes.data(), 16);
    std::memcpy(&all, &in, size = sizeof in);
  } else {
    all.ss_family = family;
    if (!path.empty()) {
      std::memcpy(reinterpret_cast<char*>(&all) + size, path.data(), path.size());
      size += path.size() + (path[0] == '\0' ? 0 : 1);  // a path ends with a 0 byte
    }
  }
  if (to != nullptr) std::memcpy(to, &all, std::min<std::size_t>(size, room));
  return static_cast<socklen_t>(size);
}

}  // namespace parkring::kernel::sim
