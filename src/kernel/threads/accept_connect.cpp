// ACCEPT, CONNECT and EPOLL_WAIT.
//
// accept(2) has no flag against waiting. On a socket that blocks, it is made on a worker once a
// connection is there: another process may take that connection first.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "kernel/threads/backend.hpp"

namespace parkring::kernel::threads {

namespace {

constexpr int most_posts = 32;  // of a multishot request at a time

bool many(const request& r) noexcept { return (r.entry.ioprio & abi::accept_multishot) != 0; }

// What is accepted for a slot is for no program that is executed.
int flags_of(const request& r) noexcept {
  const int asked = static_cast<int>(r.entry.accept_flags);
  return r.entry.file_index != 0 ? asked | SOCK_CLOEXEC : asked;
}

std::int64_t accept_now(const request& r, int fd) noexcept {
  const abi::sqe& e = r.entry;
  const int made = ::accept4(fd, reinterpret_cast<sockaddr*>(e.addr),
                             reinterpret_cast<socklen_t*>(e.addr2), flags_of(r));
  return made >= 0 ? made : -errno;
}

// Tells of one of many; false when the request ends with it.
bool post(backend& b, request& r, std::int64_t& made) noexcept {
  if (!b.adopt_for_slot(r, made)) made = -ENOMEM;
  return made >= 0 && b.ring().post(r, static_cast<std::int32_t>(made));
}

struct accept_job final : job {
  void run() override {
    const int made = ::accept4(file.get(), address, length, flags);
    result = made >= 0 ? made : -errno;
  }
  bool arrive(backend& at) noexcept override {
    request& r = *of;
    auto& s = r.scratch_as<op_state>();
    s.lent = nullptr;
    // A cancelled one takes no further connections.
    if (result != -EAGAIN && (result < 0 || !many(r) || s.cancelled || !post(at, r, result)))
      at.end(r, result);
    else if (result != -EAGAIN && s.watch >= 0)
      at.attempt(r);
    else
      at.watch(r, file.get());
    return true;
  }
  void discard() noexcept override { base::owned_fd(static_cast<int>(result)).reset(); }

