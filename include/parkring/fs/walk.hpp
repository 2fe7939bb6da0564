// The tree below a directory, entry after entry.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <parkring/error.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

class tree_place;
class walk_state;
struct tree_starts;
class walk_visit;

/// One name that a walk came to.
class walk_entry {
 public:
  /// The last part of its path, in the bytes that the file system has.
  std::string name;
  file_type type = file_type::unknown;
  std::uint64_t inode = 0;
  /// 1: in the root itself.
  unsigned depth = 0;
  /// Where `walk_options::metadata` asked for it.
  std::optional<fs::metadata> metadata;
  /// What went wrong with this entry: a directory that cannot be listed, which came before without
  /// an error; or what cannot be found out about it.
  std::shared_ptr<const parkring::error> failure;

  /// Below the root.
  [[nodiscard]] std::filesystem::path relative_path() const;
  /// With the root's path in front, as that was given.
  [[nodiscard]] std::filesystem::path path() const;

 private:
  friend class walk_work;
  friend class walk_state;
  friend class walk;
  std::shared_ptr<tree_place> in_;      // the directory that has it
  std::shared_ptr<tree_place> inside_;  // itself, of a directory that is to be listed
};

enum class follow_links : std::uint8_t {
  never,      // also not when the root itself is one: ENOTDIR
  root_only,  // a root that is a symbolic link; others are entries
  always,     // entries are what links lead to; one that leads to a directory above it is ELOOP
};

enum class walk_order : std::uint8_t {
  /// As jobs find them; a directory before what is in it. The fastest.
  any,
  /// As `any`, the entries of each directory together and sorted by the bytes of their names.
  by_name,
  /// Sorted, and each directory's content directly behind it: one order for one tree. Directories
  /// are listed one at a time.
  depth_first,
};

struct walk_options {
  /// Ask for everything about each entry (statx(2)), in the same jobs.
  bool metadata = false;
  follow_links follow = follow_links::root_only;
  walk_order order = walk_order::any;
  /// Entries deeper than this do not come; 1: those of the root only.
  unsigned max_depth = ~0U;
  /// Do not list directories of other file systems than the root's; they come as entries.
  bool one_file_system = false;
  /// False: a directory that came as an entry is not listed. Called on threads of the pool, several
  /// at once, so all that it touches must stand that; it stays alive until the last of them is
  /// done.
  std::function<bool(const walk_entry&)> descend = {};
  /// Work on each entry that is no directory, on the thread that found it, while the way to its
  /// file is short: see parkring/fs/walk_visit.hpp. False: the entry does not come. Called as
  /// `descend` is, and it may block.
  std::function<bool(walk_visit&)> visit = {};
  /// Jobs at once, on the pool of `runtime_options::blocking_threads`.
  unsigned concurrency = 4;
  /// About how many entries come in a batch, or are visited by a job. So many times `concurrency`
  /// are held at most, and one buffer of names more for each; with a sorted order the entries of a
  /// directory.
  unsigned batch = 512;
};

/// Walks through the tree below a directory: a stream of `walk_entry`.
///
///   pr::fs::walk w(root, {.metadata = true});
///   while (auto e = co_await w.next()) ...
///
/// Directories are listed by jobs on the pool of blocking threads, many entries in each. An entry
/// that is gone when it is asked about does not come; one that cannot be listed or asked comes with
/// `failure`, and the walk goes on. *Owns* all its jobs touch. *Thread*: the runtime's, and of
/// several workers the one, on which it was first asked. *Drop*: at once; the jobs under way end by
/// themselves after their next call.
class walk {
 public:
  using bound_to_thread = void;
  using value_type = walk_entry;

  explicit walk(std::filesystem::path root, walk_options options = {});
  walk(walk&&) noexcept;
  walk& operator=(walk&&) noexcept;
  ~walk();

  /// The next entry; an empty optional at the end.
  ///
  /// *Completes when* there is one. *Owns* nothing: keep the walk. *Thread*: inside a task, always
  /// on the same runtime. *Drop*: stops waiting; no entry is lost. *Errors*: `io_error` of the root
  /// alone: not there, no directory, not readable.
  [[nodiscard]] task<std::optional<walk_entry>> next();

  /// All entries that are there, or that the next job brings; empty at the end. For many entries
  /// this costs much less than one await for each.
  ///
  /// *Completes when* there is an entry. *Owns* nothing. *Thread*, *Drop*, *Errors*: as `next`.
  [[nodiscard]] task<std::vector<walk_entry>> next_batch();

  /// Nothing below `directory`, which came as an entry, comes any more: neither what was listed in
  /// advance nor what was not. `descend` decides before anything is listed.
  void skip(const walk_entry& directory);
  /// The same of the entry that `next` gave last.
  void skip();

 private:
  friend class directory_entries;
  friend struct tree_starts;
  walk(std::filesystem::path root, walk_options options, const char* operation);
  explicit walk(std::unique_ptr<walk_state> state) noexcept;
  std::unique_ptr<walk_state> state_;
};

}  // namespace parkring::fs
