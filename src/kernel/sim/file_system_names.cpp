// The operations that make, move and remove names.
#include "kernel/sim/file_system.hpp"

#include <fcntl.h>
#include <stdio.h>  // RENAME_NOREPLACE

#include <cerrno>

namespace parkring::kernel::sim {

int file_system::make_nameless(std::uint32_t mode, inode*& result) {
  if (live_ >= options_.inodes) return -ENOSPC;
  auto node = std::make_unique<inode>();
  node->number = inodes_.size() + 1;
  node->mode = mode;
  node->born = node->accessed = node->modified = node->changed = now_;
  result = node.get();
  ++live_;
  inodes_.push_back(std::move(node));
  return 0;
}

// A new inode with its first name.
int file_system::make(place& where, std::uint32_t mode, inode*& result) {
  inode& directory = *where.directory;
  if (removed(directory)) return -ENOENT;
  if (const int error = make_nameless(mode, result)) return error;
  result->links = S_ISDIR(mode) ? 2 : 1;
  if (result->is_directory()) {
    result->parent = &directory;
    ++directory.links;
  }
  directory.entries.emplace(where.leaf, result);
  journal_.add({&directory, std::string(where.leaf), result, nullptr});
  touch(directory);
  journal_grew();
  return 0;
}

int file_system::open(open_file* at, std::string_view path, int flags, unsigned mode,
                      open_ref& result, bool beneath) {
  const bool nameless = (flags & O_TMPFILE) == O_TMPFILE;
  if (nameless && ((flags & O_ACCMODE) == O_RDONLY || (flags & O_CREAT) != 0)) return -EINVAL;
  if ((flags & O_PATH) != 0) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const bool create = (flags & O_CREAT) != 0;
  if (create && (flags & O_DIRECTORY) != 0) return -EINVAL;
  const bool nofollow = (flags & O_NOFOLLOW) != 0 || (create && (flags & O_EXCL) != 0);
  place where;
  const follow last = !nofollow ? create ? follow::create : follow::always
                      : create  ? follow::never
                                : follow::with_slash;
  if (const int error = walk(at, path, last, where, beneath)) return error;
  if (nameless) {
    if (where.found == nullptr) return -ENOENT;
    if (!where.found->is_directory()) return -ENOTDIR;
    if (removed(*where.found)) return -ENOENT;
    inode* file = nullptr;
    if (const int error = make_nameless(S_IFREG | (mode & 07777), file)) return error;
    file->linkable = (flags & O_EXCL) == 0;
    result = opened(*file, flags & ~O_TMPFILE);
    return 0;
  }
  if (create && where.last == place::name && where.slash) return -EISDIR;
  inode* node = where.found;
  bool made = false;
  if (node == nullptr) {
    if (!create) return -ENOENT;
    if (where.last != place::name) return -ENOENT;
    if (const int error = make(where, S_IFREG | (mode & 07777), node)) return error;
    made = true;
  }
  if (create && !made) {
    if ((flags & O_EXCL) != 0) return -EEXIST;
    if (node->is_directory()) return -EISDIR;
  }
  if (((flags & O_DIRECTORY) != 0 || where.slash) && !node->is_directory()) return -ENOTDIR;
  if ((flags & O_PATH) == 0) {
    if (node->is_symlink()) return -ELOOP;
    const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
    if (node->is_directory() && writes) return -EISDIR;
    if (node->is_directory() && (flags & O_DIRECT) != 0) return -EINVAL;
    if ((flags & O_TRUNC) != 0 && !made && !node->is_fifo()) truncate(*node, 0);
  }
  result = opened(*node, flags);
  return 0;
}

int file_system::reopen(open_file& file, int flags, open_ref& result) {
  if (!file.alive()) return -EIO;
  if (file.node->is_symlink()) return -ELOOP;
  if (!file.node->is_directory() && (flags & O_DIRECTORY) != 0) return -ENOTDIR;
  if (file.node->is_directory() && (flags & O_ACCMODE) != O_RDONLY) return -EISDIR;
  result = opened(*file.node, flags);
  return 0;
}

int file_system::mkdir(open_file* at, std::string_view path, unsigned mode) {
  place where;
  if (const int error = walk(at, path, follow::never, where)) return error;
  if (where.last != place::name || where.found != nullptr) return -EEXIST;
  inode* node = nullptr;
  return make(where, S_IFDIR | (mode & 01777), node);
}

int file_system::mkfifo(open_file* at, std::string_view path, unsigned mode) {
  place where;
  if (const int error = walk(at, path, follow::never, where)) return error;
  if (where.last != place::name || where.found != nullptr) return -EEXIST;
  if (where.slash) return -ENOENT;
  inode* node = nullptr;
  return make(where, S_IFIFO | (mode & 0777), node);
}

int file_system::symlink(std::string_view target, open_file* at, std::string_view path) {
  if (target.empty()) return -ENOENT;
  if (target.size() >= 4096) return -ENAMETOOLONG;
  place where;
  if (const int error = walk(at, path, follow::never, where)) return error;
  if (where.last != place::name || where.found != nullptr) return -EEXIST;
  if (where.slash) return -ENOENT;
  inode* node = nullptr;
  if (const int error = make(where, S_IFLNK | 0777, node)) return error;
  node->target = target;
  return 0;
}

int file_system::link(open_file* from_at, std::string_view from, open_file* to_at,
                      std::string_view to, int flags) {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) return -EINVAL;
  place source, where;
  inode* node = nullptr;
  if (from.empty() && (flags & AT_EMPTY_PATH) != 0 && from_at != nullptr) {
    if (!from_at->alive()) return -EIO;
    node = from_at->node;
  } else {
    const bool follows = (flags & AT_SYMLINK_FOLLOW) != 0;
    const int error = find(from_at, from, follows ? follow::always : follow::with_slash, source);
    if (error) return error;
    node = source.found;
  }
  if (const int error = walk(to_at, to, follow::never, where)) return error;
  if (where.last != place::name || where.found != nullptr) return -EEXIST;
  if (where.slash) return -ENOENT;
  if (removed(*where.directory)) return -ENOENT;
  if (node->is_directory()) return -EPERM;
  if (node->links == 0 && !node->linkable) return -ENOENT;
  if (node->links >= 65000) return -EMLINK;
  ++node->links;
  node->linkable = false;
  node->changed = now_;
  where.directory->entries.emplace(where.leaf, node);
  journal_.add({where.directory, std::string(where.leaf), node, nullptr});
  touch(*where.directory);
  journal_grew();
  return 0;
}

