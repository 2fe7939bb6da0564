// A directory of a tree that is being walked, copied or removed: its place, and the way to it.
//
// Places are names, in chains from each directory up to the root. They are what entries refer to,
// and hold no descriptor. All but `skipped` is set before anybody else sees the place.
//
// An `open_dir` is a place with a way to it: its descriptor, or, where none is kept, that of the
// nearest directory above that keeps one. A directory is opened relative to the one above it, and
// never through a symbolic link unless links are followed, so neither the length of a path nor a
// link that somebody puts in its way leads elsewhere. Immutable once others see it; the descriptor
// closes with it, on whatever thread.
//
// So that a deep or bushy tree does not take all descriptors, only so many directories keep theirs.
// The others close when they have been read, and `reach` opens the way again, as many names in a
// call as a path has room for; no name of it may have become a link. The root always keeps its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kernel/file_calls.hpp"

namespace parkring::fs {

/// A descriptor of a kernel, closed by plain calls.
class call_fd {
 public:
  call_fd() noexcept = default;
  call_fd(kernel::file_calls& calls, int fd) noexcept : calls_(&calls), fd_(fd) {}
  call_fd(call_fd&& other) noexcept : calls_(other.calls_), fd_(std::exchange(other.fd_, -1)) {}
  call_fd& operator=(call_fd&& other) noexcept {
    if (this != &other) {
      (void)close();
      calls_ = other.calls_;
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~call_fd() { (void)close(); }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  /// 0, or the negative errno of close(2).
  int close() noexcept { return fd_ < 0 ? 0 : calls_->close(std::exchange(fd_, -1)); }

 private:
  kernel::file_calls* calls_ = nullptr;
  int fd_ = -1;
};

/// How many places of a tree keep their descriptors.
struct open_budget {
  explicit open_budget(int places) noexcept : left(places) {}
  std::atomic<int> left;
};
using shared_budget = std::shared_ptr<open_budget>;
/// At most `most`, and a part of what the process may have.
[[nodiscard]] int places_to_keep(const kernel::file_calls& calls, int most) noexcept;

class tree_place {
 public:
  /// The root: `name` is the path as it was given.
  explicit tree_place(std::string name) : name_(std::move(name)) {}
  tree_place(std::shared_ptr<tree_place> parent, std::string_view name)
      : parent_(std::move(parent)), name_(name), depth_(parent_->depth_ + 1) {}
  tree_place(const tree_place&) = delete;
  tree_place& operator=(const tree_place&) = delete;
  ~tree_place();

  [[nodiscard]] const std::shared_ptr<tree_place>& parent() const noexcept { return parent_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] unsigned depth() const noexcept { return depth_; }

  /// The path below the root, of `name` in this directory; with an empty one, of itself.
  [[nodiscard]] std::string relative_path(std::string_view name = {}) const;
  /// The same with the root's path in front.
  [[nodiscard]] std::string path(std::string_view name = {}) const;

  /// Which file it is, where that was asked.
  std::uint64_t device = 0, inode = 0;
  /// Its content is not wanted any more.
  std::atomic<bool> skipped{false};
  [[nodiscard]] bool skipped_here_or_above() const noexcept;

 private:
  std::shared_ptr<tree_place> parent_;
  std::string name_;
  unsigned depth_ = 0;
};

class open_dir {
 public:
  /// `fd` is the directory's, `above` the one that it was opened in; null: the root.
  open_dir(std::shared_ptr<tree_place> place, std::shared_ptr<open_dir> above) noexcept
      : place_(std::move(place)), above_(std::move(above)) {}
  open_dir(const open_dir&) = delete;
  open_dir& operator=(const open_dir&) = delete;
  ~open_dir();

  [[nodiscard]] tree_place& place() const noexcept { return *place_; }
  [[nodiscard]] const std::shared_ptr<tree_place>& shared_place() const noexcept { return place_; }
  [[nodiscard]] const std::shared_ptr<open_dir>& above() const noexcept { return above_; }
  /// -1: it keeps none.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// Keeps `fd` if the budget allows, and then needs nothing above; gives it back if not.
  [[nodiscard]] call_fd keep(call_fd fd, const shared_budget& budget) noexcept;

 private:
  std::shared_ptr<tree_place> place_;
  std::shared_ptr<open_dir> above_;
  shared_budget budget_;  // given back with the descriptor
  call_fd fd_;
};

/// A directory's descriptor: its own, or one that was opened to reach it.
struct reached {
  int fd = -1;
  int error = 0;  // negative errno when there is none
  call_fd opened;
};
/// `follow`: through symbolic links below the root too. The root must keep its descriptor.
[[nodiscard]] reached reach(kernel::file_calls& calls, const open_dir& directory, bool follow);

/// Flags of opening a directory below another.
[[nodiscard]] int directory_flags(bool follow) noexcept;

// ---- what getdents64(2) gives ----

struct listed_entry {
  std::string_view name;
  std::uint64_t inode;
  unsigned char d_type;
};

/// Calls `each` for every record but those of the directory itself and the one above.
template <class Each>
void for_each_listed(const std::byte* at, std::size_t size, Each each);

/// Reads one record at `at` and moves it on.
[[nodiscard]] listed_entry take_listed(const std::byte*& at) noexcept;

template <class Each>
void for_each_listed(const std::byte* at, std::size_t size, Each each) {
  const std::byte* const end = at + size;
  while (at < end) {
    const listed_entry e = take_listed(at);
    if (e.name == "." || e.name == "..") continue;
    each(e);
  }
}

/// What a buffer for records has room for: a thousand names or so.
inline constexpr std::size_t listing_bytes = 32 * 1024;

}  // namespace parkring::fs
