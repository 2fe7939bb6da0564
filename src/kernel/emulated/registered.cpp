#include "kernel/emulated/registered.hpp"

#include <cerrno>
#include <utility>

namespace parkring::kernel::emulated {
namespace {
constexpr unsigned most_files = 1u << 20;
constexpr unsigned most_buffers = 1u << 14;
}  // namespace

int file_slots::make(unsigned count, const std::int32_t* fds) {
  if (made_) return -EBUSY;
  if (count == 0) return -EINVAL;
  if (count > most_files) return -EMFILE;
  slots_.assign(count, -1);
  made_ = true;
  range_from_ = 0;
  range_to_ = count;
  for (unsigned i = 0; fds != nullptr && i < count; ++i) {
    if (fds[i] == -1) continue;
    const int held = below_.hold(fds[i]);
    if (held < 0) {
      drop_table();
      return held;
    }
    slots_[i] = held;
  }
  return 0;
}

int file_slots::drop_table() noexcept {
  if (!made_) return -ENXIO;
  clear();
  slots_.clear();
  made_ = false;
  return 0;
}

void file_slots::clear() noexcept {
  for (int& held : slots_) {
    if (held >= 0) below_.let_go(std::exchange(held, -1));
  }
}

int file_slots::update(unsigned first, const std::int32_t* fds, unsigned count) noexcept {
  if (!made_) return -ENXIO;
  if (std::uint64_t{first} + count > slots_.size()) return -EINVAL;
  for (unsigned i = 0; i < count; ++i) {
    if (fds[i] == abi::register_files_skip) continue;
    int held = -1;
    if (fds[i] != -1) {
      held = below_.hold(fds[i]);
      if (held < 0) return i != 0 ? static_cast<int>(i) : held;
    }
    int& slot = slots_[first + i];
    if (slot >= 0) below_.let_go(slot);
    slot = held;
  }
  return static_cast<int>(count);
}

int file_slots::free_slot() const noexcept {
  for (unsigned i = range_from_; i < range_to_; ++i)
    if (slots_[i] < 0) return static_cast<int>(i);
  return -ENFILE;
}

int file_slots::allocate(std::int32_t* fds, unsigned count) noexcept {
  if (!made_) return -ENXIO;
  for (unsigned i = 0; i < count; ++i) {
    const int slot = free_slot();
    const int held = slot < 0 ? slot : below_.hold(fds[i]);
    if (held < 0) return i != 0 ? static_cast<int>(i) : held;
    slots_[static_cast<unsigned>(slot)] = held;
    fds[i] = slot;
  }
  return static_cast<int>(count);
}

int file_slots::install(int fd, std::uint32_t slot) noexcept {
  int at = static_cast<int>(slot);
  if (!made_)
    at = -ENXIO;
  else if (slot == abi::file_index_alloc)
    at = free_slot();
  else if (--at < 0 || static_cast<unsigned>(at) >= slots_.size())
    at = -EINVAL;
  if (at < 0) {
    below_.let_go(fd);
    return at;
  }
  int& place = slots_[static_cast<unsigned>(at)];
  if (place >= 0) below_.let_go(place);
  place = fd;
  return slot == abi::file_index_alloc ? at : 0;
}

bool file_slots::has_place(std::uint32_t slot) const noexcept {
  if (!made_) return false;
  return slot == abi::file_index_alloc ? free_slot() >= 0 : slot - 1 < slots_.size();
}

int file_slots::close(unsigned slot) noexcept {
  if (!made_) return -ENXIO;
  if (slot >= slots_.size()) return -EINVAL;
  if (slots_[slot] < 0) return -EBADF;
  below_.let_go(std::exchange(slots_[slot], -1));
  return 0;
}

int file_slots::set_range(unsigned from, unsigned count) noexcept {
  if (std::uint64_t{from} + count > slots_.size()) return -EINVAL;
  range_from_ = from;
  range_to_ = from + count;
  return 0;
}

int buffer_slots::make(unsigned count, const region* regions) {
  if (made_) return -EBUSY;
  if (count == 0 || count > most_buffers) return -EINVAL;
  slots_.assign(count, {});
  made_ = true;
  const int answer = regions == nullptr ? 0 : update(0, regions, count);
  if (answer < 0) drop_table();
  return answer < 0 ? answer : 0;
}

int buffer_slots::drop_table() noexcept {
  if (!made_) return -ENXIO;
  slots_.clear();
  made_ = false;
  return 0;
}

int buffer_slots::update(unsigned first, const region* regions, unsigned count) noexcept {
  if (!made_) return -ENXIO;
  if (std::uint64_t{first} + count > slots_.size()) return -EINVAL;
  for (unsigned i = 0; i < count; ++i) {
    const region& r = regions[i];
    if ((r.at == 0) != (r.length == 0) || r.length > std::uint64_t{1} << 30 ||
        r.at + r.length < r.at)
      return i != 0 ? static_cast<int>(i) : -EFAULT;
    slots_[first + i] = r;
  }
  return static_cast<int>(count);
}

bool buffer_slots::covers(unsigned slot, std::uint64_t at, std::uint64_t length) const noexcept {
  if (slot >= slots_.size() || slots_[slot].length == 0) return false;
  const region& r = slots_[slot];
  return at >= r.at && at + length >= at && at + length <= r.at + r.length;
}

}  // namespace parkring::kernel::emulated
