// The pool of a runtime and what of it is registered with its ring.
//
// A chunk is registered when the ring first meets it, on the ring's thread; the table has room for
// all chunks the pool may have. When the limit of locked memory is reached (ENOMEM) no further
// chunk is tried; requests on such memory are plain ones, and counted.
//
// A block remembers the answer together with the registry's id, so the lookup is one comparison.
// Ids are never reused: a block that outlives its runtime can never name a slot of another ring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <parkring/detail/buffer_block.hpp>

#include "buf/pool.hpp"
#include "ring/ring.hpp"

namespace parkring::buf {

class registered_buffers {
 public:
  registered_buffers(ring::ring& ring, std::size_t pool_bytes, bool enabled);

  [[nodiscard]] buf::pool& pool() noexcept { return *pool_; }

  /// The index under which the ring knows the block's memory, or -1.
  [[nodiscard]] int index_of(detail::buffer_block& block) noexcept {
    if (block.registered_with == id_) [[likely]]
      return block.registered_index;
    return look_up(block);
  }

  /// Chunks registered with the ring.
  [[nodiscard]] unsigned registered() const noexcept { return registered_; }

 private:
  int look_up(detail::buffer_block& block) noexcept;
  bool register_chunk(chunk& c) noexcept;

  ring::ring& ring_;
  std::shared_ptr<buf::pool> pool_;
  std::uint64_t id_;
  unsigned slots_ = 0;  // of the ring's table
  unsigned registered_ = 0;
  bool table_made_ = false;
  bool enabled_;
};

}  // namespace parkring::buf
