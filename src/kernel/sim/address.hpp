// Addresses of sockets. An IPv4 address is kept as its IPv4-mapped IPv6 address, so that sockets of
// both families can talk; the family says how it is shown. A name of AF_UNIX is a key and no file.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

namespace parkring::kernel::sim {

struct ip_address {
  std::array<std::uint8_t, 16> bytes{};

  friend auto operator<=>(const ip_address&, const ip_address&) = default;
  [[nodiscard]] static ip_address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c,
                                     std::uint8_t d) noexcept;
  [[nodiscard]] static ip_address any(sa_family_t family) noexcept;
  [[nodiscard]] static ip_address loopback(sa_family_t family) noexcept;
  [[nodiscard]] bool is_v4() const noexcept;
  [[nodiscard]] bool is_any() const noexcept;
  [[nodiscard]] bool is_loopback() const noexcept;  // 127.0.0.0/8 or ::1
};

struct address {
  sa_family_t family = AF_UNSPEC;
  std::uint16_t port = 0;
  ip_address ip;
  std::string path;  // of AF_UNIX: empty, a path, or an abstract name that begins with a 0 byte

  friend bool operator==(const address&, const address&) = default;

  /// 0, or -EINVAL (too short, too long), -EAFNOSUPPORT (another family than these three).
  [[nodiscard]] int parse(const sockaddr* from, socklen_t size) noexcept;
  /// Writes what fits into `room` bytes; returns the bytes of the whole, as accept(2) does.
  socklen_t store(sockaddr* to, socklen_t room) const noexcept;
  /// The same place, shown as one of `family`.
  [[nodiscard]] address shown_as(sa_family_t shown) const {
    address a = *this;
    a.family = shown;
    return a;
  }
};

}  // namespace parkring::kernel::sim
