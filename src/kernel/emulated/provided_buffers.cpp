#include "kernel/emulated/provided_buffers.hpp"

#include <bit>
#include <cerrno>
#include <new>

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
    if (at->second.ring != nullptr || !at->second.empty()) return -EEXIST;
  }
  group_state& g = groups_[asked.bgid];
  g = {};
  g.which = ++groups_made_;
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
  if (g.which == 0) g.which = ++groups_made_;
  if (g.ring != nullptr) return -EINVAL;
  const std::size_t before = g.provided.size();
  try {
    for (unsigned i = 0; i < count; ++i) {
      abi::buf b{};
      b.addr = at + std::uint64_t{i} * length;
      b.len = length;
      b.bid = static_cast<std::uint16_t>(first + i);
      g.provided.push_back(b);
    }
  } catch (...) {
    g.provided.resize(before);  // all or none
    throw;
  }
  return 0;
}

int provided_buffers::remove(std::uint16_t group, unsigned count) noexcept {
  const auto at = groups_.find(group);
  if (at == groups_.end()) return -ENOENT;
  if (at->second.ring != nullptr) return -EINVAL;
  group_state& g = at->second;
  int removed = 0;
  for (; count != 0 && !g.empty(); --count, ++removed) {
    if (!g.returned.empty())
      g.returned.pop_back();
    else
      g.provided.pop_front();
  }
  return removed;
}

std::uint64_t provided_buffers::take(std::uint16_t group, abi::buf& out) noexcept {
  const auto at = groups_.find(group);
  if (at == groups_.end()) return 0;
  group_state& g = at->second;
  const bool any = !g.empty() || (g.ring != nullptr && tail_of(g.ring) != g.head);
  if (!any) return 0;
  // Now, so that giving it back needs no memory.
  if (const std::size_t room = g.returned.size() + g.out + 1; g.returned.capacity() < room) {
    try {
      g.returned.reserve(2 * room);
    } catch (const std::bad_alloc&) {
      return 0;
    }
  }
  if (!g.returned.empty()) {
    out = g.returned.back();
    g.returned.pop_back();
  } else if (g.ring != nullptr) {
    out = g.ring[g.head++ & g.mask];
  } else {
    out = g.provided.front();
    g.provided.pop_front();
  }
  ++g.out;
  return g.which;
}

// Null when the group has gone meanwhile, with all its buffers.
provided_buffers::group_state* provided_buffers::find(std::uint16_t group,
                                                      std::uint64_t which) noexcept {
  const auto at = groups_.find(group);
  return at != groups_.end() && at->second.which == which ? &at->second : nullptr;
}

void provided_buffers::used(std::uint16_t group, std::uint64_t which) noexcept {
  if (group_state* const g = find(group, which)) --g->out;
}

void provided_buffers::give_back(std::uint16_t group, std::uint64_t which,
                                 const abi::buf& b) noexcept {
  group_state* const g = find(group, which);
  if (g == nullptr) return;
  --g->out;
  // The one taken last goes back to its place, so that the head is what a program expects.
  if (g->ring != nullptr && g->returned.empty() &&
      g->ring[static_cast<std::uint16_t>(g->head - 1) & g->mask].bid == b.bid) {
    --g->head;
    return;
  }
  g->returned.push_back(b);
}

}  // namespace parkring::kernel::emulated
