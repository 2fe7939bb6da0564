#include "fs/file_table.hpp"

#include "kernel/abi.hpp"

namespace parkring::fs {

namespace abi = kernel::abi;

bool file_table::make_table() noexcept {
  made_ = true;
  const unsigned slots = core_.options.registered_files;
  if (slots == 0) return false;
  try {
    free_.reserve(slots);
  } catch (...) {
    return false;
  }
  const abi::rsrc_register table{
      .nr = slots, .flags = abi::rsrc_register_sparse, .resv2 = 0, .data = 0, .tags = 0};
  if (core_.driver.ring.reg(abi::register_files2, &table, sizeof table) < 0) return false;
  for (int slot = static_cast<int>(slots); slot-- > 0;) free_.push_back(slot);
  return true;
}

int file_table::add(int fd) noexcept {
  if (!made_) make_table();
  if (free_.empty()) return -1;
  const int slot = free_.back();
  const abi::rsrc_update update{.offset = static_cast<std::uint32_t>(slot),
                                .resv = 0,
                                .data = reinterpret_cast<std::uint64_t>(&fd)};
  if (core_.driver.ring.reg(abi::register_files_update, &update, 1) != 1) return -1;
  free_.pop_back();
  return slot;
}

}  // namespace parkring::fs
