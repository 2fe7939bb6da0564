#include "tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

namespace prgrep {
namespace {

// File systems on disks and in memory give what they have; those that make their content up when
// they are asked (proc, sys, FUSE) may give it in parts.
bool short_read_is_end(int fd) noexcept {
  constexpr std::array<unsigned long, 6> known = {0xef53,       // ext2 to ext4
                                                  0x58465342,   // XFS
                                                  0x9123683e,   // Btrfs
                                                  0x01021994,   // tmpfs
                                                  0x794c7630,   // overlayfs
                                                  0xf2f52010};  // F2FS
  struct statfs s {};
  if (::fstatfs(fd, &s) != 0) return false;
  return std::find(known.begin(), known.end(), static_cast<unsigned long>(s.f_type)) != known.end();
}

enum class entry_kind { file, directory, other };

entry_kind kind_of(int directory, const dirent& e) noexcept {
  if (e.d_type == DT_REG) return entry_kind::file;
  if (e.d_type == DT_DIR) return entry_kind::directory;
  if (e.d_type != DT_UNKNOWN) return entry_kind::other;
  struct stat s {};
  if (::fstatat(directory, e.d_name, &s, AT_SYMLINK_NOFOLLOW) != 0) return entry_kind::other;
  if (S_ISREG(s.st_mode)) return entry_kind::file;
  return S_ISDIR(s.st_mode) ? entry_kind::directory : entry_kind::other;
}

}  // namespace

directory::directory(int fd, std::string path)
    : fd_(fd), path_(std::move(path)), short_is_end_(short_read_is_end(fd)) {}
directory::~directory() { ::close(fd_); }

void tree_walk::add(std::string path, bool is_directory) {
  work_item item{.below = nullptr, .names = {}, .is_directory = is_directory, .given = true};
  item.names.push_back(std::move(path));
  // The first named is to be done first.
  stack_.insert(stack_.begin(), std::move(item));
}

bool tree_walk::take(work_item& item, bool has_one) {
  std::unique_lock lock(mutex_);
  if (has_one && --at_work_ == 0 && stack_.empty()) changed_.notify_all();
  changed_.wait(lock, [&] { return stopped_ || !stack_.empty() || at_work_ == 0; });
  if (stopped_ || stack_.empty()) return false;
  item = std::move(stack_.back());
  stack_.pop_back();
  ++at_work_;
  return true;
}

void tree_walk::done() {
  const std::lock_guard lock(mutex_);
  if (--at_work_ == 0 && stack_.empty()) changed_.notify_all();
}

void tree_walk::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

void tree_walk::list(const work_item& item, const complaint& complain) {
  const std::string& name = item.names.front();
  const std::string path = (item.below == nullptr ? "" : item.below->path()) + name;
  const int at = item.below == nullptr ? AT_FDCWD : item.below->fd();
  const int fd = ::openat(at, name.empty() ? "." : name.c_str(),
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC | (item.given ? 0 : O_NOFOLLOW));
  if (fd < 0) return complain(path, errno);
  const auto here =
      std::make_shared<directory>(fd, name.empty() || path.ends_with('/') ? path : path + '/');
  const int listed = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);  // closedir closes what it was given
  DIR* const stream = listed < 0 ? nullptr : ::fdopendir(listed);
  if (stream == nullptr) {
    const int number = errno;
    if (listed >= 0) ::close(listed);
    return complain(path, number);
  }
  std::vector<work_item> found;
  work_item files{.below = here, .names = {}, .is_directory = false, .given = false};
  for (;;) {
    errno = 0;
    const dirent* const e = ::readdir(stream);
    if (e == nullptr) {
      if (errno != 0) complain(path, errno);
      break;
    }
    const std::string_view entry = e->d_name;
    if (entry == "." || entry == ".." || (!options_.hidden && entry.starts_with('.'))) continue;
    const entry_kind kind = kind_of(fd, *e);
    if (kind == entry_kind::directory) {
      found.push_back({.below = here, .names = {}, .is_directory = true, .given = false});
      found.back().names.emplace_back(entry);
    } else if (kind == entry_kind::file) {
      files.names.emplace_back(entry);
      if (files.names.size() < options_.batch_size) continue;
      found.push_back(std::move(files));
      files = {.below = here, .names = {}, .is_directory = false, .given = false};
    }
  }
  ::closedir(stream);
  if (!files.names.empty()) found.push_back(std::move(files));
  if (found.empty()) return;
  const std::lock_guard lock(mutex_);
  std::move(found.begin(), found.end(), std::back_inserter(stack_));
  if (found.size() == 1)
    changed_.notify_one();
  else
    changed_.notify_all();
}

}  // namespace prgrep
