// A simulated file system: the answers of Linux and ext4, and honest durability.
//
// There are two states: what programs see, which every operation changes at once, and what the
// device has. What a power cut may and may not do:
//   may vanish    data and sizes not synced; names made, moved or removed since their directory was
//                 synced. fsync of a file does not make its name durable (`strict_directories`).
//   may be torn   a write, between its sectors of 512 bytes; never within one.
//   may be        sectors of one or several writes, in any order; operations on different
//   reordered     directories (`reorder_metadata`); data against names: a renamed file may be
//   empty. may appear    a file that grew, with zeros (or garbage, `stale_data`) where data did not
//   arrive. never         what was synced is lost or changed, unless a fault was injected; a rename
//   is half
//                 done; the changes of one directory are reordered; data written after a truncation
//                 is seen without the truncation; a removed but open file is seen again, unless its
//                 removal was not durable.
// Permissions, times and extended attributes are not part of the model: they are always as the
// programs left them. Space preallocated behind the end of a file does not survive.
// Afterwards all open files are dead (EIO) and the file system is as after a mount.
// Sources: POSIX.1-2017, fsync(); Linux, Documentation/filesystems/ext4 (data=ordered, delayed
// allocation); Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014; Rebello et al.,
// "Can Applications Recover from fsync Failures?", USENIX ATC 2020 (a failed fsync marks the dirty
// pages clean; the next one succeeds). All choices come from `random`.
//
// Operations return a count or 0, or a negative errno. Everything is done as root: no EACCES.
// One thread at a time. Open files may outlive the file system; they are dead then.
#pragma once

#include <parkring/sim/disk.hpp>

#include "kernel/sim/inode.hpp"
#include "kernel/sim/journal.hpp"
#include "kernel/sim/open_file.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace parkring::kernel::sim {

using parkring::sim::disk_options;

/// What the device does with a write it acknowledges; `where` is a random number that decides.
struct write_fate {
  enum kind_type : std::uint8_t { normal, lost, misdirected, torn } kind = normal;
  std::uint64_t where = 0;
};
/// `flipped`: one bit of the answer; `rotten`: one bit on the device, for good.
struct read_fate {
  enum kind_type : std::uint8_t { normal, flipped, rotten } kind = normal;
  std::uint64_t where = 0;
};
/// `refused`: EIO, and the dirty pages are marked clean without having been written.
enum class sync_fate : std::uint8_t { normal, refused };

class file_system {
 public:
  /// `seed`: of what the device draws by itself.
  explicit file_system(const disk_options& options = {}, std::uint64_t seed = 1);
  ~file_system();
  file_system(const file_system&) = delete;
  file_system& operator=(const file_system&) = delete;

  const disk_options& options() const noexcept { return options_; }
  /// The virtual time for time stamps, in nanoseconds since 1970.
  void set_now(std::int64_t nanoseconds) noexcept { now_ = nanoseconds; }

  // Names. `at` is the directory that relative paths start from; null: the root.
  /// `beneath`: not out of `at`, as openat2(2) with RESOLVE_BENEATH.
  int open(open_file* at, std::string_view path, int flags, unsigned mode, open_ref& result,
           bool beneath = false);
  /// The same file once more, as a new open file.
  int reopen(open_file& file, int flags, open_ref& result);
  int mkdir(open_file* at, std::string_view path, unsigned mode);
  /// A name for a pipe; the pipe itself is the machine's, which knows it by the inode's number.
  int mkfifo(open_file* at, std::string_view path, unsigned mode);
  int unlink(open_file* at, std::string_view path, int flags = 0);  // AT_REMOVEDIR
  int symlink(std::string_view target, open_file* at, std::string_view path);
  int link(open_file* from_at, std::string_view from, open_file* to_at, std::string_view to,
           int flags = 0);  // AT_SYMLINK_FOLLOW, AT_EMPTY_PATH
  int rename(open_file* from_at, std::string_view from, open_file* to_at, std::string_view to,
             unsigned flags = 0);  // RENAME_NOREPLACE, RENAME_EXCHANGE
  /// `flags`: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
  int stat(open_file* at, std::string_view path, int flags, unsigned mask, struct statx& result);
  int truncate(open_file* at, std::string_view path, std::int64_t size);
  /// The target of a symbolic link.
  int read_link(open_file* at, std::string_view path, std::string& result);
  /// The names in a directory, without "." and "..", in order.
  int list(open_file* at, std::string_view path, std::vector<std::string>& result);

