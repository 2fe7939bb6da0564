// From a path to an inode, as path_resolution(7).
#include "kernel/sim/file_system.hpp"

#include <cerrno>

namespace parkring::kernel::sim {
namespace {

constexpr std::size_t path_limit = 4096;  // with the final zero
constexpr std::size_t name_limit = 255;
constexpr unsigned link_limit = 40;

std::string_view without_slashes(std::string_view path) {
  const std::size_t first = path.find_first_not_of('/');
  return first == path.npos ? std::string_view{} : path.substr(first);
}

}  // namespace

// Leads to the last name, which need not exist: `found` may be null.
int file_system::walk(open_file* at, std::string_view path, follow last, place& result,
                      bool beneath) {
  if (path.empty()) return -ENOENT;
  if (path.size() >= path_limit) return -ENAMETOOLONG;
  if (beneath && path.front() == '/') return -EXDEV;
  inode* here = root_;
  if (path.front() != '/' && at != nullptr) {
    if (!at->alive()) return -EIO;
    if (!at->node->is_directory()) return -ENOTDIR;
    here = at->node;
  }
  const inode* const start = here;
  std::string_view rest = without_slashes(path);
  for (unsigned links = 0;;) {
    if (rest.empty()) {  // "/", or a link to it
      result.last = place::root;
      result.directory = result.found = here;
      result.slash = true;
      return 0;
    }
    const std::string_view component = rest.substr(0, rest.find('/'));
    const bool slash = component.size() < rest.size();
    const std::string_view after = without_slashes(rest.substr(component.size()));
    if (!here->is_directory()) return -ENOTDIR;
    if (component.size() > name_limit) return -ENAMETOOLONG;
    inode* next = nullptr;
    result.last = place::name;
    if (component == ".") {
      result.last = place::dot;
      next = here;
    } else if (component == "..") {
      if (beneath && here == start) return -EXDEV;
      result.last = place::dot_dot;
      next = here == root_ ? root_ : here->parent;
    } else if (const auto entry = here->entries.find(component); entry != here->entries.end()) {
      next = entry->second;
    }
    const bool is_last = after.empty();
    const bool creates = last == follow::create;
    if (is_last && creates && slash && result.last == place::name) return -EISDIR;
    const bool follows =
        !is_last || last == follow::always || creates || (last == follow::with_slash && slash);
    if (next != nullptr && next->is_symlink() && follows) {
      if (++links > link_limit) return -ELOOP;
      std::string expanded = next->target;
      if (slash) expanded += '/';
      expanded += after;
      result.expanded.swap(expanded);
      if (beneath && result.expanded.front() == '/') return -EXDEV;
      if (result.expanded.front() == '/') here = root_;
      rest = without_slashes(result.expanded);
      continue;
    }
    if (is_last) {
      result.directory = here;
      result.found = next;
      result.leaf = component;
      result.slash = slash;
      return 0;
    }
    if (next == nullptr) return -ENOENT;
    here = next;
    rest = after;
  }
}

// Leads to something that exists.
int file_system::find(open_file* at, std::string_view path, follow last, place& result) {
  if (const int error = walk(at, path, last, result)) return error;
  if (result.found == nullptr) return -ENOENT;
  if (result.slash && !result.found->is_directory()) return -ENOTDIR;
  return 0;
}

}  // namespace parkring::kernel::sim