  base::owned_fd file;
  sockaddr* address = nullptr;
  socklen_t* length = nullptr;
  int flags = 0;
};

std::int64_t lend_accept(backend& b, request& r, int fd) noexcept {
  const abi::sqe& e = r.entry;
  try {
    auto j = std::make_unique<accept_job>();
    j->file.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!j->file) return -errno;
    j->address = reinterpret_cast<sockaddr*>(e.addr);
    j->length = reinterpret_cast<socklen_t*>(e.addr2);
    j->flags = flags_of(r);
    j->fd = j->file.get();
    j->interruptible = true;  // somebody else may take the connection
    b.lend(r, std::move(j), worker_class::ready);
    return taken;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

std::int64_t attempt_accept(backend& b, request& r, op_state&, int fd) noexcept {
  const bool waits = (r.entry.ioprio & abi::accept_dontwait) == 0;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  if ((flags & O_NONBLOCK) == 0) {
    pollfd p{fd, POLLIN, 0};
    if (::poll(&p, 1, 0) == 0) return waits ? would_block : -EAGAIN;
    // What is not a listening socket fails without waiting.
    int listens = 0;
    socklen_t length = sizeof listens;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0)
      return lend_accept(b, r, fd);
    return accept_now(r, fd);
  }
  for (int i = 0; i < most_posts; ++i) {
    std::int64_t made = accept_now(r, fd);
    if (made == -EAGAIN) return waits ? would_block : made;
    if (made < 0 || !many(r) || !post(b, r, made)) return made;
  }
  return would_block;
}

// ---- connect ----

struct connect_job final : job {
  void run() override {
    result = ::connect(file.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0
                 ? 0
                 : -errno;
  }

  base::owned_fd file;
  sockaddr_storage address{};
  socklen_t length = 0;
};

std::int64_t lend_connect(backend& b, request& r, const kept& k, int fd) noexcept {
  try {
    auto j = std::make_unique<connect_job>();
    j->file.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!j->file) return -errno;
    j->fd = j->file.get();
    j->address = k.address;
    j->length = k.address_length;
    j->interruptible = true;
    b.lend(r, std::move(j), worker_class::unbounded);
    return taken;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

std::int64_t attempt_connect(backend& b, request& r, op_state& s, int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  // connect(2) has no flag against waiting, so the socket's own is raised for the call; nobody
  // else has a use for a socket that is not connected.
  const bool blocks = (flags & O_NONBLOCK) == 0;
  if (blocks) ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const int answer = ::connect(fd, reinterpret_cast<const sockaddr*>(&s.copies->address),
                               s.copies->address_length);
  const int error = answer == 0 ? 0 : errno;
  if (blocks) ::fcntl(fd, F_SETFL, flags);
  // Asked again when it is ready, it says how it went; only then the socket counts as connected.
  if (error == EINPROGRESS || (error == EALREADY && s.begun)) {
    s.begun = true;
    return would_block;
  }
  // A local socket's queue is full: it does not go on by itself, and cannot be watched.
  if (error == EAGAIN && blocks) return lend_connect(b, r, *s.copies, fd);
  return -error;
}

std::int64_t attempt_epoll_wait(backend&, request& r, op_state&, int fd) noexcept {
  const int n = ::epoll_wait(fd, reinterpret_cast<epoll_event*>(r.entry.addr),
                             static_cast<int>(r.entry.len), 0);
  if (n < 0) return -errno;
  return n != 0 ? n : would_block;
}

}  // namespace

void backend::start_accept(request& r) noexcept {
  auto& s = r.scratch_as<op_state>();
  const abi::sqe& e = r.entry;
  constexpr unsigned known = abi::accept_multishot | abi::accept_dontwait | abi::accept_poll_first;
  constexpr unsigned flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  if ((e.ioprio & ~known) != 0 || e.len != 0 || e.buf_index != 0 || (e.accept_flags & ~flags) != 0)
    return end(r, -EINVAL);
  // A descriptor for a slot has no flag to close it; and a multishot request has many slots.
  if (e.file_index != 0 && (e.accept_flags & SOCK_CLOEXEC) != 0) return end(r, -EINVAL);
  if (many(r) && e.file_index != 0 && e.file_index != abi::file_index_alloc) return end(r, -EINVAL);
  s.attempt = &attempt_accept;
  s.events = EPOLLIN;
  if ((e.ioprio & abi::accept_poll_first) != 0) return watch(r, r.file);
  attempt(r);
}

void backend::start_connect(request& r) noexcept {
  auto& s = r.scratch_as<op_state>();
  const abi::sqe& e = r.entry;
  if (e.len != 0 || e.buf_index != 0 || e.rw_flags != 0 || e.splice_fd_in != 0)
    return end(r, -EINVAL);
  kept* const k = keep(r);
  if (k == nullptr) return end(r, -ENOMEM);
  if (e.addr2 > sizeof k->address) return end(r, -EINVAL);
  if (e.addr == 0 && e.addr2 != 0) return end(r, -EFAULT);
  k->address_length = static_cast<socklen_t>(e.addr2);
  std::memcpy(&k->address, reinterpret_cast<const void*>(e.addr), k->address_length);
  s.attempt = &attempt_connect;
  s.events = EPOLLOUT;
  attempt(r);
}

void backend::start_epoll_wait(request& r) noexcept {
  auto& s = r.scratch_as<op_state>();
  const abi::sqe& e = r.entry;
  if (e.off != 0 || e.rw_flags != 0 || e.buf_index != 0 || e.splice_fd_in != 0)
    return end(r, -EINVAL);
  s.attempt = &attempt_epoll_wait;
  s.events = EPOLLIN;
  attempt(r);
}

}  // namespace parkring::kernel::threads
