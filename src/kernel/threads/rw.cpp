// Reads and writes.
//
// First without blocking (RWF_NOWAIT). What a file would have waited for is lent to a worker, with
// what is left of it after a short answer, because files give short answers only at their end. What
// a stream would have waited for is watched. Some streams cannot be tried: they are watched first,
// and then read on a worker.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <algorithm>
#include <new>

#include <parkring/detail/rw_nowait.hpp>

#include "kernel/threads/backend.hpp"
#include "kernel/threads/file_identity.hpp"

namespace parkring::kernel::threads {

void limit_transfer(std::vector<iovec>& parts, std::size_t most) noexcept {
  for (iovec& v : parts) {
    if (static_cast<ssize_t>(v.iov_len) < 0) continue;
    v.iov_len = std::min(v.iov_len, most);
    most -= v.iov_len;
  }
}

namespace {

constexpr int nowait = 0x8;                         // RWF_NOWAIT
constexpr int synchronous = 0x2 | 0x4;              // RWF_DSYNC, RWF_SYNC
constexpr std::uint32_t most_parts = 1024;          // UIO_MAXIOV
constexpr std::size_t longest_in_place = 1u << 18;  // more would keep the ring's thread too long
constexpr int most_posts = 32;                      // of a multishot request at a time

bool is_read(std::uint8_t opcode) noexcept {
  return opcode == abi::op_read || opcode == abi::op_readv || opcode == abi::op_read_fixed ||
         opcode == abi::op_readv_fixed || opcode == abi::op_read_multishot;
}

bool is_vectored(std::uint8_t opcode) noexcept {
  return opcode == abi::op_readv || opcode == abi::op_writev || opcode == abi::op_readv_fixed ||
         opcode == abi::op_writev_fixed;
}

// A count or -errno. Without flags by the older calls, which every filter knows.
std::int64_t transfer(bool read, int fd, const iovec* parts, int count, std::int64_t offset,
                      int flags) noexcept {
  ssize_t n;
  if (flags != 0 || offset < -1)
    n = read ? ::preadv2(fd, parts, count, offset, flags)
             : ::pwritev2(fd, parts, count, offset, flags);
  else if (offset == -1)
    n = read ? ::readv(fd, parts, count) : ::writev(fd, parts, count);
  else
    n = read ? ::preadv(fd, parts, count, offset) : ::pwritev(fd, parts, count, offset);
  if (n >= 0) return n;
  return errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

// What a request asks for, at this moment.
struct asked {
  asked(const request& r, const op_state& s) noexcept
      : read(is_read(r.entry.opcode)),
        flags(static_cast<int>(r.entry.rw_flags)),
        offset(s.positionless ? -1 : static_cast<std::int64_t>(r.entry.off)) {
    if (is_vectored(r.entry.opcode) && !r.selects_buffer()) {
      parts = s.copies != nullptr ? s.copies->parts.data()
                                  : reinterpret_cast<const iovec*>(r.entry.addr);
      count = r.entry.len;
    } else {
      one = {r.memory, std::min(r.length, most_transferred)};
      // The length of the one part, see start_rw.
      if (is_vectored(r.entry.opcode) && r.entry.len != 0)
        one.iov_len = std::min<std::size_t>(one.iov_len, r.entry.len);
    }
  }
  [[nodiscard]] const iovec* begin() const noexcept { return parts != nullptr ? parts : &one; }
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t n = 0;
    for (std::uint32_t i = 0; i < count; ++i) n += begin()[i].iov_len;
    return std::min<std::size_t>(n, most_transferred);
  }
  // Starts an answer's worth later.
  [[nodiscard]] std::vector<iovec> rest(std::size_t done) const {
    std::vector<iovec> left(begin(), begin() + count);
    limit_transfer(left);
    for (iovec& v : left) {
      const std::size_t n = std::min(done, v.iov_len);
      v.iov_base = static_cast<char*>(v.iov_base) + n;
      v.iov_len -= n;
      done -= n;
    }
    std::erase_if(left, [](const iovec& v) { return v.iov_len == 0; });
    return left;
  }

  bool read;
  int flags;
  std::int64_t offset;
  const iovec* parts = nullptr;
  iovec one{};
  std::uint32_t count = 1;
};

// Without blocking; in the usual case by the instruction in place, see rw_nowait.hpp.
[[gnu::always_inline]] inline std::int64_t try_transfer(const asked& a, int fd) noexcept {
  if (a.parts != nullptr || a.flags != 0)
    return transfer(a.read, fd, a.begin(), static_cast<int>(a.count), a.offset, a.flags | nowait);
  const std::int64_t n = detail::rw_nowait(a.read, fd, static_cast<std::byte*>(a.one.iov_base),
                                           a.one.iov_len, static_cast<std::uint64_t>(a.offset));
  return n == -ENOSYS ? -EOPNOTSUPP : n;
}

struct rw_job final : job {
  void run() override {
    // A plain descriptor of a file is the program's, who may have put another file there.
    if (plain && identity_of(fd) != meant) {
      result = -EBADF;
      return;
    }
    // The parts of an empty transfer may be none: its errors are wanted all the same.
    const iovec nothing{};
    const iovec* at = parts.empty() ? &nothing : parts.data();
    const auto n = static_cast<int>(std::max<std::size_t>(parts.size(), 1));
    result = transfer(read, fd, at, n, offset, flags);
  }
  bool arrive(backend& at) noexcept override {
    auto& s = of->scratch_as<op_state>();
    s.lent = nullptr;
    if (result == -EAGAIN && s.what == op_state::kind::stream) {
      of->home->give_back_buffer(*of);
      at.watch(*of, fd);
      return true;
    }
    if (s.done > 0) result = s.done + std::max<std::int64_t>(result, 0);
    at.end(*of, result);
    return true;
  }

