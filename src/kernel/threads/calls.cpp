// Requests that are one system call: on a worker when it may wait, else here and now.
//
// A call owns copies of the paths and descriptions it was given.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>

#include "kernel/open_how.hpp"
#include "kernel/threads/backend.hpp"
#include "kernel/threads/file_identity.hpp"

namespace parkring::kernel::threads {

namespace {

struct call final : job {
  void run() override {
    elsewhere = by == worker_class::bounded && may_wait_for_ever();
    if (elsewhere) return;
    result = still_meant(fd, meant) && still_meant(fd2, meant2) ? make(*this) : -EBADF;
  }
  bool arrive(backend& at) noexcept override {
    if (!elsewhere) return job::arrive(at);
    // Only here: a call that ends by itself may find EINTR in its file system.
    interruptible = true;
    at.lend(*of, std::unique_ptr<job>(this), worker_class::unbounded);
    return false;
  }
  // Nobody will learn of the descriptor.
  void discard() noexcept override {
    if (opens() && !elsewhere) base::owned_fd(static_cast<int>(result)).reset();
  }

  [[nodiscard]] bool opens() const noexcept {
    return e.opcode == abi::op_openat || e.opcode == abi::op_openat2;
  }
  // Whether the path is a FIFO or the like, whose opening waits for somebody. A guess: what is
  // there may change until it is opened.
  [[nodiscard]] bool may_wait_for_ever() const noexcept {
    struct stat s;
    return opens() && path() != nullptr && ::fstatat(fd, path(), &s, 0) == 0 &&
           !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode);
  }
  // A plain descriptor of a file is the program's, who may have put another file there.
  [[nodiscard]] static bool still_meant(int number, const file_identity& which) noexcept {
    return which == file_identity{} || identity_of(number) == which;
  }
  [[nodiscard]] const char* path() const noexcept { return has_first ? first.c_str() : nullptr; }
  [[nodiscard]] const char* path2() const noexcept { return has_second ? second.c_str() : nullptr; }

