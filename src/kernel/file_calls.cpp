// The calls of this process's system; raw where the C library adds something of its own.
#include "kernel/file_calls.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "base/descriptor.hpp"
#include "kernel/open_how.hpp"

namespace parkring::kernel {
namespace {

constexpr unsigned long ficlone = 0x40049409;  // FICLONE, ioctl_ficlone(2)
#ifndef SYS_fchmodat2
constexpr long sys_fchmodat2 = 452;  // Linux 6.6, the same on all architectures
#else
constexpr long sys_fchmodat2 = SYS_fchmodat2;
#endif

template <class T>
T answer(T result) noexcept {
  return result < 0 ? static_cast<T>(-errno) : result;
}

// For the calls that take no descriptor: a path by which the open file is found.
struct path_of_descriptor {
  char text[32];
  explicit path_of_descriptor(int fd) noexcept {
    std::snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
  }
};

// Of an open file by its descriptor; of one that was opened by O_PATH, which such calls refuse, by
// a path that leads to it.
template <class ByDescriptor, class ByPath>
auto on_descriptor(int fd, ByDescriptor by_descriptor, ByPath by_path) noexcept {
  const auto result = by_descriptor(fd);
  if (result >= 0) return result;
  const int number = errno;
  const int flags = number == EBADF ? ::fcntl(fd, F_GETFL) : 0;
  if (number != EBADF || flags < 0 || (flags & O_PATH) == 0)
    return static_cast<decltype(+result)>(-number);
  return answer(by_path(path_of_descriptor(fd).text));
}

class system_calls final : public file_calls {
 public:
  int open(int at, const char* path, int flags, unsigned mode) noexcept override {
    return answer(::openat(at, path, flags | O_CLOEXEC, mode));
  }
  int open_without_links(int at, const char* path) noexcept override {
    constexpr long sys_openat2 = 437;  // on all architectures
    abi::open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = abi::resolve_no_symlinks;
    const long made = ::syscall(sys_openat2, at, path, &how, sizeof how);
    if (made >= 0) return static_cast<int>(made);
    return errno == EPERM ? -ENOSYS : -errno;  // a filter's answer
  }
  int close(int fd) noexcept override { return base::close_descriptor(fd); }
  std::uint64_t most_descriptors() const noexcept override {
    rlimit all{};
    return ::getrlimit(RLIMIT_NOFILE, &all) == 0 ? all.rlim_cur : file_calls::most_descriptors();
  }
  int duplicate(int fd) noexcept override { return answer(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }
  int reopen(int fd, int flags) noexcept override {
    return answer(::open(path_of_descriptor(fd).text, flags | O_CLOEXEC));
  }
  int stat(int at, const char* path, int flags, unsigned mask,
           struct statx& out) noexcept override {
    return answer(::statx(at, path, flags, mask, &out));
  }
  std::int64_t read_entries(int fd, std::span<std::byte> out) noexcept override {
    return answer<std::int64_t>(::syscall(SYS_getdents64, fd, out.data(), out.size()));
  }
  std::int64_t read_link(int at, const char* path, std::span<char> out) noexcept override {
    return answer<std::int64_t>(::readlinkat(at, path, out.data(), out.size()));
  }
  int make_directory(int at, const char* path, unsigned mode) noexcept override {
    return answer(::mkdirat(at, path, mode));
  }
  int make_symlink(const char* target, int at, const char* path) noexcept override {
    return answer(::symlinkat(target, at, path));
  }
  int make_fifo(int at, const char* path, unsigned mode) noexcept override {
    return answer(::mkfifoat(at, path, mode));
  }
  int remove(int at, const char* path, int flags) noexcept override {
    return answer(::unlinkat(at, path, flags));
  }
  int rename(int from_at, const char* from, int to_at, const char* to,
             unsigned flags) noexcept override {
    return answer(::renameat2(from_at, from, to_at, to, flags));
  }
  int link(int from_at, const char* from, int to_at, const char* to, int flags) noexcept override {
    return answer(::linkat(from_at, from, to_at, to, flags));
  }

  int change_mode(int at, const char* path, unsigned mode, int flags) noexcept override {
    if (flags == 0) return answer(::fchmodat(at, path, mode, 0));
    const long result = ::syscall(sys_fchmodat2, at, path, mode, flags);
    if (result == 0 || errno != ENOSYS) return answer(static_cast<int>(result));
    if ((flags & AT_EMPTY_PATH) == 0) return answer(::fchmodat(at, path, mode, flags));
    return answer(::chmod(path_of_descriptor(at).text, mode));
  }
  int change_owner(int at, const char* path, uid_t user, gid_t group, int flags) noexcept override {
    return answer(::fchownat(at, path, user, group, flags));
  }
  int set_times(int at, const char* path, const timespec (&times)[2], int flags) noexcept override {
    if (*path != '\0') return answer(::utimensat(at, path, times, flags));
    if (::utimensat(at, path, times, flags) == 0) return 0;
    if (errno != EINVAL) return -errno;  // before Linux 5.8 it knows no AT_EMPTY_PATH
    return answer(::utimensat(AT_FDCWD, path_of_descriptor(at).text, times, 0));
  }

  std::int64_t get_attribute(const attribute_place& of, const char* name,
                             std::span<std::byte> out) noexcept override {
    if (of.path == nullptr)
      return on_descriptor(
          of.fd, [&](int fd) { return ::fgetxattr(fd, name, out.data(), out.size()); },
          [&](const char* path) { return ::getxattr(path, name, out.data(), out.size()); });
    return answer<std::int64_t>(
        (of.follow ? ::getxattr : ::lgetxattr)(of.path, name, out.data(), out.size()));
  }
  int set_attribute(const attribute_place& of, const char* name, std::span<const std::byte> value,
                    int flags) noexcept override {
    if (of.path == nullptr)
      return on_descriptor(
          of.fd, [&](int fd) { return ::fsetxattr(fd, name, value.data(), value.size(), flags); },
          [&](const char* path) {
            return ::setxattr(path, name, value.data(), value.size(), flags);
          });
    return answer(
        (of.follow ? ::setxattr : ::lsetxattr)(of.path, name, value.data(), value.size(), flags));
  }
  std::int64_t list_attributes(const attribute_place& of, std::span<char> out) noexcept override {
    if (of.path == nullptr)
      return on_descriptor(
          of.fd, [&](int fd) { return ::flistxattr(fd, out.data(), out.size()); },
          [&](const char* path) { return ::listxattr(path, out.data(), out.size()); });
    return answer<std::int64_t>(
        (of.follow ? ::listxattr : ::llistxattr)(of.path, out.data(), out.size()));
  }
  int remove_attribute(const attribute_place& of, const char* name) noexcept override {
    if (of.path == nullptr)
      return on_descriptor(
          of.fd, [&](int fd) { return ::fremovexattr(fd, name); },
          [&](const char* path) { return ::removexattr(path, name); });
    return answer((of.follow ? ::removexattr : ::lremovexattr)(of.path, name));
  }

  std::int64_t read(int fd, std::span<std::byte> out, std::uint64_t offset) noexcept override {
    return answer<std::int64_t>(::pread(fd, out.data(), out.size(), static_cast<off_t>(offset)));
  }
  std::int64_t write(int fd, std::span<const std::byte> data,
                     std::uint64_t offset) noexcept override {
    return answer<std::int64_t>(::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)));
  }
  int sync(int fd, bool data_only) noexcept override {
    return answer(data_only ? ::fdatasync(fd) : ::fsync(fd));
  }
  int truncate(int fd, std::uint64_t size) noexcept override {
    return answer(::ftruncate(fd, static_cast<off_t>(size)));
  }
  std::int64_t copy_range(int from, std::uint64_t from_offset, int to, std::uint64_t to_offset,
                          std::uint64_t count) noexcept override {
    auto in = static_cast<off64_t>(from_offset), out = static_cast<off64_t>(to_offset);
    return answer<std::int64_t>(::copy_file_range(from, &in, to, &out, count, 0));
  }
  int clone(int from, int to) noexcept override { return answer(::ioctl(to, ficlone, from)); }
  std::int64_t seek(int fd, std::uint64_t offset, int whence) noexcept override {
    return answer<std::int64_t>(::lseek(fd, static_cast<off_t>(offset), whence));
  }
  int advise(int fd, std::uint64_t offset, std::uint64_t length, int advice) noexcept override {
    return -::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(length), advice);
  }
  int lock(int fd, short type, std::uint64_t offset, std::uint64_t length) noexcept override {
    struct flock what {};
    what.l_type = type;
    what.l_whence = SEEK_SET;
    what.l_start = static_cast<off_t>(offset);
    what.l_len = static_cast<off_t>(length);
    const int result = answer(::fcntl(fd, F_OFD_SETLK, &what));
    return result == -EACCES ? -EAGAIN : result;  // either may be told, fcntl(2)
  }

  int inspect_file_system(int at, const char* path, file_system_facts& out) noexcept override {
    struct statvfs s;
    int result;
    if (*path == '\0') {
      result = ::fstatvfs(at, &s);
    } else if (at == AT_FDCWD || *path == '/') {
      result = ::statvfs(path, &s);
    } else {
      const int fd = ::openat(at, path, O_PATH | O_CLOEXEC);
      if (fd < 0) return -errno;
      result = ::fstatvfs(fd, &s);
      const int number = errno;
      base::close_descriptor(fd);
      errno = number;
    }
    if (result != 0) return -errno;
    out = {.block_size = s.f_frsize,
           .blocks = s.f_blocks,
           .blocks_free = s.f_bfree,
           .blocks_available = s.f_bavail,
           .files = s.f_files,
           .files_free = s.f_ffree,
           .longest_name = s.f_namemax,
           .read_only = (s.f_flag & ST_RDONLY) != 0};
    return 0;
  }
};

}  // namespace

int file_calls::open_without_links(int, const char*) noexcept { return -ENOSYS; }

file_calls& system_file_calls() noexcept {
  static system_calls calls;
  return calls;
}

}  // namespace parkring::kernel
