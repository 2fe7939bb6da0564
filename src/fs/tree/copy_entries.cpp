// What is in the directories of a tree that is copied: files, links and FIFOs.
#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "fs/path/metadata.hpp"
#include "fs/tree/copy_tree.hpp"

namespace parkring::fs {
namespace {

constexpr unsigned names_tried = 100;

std::uint64_t device_of(const struct statx& s) noexcept {
  return makedev(s.stx_dev_major, s.stx_dev_minor);
}

}  // namespace

void copy_tree::copy_names(share& s, const directory_ref& in, std::vector<name_to_copy> names) {
  ends of{reach(calls_, *in->source, false), reach(calls_, *in->target, false)};
  if (of.source.error == -ENOENT) return;  // they are gone
  if (of.source.error != 0) return fail_at(in.get(), "", of.source.error, false);
  if (of.target.error != 0) return fail_at(in.get(), "", of.target.error, true);
  const std::size_t below = s.mine.size();
  for (auto n = names.begin(); n != names.end(); ++n) {
    if (!wanted()) return;
    // What is under way goes first, it has two descriptors: the rest lies below it.
    if (s.spent >= enough) {
      copy_item rest;
      rest.in = in;
      rest.names.assign(std::make_move_iterator(n), std::make_move_iterator(names.end()));
      in->left.fetch_add(1, std::memory_order_relaxed);
      s.mine.insert(s.mine.begin() + static_cast<std::ptrdiff_t>(below), std::move(rest));
      return;
    }
    s.spent += cost_of_a_name;
    copy_one(s, in, of, *n);
  }
}

void copy_tree::copy_one(share& s, const directory_ref& in, const ends& of, name_to_copy& n) {
  file_type type = type_of_entry(n.d_type);
  if (type == file_type::unknown) {
    struct statx facts {};
    const int error =
        calls_.stat(of.source.fd, n.name.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, facts);
    if (error == -ENOENT) return;  // it is gone
    if (error != 0) return fail_at(in.get(), n.name, error, false);
    type = type_of_mode(facts.stx_mode);
  }
  switch (type) {
    case file_type::regular:
      copy_file(s, in, of, n.name);
      break;
    case file_type::symlink:
      copy_link(in, of, n.name);
      break;
    case file_type::fifo:
      copy_fifo(in, of, n.name);
      break;
    case file_type::directory: {
      copy_item below;
      below.what = copy_item::kind::directory;
      below.in = in;
      below.name = std::move(n.name);
      add_name(s, std::move(below));
      break;
    }
    default:
      fail_at(in.get(), n.name, EOPNOTSUPP, false);
  }
}

void copy_tree::copy_link(const directory_ref& in, const ends& of, const std::string& name) {
  std::vector<char> target(PATH_MAX + 1);
  const std::int64_t n =
      calls_.read_link(of.source.fd, name.c_str(), {target.data(), target.size() - 1});
  if (n == -ENOENT) return;  // it is gone
  if (n < 0) return fail_at(in.get(), name, static_cast<int>(n), false);
  target[static_cast<std::size_t>(n)] = '\0';
  int made = calls_.make_symlink(target.data(), of.target.fd, name.c_str());
  if (made == -EEXIST && options_.existing == existing::skip) {
    ++counts_.skipped;
    return;
  }
  if (made == -EEXIST && options_.existing == existing::replace) {
    std::string beside;
    for (unsigned k = 0; made == -EEXIST && k < names_tried; ++k) {
      beside = name_beside(name, k);
      made = calls_.make_symlink(target.data(), of.target.fd, beside.c_str());
    }
    if (made == 0) {
      made = calls_.rename(of.target.fd, beside.c_str(), of.target.fd, name.c_str(), 0);
      if (made != 0) (void)calls_.remove(of.target.fd, beside.c_str(), 0);
    }
  }
  if (made == 0 && (options_.owner || options_.times)) {
    struct statx facts {};
    made = calls_.stat(of.source.fd, name.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, facts);
    if (made == 0) made = copy_link_metadata(calls_, options_, of.target.fd, name.c_str(), facts);
  }
  if (made != 0) return fail_at(in.get(), name, made, true);
  ++counts_.links;
}

void copy_tree::copy_fifo(const directory_ref& in, const ends& of, const std::string& name) {
  struct statx facts {};
  int error =
      calls_.stat(of.source.fd, name.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, facts);
  if (error == -ENOENT) return;  // it is gone
  if (error != 0) return fail_at(in.get(), name, error, false);
  std::string made = name;
  error = calls_.make_fifo(of.target.fd, made.c_str(), facts.stx_mode & 0777U);
  if (error == -EEXIST && options_.existing == existing::skip) {
    ++counts_.skipped;
    return;
  }
  for (unsigned k = 0;
       error == -EEXIST && options_.existing == existing::replace && k < names_tried; ++k) {
    made = name_beside(name, k);
    error = calls_.make_fifo(of.target.fd, made.c_str(), facts.stx_mode & 0777U);
  }
  const bool is_beside = error == 0 && made != name;
  // The owner first: a change of it takes the set-id bits away. Never through a link put in its
  // way.
  if (error == 0) error = copy_link_metadata(calls_, options_, of.target.fd, made.c_str(), facts);
  if (error == 0 && options_.permissions)
    error = calls_.change_mode(of.target.fd, made.c_str(), facts.stx_mode & 07777U,
                               AT_SYMLINK_NOFOLLOW);
  if (error == 0 && is_beside)
    error = calls_.rename(of.target.fd, made.c_str(), of.target.fd, name.c_str(), 0);
  if (error != 0 && is_beside) (void)calls_.remove(of.target.fd, made.c_str(), 0);
  if (error != 0) return fail_at(in.get(), name, error, true);
  ++counts_.others;
}

void copy_tree::copy_file(share& s, const directory_ref& in, const ends& of,
                          const std::string& name) {
  auto file = std::make_unique<file_copy>(calls_, options_, ways_, copy_target{in->target, name});
  int error = file->open_source(of.source.fd, name.c_str(), false);
  if (error == -ENOENT) return;  // it is gone
  if (error == 0) {
    if (is_further_name(in, of, *file)) return;
    error = file->make_target(of.target.fd);
    if (error > 0) {
      ++counts_.skipped;
      return settle_twins(*file, false);
    }
    if (error == 0) return go_on(s, in, of.target.fd, std::move(file));
  }
  fail_at(in.get(), name, error, file->at_target());
  settle_twins(*file, false);
}

// Copies a piece of a file; the rest of a large one is another thing to do.
void copy_tree::go_on(share& s, const directory_ref& in, int target,
                      std::unique_ptr<file_copy> file) {
  int more = 1;
  while (more == 1 && wanted() && s.spent < enough) {
    more = file->step(enough / 2, memory_of(s));
    const std::uint64_t bytes = file->take_bytes();
    s.spent += bytes;
    counts_.bytes += bytes;
  }
  if (more == 1) {
    if (!wanted()) return;  // what was made is removed
    copy_item rest;
    rest.what = copy_item::kind::file;
    rest.in = in;
    rest.file = std::move(file);
    return add_name(s, std::move(rest));
  }
  const int error = more < 0 ? more : file->finish(target);
  settle_twins(*file, error == 0);
  if (error != 0) return fail_at(in.get(), file->name(), error, file->at_target());
  ++counts_.files;
  if (file->cloned()) ++counts_.cloned;
}

// ---- further names ----

// True: the name is a link to a copy, or will be.
bool copy_tree::is_further_name(const directory_ref& in, const ends& of, const file_copy& file) {
  if (!options_.hard_links || file.facts().stx_nlink < 2) return false;
  const std::lock_guard lock(twins_mutex_);
  const auto [at, first] =
      twins_.try_emplace({device_of(file.facts()), file.facts().stx_ino},
                         twin{.in = in, .name = file.name(), .finished = false, .waiting = {}});
  if (first) return false;
  twin& t = at->second;
  if (t.finished) {
    const reached there = reach(calls_, *t.in->target, false);
    int error = there.error;
    if (error == 0)
      error = calls_.link(there.fd, t.name.c_str(), of.target.fd, file.name().c_str(), 0);
    if (error == -EEXIST && options_.existing == existing::replace) {
      std::string beside;
      for (unsigned k = 0; error == -EEXIST && k < names_tried; ++k) {
        beside = name_beside(file.name(), k);
        error = calls_.link(there.fd, t.name.c_str(), of.target.fd, beside.c_str(), 0);
      }
      if (error == 0) {
        error = calls_.rename(of.target.fd, beside.c_str(), of.target.fd, file.name().c_str(), 0);
        // Of two names of one file the rename changes nothing, and leaves the one beside.
        (void)calls_.remove(of.target.fd, beside.c_str(), 0);
      }
    }
    if (error == -EEXIST && options_.existing == existing::skip) {
      ++counts_.skipped;
      return true;
    }
    if (error == 0) ++counts_.hard_links;
    // More names than the file system allows, or the first is gone: a file of its own.
    if (error == -EMLINK || error == -ENOENT || error == -EXDEV) return false;
    if (error != 0) fail_at(in.get(), file.name(), error, true);
    return true;
  }
  copy_item later;
  later.what = copy_item::kind::twin;
  later.in = in;
  later.name = file.name();
  in->left.fetch_add(1, std::memory_order_relaxed);
  t.waiting.push_back(std::move(later));
  return true;
}

void copy_tree::settle_twins(const file_copy& file, bool copied) {
  if (!options_.hard_links || file.facts().stx_nlink < 2) return;
  std::vector<copy_item> waiting;
  {
    const std::lock_guard lock(twins_mutex_);
    const auto at = twins_.find({device_of(file.facts()), file.facts().stx_ino});
    if (at == twins_.end() || at->second.finished) return;
    waiting = std::exchange(at->second.waiting, {});
    if (copied)
      at->second.finished = true;
    else
      twins_.erase(at);
  }
  for (copy_item& i : waiting) add(std::move(i));
}

}  // namespace parkring::fs
