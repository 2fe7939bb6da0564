// What a kernel does beside its rings, by the system calls of this process.
#include "kernel/kernel.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/descriptor.hpp"
#include "kernel/file_calls.hpp"

namespace parkring::kernel {

constinit thread_local kernel* this_thread_kernel = nullptr;

std::uint64_t kernel::now_ns() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(t.tv_nsec);
}

void kernel::pause(std::uint64_t ns) noexcept {
  const timespec t{static_cast<time_t>(ns / 1'000'000'000u),
                   static_cast<long>(ns % 1'000'000'000u)};
  ::nanosleep(&t, nullptr);
}

namespace {

// What statx says about direct I/O (Linux 6.1, statx(2)); the system's headers may not know it.
constexpr unsigned statx_dioalign = 0x2000;

void find_alignment(int fd, file_facts& out) noexcept {
  struct statx s;
  std::memset(&s, 0, sizeof s);
  if (::statx(fd, "", AT_EMPTY_PATH, statx_dioalign, &s) != 0) return;
  if ((s.stx_mask & statx_dioalign) == 0 || s.stx_dio_mem_align == 0) return;
  out.memory_alignment = s.stx_dio_mem_align;
  out.offset_alignment = s.stx_dio_offset_align;
}

}  // namespace

int kernel::inspect(int fd, bool direct_io, file_facts& out) noexcept {
  struct stat s;
  if (::fstat(fd, &s) != 0) return -errno;
  out = {};
  out.has_position = ::lseek(fd, 0, SEEK_CUR) >= 0;
  if (S_ISDIR(s.st_mode))
    out.what = file_facts::kind::directory;
  else if (S_ISREG(s.st_mode))
    out.what = file_facts::kind::regular;
  else if (out.has_position && !S_ISCHR(s.st_mode))
    out.what = file_facts::kind::device;
  else
    out.what = file_facts::kind::stream;
  if (direct_io) find_alignment(fd, out);
  return 0;
}

int kernel::close(int fd) noexcept { return base::close_descriptor(fd); }
file_calls& kernel::files() noexcept { return system_file_calls(); }

int kernel::make_event() noexcept {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd >= 0 ? fd : -errno;
}

void kernel::signal_event(int fd) noexcept {
  const std::uint64_t one = 1;
  while (::write(fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void kernel::clear_event(int fd) noexcept {
  std::uint64_t count;  // the number of signals; only its going to zero matters
  while (::read(fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

int kernel::watch_descriptor(ring_memory&, int) noexcept { return -EOPNOTSUPP; }
bool kernel::begin_watch(const ring_memory&) noexcept { return true; }
void kernel::end_watch(const ring_memory&) noexcept {}

}  // namespace parkring::kernel