  std::int64_t (*make)(call&) = nullptr;
  abi::sqe e{};
  int fd2 = -1;
  file_identity meant;  // of plain descriptors of files; else none
  file_identity meant2;
  bool elsewhere = false;  // not made: it may wait for ever, which is no bounded worker's business
  bool has_first = false;
  bool has_second = false;
  std::string first;
  std::string second;
  abi::open_how how{};
  std::shared_ptr<held_file> file;
  std::shared_ptr<held_file> file2;
  base::owned_fd own;
  base::owned_fd own2;
};

template <class T>
T* pointer(std::uint64_t at) noexcept {
  return reinterpret_cast<T*>(at);
}

std::int64_t told(std::int64_t answer) noexcept { return answer >= 0 ? answer : -errno; }

std::int64_t sync(call& c) {
  if ((c.e.fsync_flags & ~abi::fsync_datasync) != 0) return -EINVAL;
  const bool data = (c.e.fsync_flags & abi::fsync_datasync) != 0;
  return told(data ? ::fdatasync(c.fd) : ::fsync(c.fd));
}

std::int64_t sync_range(call& c) {
  return told(
      ::sync_file_range(c.fd, static_cast<off64_t>(c.e.off), c.e.len, c.e.sync_range_flags));
}

std::int64_t allocate(call& c) {
  return told(::fallocate(c.fd, static_cast<int>(c.e.len), static_cast<off_t>(c.e.off),
                          static_cast<off_t>(c.e.addr)));
}

std::int64_t truncate(call& c) { return told(::ftruncate(c.fd, static_cast<off_t>(c.e.off))); }

std::int64_t advise_file(call& c) {
  const std::uint64_t length = c.e.addr != 0 ? c.e.addr : c.e.len;
  return -::posix_fadvise(c.fd, static_cast<off_t>(c.e.off), static_cast<off_t>(length),
                          static_cast<int>(c.e.fadvise_advice));
}

std::int64_t advise_memory(call& c) {
  const std::uint64_t length = c.e.off != 0 ? c.e.off : c.e.len;
  return told(::madvise(pointer<void>(c.e.addr), length, static_cast<int>(c.e.fadvise_advice)));
}

// A flag for descriptors that are made for a slot: no program that is executed may have them.
int for_slot(const call& c, int flag) noexcept { return c.e.file_index != 0 ? flag : 0; }

std::int64_t open_file(call& c) {
  return told(::openat(c.fd, c.path(),
                       static_cast<int>(c.e.open_flags) | O_LARGEFILE | for_slot(c, O_CLOEXEC),
                       c.e.len));
}

std::int64_t open_file2(call& c) {
  constexpr long sys_openat2 = 437;  // on all architectures
  c.how.flags |= static_cast<std::uint64_t>(for_slot(c, O_CLOEXEC));
  const std::int64_t made = told(::syscall(sys_openat2, c.fd, c.path(), &c.how, sizeof c.how));
  // Forbidden or older than Linux 5.6: the plain call does all but restrict the way.
  if ((made != -ENOSYS && made != -EPERM) || c.how.resolve != 0) return made;
  return told(::openat(c.fd, c.path(), static_cast<int>(c.how.flags) | O_LARGEFILE,
                       static_cast<mode_t>(c.how.mode)));
}

std::int64_t status(call& c) {
  return told(
      ::syscall(SYS_statx, c.fd, c.path(), c.e.statx_flags, c.e.len, pointer<void>(c.e.addr2)));
}

std::int64_t close_file(call& c) { return told(::close(c.fd)); }

std::int64_t unlink_path(call& c) {
  return told(::unlinkat(c.fd, c.path(), static_cast<int>(c.e.unlink_flags)));
}

std::int64_t rename_path(call& c) {
  if (c.e.rename_flags == 0) return told(::renameat(c.fd, c.path(), c.fd2, c.path2()));
  return told(::renameat2(c.fd, c.path(), c.fd2, c.path2(), c.e.rename_flags));
}

std::int64_t make_directory(call& c) { return told(::mkdirat(c.fd, c.path(), c.e.len)); }

std::int64_t make_symlink(call& c) { return told(::symlinkat(c.path(), c.fd, c.path2())); }

std::int64_t make_link(call& c) {
  return told(::linkat(c.fd, c.path(), c.fd2, c.path2(), static_cast<int>(c.e.hardlink_flags)));
}

std::int64_t splice_files(call& c) {
  auto from = static_cast<off64_t>(c.e.splice_off_in);
  auto to = static_cast<off64_t>(c.e.off);
  return told(::splice(c.fd2, from != -1 ? &from : nullptr, c.fd, to != -1 ? &to : nullptr, c.e.len,
                       c.e.splice_flags & ~abi::splice_f_fd_in_fixed));
}

std::int64_t tee_pipes(call& c) {
  return told(::tee(c.fd2, c.fd, c.e.len, c.e.splice_flags & ~abi::splice_f_fd_in_fixed));
}

std::int64_t set_attribute(call& c) {
  return told(::setxattr(c.path2(), c.path(), pointer<void>(c.e.addr2), c.e.len,
                         static_cast<int>(c.e.xattr_flags)));
}

std::int64_t set_attribute_of_file(call& c) {
  return told(::fsetxattr(c.fd, c.path(), pointer<void>(c.e.addr2), c.e.len,
                          static_cast<int>(c.e.xattr_flags)));
}

std::int64_t get_attribute(call& c) {
  return told(::getxattr(c.path2(), c.path(), pointer<void>(c.e.addr2), c.e.len));
}

std::int64_t get_attribute_of_file(call& c) {
  return told(::fgetxattr(c.fd, c.path(), pointer<void>(c.e.addr2), c.e.len));
}

std::int64_t shut_down(call& c) {
  if (c.e.off != 0 || c.e.addr != 0 || c.e.rw_flags != 0 || c.e.buf_index != 0) return -EINVAL;
  return told(::shutdown(c.fd, static_cast<int>(c.e.len)));
}

std::int64_t make_socket(call& c) {
  if (c.e.addr != 0 || c.e.rw_flags != 0 || c.e.buf_index != 0) return -EINVAL;
  if (c.e.file_index != 0 && (c.e.off & SOCK_CLOEXEC) != 0) return -EINVAL;
  return told(::socket(c.e.fd, static_cast<int>(c.e.off) | for_slot(c, SOCK_CLOEXEC),
                       static_cast<int>(c.e.len)));
}

std::int64_t bind_socket(call& c) {
  if (c.e.len != 0 || c.e.buf_index != 0 || c.e.rw_flags != 0) return -EINVAL;
  return told(::bind(c.fd, pointer<const sockaddr>(c.e.addr), static_cast<socklen_t>(c.e.addr2)));
}

std::int64_t listen_socket(call& c) {
  if (c.e.addr != 0 || c.e.buf_index != 0 || c.e.rw_flags != 0 || c.e.addr2 != 0) return -EINVAL;
  return told(::listen(c.fd, static_cast<int>(c.e.len)));
}

std::int64_t control_epoll(call& c) {
  if (c.e.buf_index != 0 || c.e.splice_fd_in != 0) return -EINVAL;
  return told(::epoll_ctl(c.e.fd, static_cast<int>(c.e.len), static_cast<int>(c.e.off),
                          pointer<epoll_event>(c.e.addr)));
}

std::int64_t make_pipe(call& c) {
  if (c.e.file_index != 0 || c.e.off != 0) return -EINVAL;
  return told(::pipe2(pointer<int>(c.e.addr), static_cast<int>(c.e.pipe_flags)));
}

std::int64_t wait_for_child(call& c) {
  if (c.e.addr != 0 || c.e.buf_index != 0 || c.e.waitid_flags != 0) return -EINVAL;
  // The system call itself: it fills nothing when there is nowhere to fill.
  return told(
      ::syscall(SYS_waitid, c.e.len, c.e.fd, pointer<void>(c.e.addr2), c.e.file_index, nullptr));
}

struct call_type {
  std::uint8_t opcode;
  std::int64_t (*make)(call&);
  enum : std::uint8_t { here, bounded, unbounded } where;
  enum : std::uint8_t { nothing, one_path, two_paths, attribute, two_ends } takes;
};

constexpr call_type types[] = {
    {abi::op_fsync, &sync, call_type::bounded, call_type::nothing},
    {abi::op_sync_file_range, &sync_range, call_type::bounded, call_type::nothing},
    {abi::op_fallocate, &allocate, call_type::bounded, call_type::nothing},
    {abi::op_ftruncate, &truncate, call_type::bounded, call_type::nothing},
    {abi::op_fadvise, &advise_file, call_type::bounded, call_type::nothing},
    {abi::op_madvise, &advise_memory, call_type::bounded, call_type::nothing},
    {abi::op_openat, &open_file, call_type::bounded, call_type::one_path},
    {abi::op_openat2, &open_file2, call_type::bounded, call_type::one_path},
    {abi::op_statx, &status, call_type::bounded, call_type::one_path},
    {abi::op_close, &close_file, call_type::bounded, call_type::nothing},
    {abi::op_unlinkat, &unlink_path, call_type::bounded, call_type::one_path},
    {abi::op_renameat, &rename_path, call_type::bounded, call_type::two_paths},
    {abi::op_mkdirat, &make_directory, call_type::bounded, call_type::one_path},
    {abi::op_symlinkat, &make_symlink, call_type::bounded, call_type::two_paths},
    {abi::op_linkat, &make_link, call_type::bounded, call_type::two_paths},
    {abi::op_splice, &splice_files, call_type::unbounded, call_type::two_ends},
    {abi::op_tee, &tee_pipes, call_type::unbounded, call_type::two_ends},
    {abi::op_setxattr, &set_attribute, call_type::bounded, call_type::attribute},
    {abi::op_fsetxattr, &set_attribute_of_file, call_type::bounded, call_type::one_path},
    {abi::op_getxattr, &get_attribute, call_type::bounded, call_type::attribute},
    {abi::op_fgetxattr, &get_attribute_of_file, call_type::bounded, call_type::one_path},
    {abi::op_shutdown, &shut_down, call_type::here, call_type::nothing},
    {abi::op_socket, &make_socket, call_type::here, call_type::nothing},
    {abi::op_bind, &bind_socket, call_type::here, call_type::nothing},
    {abi::op_listen, &listen_socket, call_type::here, call_type::nothing},
    {abi::op_epoll_ctl, &control_epoll, call_type::here, call_type::nothing},
    {abi::op_pipe, &make_pipe, call_type::here, call_type::nothing},
    {abi::op_waitid, &wait_for_child, call_type::unbounded, call_type::nothing},
};

const call_type* type_of(unsigned opcode) noexcept {
  for (const call_type& t : types)
    if (t.opcode == opcode) return &t;
  return nullptr;
}

// Whether a close may wait for a server, because it writes back what was written: a file of a
// network or of FUSE. Others just let go, here as in Linux's own rings, so that a number is free
// again before the next request needs one.
bool close_may_wait(int fd) noexcept {
  constexpr std::array<std::uint32_t, 8> remote{
      NFS_SUPER_MAGIC,  FUSE_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
      CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC,  CODA_SUPER_MAGIC, V9FS_MAGIC};
  struct statfs s;
  if (::fstatfs(fd, &s) != 0) return false;  // not open: close says so
  return std::ranges::find(remote, static_cast<std::uint32_t>(s.f_type)) != remote.end();
}

bool closes_at_once(const call& c) noexcept {
  return c.e.opcode == abi::op_close && !close_may_wait(c.fd);
}

// 0 or -errno. Throws std::bad_alloc.
int copy_paths(call& c, const call_type& t) {
  const abi::sqe& e = c.e;
  const auto take = [](bool& has, std::string& into, std::uint64_t at) {
    has = at != 0;
    if (has) into = pointer<const char>(at);
  };
  if (t.takes == call_type::one_path || t.takes == call_type::two_paths ||
      t.takes == call_type::attribute)
    take(c.has_first, c.first, e.addr);
  if (t.takes == call_type::two_paths) take(c.has_second, c.second, e.addr2);
  if (t.takes == call_type::attribute) take(c.has_second, c.second, e.addr3);
  // Where the path may be missing the call says so itself.
  if (t.takes == call_type::attribute && (!c.has_first || !c.has_second)) return -EFAULT;
  if (e.opcode != abi::op_openat2) return 0;
  if (e.len < sizeof c.how) return -EINVAL;
  if (e.addr2 == 0) return -EFAULT;
  std::memcpy(&c.how, pointer<const void>(e.addr2), sizeof c.how);
  if (e.file_index != 0 && (c.how.flags & O_CLOEXEC) != 0) return -EINVAL;
  // What a longer description says beyond is not known here.
  const auto* more = pointer<const char>(e.addr2);
  for (std::uint32_t i = sizeof c.how; i < e.len; ++i)
    if (more[i] != 0) return -E2BIG;
  return 0;
}

// A duplicate of a stream's descriptor, which may be closed while the call waits its turn. Not of a
// file's, see watches.hpp: then which one is meant. 0 or -errno.
int keep_stream(int& fd, base::owned_fd& own, file_identity& meant) noexcept {
  if (is_file(fd)) {
    meant = identity_of(fd);
    return 0;
  }
  own.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own) return -errno;
  fd = own.get();
  return 0;
}