int file_system::unlink(open_file* at, std::string_view path, int flags) {
  if ((flags & ~AT_REMOVEDIR) != 0) return -EINVAL;
  const bool directory = (flags & AT_REMOVEDIR) != 0;
  place where;
  if (const int error = walk(at, path, follow::never, where)) return error;
  if (where.last != place::name) {
    if (!directory) return -EISDIR;
    return where.last == place::dot ? -EINVAL : where.last == place::root ? -EBUSY : -ENOTEMPTY;
  }
  inode* node = where.found;
  if (node == nullptr) return -ENOENT;
  if (!directory) {
    if (node->is_directory()) return -EISDIR;
    if (where.slash) return -ENOTDIR;
  } else {
    if (!node->is_directory()) return -ENOTDIR;
    if (!node->entries.empty()) return -ENOTEMPTY;
  }
  const std::string name(where.leaf);
  journal_.add({where.directory, name, nullptr, node});
  unlink_entry(*where.directory, name);
  journal_grew();
  return 0;
}

// Takes a name from what programs see.
void file_system::unlink_entry(inode& directory, const std::string& name) {
  const auto entry = directory.entries.find(name);
  inode& node = *entry->second;
  directory.entries.erase(entry);
  touch(directory);
  node.changed = now_;
  if (node.is_directory()) {
    node.links = 0;
    node.parent = nullptr;
    --directory.links;
  } else {
    --node.links;
  }
  collect(node);
}

int file_system::rename(open_file* from_at, std::string_view from, open_file* to_at,
                        std::string_view to, unsigned flags) {
  if ((flags & ~unsigned{RENAME_NOREPLACE | RENAME_EXCHANGE}) != 0) return -EINVAL;
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (exchange && (flags & RENAME_NOREPLACE) != 0) return -EINVAL;
  place source, goal;
  if (const int error = walk(from_at, from, follow::never, source)) return error;
  if (const int error = walk(to_at, to, follow::never, goal)) return error;
  if (source.last != place::name) return -EBUSY;
  if (goal.last != place::name) return (flags & RENAME_NOREPLACE) != 0 ? -EEXIST : -EBUSY;
  if (source.found == nullptr) return -ENOENT;
  if ((flags & RENAME_NOREPLACE) != 0 && goal.found != nullptr) return -EEXIST;
  if (exchange) {
    if (goal.found == nullptr) return -ENOENT;
    if (goal.slash && !goal.found->is_directory()) return -ENOTDIR;
  }
  if (!source.found->is_directory()) {
    if (source.slash) return -ENOTDIR;
    if (!exchange && goal.slash) return -ENOTDIR;
  }
  // Neither may lie within the other.
  for (const inode* up = goal.directory; up != nullptr; up = up == root_ ? nullptr : up->parent)
    if (up == source.found) return -EINVAL;
  for (const inode* up = source.directory; up != nullptr; up = up == root_ ? nullptr : up->parent)
    if (up == goal.found) return exchange ? -EINVAL : -ENOTEMPTY;
  if (source.found == goal.found) return 0;
  return rename_checked(source, goal, flags);
}

int file_system::rename_checked(place& from, place& to, unsigned flags) {
  inode& node = *from.found;
  inode* old = to.found;
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (removed(*to.directory)) return -ENOENT;
  if (old != nullptr && !exchange) {
    if (node.is_directory() && !old->is_directory()) return -ENOTDIR;
    if (!node.is_directory() && old->is_directory()) return -EISDIR;
    if (old->is_directory() && !old->entries.empty()) return -ENOTEMPTY;
  }
  const std::string from_name(from.leaf), to_name(to.leaf);
  const bool elsewhere = from.directory != to.directory;
  const bool moves_directory =
      elsewhere && (node.is_directory() || (exchange && old->is_directory()));
  journal_.add({from.directory, from_name, exchange ? old : nullptr, &node},
               {to.directory, to_name, &node, old}, moves_directory);
  const auto moved = [&](inode& one, inode& out_of, inode& into) {
    one.changed = now_;
    if (!one.is_directory()) return;
    --out_of.links;
    ++into.links;
    one.parent = &into;
  };
  if (exchange) {
    from.directory->entries.find(from_name)->second = old;
    to.directory->entries.find(to_name)->second = &node;
    moved(*old, *to.directory, *from.directory);
  } else {
    if (old != nullptr) unlink_entry(*to.directory, to_name);
    from.directory->entries.erase(from.directory->entries.find(from_name));
    to.directory->entries.emplace(to_name, &node);
  }
  moved(node, *from.directory, *to.directory);
  touch(*from.directory);
  touch(*to.directory);
  journal_grew();
  return 0;
}

}  // namespace parkring::kernel::sim
