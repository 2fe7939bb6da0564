// Files and buffers registered with a ring: tables whose slots requests name by number.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel/abi.hpp"
#include "kernel/emulated/backend.hpp"

namespace parkring::kernel::emulated {

/// Registered files. A slot keeps a reference of its own to an open file (`backend::hold`).
class file_slots {
 public:
  explicit file_slots(backend& below) noexcept : below_(below) {}
  file_slots(const file_slots&) = delete;
  file_slots& operator=(const file_slots&) = delete;
  ~file_slots() { clear(); }

  [[nodiscard]] int held(unsigned slot) const noexcept {
    return slot < slots_.size() ? slots_[slot] : -1;
  }
  /// Makes a table of `count` slots: all empty if `fds` is null, else with these (-1: empty).
  int make(unsigned count, const std::int32_t* fds);
  int drop_table() noexcept;
  /// Puts descriptors into slots from `first` on, or empties them (-1); how many, or -errno if the
  /// first failed.
  int update(unsigned first, const std::int32_t* fds, unsigned count) noexcept;
  /// As above into free slots, whose numbers replace the descriptors.
  int allocate(std::int32_t* fds, unsigned count) noexcept;
  /// Takes over a descriptor that a request made, into `slot` or, for abi::file_index_alloc, a free
  /// one: what the request answers. On failure the descriptor is let go.
  int install(int fd, std::uint32_t slot) noexcept;
  /// Whether `install` would succeed.
  [[nodiscard]] bool has_place(std::uint32_t slot) const noexcept;
  /// Empties a slot: 0, -EBADF, or -ENXIO without a table.
  int close(unsigned slot) noexcept;
  /// Where `allocate` and `install` look for free slots.
  int set_range(unsigned from, unsigned count) noexcept;

 private:
  [[nodiscard]] int free_slot() const noexcept;
  void clear() noexcept;

  backend& below_;
  std::vector<int> slots_;
  unsigned range_from_ = 0, range_to_ = 0;
  bool made_ = false;
};

/// Registered buffers: where each lies.
class buffer_slots {
 public:
  struct region {
    std::uint64_t at = 0, length = 0;
  };
  int make(unsigned count, const region* regions);  // null: all empty
  int drop_table() noexcept;
  int update(unsigned first, const region* regions, unsigned count) noexcept;
  [[nodiscard]] bool covers(unsigned slot, std::uint64_t at, std::uint64_t length) const noexcept;

 private:
  std::vector<region> slots_;
  bool made_ = false;
};

}  // namespace parkring::kernel::emulated
