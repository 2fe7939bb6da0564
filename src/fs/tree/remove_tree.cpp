#include "fs/tree/remove_tree.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fs/tree/tree_error.hpp"

namespace parkring::fs {
namespace {

constexpr int most_open = 256;
constexpr std::size_t names_at_once = 128;        // of one directory, to one job
constexpr std::size_t cost_of_a_name = 8 * 1024;  // of what a share may spend
constexpr unsigned most_lists = 4;

}  // namespace

// A chain as long as the tree is deep ends without recursion.
removed_directory::~removed_directory() {
  std::shared_ptr<removed_directory> up = std::move(parent);
  while (up && up.use_count() == 1) {
    std::shared_ptr<removed_directory> next = std::move(up->parent);
    up = std::move(next);
  }
}

remove_tree::remove_tree(call_fd in, std::string name, std::string path, unsigned concurrency,
                         kernel::file_calls& calls)
    : calls_(calls),
      budget_(std::make_shared<open_budget>(places_to_keep(calls, most_open))),
      root_in_(std::move(in)),
      root_name_(std::move(name)),
      root_path_(std::move(path)) {
  most_busy_ = std::max(1U, concurrency);
  add({});
}

int remove_tree::root_at() const noexcept { return root_in_ ? root_in_.get() : AT_FDCWD; }

removal_counts remove_tree::counts() const {
  return {.files = files_.load(std::memory_order_relaxed),
          .directories = directories_.load(std::memory_order_relaxed),
          .failed = failed_.load(std::memory_order_relaxed)};
}

void remove_tree::fail_at(removed_directory* in, std::string_view name, int number) {
  ++failed_;
  for (removed_directory* d = in; d != nullptr; d = d->parent.get())
    if (d->stays.exchange(true, std::memory_order_relaxed)) break;
  fail(tree_error(number, "remove_all",
                  in == nullptr ? root_path_ : in->opened->place().path(name)));
}

void remove_tree::add_item(share& s, removal_item&& i) {
  i.in->left.fetch_add(1, std::memory_order_relaxed);
  s.mine.push_back(std::move(i));
}

void remove_tree::run(share& s, removal_item&& i) {
  s.spent += cost_of_a_name;
  if (i.is_listing) {
    list(s, i.in, std::move(i.reading));
  } else if (!i.names.empty()) {
    remove_names(s, i.in, i.names);
  } else if (begin(s, i.in, i.directory)) {
    return;  // its end is the end of this
  }
  done_in(s, std::move(i.in));
}

// True: it is a directory, and was begun.
bool remove_tree::begin(share& s, const directory_ref& in, const std::string& name) {
  const bool is_root = in == nullptr;
  const reached above = is_root ? reached{.fd = root_at(), .error = 0, .opened = {}}
                                : reach(calls_, *in->opened, false);
  if (above.error == -ENOENT) return false;  // it is gone with what it was in
  if (above.error != 0) return fail_at(in.get(), name, above.error), false;
  const char* const path = is_root ? root_name_.c_str() : name.c_str();
  const int fd = calls_.open(above.fd, path, directory_flags(false), 0);
  if (fd == -ENOENT) return false;
  if (fd < 0) {
    // No directory (any more), or one that cannot be read and may be empty.
    const bool other = fd == -ENOTDIR || fd == -ELOOP;
    const int error = calls_.remove(above.fd, path, other ? 0 : AT_REMOVEDIR);
    if (error == 0)
      ++(other ? files_ : directories_);
    else if (error != -ENOENT)
      fail_at(in.get(), name, other ? error : fd);
    return false;
  }
  call_fd reading(calls_, fd);
  auto d = std::make_shared<removed_directory>();
  d->parent = in;
  auto place = is_root ? std::make_shared<tree_place>(root_path_)
                       : std::make_shared<tree_place>(in->opened->shared_place(), name);
  d->opened = std::make_shared<open_dir>(std::move(place), is_root ? nullptr : in->opened);
  reading = d->opened->keep(std::move(reading), budget_);
  list(s, d, std::move(reading));
  done_in(s, std::move(d));
  return true;
}

void remove_tree::list(share& s, const directory_ref& in, call_fd reading) {
  if (!s.listing) s.listing = std::make_unique_for_overwrite<std::byte[]>(listing_bytes);
  const int fd = reading ? reading.get() : in->opened->fd();
  const std::size_t below = s.mine.size();
  removal_item some;
  // A small one to its end: so its descriptor is not kept while what is below it is removed.
  std::int64_t n;
  do {
    n = calls_.read_entries(fd, {s.listing.get(), listing_bytes});
    if (n <= 0) break;
    for_each_listed(s.listing.get(), static_cast<std::size_t>(n), [&](const listed_entry& e) {
      if (e.d_type == DT_DIR) {
        removal_item inner;
        inner.in = in;
        inner.directory = e.name;
        return add_item(s, std::move(inner));
      }
      some.names.emplace_back(e.name);
      if (some.names.size() < names_at_once) return;
      some.in = in;
      add_item(s, std::exchange(some, {}));
    });
  } while (static_cast<std::size_t>(n) < listing_bytes / 2);
  if (!some.names.empty()) {
    some.in = in;
    add_item(s, std::move(some));
  }
  if (n < 0 && n != -ENOENT) return fail_at(in.get(), "", static_cast<int>(n));
  if (n <= 0) return;
  removal_item rest;
  rest.in = in;
  rest.is_listing = true;
  rest.reading = std::move(reading);
  in->left.fetch_add(1, std::memory_order_relaxed);
  // Behind all that was found; but before the directories where it holds a descriptor of its own,
  // or there would be one for each level of the tree.
  auto behind = s.mine.begin() + static_cast<std::ptrdiff_t>(below);
  if (rest.reading)
    behind =
        std::partition(behind, s.mine.end(), [](const removal_item& i) { return i.names.empty(); });
  s.mine.insert(behind, std::move(rest));
}

void remove_tree::remove_names(share& s, const directory_ref& in,
                               const std::vector<std::string>& names) {
  const reached at = reach(calls_, *in->opened, false);
  if (at.error == -ENOENT) return;  // they are gone
  if (at.error != 0) return fail_at(in.get(), "", at.error);
  for (const std::string& name : names) {
    if (!wanted()) return;
    s.spent += cost_of_a_name;
    const int error = calls_.remove(at.fd, name.c_str(), 0);
    if (error == 0) {
      ++files_;
    } else if (error == -EISDIR) {  // of a file system that does not tell types, or by now
      removal_item below;
      below.in = in;
      below.directory = name;
      add_item(s, std::move(below));
    } else if (error != -ENOENT) {
      fail_at(in.get(), name, error);
    }
  }
}

// Something to do in `in` has ended; so may `in`, and what it lies in.
void remove_tree::done_in(share& s, directory_ref in) {
  while (in && in->left.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // pairs with the others
    if (!wanted() || !finish(s, in)) return;
    in = in->parent;
  }
}

// False: it is to be listed again.
bool remove_tree::finish(share& s, const directory_ref& d) {
  if (d->stays.load(std::memory_order_relaxed)) return true;
  removed_directory* const parent = d->parent.get();
  const reached above = parent == nullptr ? reached{.fd = root_at(), .error = 0, .opened = {}}
                                          : reach(calls_, *parent->opened, false);
  const char* const path =
      parent == nullptr ? root_name_.c_str() : d->opened->place().name().c_str();
  const int error = above.error != 0 ? above.error : calls_.remove(above.fd, path, AT_REMOVEDIR);
  if (error == 0) {
    ++directories_;
    return true;
  }
  if (error == -ENOENT) return true;
  if ((error == -ENOTEMPTY || error == -EEXIST) && d->lists++ < most_lists) {
    // Names came meanwhile, or the list left some out.
    const int fd = calls_.open(above.fd, path, directory_flags(false), 0);
    if (fd == -ENOENT) return true;
    if (fd >= 0) {
      removal_item again;
      again.in = d;
      again.is_listing = true;
      again.reading = call_fd(calls_, fd);
      add_item(s, std::move(again));
      return false;
    }
  }
  fail_at(d.get(), "", error);
  return true;
}

}  // namespace parkring::fs