  bool read = true;
  int flags = 0;
  bool plain = false;
  file_identity meant;  // if it is plain
  std::int64_t offset = -1;
  std::vector<iovec> parts;
  std::shared_ptr<held_file> file;
  base::owned_fd own;
};

op_state::kind kind_of(int fd) noexcept {
  // What is known here: a file system of another machine must not be asked.
  struct statx s;
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &s) != 0)
    return op_state::kind::file;  // its errors come from the call itself
  const bool file = S_ISREG(s.stx_mode) || S_ISBLK(s.stx_mode) || S_ISDIR(s.stx_mode);
  return file ? op_state::kind::file : op_state::kind::stream;
}

// The device of a regular file; 0 when it is none.
dev_t device_of(int fd) noexcept {
  struct stat s;
  return ::fstat(fd, &s) == 0 && S_ISREG(s.st_mode) ? s.st_dev : 0;
}

// The device of a regular file in memory; 0 when it is none.
dev_t memory_of(int fd) noexcept {
  constexpr long tmpfs = 0x01021994, ramfs = 0x858458f6;
  struct statfs s;
  const bool memory = ::fstatfs(fd, &s) == 0 && (s.f_type == tmpfs || s.f_type == ramfs);
  return memory ? device_of(fd) : 0;
}

// Whether a transfer with a file in memory is short enough for the ring's thread.
bool served_in_place(const asked& a) noexcept {
  return a.count == 1 && a.begin()->iov_len <= longest_in_place;
}

