// Requests on pipes, event counters and sockets of the simulated machine: tried, and tried again
// when their endpoint changes.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/sim/backend.hpp"
#include "kernel/sim/pipe.hpp"
#include "kernel/sim/socket.hpp"

namespace parkring::kernel::sim {

using emulated::request;

namespace {

template <class T>
T* at_address(std::uint64_t address) noexcept {
  return reinterpret_cast<T*>(address);
}

// Writes an address as accept(2) and recvmsg(2) do.
void store_address(const address& a, sockaddr* to, socklen_t* size) {
  if (to == nullptr || size == nullptr) return;
  *size = a.store(to, *size);
}

}  // namespace

void backend::try_stream(operation& op) {
  switch (op.what->entry.opcode) {
    case abi::op_read:
    case abi::op_readv:
    case abi::op_read_fixed:
    case abi::op_read_multishot:
      return try_transfer(op, true);
    case abi::op_write:
    case abi::op_writev:
    case abi::op_write_fixed:
      return try_transfer(op, false);
    case abi::op_fsync:
    case abi::op_fallocate:
    case abi::op_ftruncate:
    case abi::op_sync_file_range:
      return finish(op, op.what->entry.opcode == abi::op_fallocate ? -ESPIPE : -EINVAL);
    case abi::op_fadvise:
      return finish(op, -ESPIPE);
    case abi::op_poll_add:
      return try_poll(op);
    case abi::op_recv:
    case abi::op_recvmsg:
      return try_receive(op);
    case abi::op_send:
    case abi::op_sendmsg:
    case abi::op_send_zc:
    case abi::op_sendmsg_zc: {
      const std::int64_t sent = send(op);
      if (sent == -EAGAIN && (op.what->entry.msg_flags & MSG_DONTWAIT) == 0)
        return wait_for_change(op);
      if (sent == -EAGAIN && op.moved != 0) return finish(op, static_cast<std::int64_t>(op.moved));
      request& r = *op.what;
      const bool copied = r.entry.opcode == abi::op_send_zc || r.entry.opcode == abi::op_sendmsg_zc;
      if (!copied || sent < 0) return finish(op, sent);
      if (!r.home->post(r, static_cast<std::int32_t>(sent))) return finish(op, sent);
      const bool tell = (r.entry.ioprio & abi::send_zc_report_usage) != 0;
      return finish(op, tell ? static_cast<std::int32_t>(abi::notif_usage_zc_copied) : 0,
                    abi::cqe_f_notif);
    }
    case abi::op_accept:
      return try_accept(op);
    case abi::op_connect:
      return try_connect(op);
    default:
      return finish(op, -EINVAL);
  }
}

void backend::try_transfer(operation& op, bool read) {
  request& r = *op.what;
  const abi::sqe& e = r.entry;
  const bool repeats = e.opcode == abi::op_read_multishot;
  const bool vector =
      (e.opcode == abi::op_readv || e.opcode == abi::op_writev) && !r.selects_buffer();
  if (repeats && !r.selects_buffer()) return finish(op, -EINVAL);
  if (!op.object.stream) return finish(op, repeats ? -EBADFD : -EINVAL);
  for (;;) {
    if (r.home->choose_buffer(r) != 0) return finish(op, -ENOBUFS);
    const iovec single{r.memory, std::min<std::uint32_t>(r.length, op.decided.limit)};
    const iovec* const parts = vector ? at_address<const iovec>(e.addr) : &single;
    const std::size_t count = vector ? e.len : 1;
    const long n =
        read ? op.object.stream->read(parts, count) : op.object.stream->write(parts, count);
    if (n == -EAGAIN) {
      r.home->give_back_buffer(r);
      if ((e.rw_flags & 0x8u /* RWF_NOWAIT */) != 0) return finish(op, n);
      return wait_for_change(op);
    }
    if (n > 0 && !vector) m_.log_book.add_content(r.memory, static_cast<std::size_t>(n));
    if (!repeats || n <= 0) return finish(op, n);
    ++completed_;
    if (!r.home->post(r, static_cast<std::int32_t>(n))) return finish(op, n);
  }
}

void backend::try_receive(operation& op) {
  request& r = *op.what;
  const abi::sqe& e = r.entry;
  const bool repeats = (e.ioprio & abi::recv_multishot) != 0;
  if (!op.object.stream) return finish(op, -ENOTSOCK);
  socket* const s = op.object.stream->as_socket();
  if (s == nullptr) return finish(op, -ENOTSOCK);
  const bool message = e.opcode == abi::op_recvmsg;
  if (repeats && (message || !r.selects_buffer())) return finish(op, -EINVAL);
  auto* const header = message ? at_address<msghdr>(e.addr) : nullptr;
  if (message && header == nullptr) return finish(op, -EFAULT);
  const int flags = static_cast<int>(e.msg_flags);
  for (;;) {
    if (r.home->choose_buffer(r) != 0) return finish(op, -ENOBUFS);
    iovec single{r.memory, std::min<std::uint32_t>(r.length, op.decided.limit)};
    if (message && r.selects_buffer() && header->msg_iovlen == 1 && header->msg_iov[0].iov_len != 0)
      single.iov_len = std::min(single.iov_len, header->msg_iov[0].iov_len);
    const bool own_parts = message && !r.selects_buffer();
    const iovec* parts = own_parts ? header->msg_iov : &single;
    const std::size_t count = own_parts ? header->msg_iovlen : 1;
    received info;
    // What came so far of a receive that waits for all, which is of one part.
    iovec rest = parts == nullptr || count == 0 ? iovec{} : parts[0];
    if (op.moved != 0) {
      rest.iov_base = static_cast<std::byte*>(rest.iov_base) + op.moved;
      rest.iov_len -= op.moved;
      parts = &rest;
    }
    const long n = s->receive(parts, count, flags & ~(MSG_WAITALL | MSG_DONTWAIT), &info);
    const bool all =
        (flags & MSG_WAITALL) != 0 && s->type() == SOCK_STREAM && count == 1 && !repeats;
    if (n > 0)
      m_.log_book.add_content(parts[0].iov_base,
                              std::min<std::size_t>(static_cast<std::size_t>(n), parts[0].iov_len));
    if (all && n > 0) {
      op.moved += static_cast<std::uint64_t>(n);
      if (static_cast<std::size_t>(n) < rest.iov_len && op.decided.limit == ~0u) continue;
      return finish(op, static_cast<std::int64_t>(op.moved));
    }
    if (n == -EAGAIN) {
      if (op.moved != 0 && (flags & MSG_DONTWAIT) != 0)
        return finish(op, static_cast<std::int64_t>(op.moved));
      if (op.moved == 0) r.home->give_back_buffer(r);
      if ((flags & MSG_DONTWAIT) != 0) return finish(op, n);
      return wait_for_change(op);
    }
    if (op.moved != 0)
      return finish(op, static_cast<std::int64_t>(op.moved));  // the end, or an error
    if (message && n >= 0) {
      header->msg_flags = info.flags;
      header->msg_controllen = 0;
      if (header->msg_name != nullptr) {
        header->msg_namelen =
            info.from.family == AF_UNSPEC
                ? 0
                : info.from.store(static_cast<sockaddr*>(header->msg_name), header->msg_namelen);
      }
    }
    const std::uint32_t told = info.more ? abi::cqe_f_sock_nonempty : 0;
    if (!repeats || n <= 0) return finish(op, n, told);
    ++completed_;
    if (!r.home->post(r, static_cast<std::int32_t>(n), told)) return finish(op, n, told);
  }
}

std::int64_t backend::send(operation& op) {
  request& r = *op.what;
  const abi::sqe& e = r.entry;
  if (!op.object.stream) return -ENOTSOCK;
  socket* const s = op.object.stream->as_socket();
  if (s == nullptr) return -ENOTSOCK;
  const int flags = static_cast<int>(e.msg_flags) | MSG_NOSIGNAL;
  if (e.opcode == abi::op_sendmsg || e.opcode == abi::op_sendmsg_zc) {
    const auto* const header = at_address<const msghdr>(e.addr);
    if (header == nullptr) return -EFAULT;
    if (header->msg_controllen != 0) return -EOPNOTSUPP;
    return s->send(header->msg_iov, header->msg_iovlen, flags & ~MSG_WAITALL,
                   static_cast<const sockaddr*>(header->msg_name), header->msg_namelen);
  }
  const bool whole = (flags & MSG_WAITALL) != 0 && s->type() == SOCK_STREAM;
  const std::uint32_t limit = s->type() == SOCK_STREAM ? op.decided.limit : ~0u;
  const iovec part{r.memory + op.moved,
                   std::min<std::size_t>(r.length - static_cast<std::uint32_t>(op.moved), limit)};
  const long n =
      s->send(&part, 1, flags & ~MSG_WAITALL, at_address<const sockaddr>(e.addr2), e.addr_len);
  if (!whole) return n;
  if (n < 0) return op.moved != 0 && n != -EAGAIN ? static_cast<std::int64_t>(op.moved) : n;
  op.moved += static_cast<std::uint64_t>(n);
  return op.moved == r.length || limit != ~0u ? static_cast<std::int64_t>(op.moved) : -EAGAIN;
}

void backend::try_accept(operation& op) {
  request& r = *op.what;
  const abi::sqe& e = r.entry;
  const bool repeats = (e.ioprio & abi::accept_multishot) != 0;
  if (!op.object.stream) return finish(op, -ENOTSOCK);
  socket* const s = op.object.stream->as_socket();
  if (s == nullptr) return finish(op, -ENOTSOCK);
  for (;;) {
    ref<socket> connection;
    address peer;
    const int answer = s->accept(connection, &peer);
    if (answer == -EAGAIN) {
      if ((e.ioprio & abi::accept_dontwait) != 0) return finish(op, answer);
      return wait_for_change(op);
    }
    if (answer < 0) return finish(op, answer);
    store_address(peer, at_address<sockaddr>(e.addr), at_address<socklen_t>(e.addr2));
    const int fd =
        give_descriptor({ref<endpoint>(connection), {}, m_.log_book.subject("connection")});
    if (!repeats || fd < 0) return finish(op, fd);
    ++completed_;
    if (!r.home->post(r, fd)) return finish(op, fd);
  }
}

void backend::try_connect(operation& op) {
  const abi::sqe& e = op.what->entry;
  if (!op.object.stream) return finish(op, -ENOTSOCK);
  socket* const s = op.object.stream->as_socket();
  if (s == nullptr) return finish(op, -ENOTSOCK);
  if (e.addr == 0) return finish(op, -EFAULT);
  const int answer = s->connect(at_address<const sockaddr>(e.addr), static_cast<socklen_t>(e.off));
  if (answer == -EINPROGRESS || (answer == -EALREADY && op.begun)) {
    op.begun = true;
    return wait_for_change(op);
  }
  finish(op, answer);
}

void backend::try_poll(operation& op) {
  request& r = *op.what;
  const bool repeats = (r.entry.len & abi::poll_add_multi) != 0;
  const unsigned wanted = r.entry.poll32_events | POLLERR | POLLHUP | POLLNVAL;
  // A file is always ready.
  const unsigned now = op.object.stream ? op.object.stream->poll_events() & wanted
                                        : (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM) & wanted;
  if (now == 0) return wait_for_change(op);
  if (!repeats || !op.object.stream) return finish(op, now);
  ++completed_;
  if (!r.home->post(r, static_cast<std::int32_t>(now))) return finish(op, now);
  // Told again when something changes, not for as long as it is so.
  wait_for_change(op);
}

std::int64_t backend::message(operation& op) {
  const abi::sqe& e = op.what->entry;
  const bool passes_flags = (e.msg_ring_flags & abi::msg_ring_flags_pass) != 0;
  if (e.addr != abi::msg_data || (e.msg_ring_flags & ~abi::msg_ring_flags_pass) != 0)
    return -EINVAL;
  for (const auto& [descriptor, to] : m_.rings) {
    if (descriptor != op.object.stream.get()) continue;
    to->post_message(e.off, static_cast<std::int32_t>(e.len), passes_flags ? e.file_index : 0);
    if (to == op.what->home) ++completed_;
    return 0;
  }
  return -EBADFD;
}

std::int64_t backend::do_socket(operation& op) {
  const abi::sqe& e = op.what->entry;
  if (e.opcode == abi::op_pipe) {
    if (e.file_index != 0 || (e.pipe_flags & ~unsigned{O_CLOEXEC | O_NONBLOCK}) != 0)
      return -EINVAL;
    auto* const out = at_address<int>(e.addr);
    if (out == nullptr) return -EFAULT;
    pipe_ends ends = make_pipe(m_.net.all());
    const int subject = m_.log_book.subject("pipe");
    out[0] = give_descriptor({ref<endpoint>(ends.reader), {}, subject});
    if (out[0] < 0) return out[0];
    out[1] = give_descriptor({ref<endpoint>(ends.writer), {}, subject});
    if (out[1] >= 0) return 0;
    m_.table.close(out[0]);
    return out[1];
  }
  if (e.opcode == abi::op_socket) {
    ref<socket> made;
    const int type = static_cast<int>(e.off) & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    const int answer = m_.net.make_socket(op.host, e.fd, type, static_cast<int>(e.len), made);
    if (answer < 0) return answer;
    return give_descriptor({ref<endpoint>(made), {}, m_.log_book.subject("socket")});
  }
  if (e.opcode == abi::op_msg_ring) return message(op);
  if (!op.object.stream) return -ENOTSOCK;
  socket* const s = op.object.stream->as_socket();
  if (s == nullptr) return -ENOTSOCK;
  switch (e.opcode) {
    case abi::op_bind:
      if (e.addr == 0) return -EFAULT;
      return s->bind(at_address<const sockaddr>(e.addr), static_cast<socklen_t>(e.addr2));
    case abi::op_listen:
      return s->listen(static_cast<int>(e.len));
    case abi::op_shutdown:
      return s->shutdown(static_cast<int>(e.len));
    default:
      return -EINVAL;
  }
}

}  // namespace parkring::kernel::sim
