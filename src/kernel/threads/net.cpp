// Sends and receives: tried with MSG_DONTWAIT, watched when they would block.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "kernel/threads/backend.hpp"

namespace parkring::kernel::threads {

namespace {

constexpr int most_posts = 32;  // of a multishot request at a time

bool receives(std::uint8_t opcode) noexcept {
  return opcode == abi::op_recv || opcode == abi::op_recvmsg;
}

bool zero_copy(std::uint8_t opcode) noexcept {
  return opcode == abi::op_send_zc || opcode == abi::op_sendmsg_zc;
}

// Only a byte stream can be asked for the rest.
bool goes_on(const request& r, int fd) noexcept {
  if ((r.entry.msg_flags & MSG_WAITALL) == 0) return false;
  int type = 0;
  socklen_t length = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
         (type == SOCK_STREAM || type == SOCK_SEQPACKET);
}

// The answer when nothing more comes now: what came before counts more than the error.
std::int64_t conclude(request& r, op_state& s, std::int64_t error) noexcept {
  const bool waits = error == -EAGAIN && (r.entry.msg_flags & MSG_DONTWAIT) == 0;
  if (waits) {
    if (s.done == 0) r.home->give_back_buffer(r);
    return would_block;
  }
  return s.done > 0 ? s.done : error;
}

// A zero-copy send is a copy here: its memory is free when it ends.
std::int64_t deliver(backend& b, request& r, std::int64_t result) noexcept {
  if (!zero_copy(r.entry.opcode) || result < 0) return result;
  if (!r.home->post(r, static_cast<std::int32_t>(result))) return result;
  b.end(r, 0, abi::cqe_f_notif);
  return taken;
}

std::int64_t attempt_receive(backend&, request& r, op_state& s, int fd) noexcept {
  const bool multishot = (r.entry.ioprio & abi::recv_multishot) != 0;
  const int flags = static_cast<int>(r.entry.msg_flags) | MSG_DONTWAIT;
  for (int i = 0; i < most_posts; ++i) {
    if (const int answer = r.home->choose_buffer(r); answer < 0) return answer;
    const std::int64_t wanted = std::min(r.length, most_transferred);
    const ssize_t n =
        ::recv(fd, r.memory + s.done, static_cast<std::size_t>(wanted - s.done), flags);
    if (n < 0) return conclude(r, s, -errno);
    if (multishot) {
      if (n == 0 || !r.home->post(r, static_cast<std::int32_t>(n))) return n;
      continue;
    }
    s.done += n;
    if (n == 0 || s.done == wanted || !goes_on(r, fd)) return s.done;
  }
  return would_block;
}

std::int64_t attempt_send(backend& b, request& r, op_state& s, int fd) noexcept {
  const int flags = static_cast<int>(r.entry.msg_flags) | MSG_DONTWAIT | MSG_NOSIGNAL;
  const sockaddr* to = reinterpret_cast<const sockaddr*>(r.entry.addr2);
  socklen_t to_length = to != nullptr ? r.entry.addr_len : 0;
  if (s.copies != nullptr && to != nullptr) {
    to = reinterpret_cast<const sockaddr*>(&s.copies->address);
    to_length = s.copies->address_length;
  }
  const std::int64_t wanted = std::min(r.length, most_transferred);
  for (;;) {
    const ssize_t n = ::sendto(fd, r.memory + s.done, static_cast<std::size_t>(wanted - s.done),
                               flags, to, to_length);
    if (n < 0) return conclude(r, s, -errno);
    s.done += n;
    if (s.done == wanted || !goes_on(r, fd)) return deliver(b, r, s.done);
  }
}

// ---- messages ----

void skip(std::vector<iovec>& parts, std::size_t done) noexcept {
  for (iovec& v : parts) {
    const std::size_t n = std::min(done, v.iov_len);
    v.iov_base = static_cast<char*>(v.iov_base) + n;
    v.iov_len -= n;
    done -= n;
  }
}

std::size_t size_of(const std::vector<iovec>& parts) noexcept {
  std::size_t n = 0;
  for (const iovec& v : parts) n += v.iov_len;
  return n;
}

// The header with a chosen buffer in place of its vector.
void into_buffer(const request& r, msghdr& m, iovec& one) noexcept {
  one = {reinterpret_cast<void*>(r.chosen.addr), r.chosen.len};
  if (m.msg_iovlen == 1 && m.msg_iov[0].iov_len != 0)
    one.iov_len = std::min(one.iov_len, m.msg_iov[0].iov_len);
  m.msg_iov = &one;
  m.msg_iovlen = 1;
}

// In the buffer: a header, room for the address, room for control data, the payload.
std::int64_t receive_one_of_many(const request& r, const msghdr& asked, int fd,
                                 int flags) noexcept {
  auto* const base = reinterpret_cast<std::byte*>(r.chosen.addr);
  const std::size_t head = sizeof(abi::recvmsg_out) + asked.msg_namelen + asked.msg_controllen;
  if (r.chosen.len < head) return -EFAULT;
  iovec payload{base + head, r.chosen.len - head};
  msghdr m{};
  m.msg_iov = &payload;
  m.msg_iovlen = 1;
  m.msg_name = base + sizeof(abi::recvmsg_out);
  m.msg_namelen = asked.msg_namelen;
  m.msg_control = base + sizeof(abi::recvmsg_out) + asked.msg_namelen;
  m.msg_controllen = asked.msg_controllen;
  const ssize_t n = ::recvmsg(fd, &m, flags);
  if (n < 0) return -errno;
  const abi::recvmsg_out told{m.msg_namelen, static_cast<std::uint32_t>(m.msg_controllen),
                              static_cast<std::uint32_t>(n),
                              static_cast<std::uint32_t>(m.msg_flags)};
  std::memcpy(base, &told, sizeof told);
  return n == 0 ? 0 : static_cast<std::int64_t>(head) + n;
}

std::int64_t attempt_receive_many(request& r, op_state& s, int fd, int flags) noexcept {
  for (int i = 0; i < most_posts; ++i) {
    if (const int answer = r.home->choose_buffer(r); answer < 0) return answer;
    const std::int64_t n = receive_one_of_many(r, s.copies->header, fd, flags);
    if (n < 0) return conclude(r, s, n);
    if (n == 0 || !r.home->post(r, static_cast<std::int32_t>(n))) return n;
  }
  return would_block;
}

std::int64_t attempt_message(backend& b, request& r, op_state& s, int fd) noexcept {
  const bool receive = receives(r.entry.opcode);
  const int flags =
      static_cast<int>(r.entry.msg_flags) | MSG_DONTWAIT | (receive ? 0 : MSG_NOSIGNAL);
  if (receive && (r.entry.ioprio & abi::recv_multishot) != 0)
    return attempt_receive_many(r, s, fd, flags);
  for (;;) {
    if (const int answer = r.home->choose_buffer(r); answer < 0) return answer;
    msghdr m = s.copies->header;
    iovec one{};
    if (r.has_chosen) into_buffer(r, m, one);
    const ssize_t n = receive ? ::recvmsg(fd, &m, flags) : ::sendmsg(fd, &m, flags);
    if (n < 0) return conclude(r, s, -errno);
    if (receive) {
      auto& told = *reinterpret_cast<msghdr*>(r.entry.addr);
      told.msg_namelen = m.msg_namelen;
      told.msg_controllen = m.msg_controllen;
      told.msg_flags = m.msg_flags;
    }
    s.done += n;
    if (n == 0 || r.has_chosen) return deliver(b, r, s.done);
    skip(s.copies->parts, static_cast<std::size_t>(n));
    if (size_of(s.copies->parts) == 0 || !goes_on(r, fd)) return deliver(b, r, s.done);
    s.copies->header.msg_controllen = 0;  // it went with the first part
    s.copies->header.msg_control = nullptr;
  }
}

// ---- copies ----

bool copy_address(kept& k, const void* address, socklen_t length) noexcept {
  if (length > sizeof k.address) return false;
  std::memcpy(&k.address, address, length);
  k.address_length = length;
  return true;
}

int copy_message(kept& k, const request& r) noexcept {
  const auto& asked = *reinterpret_cast<const msghdr*>(r.entry.addr);
  k.header = asked;
  if (asked.msg_iovlen > 1024) return -EMSGSIZE;
  if (asked.msg_iov == nullptr && asked.msg_iovlen != 0) return -EFAULT;
  try {
    k.parts.assign(asked.msg_iov, asked.msg_iov + asked.msg_iovlen);
    limit_transfer(k.parts);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  k.header.msg_iov = k.parts.data();
  if (receives(r.entry.opcode) || asked.msg_name == nullptr) return 0;
  if (!copy_address(k, asked.msg_name, asked.msg_namelen)) return -EINVAL;
  k.header.msg_name = &k.address;
  return 0;
}

}  // namespace

void backend::start_send_receive(request& r) noexcept {
  auto& s = r.scratch_as<op_state>();
  const abi::sqe& e = r.entry;
  const bool receive = receives(e.opcode);
  const bool message =
      e.opcode == abi::op_sendmsg || e.opcode == abi::op_recvmsg || e.opcode == abi::op_sendmsg_zc;
  const unsigned known =
      abi::recvsend_poll_first | (receive ? abi::recv_multishot : 0u) |
      (zero_copy(e.opcode) ? abi::recvsend_fixed_buf | abi::send_zc_report_usage : 0u);
  if ((e.ioprio & ~known) != 0) return end(r, -EINVAL);
  if (receive && (e.ioprio & abi::recv_multishot) != 0 &&
      (!r.selects_buffer() || (e.msg_flags & MSG_WAITALL) != 0))
    return end(r, -EINVAL);
  s.events = receive ? EPOLLIN : EPOLLOUT;
  if (message) {
    if (e.addr == 0) return end(r, -EFAULT);
    kept* const k = keep(r);
    const int answer = k != nullptr ? copy_message(*k, r) : -ENOMEM;
    if (answer < 0) return end(r, answer);
    s.attempt = &attempt_message;
  } else if (!receive && e.addr2 != 0) {
    kept* const k = keep(r);
    if (k == nullptr) return end(r, -ENOMEM);
    if (!copy_address(*k, reinterpret_cast<const void*>(e.addr2), e.addr_len))
      return end(r, -EINVAL);
    s.attempt = &attempt_send;
  } else {
    s.attempt = receive ? &attempt_receive : &attempt_send;
  }
  if ((e.ioprio & abi::recvsend_poll_first) != 0) return watch(r, r.file);
  attempt(r);
}

}  // namespace parkring::kernel::threads
