// The operations on open files.
#include "kernel/sim/file_system.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

namespace parkring::kernel::sim {
namespace {

constexpr std::size_t most_at_once = 0x7fff'f000;  // of read(2) and write(2)
constexpr std::int64_t sector_size = file_data::sector_size;

bool aligned(const open_file& file, std::int64_t offset, std::size_t length) {
  return (file.flags & O_DIRECT) == 0 ||
         (offset % sector_size == 0 && static_cast<std::int64_t>(length) % sector_size == 0);
}
bool too_far(std::int64_t offset, std::size_t length) {
  return offset < 0 || length > static_cast<std::uint64_t>(INT64_MAX - offset);
}

}  // namespace

std::int64_t file_system::read(open_file& file, std::span<std::byte> out, std::int64_t offset,
                               read_fate fate) {
  if (!file.alive()) return -EIO;
  if (!file.readable()) return -EBADF;
  inode& node = *file.node;
  const bool moves = offset == -1;
  if (moves) offset = file.position;
  if (too_far(offset, out.size())) return -EINVAL;
  if (node.is_directory()) return -EISDIR;
  out = out.first(std::min(out.size(), most_at_once));
  if (!aligned(file, offset, out.size())) return -EINVAL;
  if (out.empty()) return 0;
  const auto at = static_cast<std::uint64_t>(offset);
  const bool direct = (file.flags & O_DIRECT) != 0;
  if (const auto bad = node.data.first_bad(at, out.size()); bad && *bad < node.data.size()) {
    const std::uint64_t page = *bad / file_data::page_size * file_data::page_size;
    if (direct || page <= at) return -EIO;
    out = out.first(static_cast<std::size_t>(page - at));
  }
  std::size_t n = node.data.read(at, out, direct);
  if (n != 0 && fate.kind != read_fate::normal) {
    const std::size_t byte = static_cast<std::size_t>(fate.where / 8 % n);
    const auto bit = static_cast<unsigned>(fate.where % 8);
    if (fate.kind == read_fate::rotten) {
      node.data.rot(at + byte, bit);
      n = node.data.read(at, out, direct);
    } else {
      out[byte] ^= std::byte{static_cast<unsigned char>(1u << bit)};
    }
  }
  node.accessed = now_;
  if (moves) file.position = offset + static_cast<std::int64_t>(n);
  return static_cast<std::int64_t>(n);
}

std::int64_t file_system::write(open_file& file, std::span<const std::byte> data,
                                std::int64_t offset, write_fate fate, sync_fate synced) {
  if (!file.alive()) return -EIO;
  if (!file.writable()) return -EBADF;
  inode& node = *file.node;
  const bool moves = offset == -1;
  if (moves) offset = file.position;
  if (too_far(offset, data.size())) return -EINVAL;
  data = data.first(std::min(data.size(), most_at_once));
  if (data.empty()) return 0;
  if ((file.flags & O_APPEND) != 0) offset = static_cast<std::int64_t>(node.data.size());
  const auto at = static_cast<std::uint64_t>(offset);
  if (at >= options_.max_file_size) return -EFBIG;
  data = data.first(
      static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), options_.max_file_size - at)));
  if (!aligned(file, offset, data.size())) return -EINVAL;
  std::size_t reaching = data.size();
  if (fate.kind == write_fate::lost || fate.kind == write_fate::misdirected) reaching = 0;
  if (fate.kind == write_fate::torn) {
    const std::size_t head = static_cast<std::size_t>(at % file_data::sector_size);
    const std::size_t sectors = (head + data.size() - 1) / file_data::sector_size + 1;
    const std::size_t kept = static_cast<std::size_t>(fate.where % sectors);
    reaching = kept == 0 ? 0 : kept * file_data::sector_size - head;
  }
  const std::size_t n = node.data.write(at, data, reaching, space_, draws_, options_);
  if (n == 0) return -ENOSPC;
  if (fate.kind == write_fate::misdirected) misdirect(node, at, data.first(n), fate.where);
  touch(node);
  if (moves) file.position = offset + static_cast<std::int64_t>(n);
  if ((file.flags & O_DSYNC) != 0) {  // O_SYNC contains it
    if (const int error = write_back(node, synced, at, at + n)) {
      file.error_number = node.error_number;
      return error;
    }
  }
  return static_cast<std::int64_t>(n);
}

