#include "kernel/sim/file_system.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace parkring::kernel::sim {
namespace {

constexpr std::size_t longest_journal = 4096;  // then the older half is written, as by a timer

void set_time(struct statx_timestamp& stamp, std::int64_t ns) {
  constexpr std::int64_t second = 1'000'000'000;
  const std::int64_t rest = (ns % second + second) % second;  // also before 1970
  stamp.tv_sec = (ns - rest) / second;
  stamp.tv_nsec = static_cast<std::uint32_t>(rest);
}

void fill(const inode& node, struct statx& s) {
  s = {};
  s.stx_mask = STATX_BASIC_STATS | STATX_BTIME;
  s.stx_blksize = file_data::page_size;
  s.stx_nlink = node.links;
  s.stx_mode = static_cast<std::uint16_t>(node.mode);
  s.stx_uid = node.user;
  s.stx_gid = node.group;
  s.stx_ino = node.number;
  s.stx_size = node.is_regular() ? node.data.size() : node.is_symlink() ? node.target.size() : 4096;
  s.stx_blocks = node.is_directory() ? 8 : node.data.allocated() * 8;
  set_time(s.stx_atime, node.accessed);
  set_time(s.stx_btime, node.born);
  set_time(s.stx_ctime, node.changed);
  set_time(s.stx_mtime, node.modified);
  s.stx_dev_major = 8;
  s.stx_dev_minor = 1;
}

}  // namespace

file_system::file_system(const disk_options& options, std::uint64_t seed)
    : options_(options),
      draws_(seed),
      space_{options.capacity / file_data::page_size, 0},
      journal_(options.reorder_metadata) {
  auto root = std::make_unique<inode>();
  root->number = 1;
  root->mode = S_IFDIR | 0755;
  root->links = 2;
  root_ = root->parent = root.get();
  inodes_.push_back(std::move(root));
  live_ = 1;
}

file_system::~file_system() {
  for (open_file* file = files_; file != nullptr; file = file->next) {
    file->node = nullptr;
    file->owner = nullptr;
  }
}

open_ref file_system::opened(inode& node, int flags) {
  auto* file = new open_file;
  file->owner = this;
  file->node = &node;
  file->flags = flags;
  // An error nobody was told of is told to whoever opens the file next.
  file->error_number = node.error_seen ? node.error_number : node.error_number - 1;
  file->next = files_;
  if (files_ != nullptr) files_->previous = file;
  files_ = file;
  ++node.opened;
  return open_ref(file);
}

void close_open_file(open_file* file) noexcept {
  if (file_system* owner = file->owner) {
    (file->previous ? file->previous->next : owner->files_) = file->next;
    if (file->next) file->next->previous = file->previous;
    std::erase_if(file->node->locks, [file](const inode::lock& l) { return l.owner == file; });
    --file->node->opened;
    owner->collect(*file->node);
  }
  delete file;
}

// Gives up what nobody can reach: its space when programs cannot, itself when no cut can.
void file_system::collect(inode& one) {
  if (one.links != 0 || one.opened != 0) return;
  if (one.counted) {
    one.counted = false;
    --live_;
    one.data.forget_space(space_);
  }
  if (one.pins != 0) return;
  for (auto& [name, child] : one.durable) {
    --child->pins;
    if (child->links == 0) collect(*child);
  }
  inodes_[one.number - 1].reset();
}

void file_system::collect(std::vector<inode*>& candidates) {
  // One may be named several times: it must not be looked at after it has gone.
  std::vector<std::uint64_t> numbers;
  numbers.reserve(candidates.size());
  std::ranges::sort(candidates, {}, [](const inode* i) { return i->number; });
  for (const inode* i : candidates)
    if (numbers.empty() || numbers.back() != i->number) numbers.push_back(i->number);
  for (const std::uint64_t number : numbers)
    if (inode* i = inodes_[number - 1].get()) collect(*i);
}

void file_system::journal_grew() {
  if (journal_.size() < longest_journal) return;
  std::vector<inode*> released;
  journal_.commit_first(longest_journal / 2, released);
  collect(released);
}

