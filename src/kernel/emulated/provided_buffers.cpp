#include "kernel/emulated/provided_buffers.hpp"

#include <bit>
#include <cerrno>

namespace parkring::kernel::emulated {
namespace {

std::uint16_t tail_of(const abi::buf* ring) noexcept {
  const auto* at = reinterpret_cast<const std::uint16_t*>(reinterpret_cast<const char*>(ring) +
                                                          abi::buf_ring_tail_offset);
  // Acquire: the entries before the tail. Pairs with the program's release store of the tail.
  return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

}  // namespace

int provided_buffers::register_ring(const abi::buf_reg& asked) {
  if (asked.flags != 0 || !std::has_single_bit(asked.ring_entries)) return -EINVAL;
  if (asked.ring_entries >= 65'536) return -EINVAL;
  if (asked.ring_addr == 0) return -EFAULT;
  if (const auto at = groups_.find(asked.bgid); at != groups_.end()) {
    if (at->second.ring != nullptr || !at->second.returned.empty()) return -EEXIST;
  }
  group_state& g = groups_[asked.bgid];
  g = {};
  g.ring = reinterpret_cast<abi::buf*>(asked.ring_addr);
  g.mask = static_cast<std::uint16_t>(asked.ring_entries - 1);
  return 0;
}

int provided_buffers::unregister_ring(std::uint16_t group) noexcept {
  const auto at = groups_.find(group);
  if (at == groups_.end()) return -ENOENT;
  if (at->second.ring == nullptr) return -EINVAL;
  groups_.erase(at);
  return 0;
}

int provided_buffers::status(abi::buf_status& about) const noexcept {
  const auto at = groups_.find(static_cast<std::uint16_t>(about.buf_group));
  if (at == groups_.end()) return -ENOENT;
  if (at->second.ring == nullptr) return -EINVAL;
  about.head = at->second.head;
  return 0;
}

int provided_buffers::provide(std::uint16_t group, std::uint64_t at, std::uint32_t length,
                              unsigned count, std::uint16_t first) {
  group_state& g = groups_[group];
  if (g.ring != nullptr) return -EINVAL;
  const std::size_t before = g.returned.size();
  try {
    for (unsigned i = 0; i < count; ++i) {
      abi::buf b{};
      b.addr = at + std::uint64_t{i} * length;
      b.len = length;
      b.bid = static_cast<std::uint16_t>(first + i);
      g.returned.push_back(b);
    }
  } catch (...) {
    g.returned.resize(before);  // all or none
    throw;
  }
  return 0;
}

int provided_buffers::remove(std::uint16_t group, unsigned count) noexcept {
  const auto at = groups_.find(group);
  if (at == groups_.end()) return -ENOENT;
  if (at->second.ring != nullptr) return -EINVAL;
  int removed = 0;
  for (; count != 0 && !at->second.returned.empty(); --count, ++removed)
    at->second.returned.pop_front();
  return removed;
}

bool provided_buffers::take(std::uint16_t group, abi::buf& out) noexcept {
  const auto at = groups_.find(group);
  if (at == groups_.end()) return false;
  group_state& g = at->second;
  if (!g.returned.empty()) {
    out = g.returned.front();
    g.returned.pop_front();
    return true;
  }
  if (g.ring == nullptr || tail_of(g.ring) == g.head) return false;
  out = g.ring[g.head++ & g.mask];
  return true;
}

void provided_buffers::give_back(std::uint16_t group, const abi::buf& b) {
  const auto at = groups_.find(group);
  if (at == groups_.end()) return;  // the group has gone meanwhile, with all its buffers
  group_state& g = at->second;
  // The one taken last goes back to its place, so that the head is what a program expects.
  if (g.ring != nullptr && g.ring[static_cast<std::uint16_t>(g.head - 1) & g.mask].bid == b.bid &&
      g.returned.empty()) {
    --g.head;
    return;
  }
  g.returned.push_front(b);
}

}  // namespace parkring::kernel::emulated
