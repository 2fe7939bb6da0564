#include "kernel/sim/ports.hpp"

#include <algorithm>

#include "kernel/sim/socket.hpp"

namespace parkring::kernel::sim {
namespace {

bool overlap(const ip_address& a, bool a_only_v6, const ip_address& b, bool b_only_v6) noexcept {
  if (a == b) return true;
  if (a == ip_address{}) return !(a_only_v6 && b.is_v4());
  if (b == ip_address{}) return !(b_only_v6 && a.is_v4());
  return (a.is_any() || b.is_any()) && a.is_v4() && b.is_v4();
}

/// How well an own address fits the one asked for; 0 is not at all.
int fit(const socket& s, const ip_address& to) noexcept {
  const ip_address& own = s.name().ip;
  if (own == to) return 3;
  if (!own.is_any()) return 0;
  if (own.is_v4()) return to.is_v4() ? 2 : 0;
  if (to.is_v4()) return s.options().only_v6 ? 0 : 1;
  return 2;
}

}  // namespace

bool port_table::in_the_way(const entry& e, const socket& s, const address& name) const noexcept {
  const socket_options& mine = s.options();
  if (e.children > 0 && !(mine.reuse_address && e.children_alone == 0)) return true;
  return std::ranges::any_of(e.owners, [&](const socket* other) {
    const socket_options& theirs = other->options();
    if (!overlap(name.ip, mine.only_v6, other->name().ip, theirs.only_v6)) return false;
    if (mine.reuse_port && theirs.reuse_port) return false;
    return !(mine.reuse_address && theirs.reuse_address && !other->listening());
  });
}

int port_table::add(socket& s, address& name, int none_left) {
  if (name.port != 0) {
    entry& e = ports_[name.port];
    if (in_the_way(e, s, name)) return -EADDRINUSE;
    e.owners.push_back(&s);
    return 0;
  }
  for (unsigned tries = 0; tries <= last_ephemeral - first_ephemeral; ++tries) {
    const std::uint16_t port = next_;
    next_ = next_ == last_ephemeral ? first_ephemeral : static_cast<std::uint16_t>(next_ + 1);
    if (ports_.contains(port)) continue;
    ports_[port].owners.push_back(&s);
    name.port = port;
    return 0;
  }
  return none_left;
}

void port_table::drop_if_empty(std::uint16_t port) noexcept {
  const auto at = ports_.find(port);
  if (at != ports_.end() && at->second.owners.empty() && at->second.children == 0) ports_.erase(at);
}

void port_table::remove(socket& s, std::uint16_t port) noexcept {
  const auto at = ports_.find(port);
  if (at == ports_.end()) return;
  std::erase(at->second.owners, &s);
  drop_if_empty(port);
}

void port_table::add_child(std::uint16_t port, bool shares) {
  entry& e = ports_[port];
  ++e.children;
  if (!shares) ++e.children_alone;
}

void port_table::remove_child(std::uint16_t port, bool shares) noexcept {
  const auto at = ports_.find(port);
  if (at == ports_.end()) return;
  --at->second.children;
  if (!shares) --at->second.children_alone;
  drop_if_empty(port);
}

bool port_table::listened(const socket& s) const noexcept {
  const auto at = ports_.find(s.name().port);
  if (at == ports_.end()) return false;
  return std::ranges::any_of(at->second.owners, [&](const socket* other) {
    return other != &s && other->listening() &&
           !(s.options().reuse_port && other->options().reuse_port) &&
           overlap(s.name().ip, s.options().only_v6, other->name().ip, other->options().only_v6);
  });
}

socket* port_table::listener(const address& to, random& r) const noexcept {
  const auto at = ports_.find(to.port);
  if (at == ports_.end()) return nullptr;
  socket* best = nullptr;
  int best_fit = 0;
  std::uint64_t equal = 0;
  for (socket* s : at->second.owners) {
    const int f = s->listening() ? fit(*s, to.ip) : 0;
    if (f == 0 || f < best_fit) continue;
    equal = f > best_fit ? 1 : equal + 1;
    if (equal == 1 || r.below(equal) == 0) best = s;
    best_fit = f;
  }
  return best;
}

socket* port_table::receiver(const address& to, const address& from) const noexcept {
  const auto at = ports_.find(to.port);
  if (at == ports_.end()) return nullptr;
  socket* best = nullptr;
  int best_fit = 0;
  for (socket* s : at->second.owners) {
    int f = fit(*s, to.ip);
    if (f == 0) continue;
    if (s->connected()) {
      if (s->peer().port != from.port || s->peer().ip != from.ip) continue;
      f += 10;
    }
    if (f >= best_fit) {  // of equals, the one bound last
      best = s;
      best_fit = f;
    }
  }
  return best;
}

}  // namespace parkring::kernel::sim
