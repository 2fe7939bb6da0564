#include "fs/tree/copy_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>

#include "fs/tree/tree_error.hpp"

namespace parkring::fs {
namespace {

constexpr int most_open = 256;             // descriptors of directories
constexpr std::size_t names_at_once = 64;  // of one directory, to one job

std::uint64_t device_of(const struct statx& s) noexcept {
  return makedev(s.stx_dev_major, s.stx_dev_minor);
}

}  // namespace

// A chain as long as the tree is deep ends without recursion.
copied_directory::~copied_directory() {
  std::shared_ptr<copied_directory> up = std::move(parent);
  while (up && up.use_count() == 1) {
    std::shared_ptr<copied_directory> next = std::move(up->parent);
    up = std::move(next);
  }
}

copy_tree::copy_tree(std::string from, std::string to, copy_options options,
                     kernel::file_calls& calls)
    : options_(std::move(options)),
      calls_(calls),
      budget_(std::make_shared<open_budget>(places_to_keep(calls, most_open))),
      from_(std::move(from)),
      to_(std::move(to)) {
  most_busy_ = std::max(1U, options_.concurrency);
  copy_item root;
  root.what = copy_item::kind::directory;
  add(std::move(root));
}

// What is pending refers to what else is here.
copy_tree::~copy_tree() { clean_up(); }

copy_counts copy_tree::counts() const {
  const auto get = [](const auto& n) { return n.load(std::memory_order_relaxed); };
  return {.files = get(counts_.files),
          .directories = get(counts_.directories),
          .links = get(counts_.links),
          .hard_links = get(counts_.hard_links),
          .others = get(counts_.others),
          .bytes = get(counts_.bytes),
          .cloned = get(counts_.cloned),
          .skipped = get(counts_.skipped),
          .failed = get(counts_.failed)};
}

bool copy_tree::describes() const noexcept {
  return options_.owner || options_.permissions || options_.times || options_.attributes;
}

void copy_tree::fail_at(const copied_directory* in, std::string_view name, int number,
                        bool at_target) {
  ++counts_.failed;
  std::string path;
  if (in == nullptr) {
    root_failed_ = true;
    path = at_target ? to_ : from_;
  } else {
    path = (at_target ? in->target : in->source)->place().path(name);
  }
  fail(tree_error(number, "copy_all", std::move(path)));
}

void copy_tree::run(share& s, copy_item&& i) {
  s.spent += cost_of_a_name;
  switch (i.what) {
    case copy_item::kind::directory: {
      directory_ref in = i.in;
      if (!begin_directory(s, std::move(i))) done_in(std::move(in));
      return;
    }
    case copy_item::kind::listing:
      list(s, i.in, std::move(i.reading));
      return done_in(std::move(i.in));
    case copy_item::kind::names:
      copy_names(s, i.in, std::move(i.names));
      return done_in(std::move(i.in));
    case copy_item::kind::file: {
      const reached target = reach(calls_, *i.in->target, false);
      if (target.error != 0) {
        fail_at(i.in.get(), i.file->name(), target.error, true);
        settle_twins(*i.file, false);
      } else {
        go_on(s, i.in, target.fd, std::move(i.file));
      }
      return done_in(std::move(i.in));
    }
    case copy_item::kind::twin: {
      std::vector<name_to_copy> one;
      one.push_back({std::move(i.name), DT_REG});
      copy_names(s, i.in, std::move(one));
      return done_in(std::move(i.in));
    }
  }
}

// One more thing to do in `i.in`.
void copy_tree::add_name(share& s, copy_item&& i) {
  i.in->left.fetch_add(1, std::memory_order_relaxed);
  s.mine.push_back(std::move(i));
}

// ---- directories ----

// True: the directory is begun, and its end is the end of this thing to do.
bool copy_tree::begin_directory(share& s, copy_item&& i) {
  const bool is_root = i.in == nullptr;
  const auto wrong = [&](int number) {
    fail_at(i.in.get(), i.name, number, false);
    return false;
  };
  const reached above = is_root ? reached() : reach(calls_, *i.in->source, false);
  if (above.error == -ENOENT) return false;  // it is gone
  if (above.error != 0) return wrong(above.error);
  const char* const name = is_root ? from_.c_str() : i.name.c_str();
  const int fd = calls_.open(is_root ? AT_FDCWD : above.fd, name, directory_flags(is_root), 0);
  if (fd == -ENOENT && !is_root) return false;  // likewise
  if (fd < 0) return wrong(fd);
  call_fd reading(calls_, fd);
  auto d = std::make_shared<copied_directory>();
  d->parent = i.in;
  if (const int error = calls_.stat(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, d->facts); error != 0)
    return wrong(error);
  // The copy itself, where it lies in what is copied.
  if (!is_root && d->facts.stx_ino == target_inode_ && device_of(d->facts) == target_device_)
    return wrong(EINVAL);

  auto place = is_root ? std::make_shared<tree_place>(from_)
                       : std::make_shared<tree_place>(i.in->source->shared_place(), i.name);
  d->source = std::make_shared<open_dir>(std::move(place), is_root ? nullptr : i.in->source);
  if (!make_directory(i, d->facts, *d)) return false;
  reading = d->source->keep(std::move(reading), budget_);
  ++counts_.directories;
  list(s, d, std::move(reading));
  done_in(std::move(d));
  return true;
}

// Makes and opens the copy of a directory, or opens what is there.
bool copy_tree::make_directory(const copy_item& i, const struct statx& facts,
                               copied_directory& into) {
  const bool is_root = i.in == nullptr;
  const auto wrong = [&](int number) {
    fail_at(i.in.get(), i.name, number, true);
    return false;
  };
  const reached above = is_root ? reached() : reach(calls_, *i.in->target, false);
  if (above.error != 0) return wrong(above.error);
  const int at = is_root ? AT_FDCWD : above.fd;
  const char* const name = is_root ? to_.c_str() : i.name.c_str();
  // Its files can be made whatever the permissions of the original are.
  into.made_mode = options_.owner ? 0700U : (facts.stx_mode & 0777U) | 0700U;
  const int made = calls_.make_directory(at, name, into.made_mode);
  if (made == -EEXIST && options_.existing != existing::fail) {
    into.made_mode = ~0U;
  } else if (made != 0) {
    return wrong(made);
  }
  const int fd = calls_.open(at, name, directory_flags(is_root), 0);
  if (fd < 0) return wrong(fd);
  call_fd opened(calls_, fd);
  if (is_root) {
    struct statx own {};
    if (const int error = calls_.stat(fd, "", AT_EMPTY_PATH, STATX_INO, own); error != 0)
      return wrong(error);
    target_device_ = device_of(own);
    target_inode_ = own.stx_ino;
    if (facts.stx_ino == target_inode_ && device_of(facts) == target_device_) return wrong(EINVAL);
  }
  auto place = is_root ? std::make_shared<tree_place>(to_)
                       : std::make_shared<tree_place>(i.in->target->shared_place(), i.name);
  into.target = std::make_shared<open_dir>(std::move(place), is_root ? nullptr : i.in->target);
  opened = into.target->keep(std::move(opened), budget_);
  return true;
}

void copy_tree::list(share& s, const directory_ref& in, call_fd reading) {
  if (!s.listing) s.listing = std::make_unique_for_overwrite<std::byte[]>(listing_bytes);
  const int fd = reading ? reading.get() : in->source->fd();
  const std::size_t below = s.mine.size();
  std::vector<name_to_copy> names;
  const auto hand_on = [&] {
    if (names.empty()) return;
    copy_item some;
    some.in = in;
    some.names = std::exchange(names, {});
    add_name(s, std::move(some));
  };
  const auto add_directory = [&](std::string name) {
    copy_item inner;
    inner.what = copy_item::kind::directory;
    inner.in = in;
    inner.name = std::move(name);
    add_name(s, std::move(inner));
  };
  // A small one to its end: so its descriptor is not kept while what is below it is copied.
  std::int64_t n;
  do {
    n = calls_.read_entries(fd, {s.listing.get(), listing_bytes});
    if (n <= 0) break;
    for_each_listed(s.listing.get(), static_cast<std::size_t>(n), [&](const listed_entry& e) {
      if (e.d_type == DT_DIR) return add_directory(std::string(e.name));
      names.push_back({std::string(e.name), e.d_type});
      if (names.size() == names_at_once) hand_on();
    });
  } while (static_cast<std::size_t>(n) < listing_bytes / 2);
  hand_on();
  if (n < 0 && n != -ENOENT) return fail_at(in.get(), "", static_cast<int>(n), false);
  if (n <= 0) return;  // ENOENT: the rest is gone with it
  // The rest is listed when what was found is done; but before the directories where it holds a
  // descriptor of its own, or there would be one for each level of the tree.
  copy_item rest;
  rest.what = copy_item::kind::listing;
  rest.in = in;
  rest.reading = std::move(reading);
  in->left.fetch_add(1, std::memory_order_relaxed);
  auto behind = s.mine.begin() + static_cast<std::ptrdiff_t>(below);
  if (rest.reading)
    behind = std::partition(behind, s.mine.end(), [](const copy_item& i) {
      return i.what == copy_item::kind::directory;
    });
  s.mine.insert(behind, std::move(rest));
}

// Something to do in `in` has ended; so may `in`, and what it lies in.
void copy_tree::done_in(directory_ref in) {
  while (in && in->left.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // pairs with the others
    if (in->target) finish_directory(*in);
    in = in->parent;
  }
}

void copy_tree::finish_directory(copied_directory& d) {
  const unsigned wanted_mode = d.facts.stx_mode & 0777U;
  const bool was_there = d.made_mode == ~0U;
  const bool mode_differs = !was_there && !options_.permissions && d.made_mode != wanted_mode;
  if (!describes() && !mode_differs) return;
  const reached source = reach(calls_, *d.source, false), target = reach(calls_, *d.target, false);
  int error = source.error != 0 ? source.error : target.error;
  if (error == 0 && describes())
    error = copy_metadata(calls_, options_, source.fd, target.fd, d.facts);
  if (error == 0 && mode_differs) {
    // What the umask took when it was made stays away.
    struct statx made {};
    error = calls_.stat(target.fd, "", AT_EMPTY_PATH, STATX_MODE, made);
    if (error == 0)
      error = calls_.change_mode(
          target.fd, "", options_.owner ? wanted_mode : made.stx_mode & wanted_mode, AT_EMPTY_PATH);
  }
  if (error != 0) fail_at(&d, "", error, true);
}

}  // namespace parkring::fs
