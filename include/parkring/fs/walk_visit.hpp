// What a walk does to each entry on the thread that found it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <parkring/fs/walk.hpp>

namespace parkring::fs {

class visited_directory;

/// An entry of a walk, and the way to its file, as `walk_options::visit` is given it.
///
///   auto is_script = [](pr::fs::walk_visit& v) {
///     char start[2];
///     return v.entry().type == pr::fs::file_type::regular &&
///            v.read_at(std::as_writable_bytes(std::span(start)), 0) == 2 &&
///            start[0] == '#' && start[1] == '!';
///   };
///   pr::fs::walk scripts(root, {.visit = is_script});
///
/// For work on every file of a tree that takes microseconds: a file in the page cache is opened,
/// read and closed here by three calls, relative to its directory, and without a trip to the
/// runtime and back. Directories are not visited, as they come before what is in them: `descend` is
/// asked about them. Nor is an entry that comes with a `failure`.
///
/// Of one walk as many visits are under way as its `concurrency` says, each on one thread of the
/// pool from its beginning to its end; so what a visitor shares with others it must lock. An
/// `io_error` that it throws becomes the entry's `failure`; anything else ends the walk, and is
/// thrown by `next`. After a drop no visit begins; those under way end by themselves, and what the
/// visitor has captured lives until then.
class walk_visit {
 public:
  walk_visit(const walk_visit&) = delete;
  walk_visit& operator=(const walk_visit&) = delete;

  /// What `next` gives if the visitor says true; what is changed in it is seen there.
  [[nodiscard]] walk_entry& entry() const noexcept { return entry_; }

  /// Reads up to `to.size()` bytes at `offset`, as pread(2): short at the end of the file, 0 behind
  /// it; some file systems also give less before the end. Blocks. The first call opens the file,
  /// which closes with the visit. A name that is a FIFO's or a device's by now is opened without
  /// waiting; one that is gone is ENOENT, which does not come if the visitor lets it pass.
  ///
  /// *Errors*: `io_error`, of openat(2) or pread(2).
  std::size_t read_at(std::span<std::byte> to, std::uint64_t offset);

  /// False once the walk was dropped: nobody will see what this visit finds.
  [[nodiscard]] bool wanted() const noexcept;

 private:
  friend class visited_directory;
  walk_visit(walk_entry& e, visited_directory& in) noexcept : entry_(e), in_(in) {}
  ~walk_visit();

  walk_entry& entry_;
  visited_directory& in_;
  int file_ = -1;
  bool gone_ = false;
};

}  // namespace parkring::fs