  // What files have beside their content (file_system_details.cpp). Below, `at` with an empty path
  // is the open file itself.
  int change_mode(open_file* at, std::string_view path, unsigned mode, bool follows);
  int change_owner(open_file* at, std::string_view path, std::uint32_t user, std::uint32_t group,
                   bool follows);
  /// Of the last access and the last change; nothing: as it is.
  int set_times(open_file* at, std::string_view path, std::optional<std::int64_t> accessed,
                std::optional<std::int64_t> modified, bool follows);
  /// What is there and has attributes, or null and the error.
  inode* with_attributes(open_file* at, std::string_view path, bool follows, int& error);
  /// The next names of an open directory as getdents64(2) makes them.
  std::int64_t read_entries(open_file& directory, std::span<std::byte> out);
  /// SEEK_DATA and SEEK_HOLE; all of a file counts as data.
  std::int64_t seek(const open_file& file, std::int64_t offset, int whence) const;
  /// F_RDLCK, F_WRLCK, F_UNLCK, never waiting; `length` 0: to the end.
  int lock(open_file& file, short type, std::uint64_t offset, std::uint64_t length);

  // Open files. `offset` -1 is the file's position, which then moves.
  std::int64_t read(open_file& file, std::span<std::byte> out, std::int64_t offset,
                    read_fate fate = {});
  std::int64_t write(open_file& file, std::span<const std::byte> data, std::int64_t offset,
                     write_fate fate = {}, sync_fate synced = sync_fate::normal);
  int truncate(open_file& file, std::int64_t size);
  int fallocate(open_file& file, int mode, std::int64_t offset, std::int64_t length);
  /// fdatasync has the same effect: times are not part of the model.
  int sync(open_file& file, sync_fate fate = sync_fate::normal);
  /// As sync_file_range(2), which promises nothing: checks its arguments.
  int sync_range(open_file& file, std::int64_t offset, std::int64_t length);
  /// From outside: a file and its name become durable, or that there is none. Only what that
  /// takes does so too: earlier changes of the directories that lead to it.
  int persist(std::string_view path);
  int stat(const open_file& file, struct statx& result) const;

  // The device.
  void power_cut(random& draws);
  /// Reads and write-backs of these sectors fail from now on.
  void mark_bad(open_file& file, std::uint64_t offset, std::uint64_t length);
  /// Clean data leaves the cache: what the device has is seen from now on.
  void drop_caches();
  std::uint64_t space_used() const noexcept { return space_.used * file_data::page_size; }
  std::size_t inode_count() const noexcept { return live_; }
  /// Of all paths, types and contents as programs see them.
  std::uint64_t hash() const;

 private:
  friend void close_open_file(open_file* file) noexcept;

  // Where a path leads: the directory and the last name in it, and what is there.
  struct place {
    enum last_type : std::uint8_t { name, dot, dot_dot, root } last = root;
    inode* directory = nullptr;
    inode* found = nullptr;
    std::string_view leaf;
    bool slash = false;    // the path ends with one
    std::string expanded;  // `leaf` may point into it
  };
  // `create` is `always` for open with O_CREAT: a slash behind the name is an error, followed or
  // not.
  enum class follow : std::uint8_t { never, with_slash, always, create };

  int walk(open_file* at, std::string_view path, follow last, place& result, bool beneath = false);
  int find(open_file* at, std::string_view path, follow last, place& result);
  int find_here(open_file* at, std::string_view path, bool follows, inode*& result);
  int make(place& where, std::uint32_t mode, inode*& result);
  int make_nameless(std::uint32_t mode, inode*& result);
  int rename_checked(place& from, place& to, unsigned flags);
  void unlink_entry(inode& directory, const std::string& name);
  bool removed(const inode& directory) const noexcept {
    return directory.parent == nullptr && &directory != root_;
  }
  open_ref opened(inode& node, int flags);
  int truncate(inode& node, std::int64_t size);
  void misdirect(const inode& node, std::uint64_t offset, std::span<const std::byte> data,
                 std::uint64_t where);
  int write_back(inode& node, sync_fate fate, std::uint64_t from, std::uint64_t to);
  int report_error(open_file& file);
  void journal_grew();
  void collect(std::vector<inode*>& candidates);
  void collect(inode& one);
  void touch(inode& node) noexcept { node.modified = node.changed = now_; }
  void hash_directory(const inode& directory, std::uint64_t& h) const;

  disk_options options_;
  random draws_;
  disk_space space_;
  std::int64_t now_ = 0;
  std::size_t live_ = 0;
  std::vector<std::unique_ptr<inode>> inodes_;  // by number - 1; null: gone, never used again
  inode* root_ = nullptr;
  journal journal_;
  open_file* files_ = nullptr;
};

}  // namespace parkring::kernel::sim
