#include "buf/registered_buffers.hpp"

#include <sys/uio.h>

#include <atomic>

#include "buf/storage.hpp"
#include "kernel/abi.hpp"

namespace parkring::buf {

namespace abi = kernel::abi;

namespace {
std::atomic<std::uint64_t> next_id{1};

// Of huge pages, which are cleared whole when first touched. A simulated machine lives for a moment
// and needs little: there small chunks make worlds cheap.
std::size_t chunk_size_for(const ring::ring& r) noexcept {
  return r.served_by().real() ? arena_options{}.chunk_size : std::size_t{256} << 10;
}

}  // namespace

registered_buffers::registered_buffers(ring::ring& ring, std::size_t pool_bytes, bool enabled)
    : ring_(ring),
      pool_(std::make_shared<buf::pool>(pool_bytes, chunk_size_for(ring))),
      id_(next_id.fetch_add(1, std::memory_order_relaxed)),
      slots_(static_cast<unsigned>(pool_bytes / chunk_size_for(ring) + 1)),
      enabled_(enabled) {}

int registered_buffers::look_up(detail::buffer_block& block) noexcept {
  chunk* home = block.storage->mem.home;
  int index = -1;
  // Memory of another runtime's pool is served without registration; its notes are not ours.
  if (home != nullptr && block.storage->from.get() == pool_.get()) {
    if (home->registration != this && enabled_) register_chunk(*home);
    if (home->registration == this) index = home->registered_index;
  }
  block.registered_with = id_;
  block.registered_index = index;
  return index;
}

bool registered_buffers::register_chunk(chunk& c) noexcept {
  if (!table_made_) {
    const abi::rsrc_register table{
        .nr = slots_, .flags = abi::rsrc_register_sparse, .resv2 = 0, .data = 0, .tags = 0};
    enabled_ = ring_.reg(abi::register_buffers2, &table, sizeof table) >= 0;
    table_made_ = true;
    if (!enabled_) return false;
  }
  if (c.index() >= slots_) return false;
  const iovec region{c.base(), c.size()};
  const abi::rsrc_update2 update{.offset = c.index(),
                                 .resv = 0,
                                 .data = reinterpret_cast<std::uint64_t>(&region),
                                 .tags = 0,
                                 .nr = 1,
                                 .resv2 = 0};
  if (ring_.reg(abi::register_buffers_update, &update, sizeof update) < 0) {
    enabled_ = false;  // the limit of locked memory; trying again costs a system call each time
    return false;
  }
  c.registration = this;
  c.registered_index = static_cast<int>(c.index());
  ++registered_;
  return true;
}

}  // namespace parkring::buf
