// What the file behind a descriptor is, without asking a file system of another machine.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>

namespace parkring::kernel::threads {

/// Which file a number means.
struct file_identity {
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::uint64_t inode = 0;  // 0: not open
  bool operator==(const file_identity&) const = default;
};

[[nodiscard]] inline file_identity identity_of(int fd) noexcept {
  struct statx s;
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &s) != 0) return {};
  return {s.stx_dev_major, s.stx_dev_minor, s.stx_ino};
}

/// Whether it is a file rather than a stream: always ready, and such that the process may hold
/// record locks on it, which closing any descriptor of the file gives up. False when it is not
/// open.
[[nodiscard]] inline bool is_file(int fd) noexcept {
  struct statx s;
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &s) != 0) return false;
  return S_ISREG(s.stx_mode) || S_ISBLK(s.stx_mode) || S_ISDIR(s.stx_mode);
}

}  // namespace parkring::kernel::threads
