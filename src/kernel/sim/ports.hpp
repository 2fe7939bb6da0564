// Who is bound to which address of one host: one table for connections, one for datagrams; and one
// for the names of AF_UNIX.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kernel/sim/address.hpp"
#include "kernel/sim/random.hpp"

namespace parkring::kernel::sim {

class socket;

class port_table {
 public:
  static constexpr std::uint16_t first_ephemeral = 32'768;
  static constexpr std::uint16_t last_ephemeral = 60'999;

  /// 0, -EADDRINUSE or, when port 0 asks for one and none is left, `none_left`. `name.port` is set.
  [[nodiscard]] int add(socket& s, address& name, int none_left = -EADDRINUSE);
  void remove(socket& s, std::uint16_t port) noexcept;
  /// Accepted connections keep their listener's port busy for those who do not share it.
  void add_child(std::uint16_t port, bool shares);
  void remove_child(std::uint16_t port, bool shares) noexcept;

  /// Whether one that listens already has this port in the way of `s`.
  [[nodiscard]] bool listened(const socket& s) const noexcept;
  /// Who listens at `to`; one of them at random when several share the port.
  [[nodiscard]] socket* listener(const address& to, random& r) const noexcept;
  /// Who receives a datagram for `to` that comes from `from`.
  [[nodiscard]] socket* receiver(const address& to, const address& from) const noexcept;

 private:
  struct entry {
    std::vector<socket*> owners;  // in the order they were bound
    std::size_t children = 0;
    std::size_t children_alone = 0;  // of those, the ones that do not share
  };
  [[nodiscard]] bool in_the_way(const entry& e, const socket& s,
                                const address& name) const noexcept;
  void drop_if_empty(std::uint16_t port) noexcept;

  std::map<std::uint16_t, entry> ports_;
  std::uint16_t next_ = first_ephemeral;
};

struct host_sockets {
  port_table streams;
  port_table datagrams;
  std::map<std::string, socket*> names;  // of AF_UNIX, both types
  std::uint32_t next_name = 0;           // chosen for who binds without one
};

}  // namespace parkring::kernel::sim
