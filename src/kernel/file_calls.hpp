// Calls about files beside the rings: those that no opcode has, and those that are made many at a
// time, where a trip through the ring would cost more than the call.
//
// They may block, so whoever makes them is a job on a thread that may (parkring/blocking.hpp); in a
// simulated world such a job runs on the world's one thread, and each call is a step of it. Of a
// real kernel any thread may make them, any number at once.
//
// As everywhere behind the seam results are a count or 0, or a negative errno. Paths end with a
// zero; `at` is the directory that a relative path starts from, or AT_FDCWD.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace parkring::kernel {

/// What an extended attribute belongs to: a path, or an open file when there is none, which may be
/// one that was opened by O_PATH (-ENOENT then where a real system shows no /proc).
struct attribute_place {
  int fd = -1;
  const char* path = nullptr;
  bool follow = true;  // a symbolic link at the end of the path
};

/// Room and limits of a file system, as statvfs(3).
struct file_system_facts {
  std::uint64_t block_size = 0;
  std::uint64_t blocks = 0, blocks_free = 0, blocks_available = 0;
  std::uint64_t files = 0, files_free = 0;
  std::uint64_t longest_name = 0;
  bool read_only = false;
};

class file_calls {
 public:
  virtual ~file_calls() = default;

  /// How many names were made for a time: of a simulated machine, whose one thread counts.
  unsigned names_made = 0;

  // ---- names ----

  /// openat(2): a descriptor of this kernel, which `close` closes.
  virtual int open(int at, const char* path, int flags, unsigned mode) noexcept = 0;
  /// A directory, by a path of which no part may be a symbolic link: openat2(2). -ENOSYS where this
  /// cannot be asked for: open one part after the other then.
  virtual int open_without_links(int at, const char* path) noexcept;
  virtual int close(int fd) noexcept = 0;
  /// Another descriptor of the same open file, which a job keeps while the file may close. Never
  /// blocks.
  virtual int duplicate(int fd) noexcept = 0;
  /// The file that is open as `fd`, opened anew: an open file of its own, with its own position and
  /// locks. -ENOENT where a real system shows no /proc.
  virtual int reopen(int fd, int flags) noexcept = 0;
  /// statx(2).
  virtual int stat(int at, const char* path, int flags, unsigned mask,
                   struct statx& out) noexcept = 0;
  /// getdents64(2): records as it makes them (d_ino, d_off, d_reclen, d_type, d_name), from the
  /// descriptor's position on, which moves; 0 at the end.
  virtual std::int64_t read_entries(int fd, std::span<std::byte> out) noexcept = 0;
  /// readlinkat(2): the length, without a zero behind it. An empty path is the descriptor's own,
  /// opened with O_PATH | O_NOFOLLOW.
  virtual std::int64_t read_link(int at, const char* path, std::span<char> out) noexcept = 0;
  virtual int make_directory(int at, const char* path, unsigned mode) noexcept = 0;
  virtual int make_symlink(const char* target, int at, const char* path) noexcept = 0;
  /// A FIFO, mkfifoat(3).
  virtual int make_fifo(int at, const char* path, unsigned mode) noexcept = 0;
  /// unlinkat(2); `flags`: AT_REMOVEDIR.
  virtual int remove(int at, const char* path, int flags) noexcept = 0;
  /// renameat2(2).
  virtual int rename(int from_at, const char* from, int to_at, const char* to,
                     unsigned flags) noexcept = 0;
  /// linkat(2).
  virtual int link(int from_at, const char* from, int to_at, const char* to,
                   int flags) noexcept = 0;

  // ---- what files have beside their content; an empty path and AT_EMPTY_PATH: the open file ----

  /// fchmodat2(2); a symbolic link has no mode of its own.
  virtual int change_mode(int at, const char* path, unsigned mode, int flags) noexcept = 0;
  /// fchownat(2); -1 leaves one as it is.
  virtual int change_owner(int at, const char* path, uid_t user, gid_t group,
                           int flags) noexcept = 0;
  /// utimensat(2): of the last access and the last change; UTIME_NOW, UTIME_OMIT.
  virtual int set_times(int at, const char* path, const timespec (&times)[2],
                        int flags) noexcept = 0;
  /// getxattr(2); with an empty span the size.
  virtual std::int64_t get_attribute(const attribute_place& of, const char* name,
                                     std::span<std::byte> out) noexcept = 0;
  /// setxattr(2); `flags`: XATTR_CREATE, XATTR_REPLACE.
  virtual int set_attribute(const attribute_place& of, const char* name,
                            std::span<const std::byte> value, int flags) noexcept = 0;
  /// listxattr(2): names, a zero behind each; with an empty span the size.
  virtual std::int64_t list_attributes(const attribute_place& of, std::span<char> out) noexcept = 0;
  virtual int remove_attribute(const attribute_place& of, const char* name) noexcept = 0;

  // ---- content ----

  /// pread(2), pwrite(2): may be short.
  virtual std::int64_t read(int fd, std::span<std::byte> out, std::uint64_t offset) noexcept = 0;
  virtual std::int64_t write(int fd, std::span<const std::byte> data,
                             std::uint64_t offset) noexcept = 0;
  /// fsync(2), or fdatasync(2).
  virtual int sync(int fd, bool data_only) noexcept = 0;
  virtual int truncate(int fd, std::uint64_t size) noexcept = 0;
  /// copy_file_range(2), at offsets; -EXDEV, -EOPNOTSUPP, -EINVAL, -ENOSYS where it cannot.
  virtual std::int64_t copy_range(int from, std::uint64_t from_offset, int to,
                                  std::uint64_t to_offset, std::uint64_t count) noexcept = 0;
  /// ioctl_ficlone(2): the whole file, its blocks shared; -EXDEV, -EOPNOTSUPP, -EINVAL, -ENOTTY
  /// where the file system cannot.
  virtual int clone(int from, int to) noexcept = 0;
  /// lseek(2) with SEEK_DATA or SEEK_HOLE; the descriptor's position is of no use afterwards.
  virtual std::int64_t seek(int fd, std::uint64_t offset, int whence) noexcept = 0;
  /// posix_fadvise(2).
  virtual int advise(int fd, std::uint64_t offset, std::uint64_t length, int advice) noexcept = 0;
  /// An open-file-description lock, fcntl(2) F_OFD_SETLK: F_RDLCK, F_WRLCK or F_UNLCK from `offset`
  /// on, length 0: to the end. Never waits: -EAGAIN.
  virtual int lock(int fd, short type, std::uint64_t offset, std::uint64_t length) noexcept = 0;

  /// statvfs(3) of the file system of a path, or of an open file with an empty path.
  virtual int inspect_file_system(int at, const char* path, file_system_facts& out) noexcept = 0;
  /// How many descriptors may be open at once.
  [[nodiscard]] virtual std::uint64_t most_descriptors() const noexcept { return 1U << 20; }
};

/// Those of this process's own system.
[[nodiscard]] file_calls& system_file_calls() noexcept;

}  // namespace parkring::kernel
