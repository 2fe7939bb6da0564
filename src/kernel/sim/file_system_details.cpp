// Modes, owners, times and attributes; what a directory lists; locks.
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>

#include "kernel/sim/file_system.hpp"

namespace parkring::kernel::sim {

int file_system::find_here(open_file* at, std::string_view path, bool follows, inode*& result) {
  if (path.empty()) {
    if (at != nullptr && !at->alive()) return -EIO;
    result = at != nullptr ? at->node : root_;
    return 0;
  }
  place where;
  const int error = find(at, path, follows ? follow::always : follow::with_slash, where);
  result = where.found;
  return error;
}

int file_system::change_mode(open_file* at, std::string_view path, unsigned mode, bool follows) {
  inode* node = nullptr;
  if (const int error = find_here(at, path, follows, node)) return error;
  if (node->is_symlink()) return -EOPNOTSUPP;
  node->mode = (node->mode & S_IFMT) | (mode & 07777);
  node->changed = now_;
  return 0;
}

int file_system::change_owner(open_file* at, std::string_view path, std::uint32_t user,
                              std::uint32_t group, bool follows) {
  constexpr std::uint32_t as_it_is = ~0u;
  inode* node = nullptr;
  if (const int error = find_here(at, path, follows, node)) return error;
  if (user != as_it_is) node->user = user;
  if (group != as_it_is) node->group = group;
  node->changed = now_;
  return 0;
}

int file_system::set_times(open_file* at, std::string_view path,
                           std::optional<std::int64_t> accessed,
                           std::optional<std::int64_t> modified, bool follows) {
  inode* node = nullptr;
  if (const int error = find_here(at, path, follows, node)) return error;
  node->accessed = accessed.value_or(node->accessed);
  node->modified = modified.value_or(node->modified);
  node->changed = now_;
  return 0;
}

inode* file_system::with_attributes(open_file* at, std::string_view path, bool follows,
                                    int& error) {
  inode* node = nullptr;
  error = find_here(at, path, follows, node);
  return error == 0 ? node : nullptr;
}

namespace {

// As the kernel lays it out: struct linux_dirent64 of getdents64(2), which is glibc's dirent64.
bool add_entry(std::span<std::byte> out, std::size_t& used, std::string_view name,
               const inode& node, std::int64_t next) {
  constexpr std::size_t head = offsetof(dirent64, d_name);
  const std::size_t size = (head + name.size() + 1 + 7) / 8 * 8;
  if (out.size() - used < size) return false;
  std::byte* const to = out.data() + used;
  std::memset(to, 0, size);
  dirent64 entry;
  entry.d_ino = node.number;
  entry.d_off = next;
  entry.d_reclen = static_cast<unsigned short>(size);
  entry.d_type = static_cast<unsigned char>(IFTODT(node.mode));
  std::memcpy(to, &entry, head);
  std::memcpy(to + head, name.data(), name.size());
  used += size;
  return true;
}

}  // namespace

std::int64_t file_system::read_entries(open_file& directory, std::span<std::byte> out) {
  if (!directory.alive()) return -EIO;
  if (directory.by_path()) return -EBADF;
  const inode& node = *directory.node;
  if (!node.is_directory()) return -ENOTDIR;
  if (removed(node)) return -ENOENT;
  std::size_t used = 0;
  const auto add = [&](std::string_view name, const inode& one) {
    if (!add_entry(out, used, name, one, directory.position + 1)) return false;
    ++directory.position;
    return true;
  };
  const auto answer = [&]() -> std::int64_t {
    return used != 0 ? static_cast<std::int64_t>(used) : -EINVAL;  // not even one fits
  };
  if (directory.position == 0) {
    directory.last_entry.clear();
    if (!add(".", node)) return answer();
  }
  if (directory.position == 1 && !add("..", &node == root_ ? node : *node.parent)) return answer();
  // By name, so that what comes and goes meanwhile does not move the others.
  for (auto at = node.entries.upper_bound(directory.last_entry); at != node.entries.end(); ++at) {
    if (!add(at->first, *at->second)) return answer();
    directory.last_entry = at->first;
  }
  return static_cast<std::int64_t>(used);
}

std::int64_t file_system::seek(const open_file& file, std::int64_t offset, int whence) const {
  if (!file.alive()) return -EIO;
  if (file.by_path()) return -EBADF;
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return -EINVAL;
  const auto size = static_cast<std::int64_t>(file.node->data.size());
  if (offset < 0 || offset >= size) return -ENXIO;
  return whence == SEEK_DATA ? offset : size;
}

int file_system::lock(open_file& file, short type, std::uint64_t offset, std::uint64_t length) {
  if (!file.alive()) return -EIO;
  if (file.by_path()) return -EBADF;
  if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK) return -EINVAL;
  constexpr std::uint64_t farthest = std::numeric_limits<std::int64_t>::max();
  if (offset > farthest || length > farthest) return -EINVAL;
  if (length != 0 && length - 1 > farthest - offset) return -EOVERFLOW;
  if (type == F_RDLCK && !file.readable()) return -EBADF;
  if (type == F_WRLCK && !file.writable()) return -EBADF;
  constexpr auto end = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t from = offset, to = length == 0 ? end : offset + length;
  auto& locks = file.node->locks;
  const auto meets = [&](const inode::lock& l) { return l.from < to && from < l.to; };
  if (type != F_UNLCK) {
    const bool taken = std::ranges::any_of(locks, [&](const inode::lock& l) {
      return l.owner != &file && meets(l) && (l.exclusive || type == F_WRLCK);
    });
    if (taken) return -EAGAIN;
  }
  // What it had there goes; the ends that stick out stay.
  std::vector<inode::lock> rest;
  std::erase_if(locks, [&](const inode::lock& l) {
    if (l.owner != &file || !meets(l)) return false;
    if (l.from < from) rest.push_back({&file, l.exclusive, l.from, from});
    if (l.to > to) rest.push_back({&file, l.exclusive, to, l.to});
    return true;
  });
  locks.insert(locks.end(), rest.begin(), rest.end());
  if (type != F_UNLCK) locks.push_back({&file, type == F_WRLCK, from, to});
  return 0;
}

}  // namespace parkring::kernel::sim