// What a stream was asked for, when it is tried again or lent; false when there is no memory.
bool keep_parts(backend& b, request& r, const op_state& s) noexcept {
  if (!is_vectored(r.entry.opcode) || s.copies != nullptr || r.selects_buffer()) return true;
  kept* const k = b.keep(r);
  const auto* const parts = reinterpret_cast<const iovec*>(r.entry.addr);
  if (k == nullptr) return false;
  try {
    k->parts.assign(parts, parts + r.entry.len);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// The rest of a file's transfer, or all of a stream's, by the blocking call.
std::int64_t lend_transfer(backend& b, request& r, op_state& s, const asked& a, int fd) noexcept {
  const bool file = s.what == op_state::kind::file;
  if (!file && !keep_parts(b, r, s)) return -ENOMEM;
  try {
    auto j = std::make_unique<rw_job>();
    j->read = a.read;
    j->flags = a.flags;
    j->offset = a.offset < 0 ? a.offset : a.offset + s.done;
    j->parts = a.rest(static_cast<std::size_t>(s.done));
    j->fd = fd;
    if (s.watch < 0) j->file = b.file_of(r);  // it has just begun
    if (!file && j->file == nullptr) {
      j->own.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
      if (!j->own) return -errno;
      j->fd = j->own.get();
    }
    j->plain = file && j->file == nullptr;
    if (j->plain) j->meant = identity_of(fd);
    j->interruptible = !file;
    b.lend(r, std::move(j), file ? worker_class::bounded : worker_class::ready);
    return taken;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

// A stream had nothing: what it was asked for is kept, the buffer is not.
std::int64_t wait_for_stream(backend& b, request& r, op_state& s) noexcept {
  r.home->give_back_buffer(r);
  return keep_parts(b, r, s) ? would_block : -ENOMEM;
}

// A stream that cannot be tried.
std::int64_t untriable(backend& b, request& r, op_state& s, const asked& a, int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) != 0) {
    const std::int64_t n =
        transfer(a.read, fd, a.begin(), static_cast<int>(a.count), a.offset, a.flags);
    return n == -EAGAIN ? wait_for_stream(b, r, s) : n;
  }
  pollfd p{fd, static_cast<short>(s.events), 0};
  if (::poll(&p, 1, 0) == 0) return wait_for_stream(b, r, s);
  return lend_transfer(b, r, s, a, fd);
}

// A file's answer was short: at its end, or because the rest would have blocked.
std::int64_t after_short(backend& b, request& r, op_state& s, const asked& a, int fd) noexcept {
  // One part, and a place to ask at: asking on costs less than a worker.
  while (a.read && a.count == 1 && a.offset >= 0) {
    const auto done = static_cast<std::size_t>(s.done);
    const iovec left{static_cast<char*>(a.begin()->iov_base) + done, a.begin()->iov_len - done};
    const std::int64_t n = transfer(true, fd, &left, 1, a.offset + s.done, a.flags | nowait);
    if (n == 0) return s.done;
    if (n < 0) break;
    s.done += n;
    if (static_cast<std::size_t>(n) == left.iov_len) return s.done;
  }
  return lend_transfer(b, r, s, a, fd);
}

std::int64_t attempt_rw(backend& b, request& r, op_state& s, int fd) noexcept {
  if (const int answer = r.home->choose_buffer(r); answer < 0) return answer;
  const asked a(r, s);
  const bool file_waits = (a.flags & nowait) == 0 && s.what != op_state::kind::stream;
  backend::hint& h = b.hint_of(fd);
  if (file_waits && h.memory != 0 && served_in_place(a)) {
    if (device_of(fd) == h.memory) return transfer(a.read, fd, a.begin(), 1, a.offset, a.flags);
    b.forget_hint(fd);  // the number has another file
  }
  bool& no_try = a.read ? h.no_try_read : h.no_try_write;
  if (file_waits && (h.waits || no_try || (!a.read && (a.flags & synchronous) != 0) ||
                     (r.entry.flags & abi::iosqe_async) != 0)) {
    s.what = kind_of(fd);
    if (s.what == op_state::kind::file) return lend_transfer(b, r, s, a, fd);
    if (no_try) return untriable(b, r, s, a, fd);
  }
  const std::int64_t n = try_transfer(a, fd);
  if (n >= 0) {
    const auto got = static_cast<std::size_t>(n);
    if (got == a.size() || (n == 0 && a.read) || (a.flags & nowait) != 0) return n;
    if (s.what == op_state::kind::unknown) s.what = kind_of(fd);
    if (s.what == op_state::kind::stream) return n;
    s.done = n;
    return after_short(b, r, s, a, fd);
  }
  if (n == -ESPIPE && !s.positionless && a.offset >= 0) {
    s.positionless = true;
    return attempt_rw(b, r, s, fd);
  }
  if ((n != -EAGAIN && n != -EOPNOTSUPP) || (a.flags & nowait) != 0) return n;
  if (s.what == op_state::kind::unknown) s.what = kind_of(fd);
  const bool file = s.what == op_state::kind::file;
  if (n == -EOPNOTSUPP) {
    no_try = true;
    h.memory = file ? memory_of(fd) : 0;
    if (h.memory != 0 && served_in_place(a))
      return transfer(a.read, fd, a.begin(), 1, a.offset, a.flags);
    return file ? lend_transfer(b, r, s, a, fd) : untriable(b, r, s, a, fd);
  }
  return file ? lend_transfer(b, r, s, a, fd) : wait_for_stream(b, r, s);
}

std::int64_t attempt_multishot(backend& b, request& r, op_state& s, int fd) noexcept {
  for (int i = 0; i < most_posts; ++i) {
    if (const int answer = r.home->choose_buffer(r); answer < 0) return answer;
    const iovec v{r.memory, r.length};
    const std::int64_t n = transfer(true, fd, &v, 1, -1, nowait);
    if (n == -EAGAIN) return wait_for_stream(b, r, s);
    if (n <= 0 || !r.home->post(r, static_cast<std::int32_t>(n))) return n;
  }
  return would_block;
}

}  // namespace

void backend::start_rw(request& r) noexcept {
  auto& s = r.scratch_as<op_state>();
  abi::sqe& e = r.entry;
  if (is_vectored(e.opcode)) {
    if (e.len > most_parts) return end(r, -EINVAL);
    if (e.addr == 0 && e.len != 0) return end(r, -EFAULT);
  }
  if (is_vectored(e.opcode) && r.selects_buffer()) {
    // The vector of one part tells only how much of the buffer may be used.
    if (e.len != 1) return end(r, -EINVAL);
    const std::size_t length = reinterpret_cast<const iovec*>(e.addr)->iov_len;
    e.len = static_cast<std::uint32_t>(std::min<std::size_t>(length, most_transferred));
  }
  if (e.opcode == abi::op_readv_fixed || e.opcode == abi::op_writev_fixed) {
    const auto* const parts = reinterpret_cast<const iovec*>(e.addr);
    for (std::uint32_t i = 0; i < e.len; ++i)
      if (!ring_->in_registered_buffer(
              e.buf_index, reinterpret_cast<std::uintptr_t>(parts[i].iov_base), parts[i].iov_len))
        return end(r, -EFAULT);
  }
  s.attempt = &attempt_rw;
  s.events = is_read(e.opcode) ? EPOLLIN : EPOLLOUT;
  attempt(r);
}

void backend::start_read_multishot(request& r) noexcept {
  auto& s = r.scratch_as<op_state>();
  if (!r.selects_buffer()) return end(r, -EINVAL);
  if (kind_of(r.file) == op_state::kind::file) return end(r, r.file < 0 ? -EBADF : -EBADFD);
  s.what = op_state::kind::stream;
  s.attempt = &attempt_multishot;
  s.events = EPOLLIN;
  attempt(r);
}

}  // namespace parkring::kernel::threads