// The data goes to another sector of some file on the device; the caches do not hear of it.
void file_system::misdirect(const inode& node, std::uint64_t offset,
                            std::span<const std::byte> data, std::uint64_t where) {
  std::uint64_t files = 0;
  for (const auto& one : inodes_) files += one && one->data.durable_size() != 0;
  if (files == 0) return;
  std::uint64_t chosen = where % files;
  where /= files;
  for (const auto& one : inodes_) {
    if (!one || one->data.durable_size() == 0 || chosen-- != 0) continue;
    const std::uint64_t sectors = (one->data.durable_size() - 1) / file_data::sector_size + 1;
    std::uint64_t sector = where % sectors;
    if (one.get() == &node && sector == offset / file_data::sector_size) {
      if (sectors == 1) return;
      sector = (sector + 1) % sectors;
    }
    const std::uint64_t goal = sector * file_data::sector_size + offset % file_data::sector_size;
    const std::uint64_t end = sectors * file_data::sector_size;
    if (goal < end)
      one->data.overwrite_device(
          goal,
          data.first(static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), end - goal))));
    return;
  }
}

int file_system::truncate(inode& node, std::int64_t size) {
  if (static_cast<std::uint64_t>(size) > options_.max_file_size) return -EFBIG;
  node.data.truncate(static_cast<std::uint64_t>(size), space_, draws_, options_);
  touch(node);
  return 0;
}

int file_system::truncate(open_file* at, std::string_view path, std::int64_t size) {
  if (size < 0) return -EINVAL;
  place where;
  if (const int error = find(at, path, follow::always, where)) return error;
  if (where.found->is_directory()) return -EISDIR;
  return truncate(*where.found, size);
}

int file_system::truncate(open_file& file, std::int64_t size) {
  if (!file.alive()) return -EIO;
  if (size < 0) return -EINVAL;
  if (file.by_path()) return -EBADF;
  if (!file.writable()) return -EINVAL;
  return truncate(*file.node, size);
}

int file_system::fallocate(open_file& file, int mode, std::int64_t offset, std::int64_t length) {
  if (!file.alive()) return -EIO;
  if (file.by_path()) return -EBADF;
  if (offset < 0 || length <= 0) return -EINVAL;
  const bool keeps = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const int what = mode & ~FALLOC_FL_KEEP_SIZE;
  if (what != 0 && what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE) return -EOPNOTSUPP;
  if (what == FALLOC_FL_PUNCH_HOLE && !keeps) return -EOPNOTSUPP;
  if (!file.writable()) return -EBADF;
  inode& node = *file.node;
  const auto from = static_cast<std::uint64_t>(offset), bytes = static_cast<std::uint64_t>(length);
  if (too_far(offset, bytes) || from + bytes > options_.max_file_size) return -EFBIG;
  if (what == FALLOC_FL_PUNCH_HOLE) {
    node.data.zero(from, bytes, true, space_, draws_, options_);
  } else {
    if (!node.data.allocate(from, bytes, space_)) return -ENOSPC;
    if (what == FALLOC_FL_ZERO_RANGE) node.data.zero(from, bytes, false, space_, draws_, options_);
    if (!keeps) node.data.grow(std::max(node.data.size(), from + bytes));
  }
  touch(node);
  return 0;
}

int file_system::write_back(inode& node, sync_fate fate, std::uint64_t from, std::uint64_t to) {
  if (node.data.sync(fate == sync_fate::refused, draws_, options_, from, to)) return 0;
  ++node.error_number;
  node.error_seen = true;
  return -EIO;
}

// A write-back that failed before, and that this open file has not heard of.
int file_system::report_error(open_file& file) {
  if (file.error_number == file.node->error_number) return 0;
  file.error_number = file.node->error_number;
  file.node->error_seen = true;
  return -EIO;
}

int file_system::sync(open_file& file, sync_fate fate) {
  if (!file.alive()) return -EIO;
  if (file.by_path()) return -EBADF;
  inode& node = *file.node;
  if (node.is_directory()) {
    if (fate == sync_fate::refused) return -EIO;
    std::vector<inode*> released;
    journal_.commit_directory(node, released);
    collect(released);
    return 0;
  }
  write_back(node, fate, 0, ~std::uint64_t{});
  if (const int error = report_error(file)) return error;
  if (!options_.strict_directories) {
    std::vector<inode*> released;
    journal_.commit_all(released);
    collect(released);
  }
  return 0;
}

int file_system::sync_range(open_file& file, std::int64_t offset, std::int64_t length) {
  if (!file.alive()) return -EIO;
  if (file.by_path()) return -EBADF;
  return offset < 0 || length < 0 || too_far(offset, static_cast<std::size_t>(length)) ? -EINVAL
                                                                                       : 0;
}

int file_system::persist(std::string_view path) {
  place where;
  if (const int error = walk(nullptr, path, follow::always, where)) return error;
  if (where.found != nullptr && where.found->is_regular()) {
    if (const int error = write_back(*where.found, sync_fate::normal, 0, ~std::uint64_t{}))
      return error;
  }
  std::vector<inode*> released;
  for (inode* d = where.directory;; d = d->parent) {
    journal_.commit_directory(*d, released);
    if (d == root_) break;
  }
  collect(released);
  return 0;
}

}  // namespace parkring::kernel::sim
