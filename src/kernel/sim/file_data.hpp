// The contents of one simulated file: what programs see, and what the device has.
//
// A page holds both, with a bit per sector that says "dirty: the device does not have it yet".
// Growing, shrinking and zeroing change the extent of the file; what the device has not heard of
// yet is the list `pending_`, in order, and only a prefix of it can ever become durable.
// A page remembers the last shrinking or zeroing that touched it (`epoch`): its dirty sectors reach
// the device only after that, since in a real file system they lie in newly allocated blocks.
//   program:  write  -> cached, dirty     truncate, punch -> cached at once, pending
//   device:   sync   -> all pending changes, then all dirty sectors
//             cut    -> a prefix of the pending changes, any dirty sectors allowed by their epoch
// Cached bytes behind the end of the file are always zero.
#pragma once

#include <parkring/sim/disk.hpp>

#include "kernel/sim/random.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace parkring::kernel::sim {

using parkring::sim::disk_options;

// The blocks of the device, as a budget.
struct disk_space {
  std::uint64_t limit = 0;  // pages
  std::uint64_t used = 0;
};

class file_data {
 public:
  static constexpr std::size_t page_size = 4096;
  static constexpr std::size_t sector_size = 512;

  std::uint64_t size() const noexcept { return size_; }
  std::uint64_t durable_size() const noexcept { return device_size_; }
  /// Pages that count against the disk's space.
  std::uint64_t allocated() const noexcept { return allocated_; }
  bool dirty() const noexcept { return !dirty_.empty() || !pending_.empty(); }

  /// Bytes copied; less than asked for at the end of the file. `direct`: from the device where it
  /// has the newest version.
  std::size_t read(std::uint64_t offset, std::span<std::byte> out, bool direct) const;
  /// Bytes written: fewer when the space ends. Sectors behind the first `reaching` bytes are taken
  /// for written although the device never gets them.
  std::size_t write(std::uint64_t offset, std::span<const std::byte> data, std::size_t reaching,
                    disk_space& space, random& draws, const disk_options& options);
  void truncate(std::uint64_t size, disk_space& space, random& draws, const disk_options& options);
  /// Gives the pages of a range to the file; false when the space does not suffice.
  bool allocate(std::uint64_t offset, std::uint64_t length, disk_space& space);
  /// The range reads as zeros; `free`: its whole pages return to the disk.
  void zero(std::uint64_t offset, std::uint64_t length, bool free, disk_space& space, random& draws,
            const disk_options& options);
  void grow(std::uint64_t size);

  /// Makes the extent durable, and the data between two offsets. False: the device refused a part,
  /// which is given up and clean now. `refused`: no data, and perhaps not the whole extent.
  bool sync(bool refused, random& draws, const disk_options& options, std::uint64_t from = 0,
            std::uint64_t to = ~std::uint64_t{});
  /// What is left after the power went; then the cache is what the device has.
  void cut(random& draws, const disk_options& options, disk_space& space);
  /// Clean parts of the cache are read again from the device when they are needed.
  void drop_cache();
  /// Gives all pages back to the disk's budget, keeping what the device holds.
  void forget_space(disk_space& space);

  // Damage. Offsets outside of the allocated pages are left alone.
  void rot(std::uint64_t offset, unsigned bit);
  void overwrite_device(std::uint64_t offset, std::span<const std::byte> data);
  void mark_bad(std::uint64_t offset, std::uint64_t length, disk_space& space);
  /// Offset of the first unreadable byte in the range.
  std::optional<std::uint64_t> first_bad(std::uint64_t offset, std::uint64_t length) const;

  std::uint64_t hash(std::uint64_t seed) const;

 private:
  struct page {
    std::uint64_t index;
    std::uint64_t epoch;  // a number of an extent_change; 0: none
    std::uint8_t dirty;   // sectors
    std::uint8_t bad;     // sectors
    bool listed;          // in dirty_
    std::array<std::byte, page_size> cached;
    std::array<std::byte, page_size> device;
  };
  struct slot {
    std::uint64_t index;
    std::unique_ptr<page> contents;  // null: allocated, never written
    bool allocated;                  // false: freed, but the device has not heard of it
  };
  enum class change : std::uint8_t { grow, shrink, zero };
  struct extent_change {
    change what;
    std::uint64_t from;  // grow: the old size; shrink: the new size; zero: begin
    std::uint64_t to;    // grow: the new size; zero: end
  };

  std::vector<slot>::iterator lower(std::uint64_t index);
  std::vector<slot>::const_iterator lower(std::uint64_t index) const;
  page* writable(std::uint64_t index, bool whole, disk_space& space);
  void list(page& p);
  void clear_range(std::uint64_t from, std::uint64_t to, bool free, disk_space& space,
                   random& draws, const disk_options& options);
  void write_back_early(page& p, std::uint8_t sectors, random& draws, const disk_options& options);
  void commit(std::size_t changes);
  void zero_device(std::uint64_t from, std::uint64_t to);
  void cut_extent(unsigned mode, random& draws);
  void cut_pages(unsigned mode, std::uint64_t old_size, random& draws, bool stale);
  void tidy();

  std::vector<slot> slots_;  // by index
  std::vector<page*> dirty_;
  std::vector<extent_change> pending_;
  std::uint64_t committed_ = 0;  // changes the device knows; pending_[i] is number committed_+1+i
  std::uint64_t cleared_ = 0;    // number of the last shrinking or zeroing
  std::uint64_t size_ = 0;
  std::uint64_t device_size_ = 0;
  std::uint64_t allocated_ = 0;
  bool untidy_ = false;  // some slots may be freed
};

}  // namespace parkring::kernel::sim
