// Visits: what walk_work does with entries whose files somebody wants to look into.
#include <fcntl.h>

#include <cerrno>
#include <iterator>
#include <memory>
#include <utility>

#include "fs/tree/tree_error.hpp"
#include "fs/tree/visited_directory.hpp"
#include "fs/tree/walk_work.hpp"

namespace parkring::fs {
namespace {

// Entries that are visited by one job without a look at what others have to do.
constexpr std::size_t most_in_group = 16;

}  // namespace

bool walk_work::is_visited(const walk_entry& e) const {
  return options.visit && e.type != file_type::directory && !e.failure;
}

// Takes those to be visited out of the batch, from `first` on: all of directory `in`.
void walk_work::set_aside(share& s, std::size_t first, const std::shared_ptr<open_dir>& in) {
  std::vector<walk_entry> group;
  const auto put = [&] {
    item i;
    i.place = in->shared_place();
    i.opened = in;
    i.unvisited = std::exchange(group, {});
    s.mine.push_back(std::move(i));
  };
  std::size_t kept = first;
  for (std::size_t k = first; k < s.batch.size(); ++k) {
    if (!is_visited(s.batch[k])) {
      if (kept != k) s.batch[kept] = std::move(s.batch[k]);
      ++kept;
      continue;
    }
    group.push_back(std::move(s.batch[k]));
    if (group.size() == most_in_group) put();
  }
  s.batch.erase(s.batch.begin() + static_cast<std::ptrdiff_t>(kept), s.batch.end());
  if (!group.empty()) put();
}

// Entries of one directory, in their order; those that are not visited come as they are.
void walk_work::visit_all(share& s, const open_dir& in, std::vector<walk_entry>& entries) {
  visited_directory here(*this, in);
  for (walk_entry& e : entries) {
    if (!wanted()) return;
    if (is_visited(e) && !here.visit(e))
      ++s.left_out;
    else
      s.batch.push_back(std::move(e));
  }
}

bool visited_directory::visit(walk_entry& e) {
  walk_visit v(e, *this);
  try {
    return work_.options.visit(v);
  } catch (const io_error& wrong) {
    if (v.gone_) return false;
    e.failure = std::make_shared<const error>(wrong.error());
    return true;
  }
}

int visited_directory::open(const std::string& name) {
  if (!way_) way_.emplace(reach(work_.calls(), in_, work_.follows()));
  if (way_->error != 0) return way_->error;
  // Not to wait for a writer, should the name be a pipe's by now.
  const int flags = O_RDONLY | O_NOCTTY | O_NONBLOCK | (work_.follows() ? 0 : O_NOFOLLOW);
  return work_.calls().open(way_->fd, name.c_str(), flags, 0);
}

bool walk_visit::wanted() const noexcept { return in_.work().wanted(); }

std::size_t walk_visit::read_at(std::span<std::byte> to, std::uint64_t offset) {
  if (file_ < 0) {
    file_ = in_.open(entry_.name);
    gone_ = file_ == -ENOENT;
    if (file_ < 0) throw io_error(tree_error(file_, "open", entry_.path()));
  }
  for (;;) {
    const std::int64_t n = in_.work().calls().read(file_, to, offset);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (n != -EINTR) throw io_error(tree_error(static_cast<int>(n), "read", entry_.path()));
  }
}

walk_visit::~walk_visit() {
  if (file_ >= 0) (void)in_.work().calls().close(file_);
}

}  // namespace parkring::fs
