// Submission entries, one function for each opcode: which field means what is said here once.
//
// Whatever an entry points at (paths, memory, structures) must stay until its last completion.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cstdint>

#include "kernel/abi.hpp"

namespace parkring::conformance {

namespace abi = parkring::kernel::abi;

template <class T>
std::uint64_t address(T* at) noexcept {
  return reinterpret_cast<std::uintptr_t>(at);
}

inline constexpr std::uint64_t at_position = ~std::uint64_t{0};  // of the open file

inline abi::sqe entry(abi::op opcode, int fd = -1) noexcept {
  abi::sqe e{};
  e.opcode = opcode;
  e.fd = fd;
  return e;
}

inline abi::sqe with_flags(abi::sqe e, unsigned flags) noexcept {
  e.flags = static_cast<std::uint8_t>(e.flags | flags);
  return e;
}
inline abi::sqe linked(abi::sqe e) noexcept { return with_flags(e, abi::iosqe_io_link); }
inline abi::sqe hardlinked(abi::sqe e) noexcept { return with_flags(e, abi::iosqe_io_hardlink); }
inline abi::sqe drained(abi::sqe e) noexcept { return with_flags(e, abi::iosqe_io_drain); }
/// `e` on the registered file `slot`.
inline abi::sqe on_slot(abi::sqe e, int slot) noexcept {
  e.fd = slot;
  return with_flags(e, abi::iosqe_fixed_file);
}
/// `e` with a provided buffer of `group`.
inline abi::sqe choosing(abi::sqe e, unsigned group) noexcept {
  e.buf_group = static_cast<std::uint16_t>(group);
  return with_flags(e, abi::iosqe_buffer_select);
}

inline abi::sqe nop() noexcept { return entry(abi::op_nop); }

// ---- reading and writing ----

inline abi::sqe transfer(abi::op opcode, int fd, const void* at, std::size_t length,
                         std::uint64_t offset) noexcept {
  abi::sqe e = entry(opcode, fd);
  e.addr = address(at);
  e.len = static_cast<std::uint32_t>(length);
  e.off = offset;
  return e;
}
inline abi::sqe read(int fd, void* at, std::size_t length, std::uint64_t offset) noexcept {
  return transfer(abi::op_read, fd, at, length, offset);
}
inline abi::sqe write(int fd, const void* at, std::size_t length, std::uint64_t offset) noexcept {
  return transfer(abi::op_write, fd, at, length, offset);
}
inline abi::sqe readv(int fd, const iovec* parts, unsigned count, std::uint64_t offset) noexcept {
  return transfer(abi::op_readv, fd, parts, count, offset);
}
inline abi::sqe writev(int fd, const iovec* parts, unsigned count, std::uint64_t offset) noexcept {
  return transfer(abi::op_writev, fd, parts, count, offset);
}
inline abi::sqe read_fixed(int fd, void* at, std::size_t length, std::uint64_t offset,
                           unsigned index) noexcept {
  abi::sqe e = transfer(abi::op_read_fixed, fd, at, length, offset);
  e.buf_index = static_cast<std::uint16_t>(index);
  return e;
}
inline abi::sqe write_fixed(int fd, const void* at, std::size_t length, std::uint64_t offset,
                            unsigned index) noexcept {
  abi::sqe e = transfer(abi::op_write_fixed, fd, at, length, offset);
  e.buf_index = static_cast<std::uint16_t>(index);
  return e;
}
inline abi::sqe fsync(int fd, std::uint32_t flags = 0) noexcept {
  abi::sqe e = entry(abi::op_fsync, fd);
  e.fsync_flags = flags;
  return e;
}
inline abi::sqe fallocate(int fd, std::uint32_t mode, std::uint64_t offset,
                          std::uint64_t length) noexcept {
  abi::sqe e = entry(abi::op_fallocate, fd);
  e.len = mode;
  e.off = offset;
  e.addr = length;
  return e;
}
inline abi::sqe ftruncate(int fd, std::uint64_t length) noexcept {
  abi::sqe e = entry(abi::op_ftruncate, fd);
  e.off = length;
  return e;
}

// ---- paths ----

inline abi::sqe openat(const char* path, int flags, unsigned mode = 0600,
                       int directory = AT_FDCWD) noexcept {
  abi::sqe e = entry(abi::op_openat, directory);
  e.addr = address(path);
  e.len = mode;
  e.open_flags = static_cast<std::uint32_t>(flags);
  return e;
}
inline abi::sqe close(int fd) noexcept { return entry(abi::op_close, fd); }
inline abi::sqe close_slot(unsigned slot) noexcept {
  abi::sqe e = entry(abi::op_close, 0);
  e.file_index = slot + 1;
  return e;
}
inline abi::sqe statx(const char* path, struct statx* out, int flags = 0, unsigned mask = 0x7ff,
                      int directory = AT_FDCWD) noexcept {
  abi::sqe e = entry(abi::op_statx, directory);
  e.addr = address(path);
  e.len = mask;
  e.off = address(out);
  e.statx_flags = static_cast<std::uint32_t>(flags);
  return e;
}
inline abi::sqe two_paths(abi::op opcode, const char* from, const char* to,
                          unsigned flags) noexcept {
  abi::sqe e = entry(opcode, AT_FDCWD);
  e.addr = address(from);
  e.addr2 = address(to);
  e.len = static_cast<std::uint32_t>(AT_FDCWD);
  e.op_flags = flags;
  return e;
}
inline abi::sqe renameat(const char* from, const char* to, unsigned flags = 0) noexcept {
  return two_paths(abi::op_renameat, from, to, flags);
}
inline abi::sqe linkat(const char* from, const char* to, unsigned flags = 0) noexcept {
  return two_paths(abi::op_linkat, from, to, flags);
}
inline abi::sqe symlinkat(const char* target, const char* path) noexcept {
  abi::sqe e = entry(abi::op_symlinkat, AT_FDCWD);
  e.addr = address(target);
  e.addr2 = address(path);
  return e;
}
inline abi::sqe unlinkat(const char* path, unsigned flags = 0) noexcept {
  abi::sqe e = entry(abi::op_unlinkat, AT_FDCWD);
  e.addr = address(path);
  e.unlink_flags = flags;
  return e;
}
inline abi::sqe mkdirat(const char* path, unsigned mode = 0700) noexcept {
  abi::sqe e = entry(abi::op_mkdirat, AT_FDCWD);
  e.addr = address(path);
  e.len = mode;
  return e;
}

// ---- time, cancelling, polling ----

inline abi::sqe timeout(const abi::timespec64* when, unsigned count = 0,
                        std::uint32_t flags = 0) noexcept {
  abi::sqe e = entry(abi::op_timeout);
  e.addr = address(when);
  e.len = 1;
  e.off = count;
  e.timeout_flags = flags;
  return e;
}
inline abi::sqe timeout_remove(std::uint64_t user_data) noexcept {
  abi::sqe e = entry(abi::op_timeout_remove);
  e.addr = user_data;
  return e;
}
inline abi::sqe timeout_update(std::uint64_t user_data, const abi::timespec64* when,
                               std::uint32_t flags = 0) noexcept {
  abi::sqe e = entry(abi::op_timeout_remove);
  e.addr = user_data;
  e.addr2 = address(when);
  e.timeout_flags = flags | abi::timeout_update;
  return e;
}
inline abi::sqe link_timeout(const abi::timespec64* when, std::uint32_t flags = 0) noexcept {
  abi::sqe e = entry(abi::op_link_timeout);
  e.addr = address(when);
  e.len = 1;
  e.timeout_flags = flags;
  return e;
}
inline abi::sqe cancel(std::uint64_t user_data, std::uint32_t flags = 0) noexcept {
  abi::sqe e = entry(abi::op_async_cancel);
  e.addr = user_data;
  e.cancel_flags = flags;
  return e;
}
inline abi::sqe cancel_fd(int fd, std::uint32_t flags = 0) noexcept {
  abi::sqe e = entry(abi::op_async_cancel, fd);
  e.cancel_flags = flags | abi::async_cancel_fd;
  return e;
}
inline abi::sqe poll(int fd, std::uint32_t events, std::uint32_t how = 0) noexcept {
  abi::sqe e = entry(abi::op_poll_add, fd);
  e.poll32_events = events;
  e.len = how;
  return e;
}
inline abi::sqe poll_remove(std::uint64_t user_data) noexcept {
  abi::sqe e = entry(abi::op_poll_remove);
  e.addr = user_data;
  return e;
}
inline abi::sqe poll_update(std::uint64_t user_data, std::uint32_t events,
                            std::uint32_t how = abi::poll_update_events) noexcept {
  abi::sqe e = entry(abi::op_poll_remove);
  e.addr = user_data;
  e.len = how;
  e.poll32_events = events;
  return e;
}

// ---- pipes and sockets ----

inline abi::sqe pipe(int* ends, std::uint32_t flags = 0) noexcept {
  abi::sqe e = entry(abi::op_pipe, 0);
  e.addr = address(ends);
  e.pipe_flags = flags;
  return e;
}
inline abi::sqe make_socket(int domain, int type, int protocol = 0) noexcept {
  abi::sqe e = entry(abi::op_socket, domain);
  e.off = static_cast<std::uint64_t>(type);
  e.len = static_cast<std::uint32_t>(protocol);
  return e;
}
inline abi::sqe bind_to(int fd, const sockaddr* where, socklen_t size) noexcept {
  abi::sqe e = entry(abi::op_bind, fd);
  e.addr = address(where);
  e.addr2 = size;
  return e;
}
inline abi::sqe listen(int fd, unsigned backlog) noexcept {
  abi::sqe e = entry(abi::op_listen, fd);
  e.len = backlog;
  return e;
}
inline abi::sqe accept_on(int fd, sockaddr* peer = nullptr, socklen_t* size = nullptr,
                          std::uint32_t flags = 0) noexcept {
  abi::sqe e = entry(abi::op_accept, fd);
  e.addr = address(peer);
  e.addr2 = address(size);
  e.accept_flags = flags;
  return e;
}
inline abi::sqe connect_to(int fd, const sockaddr* where, socklen_t size) noexcept {
  abi::sqe e = entry(abi::op_connect, fd);
  e.addr = address(where);
  e.off = size;
  return e;
}
inline abi::sqe send(int fd, const void* at, std::size_t length, int flags = 0) noexcept {
  abi::sqe e = transfer(abi::op_send, fd, at, length, 0);
  e.msg_flags = static_cast<std::uint32_t>(flags);
  return e;
}
inline abi::sqe receive(int fd, void* at, std::size_t length, int flags = 0) noexcept {
  abi::sqe e = transfer(abi::op_recv, fd, at, length, 0);
  e.msg_flags = static_cast<std::uint32_t>(flags);
  return e;
}
inline abi::sqe send_message(int fd, const msghdr* message, int flags = 0) noexcept {
  abi::sqe e = transfer(abi::op_sendmsg, fd, message, 1, 0);
  e.msg_flags = static_cast<std::uint32_t>(flags);
  return e;
}
inline abi::sqe receive_message(int fd, msghdr* message, int flags = 0) noexcept {
  abi::sqe e = transfer(abi::op_recvmsg, fd, message, 1, 0);
  e.msg_flags = static_cast<std::uint32_t>(flags);
  return e;
}
inline abi::sqe shut_down(int fd, int how) noexcept {
  abi::sqe e = entry(abi::op_shutdown, fd);
  e.len = static_cast<std::uint32_t>(how);
  return e;
}

// ---- what is registered or provided ----

inline abi::sqe files_update(const int* fds, unsigned count, unsigned offset) noexcept {
  abi::sqe e = entry(abi::op_files_update);
  e.addr = address(fds);
  e.len = count;
  e.off = offset;
  return e;
}
inline abi::sqe provide_buffers(void* at, unsigned length, unsigned count, unsigned group,
                                unsigned first_id) noexcept {
  abi::sqe e = entry(abi::op_provide_buffers, static_cast<int>(count));
  e.addr = address(at);
  e.len = length;
  e.off = first_id;
  e.buf_group = static_cast<std::uint16_t>(group);
  return e;
}
inline abi::sqe remove_buffers(unsigned count, unsigned group) noexcept {
  abi::sqe e = entry(abi::op_remove_buffers, static_cast<int>(count));
  e.buf_group = static_cast<std::uint16_t>(group);
  return e;
}
inline abi::sqe msg_ring(int ring_fd, std::int32_t result, std::uint64_t user_data) noexcept {
  abi::sqe e = entry(abi::op_msg_ring, ring_fd);
  e.addr = abi::msg_data;
  e.len = static_cast<std::uint32_t>(result);
  e.off = user_data;
  return e;
}

}  // namespace parkring::conformance