// The descriptors the call acts on; 0 or -errno.
int find_files(backend& b, request& r, call& c, const call_type& t) noexcept {
  c.fd = r.file >= 0 ? r.file : c.e.fd;
  c.file = b.file_of(r);
  if (t.takes == call_type::two_paths) c.fd2 = static_cast<std::int32_t>(c.e.len);
  const bool plain = r.file >= 0 && c.file == nullptr;
  if (t.takes != call_type::two_ends) {
    if (plain && t.where != call_type::here) c.meant = identity_of(c.fd);
    return 0;
  }
  c.fd2 = c.e.splice_fd_in;
  if (plain) {
    if (const int answer = keep_stream(c.fd, c.own, c.meant); answer < 0) return answer;
  }
  if ((c.e.splice_flags & abi::splice_f_fd_in_fixed) == 0)
    return keep_stream(c.fd2, c.own2, c.meant2);
  c.fd2 = b.ring().registered_file(static_cast<unsigned>(c.e.splice_fd_in));
  if (c.fd2 < 0) return -EBADF;
  c.file2 = b.held(c.fd2);
  return 0;
}

}  // namespace

bool is_call(unsigned opcode) noexcept { return type_of(opcode) != nullptr; }

void backend::start_call(request& r) noexcept {
  const call_type* const t = type_of(r.entry.opcode);
  if (t == nullptr) return end(r, -EINVAL);
  try {
    auto c = std::make_unique<call>();
    c->make = t->make;
    c->e = r.entry;
    int answer = find_files(*this, r, *c, *t);
    if (answer == 0) answer = copy_paths(*c, *t);
    if (answer < 0) return end(r, answer);
    if (t->where == call_type::here || closes_at_once(*c)) {
      c->run();
      return end(r, c->result);
    }
    c->interruptible = t->where == call_type::unbounded;
    lend(r, std::move(c),
         t->where == call_type::unbounded ? worker_class::unbounded : worker_class::bounded);
  } catch (const std::bad_alloc&) {
    end(r, -ENOMEM);
  }
}

}  // namespace parkring::kernel::threads
