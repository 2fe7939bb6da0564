// Memory for buffers: blocks of a few sizes, cut from big aligned chunks that can be registered
// with rings.
//
// A block belongs to one size class for as long as its chunk is in use. A returned block goes on
// its class's stack, so the next taker gets the warmest. When a class has none left, the arena in
// this order: cuts a run from a chunk with room; takes back all idle chunks (no block is out), so
// that they can be cut anew for other classes; maps another chunk; and when that is not allowed or
// not possible, serves the request by an allocation of its own, outside of every chunk (a
// "fallback": never registered, and counted).
//
// Chunks keep address and index until the arena dies. An arena that dies while blocks of a chunk
// are out leaves that chunk mapped: somebody, perhaps the kernel, may still write to it.
// `leaked_bytes` says how much that was.
//
// All bookkeeping is outside of the blocks. Blocks that are not out are poisoned under
// AddressSanitizer.
//
// Not thread-safe: the pool above locks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "size_classes.hpp"

namespace parkring::buf {

class arena;

/// A big piece of mapped memory, aligned to its own size.
class chunk {
 public:
  chunk(const chunk&) = delete;
  chunk& operator=(const chunk&) = delete;
  ~chunk();

  [[nodiscard]] std::byte* base() const noexcept { return base_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Stable, counted from 0 within the arena.
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  /// Whether it lies on reserved huge pages.
  [[nodiscard]] bool huge() const noexcept { return huge_; }
  [[nodiscard]] bool contains(const void* p) const noexcept {
    return reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(base_) < size_;
  }

  // The upper layer's own notes; the arena neither reads nor owns them.
  void* registration = nullptr;
  int registered_index = -1;  // -1: not registered

 private:
  friend class arena;
  static constexpr std::size_t bits = 64;

  chunk(std::uint32_t index, std::size_t size);
  [[nodiscard]] bool map(bool try_huge, bool& advice_refused) noexcept;

  std::byte* base_ = nullptr;  // null: nothing mapped, or left behind on purpose
  std::size_t size_;
  std::uint32_t index_;
  bool huge_ = false;
  std::size_t cut_ = 0;              // bytes from the start that belong to blocks
  std::size_t out_ = 0;              // blocks handed out
  std::vector<std::uint64_t> live_;  // bit u: a block that starts at unit u is handed out
};

/// What the arena hands out. A plain value: it has to come back by `deallocate` exactly once.
struct memory {
  std::byte* data = nullptr;
  std::size_t capacity = 0;  // at least what was asked for; all of it may be used
  chunk* home = nullptr;     // null for a fallback
  std::uint8_t size_class = 0;
};

struct arena_stats {
  // What is there.
  std::size_t chunks = 0;
  std::size_t bytes = 0;  // of all chunks
  std::size_t huge_chunks = 0;
  std::size_t unregistered_chunks = 0;  // the hook said no
  // What is out at present.
  std::size_t in_use = 0;  // blocks, with fallbacks
  std::size_t bytes_in_use = 0;
  std::size_t fallback_in_use = 0;
  std::size_t fallback_bytes_in_use = 0;
  // What has happened so far.
  std::uint64_t allocations = 0;
  std::uint64_t fallback_allocations = 0;
  std::uint64_t huge_refusals = 0;    // no reserved huge page could be had
  std::uint64_t advice_refusals = 0;  // transparent huge pages are off
  std::uint64_t map_refusals = 0;     // the system gave no memory for a chunk
  std::uint64_t recut_chunks = 0;     // chunks taken back to be cut for other sizes

  friend bool operator==(const arena_stats&, const arena_stats&) = default;
};

/// Called with each new chunk, so that it can be registered; says whether it was. Must not throw
/// and must not use the arena. The upper layer unregisters before the arena dies.
using chunk_hook = bool (*)(void* context, chunk& added);

struct arena_options {
  std::size_t chunk_size = std::size_t{2} << 20;  // a power of two, 64 KiB to 1 GiB
  std::size_t max_bytes = std::size_t{64} << 20;  // of all chunks together
  bool reserved_huge_pages = false;               // try MAP_HUGETLB first
  chunk_hook hook = nullptr;
  void* hook_context = nullptr;
};

class arena {
 public:
  explicit arena(const arena_options& options = {});
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;
  ~arena();

  /// At least `size` bytes (0 gives a smallest block), aligned to at least `alignment` (a power of
  /// two), to 512, and from a capacity of 4096 on to 4096. Contents are whatever was there before.
  /// Errors: std::bad_alloc.
  [[nodiscard("give it back by deallocate")]] memory allocate(std::size_t size,
                                                              std::size_t alignment = 1);

  /// Requires: `block` came from this arena and was not returned yet. A default `memory` is
  /// ignored.
  void deallocate(const memory& block) noexcept;

  /// The chunk in which `p` lies, or null. Constant time.
  [[nodiscard]] chunk* locate(const void* p) const noexcept;

  /// Sets the hook for chunks to come. Those already there are for the caller to visit.
  void set_hook(chunk_hook hook, void* context) noexcept;
  [[nodiscard]] std::size_t chunk_count() const noexcept { return chunks_.size(); }
  [[nodiscard]] chunk& chunk_at(std::size_t index) noexcept;

  [[nodiscard]] const arena_stats& stats() const noexcept { return stats_; }
  [[nodiscard]] const arena_options& options() const noexcept { return options_; }

  /// Of the whole process: bytes of chunks left mapped by arenas that died with blocks out.
  [[nodiscard]] static std::size_t leaked_bytes() noexcept;

 private:
  // A block that is not out, in 8 bytes: the unit is 512 bytes.
  struct entry {
    std::uint32_t home_index;
    std::uint32_t unit;
  };
  struct size_class {
    std::vector<entry> free;      // a stack; room for all blocks that were cut, so push cannot fail
    std::size_t cut = 0;          // blocks in all chunks
    std::uint32_t look_from = 0;  // no chunk before this one has room for a run
  };

  [[nodiscard]] bool refill(std::size_t index);
  [[nodiscard]] chunk* room_for(std::size_t index) noexcept;
  void cut_run(chunk& from, std::size_t index);
  [[nodiscard]] bool take_back_idle_chunks() noexcept;
  [[nodiscard]] bool add_chunk();
  [[nodiscard]] memory pop(std::size_t index) noexcept;
  [[nodiscard]] memory fall_back(std::size_t size, std::size_t alignment);

  arena_options options_;
  std::size_t largest_class_;  // the last one that this chunk size serves
  arena_stats stats_;
  std::array<size_class, class_count> classes_;
  std::vector<std::unique_ptr<chunk>> chunks_;
  std::unordered_map<std::uintptr_t, chunk*> by_base_;
};

}  // namespace parkring::buf