void file_system::power_cut(random& draws) {
  for (open_file* file = files_; file != nullptr; file = file->next) {
    file->node->opened = 0;
    file->node->locks.clear();
    file->node = nullptr;
    file->owner = nullptr;
  }
  files_ = nullptr;
  std::vector<inode*> released;  // everything is looked at anyway
  journal_.cut(draws, released);

  for (const auto& one : inodes_) {
    if (!one) continue;
    one->links = one->pins = 0;
    one->entries.clear();
  }
  root_->links = 2;
  std::vector<inode*> reached{root_};
  while (!reached.empty()) {
    inode& directory = *reached.back();
    reached.pop_back();
    directory.entries = directory.durable;
    for (auto& [name, child] : directory.entries) {
      ++child->pins;
      ++child->links;
      if (!child->is_directory()) continue;
      ++child->links;
      ++directory.links;
      child->parent = &directory;
      reached.push_back(child);
    }
  }
  live_ = 0;
  space_.used = 0;
  for (auto& one : inodes_) {
    if (!one) continue;
    if (one->links == 0) {
      one.reset();
      continue;
    }
    ++live_;
    if (!one->counted) one->counted = true;
    space_.used += one->data.allocated();
    one->data.cut(draws, options_, space_);
    one->error_seen = true;
  }
}

void file_system::mark_bad(open_file& file, std::uint64_t offset, std::uint64_t length) {
  if (file.alive() && file.node->is_regular()) file.node->data.mark_bad(offset, length, space_);
}

void file_system::drop_caches() {
  for (const auto& one : inodes_)
    if (one) one->data.drop_cache();
}

int file_system::stat(const open_file& file, struct statx& result) const {
  if (!file.alive()) return -EIO;
  fill(*file.node, result);
  return 0;
}

int file_system::stat(open_file* at, std::string_view path, int flags, unsigned mask,
                      struct statx& result) {
  constexpr int known = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE;
  if ((flags & ~known) != 0 || (mask & STATX__RESERVED) != 0) return -EINVAL;
  if ((flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE) return -EINVAL;
  if (path.empty() && (flags & AT_EMPTY_PATH) != 0) {
    if (at != nullptr && !at->alive()) return -EIO;
    fill(at != nullptr ? *at->node : *root_, result);
    return 0;
  }
  place where;
  const bool follows = (flags & AT_SYMLINK_NOFOLLOW) == 0;
  const int error = find(at, path, follows ? follow::always : follow::with_slash, where);
  if (error) return error;
  fill(*where.found, result);
  return 0;
}

int file_system::read_link(open_file* at, std::string_view path, std::string& result) {
  place where;
  if (const int error = find(at, path, follow::with_slash, where)) return error;
  if (!where.found->is_symlink()) return -EINVAL;
  result = where.found->target;
  return 0;
}

int file_system::list(open_file* at, std::string_view path, std::vector<std::string>& result) {
  place where;
  if (const int error = find(at, path, follow::always, where)) return error;
  if (!where.found->is_directory()) return -ENOTDIR;
  result.clear();
  for (const auto& [name, node] : where.found->entries) result.push_back(name);
  return 0;
}

void file_system::hash_directory(const inode& directory, std::uint64_t& h) const {
  const auto mix = [&h](std::uint64_t value) {
    h = (h ^ value) * 0x9e37'79b9'7f4a'7c15;
    h ^= h >> 29;
  };
  const auto mix_text = [&](std::string_view text) {
    mix(text.size());
    for (const char c : text) mix(static_cast<unsigned char>(c));
  };
  for (const auto& [name, node] : directory.entries) {
    mix_text(name);
    mix(node->mode & S_IFMT);
    if (node->is_symlink()) mix_text(node->target);
    if (node->is_regular()) mix(node->data.hash(1));
    if (node->is_directory()) hash_directory(*node, h);
  }
  mix(0);
}

std::uint64_t file_system::hash() const {
  std::uint64_t h = 1;
  hash_directory(*root_, h);
  return h;
}

}  // namespace parkring::kernel::sim
