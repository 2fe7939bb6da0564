#include "fs/tree/tree_place.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <parkring/detail/check.hpp>

namespace parkring::fs {

// A chain as long as the tree is deep ends without recursion.
tree_place::~tree_place() {
  std::shared_ptr<tree_place> up = std::move(parent_);
  while (up && up.use_count() == 1) {
    std::shared_ptr<tree_place> next = std::move(up->parent_);
    up = std::move(next);
  }
}
open_dir::~open_dir() {
  if (budget_) budget_->left.fetch_add(1, std::memory_order_relaxed);
  std::shared_ptr<open_dir> up = std::move(above_);
  while (up && up.use_count() == 1) {
    std::shared_ptr<open_dir> next = std::move(up->above_);
    up = std::move(next);
  }
}

std::string tree_place::relative_path(std::string_view name) const {
  std::vector<std::string_view> parts;
  if (!name.empty()) parts.push_back(name);
  for (const tree_place* p = this; p->parent_; p = p->parent_.get()) parts.emplace_back(p->name_);
  std::string result;
  for (std::size_t i = parts.size(); i-- > 0;) {
    result += parts[i];
    if (i != 0) result += '/';
  }
  return result;
}

std::string tree_place::path(std::string_view name) const {
  const tree_place* root = this;
  while (root->parent_) root = root->parent_.get();
  const std::string below = relative_path(name);
  std::string result = root->name_;
  if (below.empty()) return result;
  if (!result.ends_with('/')) result += '/';
  return result += below;
}

call_fd open_dir::keep(call_fd fd, const shared_budget& budget) noexcept {
  if (budget->left.fetch_sub(1, std::memory_order_relaxed) <= 0) {
    budget->left.fetch_add(1, std::memory_order_relaxed);
    return fd;
  }
  budget_ = budget;
  fd_ = std::move(fd);
  above_.reset();
  return {};
}

bool tree_place::skipped_here_or_above() const noexcept {
  for (const tree_place* p = this; p != nullptr; p = p->parent_.get())
    if (p->skipped.load(std::memory_order_relaxed)) return true;
  return false;
}

int directory_flags(bool follow) noexcept {
  return O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
}

int places_to_keep(const kernel::file_calls& calls, int most) noexcept {
  // The rest is for what jobs open for a time, and for the program.
  const std::uint64_t part = std::max<std::uint64_t>(calls.most_descriptors() / 4, 2);
  return static_cast<int>(std::min<std::uint64_t>(static_cast<std::uint64_t>(most), part));
}

namespace {

// The last names of `way` that fit into one path, which goes down to the first of them.
std::size_t join_names(const std::vector<const tree_place*>& way, std::size_t left,
                       std::string& path) {
  constexpr std::size_t longest = 4095;
  std::size_t n = 0;
  for (path.clear(); n < left; ++n) {
    const std::string& name = way[left - n - 1]->name();
    if (!path.empty() && path.size() + 1 + name.size() > longest) break;
    if (!path.empty()) path += '/';
    path += name;
  }
  return n;
}

}  // namespace

reached reach(kernel::file_calls& calls, const open_dir& directory, bool follow) {
  reached result;
  std::vector<const tree_place*> closed;  // the deepest first
  const open_dir* d = &directory;
  while (d != nullptr && d->fd() < 0) {
    closed.push_back(&d->place());
    d = d->above().get();
  }
  // Nothing is found by the root's path once more: that may lead elsewhere by now.
  PARKRING_CHECK(d != nullptr, "the root is the first that asks the budget, and keeps its own");
  int at = d->fd();
  std::string path;
  for (std::size_t left = closed.size(); left > 0;) {
    std::size_t names = left == 1 ? 1 : join_names(closed, left, path);
    int fd = -ENOSYS;
    if (names > 1) {
      fd = follow ? calls.open(at, path.c_str(), directory_flags(true), 0)
                  : calls.open_without_links(at, path.c_str());
    }
    // The system follows forty links in a path and no more, but any number one after the other.
    if (fd == -ENOSYS || (follow && fd == -ELOOP)) {
      names = 1;
      fd = calls.open(at, closed[left - 1]->name().c_str(), directory_flags(follow), 0);
    }
    if (fd < 0) {
      result.error = fd;
      return result;
    }
    result.opened = call_fd(calls, fd);
    at = fd;
    left -= names;
  }
  result.fd = at;
  return result;
}

listed_entry take_listed(const std::byte*& at) noexcept {
  constexpr std::size_t length_at = 16, type_at = 18, name_at = 19;  // of struct linux_dirent64
  listed_entry e;
  std::uint16_t length;
  std::memcpy(&e.inode, at, sizeof e.inode);
  std::memcpy(&length, at + length_at, sizeof length);
  e.d_type = static_cast<unsigned char>(at[type_at]);
  e.name = reinterpret_cast<const char*>(at + name_at);
  at += length;
  return e;
}

}  // namespace parkring::fs
