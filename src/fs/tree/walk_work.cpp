#include "fs/tree/walk_work.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "fs/path/metadata.hpp"
#include "fs/tree/tree_error.hpp"
#include "fs/tree/visited_directory.hpp"

namespace parkring::fs {
namespace {

constexpr int most_open = 128;             // directories of one walk that keep their descriptors
constexpr std::size_t early_hand_in = 64;  // entries, when others have nothing to do

constexpr unsigned quick_mask = STATX_TYPE | STATX_INO;

}  // namespace

walk_work::walk_work(std::string root, call_fd opened, walk_options o, const char* operation,
                     kernel::file_calls& calls)
    : options((o.batch = std::clamp<decltype(o.batch)>(o.batch, 1, 1U << 20), std::move(o))),
      operation_(operation),
      calls_(calls),
      follow_(options.follow == follow_links::always),
      most_jobs_(options.order == walk_order::depth_first ? 1 : std::max(1U, options.concurrency)),
      identities_(follow_ || options.one_file_system),
      budget_(std::make_shared<open_budget>(places_to_keep(calls, most_open))),
      root_(std::move(opened)) {
  item first;
  first.place = std::make_shared<tree_place>(std::move(root));
  if (options.max_depth != 0) pending_.push_back(std::move(first));
}

std::optional<std::vector<walk_entry>> walk_work::take() {
  const std::lock_guard lock(mutex_);
  if (done_.empty()) return std::nullopt;
  std::optional<std::vector<walk_entry>> batch(std::move(done_.front()));
  done_.pop_front();
  return batch;
}

bool walk_work::wants_job(std::size_t out) const {
  const std::lock_guard lock(mutex_);
  // Those that are out and have not begun will each want one, too.
  return out < most_jobs_ && pending_.size() > out - std::min<std::size_t>(out, busy_) &&
         out + done_.size() <= most_jobs_;
}

void walk_work::skip(tree_place& place) noexcept {
  place.skipped.store(true, std::memory_order_relaxed);
  any_skipped_.store(true, std::memory_order_relaxed);
}

std::optional<error> walk_work::take_root_error() {
  const std::lock_guard lock(mutex_);
  return std::exchange(root_error_, std::nullopt);
}

void walk_work::clean_up() noexcept {
  std::vector<item> left;  // destroyed after the lock
  const std::lock_guard lock(mutex_);
  left.swap(pending_);
}

bool walk_work::left_over() const noexcept {
  const std::lock_guard lock(mutex_);
  return !pending_.empty();
}

void walk_work::do_share() {
  share s;
  constexpr std::size_t most_reserved = 4096;
  s.batch.reserve(std::min<std::size_t>(options.batch, most_reserved) * 5 / 4);
  struct in_share {  // however it ends: `descend` may throw
    walk_work& of;
    explicit in_share(walk_work& w) : of(w) {
      const std::lock_guard lock(of.mutex_);
      ++of.busy_;
    }
    ~in_share() {
      const std::lock_guard lock(of.mutex_);
      --of.busy_;
    }
    in_share(const in_share&) = delete;
    in_share& operator=(const in_share&) = delete;
  };
  const in_share here(*this);
  while (wanted() && s.done() < options.batch) {
    item next;
    {
      const std::lock_guard lock(mutex_);
      if (s.mine.empty()) {
        if (pending_.empty()) break;
        next = std::move(pending_.back());
        pending_.pop_back();
      } else {
        const bool others_idle = busy_ < most_jobs_ && pending_.empty();
        const bool worth_it = s.done() >= early_hand_in || !s.mine.back().unvisited.empty();
        if (others_idle && s.mine.size() > 1 && worth_it) break;
        next = std::move(s.mine.back());
        s.mine.pop_back();
      }
    }
    if (any_skipped_.load(std::memory_order_relaxed) && next.place->skipped_here_or_above())
      continue;
    if (!next.unvisited.empty()) {
      visit_all(s, *next.opened, next.unvisited);
    } else if (options.order == walk_order::depth_first) {
      step_depth_first(s, std::move(next));
    } else if (options.order == walk_order::by_name) {
      list_sorted(s, std::move(next));
    } else {
      list(s, std::move(next));
    }
  }
  const std::lock_guard lock(mutex_);
  pending_.insert(pending_.end(), std::make_move_iterator(s.mine.begin()),
                  std::make_move_iterator(s.mine.end()));
  if (!s.batch.empty()) done_.push_back(std::move(s.batch));
}

// Opens the directory of `i`; false when it cannot be listed, which is told then.
bool walk_work::open(share& s, item& i) {
  if (i.opened) return true;
  reached above;
  int fd;
  if (i.place->parent() == nullptr) {
    const bool follow = options.follow != follow_links::never;
    const bool has_nul = i.place->name().find('\0') != std::string::npos;
    if (root_)
      fd = calls_.open(root_.get(), ".", directory_flags(false), 0);
    else
      fd = has_nul ? -EINVAL
                   : calls_.open(AT_FDCWD, i.place->name().c_str(), directory_flags(follow), 0);
    root_ = {};
  } else {
    above = reach(calls_, *i.above, follow_);
    fd = above.error != 0
             ? above.error
             : calls_.open(above.fd, i.place->name().c_str(), directory_flags(follow_), 0);
  }
  if (fd < 0) {
    fail(s, i, fd);
    return false;
  }
  call_fd own(calls_, fd);
  if (identities_ && !identify(s, i, fd)) return false;
  i.opened = std::make_shared<open_dir>(i.place, std::move(i.above));
  i.reading = i.opened->keep(std::move(own), budget_);
  return true;
}

// Which directory this is; false when it is not to be listed.
bool walk_work::identify(share& s, item& i, int fd) {
  struct statx facts {};
  if (const int error = calls_.stat(fd, "", AT_EMPTY_PATH, quick_mask, facts); error != 0) {
    fail(s, i, error);
    return false;
  }
  tree_place& place = *i.place;
  place.inode = facts.stx_ino;
  place.device = makedev(facts.stx_dev_major, facts.stx_dev_minor);
  if (place.parent() == nullptr) root_device_ = place.device;
  if (options.one_file_system && place.device != root_device_) return false;
  if (!follow_) return true;
  for (const tree_place* p = place.parent().get(); p != nullptr; p = p->parent().get()) {
    if (p->inode != place.inode || p->device != place.device) continue;
    fail(s, i, ELOOP);
    return false;
  }
  return true;
}

// Adds the entries of one buffer: how many bytes it had, 0 at the end of the directory.
std::size_t walk_work::read_some(share& s, item& i, std::vector<walk_entry>& into) {
  const int fd = i.reading ? i.reading.get() : i.opened->fd();
  const std::int64_t n = calls_.read_entries(fd, {s.listing.get(), listing_bytes});
  if (n < 0) {
    fail(s, i, static_cast<int>(n));
    return 0;
  }
  for_each_listed(s.listing.get(), static_cast<std::size_t>(n), [&](const listed_entry& found) {
    if (wanted()) add(i, fd, found, into);
  });
  return static_cast<std::size_t>(n);
}

// One buffer, and all of a small directory; the rest of a large one is listed after what is below
// its first part, or by somebody else; but before that where it holds a descriptor of its own, or
// there would be one for each level of the tree.
void walk_work::list(share& s, item i) {
  if (!open(s, i)) return;
  const std::size_t before = s.batch.size();
  std::size_t n = read_some(s, i, s.batch);
  while (n != 0 && n < listing_bytes / 2 && wanted()) n = read_some(s, i, s.batch);
  const std::shared_ptr<open_dir> in = i.opened;
  const std::size_t below = s.mine.size();
  for (std::size_t k = before; k < s.batch.size(); ++k) queue_inside(s, s.batch[k], in);
  const std::size_t rest = i.reading ? s.mine.size() : below;
  if (n != 0) s.mine.insert(s.mine.begin() + static_cast<std::ptrdiff_t>(rest), std::move(i));
  if (options.visit) set_aside(s, before, in);
}

// All of the directory at once.
void walk_work::list_sorted(share& s, item i) {
  if (!open(s, i)) return;
  std::vector<walk_entry> found;
  while (wanted() && read_some(s, i, found) != 0) {
  }
  std::ranges::sort(found, {}, &walk_entry::name);
  // The first is the next to be listed.
  for (std::size_t k = found.size(); k-- > 0;) queue_inside(s, found[k], i.opened);
  if (options.visit) return visit_all(s, *i.opened, found);
  s.batch.insert(s.batch.end(), std::make_move_iterator(found.begin()),
                 std::make_move_iterator(found.end()));
}

// Gives entries of the deepest directory up to one that is to be listed, or leaves it.
void walk_work::step_depth_first(share& s, item i) {
  if (!i.listed) {
    if (!open(s, i)) return;
    while (wanted() && read_some(s, i, i.sorted) != 0) {
    }
    std::ranges::sort(i.sorted, std::greater<>{}, &walk_entry::name);
    i.listed = true;
    i.reading = {};
  }
  std::optional<visited_directory> here;
  while (!i.sorted.empty() && s.done() < options.batch && wanted()) {
    walk_entry e = std::move(i.sorted.back());
    i.sorted.pop_back();
    if (is_visited(e)) {
      if (!here) here.emplace(*this, *i.opened);
      if (!here->visit(e)) {
        ++s.left_out;
        continue;
      }
    }
    s.batch.push_back(std::move(e));
    if (s.batch.back().inside_ == nullptr) continue;
    const std::shared_ptr<open_dir> in = i.opened;
    if (!i.sorted.empty()) s.mine.push_back(std::move(i));
    return queue_inside(s, s.batch.back(), in);
  }
  if (!i.sorted.empty()) s.mine.push_back(std::move(i));
}

void walk_work::add(const item& i, int fd, const listed_entry& found,
                    std::vector<walk_entry>& into) {
  walk_entry& e = into.emplace_back();
  e.name = found.name;
  e.inode = found.inode;
  e.type = type_of_entry(found.d_type);
  e.depth = i.place->depth() + 1;
  e.in_ = i.place;
  const bool must_ask =
      options.metadata || e.type == file_type::unknown || (follow_ && e.type == file_type::symlink);
  if (must_ask && !ask(fd, e)) return into.pop_back();
  plan_descent(e);
}

// False when it is gone.
bool walk_work::ask(int fd, walk_entry& e) const {
  struct statx facts {};
  const unsigned mask =
      options.metadata ? metadata_mask & ~static_cast<unsigned>(STATX_DIOALIGN) : quick_mask;
  const int how = AT_STATX_SYNC_AS_STAT | AT_NO_AUTOMOUNT;
  int error =
      calls_.stat(fd, e.name.c_str(), how | (follow_ ? 0 : AT_SYMLINK_NOFOLLOW), mask, facts);
  // A link that leads nowhere, or in a circle, is an entry of its own.
  if (follow_ && (error == -ENOENT || error == -ELOOP))
    error = calls_.stat(fd, e.name.c_str(), how | AT_SYMLINK_NOFOLLOW, mask, facts);
  if (error == -ENOENT) return false;
  if (error != 0) {
    e.failure =
        std::make_shared<const parkring::error>(tree_error(error, operation_, e.in_->path(e.name)));
    return true;
  }
  e.type = type_of_mode(facts.stx_mode);
  e.inode = facts.stx_ino;
  if (options.metadata) e.metadata = metadata_of(facts);
  return true;
}

void walk_work::plan_descent(walk_entry& e) const {
  if (e.type != file_type::directory || e.depth >= options.max_depth || e.failure) return;
  if (options.descend && !options.descend(e)) return;
  e.inside_ = std::make_shared<tree_place>(e.in_, e.name);
}

void walk_work::queue_inside(share& s, const walk_entry& e, const std::shared_ptr<open_dir>& in) {
  if (e.inside_ == nullptr) return;
  item below;
  below.place = e.inside_;
  below.above = in;
  s.mine.push_back(std::move(below));
}

void walk_work::fail(share& s, const item& i, int number) {
  number = std::abs(number);
  tree_place& place = *i.place;
  if (place.parent() == nullptr) {
    const std::lock_guard lock(mutex_);
    root_error_ = tree_error(number, operation_, place.name());
    return;
  }
  if (number == ENOENT) return;  // it is gone
  walk_entry& e = s.batch.emplace_back();
  e.name = place.name();
  e.type = file_type::directory;
  e.depth = place.depth();
  e.in_ = place.parent();
  e.failure = std::make_shared<const error>(tree_error(number, operation_, place.path()));
}

}  // namespace parkring::fs
