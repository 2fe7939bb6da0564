// From entries to requests, and from requests to what begins when.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "kernel/emulated/ring.hpp"

namespace parkring::kernel::emulated {
namespace {

constexpr std::uint8_t link_flags = abi::iosqe_io_link | abi::iosqe_io_hardlink;
constexpr std::uint8_t entry_flags = 0x7f;  // all that abi.hpp names

bool links_on(const abi::sqe& e) noexcept { return (e.flags & link_flags) != 0; }

// What the ring does itself, see backend.hpp.
bool served_here(const abi::sqe& e) noexcept {
  switch (e.opcode) {
    case abi::op_nop:
    case abi::op_timeout:
    case abi::op_timeout_remove:
    case abi::op_link_timeout:
    case abi::op_async_cancel:
    case abi::op_poll_remove:
    case abi::op_files_update:
    case abi::op_provide_buffers:
    case abi::op_remove_buffers:
    case abi::op_fixed_fd_install:
      return true;
    case abi::op_close:
      return e.file_index != 0;
    default:
      return false;
  }
}

bool takes_provided_buffer(std::uint8_t opcode) noexcept {
  return opcode == abi::op_read || opcode == abi::op_readv || opcode == abi::op_recv ||
         opcode == abi::op_recvmsg || opcode == abi::op_read_multishot;
}

// Whether the entry's fd is an open file to act on, rather than a directory to start from or
// nothing at all.
bool acts_on_file(const abi::sqe& e) noexcept {
  switch (e.opcode) {
    case abi::op_nop:
    case abi::op_timeout:
    case abi::op_timeout_remove:
    case abi::op_link_timeout:
    case abi::op_async_cancel:
    case abi::op_poll_remove:
    case abi::op_files_update:
    case abi::op_provide_buffers:
    case abi::op_remove_buffers:
    case abi::op_openat:
    case abi::op_openat2:
    case abi::op_statx:
    case abi::op_close:
    case abi::op_madvise:
    case abi::op_renameat:
    case abi::op_unlinkat:
    case abi::op_mkdirat:
    case abi::op_symlinkat:
    case abi::op_linkat:
    case abi::op_setxattr:
    case abi::op_getxattr:
    case abi::op_socket:
    case abi::op_waitid:
    case abi::op_futex_wait:
    case abi::op_futex_wake:
    case abi::op_futex_waitv:
    case abi::op_epoll_ctl:
    case abi::op_pipe:
      return false;
    default:
      return true;
  }
}

bool is_transfer(std::uint8_t opcode) noexcept {
  switch (opcode) {
    case abi::op_read:
    case abi::op_write:
    case abi::op_read_fixed:
    case abi::op_write_fixed:
    case abi::op_send:
    case abi::op_recv:
    case abi::op_send_zc:
    case abi::op_read_multishot:
      return true;
    default:
      return false;
  }
}

// The parts of a vectored transfer or a message.
struct vector {
  const iovec* first = nullptr;
  std::uint64_t count = 0;
};

vector vector_of(const abi::sqe& e) noexcept {
  switch (e.opcode) {
    case abi::op_readv:
    case abi::op_writev:
    case abi::op_readv_fixed:
    case abi::op_writev_fixed:
      return {reinterpret_cast<const iovec*>(e.addr), e.len};
    case abi::op_sendmsg:
    case abi::op_recvmsg:
    case abi::op_sendmsg_zc: {
      const auto* const message = reinterpret_cast<const msghdr*>(e.addr);
      return message != nullptr ? vector{message->msg_iov, message->msg_iovlen} : vector{};
    }
    default:
      return {};
  }
}

}  // namespace

// Null when there is no memory.
request* ring::allocate() noexcept {
  if (free_.empty()) {
    try {
      free_.push_back(requests_.emplace_back());
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  request& r = *free_.pop_front();
  r.home = this;
  r.number = submitted_++;
  r.at = stage::waiting;
  r.cancel_asked = false;
  r.posted_failure = false;
  r.refused = 0;
  r.file = -1;
  r.memory = nullptr;
  r.length = 0;
  r.has_chosen = false;
  r.rest = r.timer = r.watched = nullptr;
  r.deadline_ns = never;
  r.count_left = 0;
  ++live_;
  ++running_;
  return &r;
}

int ring::check(const abi::sqe& e, bool in_chain) const noexcept {
  if (e.opcode >= abi::op_last || (e.flags & ~entry_flags) != 0) return EINVAL;
  if (!served_here(e) && !below_.supports(e.opcode)) return EINVAL;
  if (e.personality != 0) return EINVAL;
  if ((e.flags & abi::iosqe_buffer_select) != 0 && !takes_provided_buffer(e.opcode))
    return EOPNOTSUPP;
  if (e.opcode == abi::op_link_timeout && !in_chain) return EINVAL;
  if (e.opcode == abi::op_poll_add) {
    constexpr std::uint32_t known = abi::poll_add_multi | abi::poll_add_level;
    if (e.off != 0 || e.addr != 0 || e.buf_index != 0 || (e.len & ~known) != 0) return EINVAL;
  }
  // A registered file is no descriptor that a new program could inherit.
  const bool to_slot = e.file_index != 0;
  if (e.opcode == abi::op_openat && to_slot && (e.open_flags & O_CLOEXEC) != 0) return EINVAL;
  if (e.opcode == abi::op_accept && to_slot && (e.accept_flags & O_CLOEXEC) != 0) return EINVAL;
  if (e.opcode == abi::op_socket && to_slot && (e.off & O_CLOEXEC) != 0) return EINVAL;
  return 0;
}

unsigned ring::submit(unsigned n) noexcept {
  // Acquire: the entries before the tail. Pairs with the program's release store of it.
  const std::uint32_t tail = __atomic_load_n(memory_.sq_tail, __ATOMIC_ACQUIRE);
  std::uint32_t head = *memory_.sq_head;
  request *first = nullptr, *last = nullptr;  // of the chain being read
  bool refused = false;
  unsigned consumed = 0;
  const auto close_chain = [&] {
    request& whole = *std::exchange(first, nullptr);
    last = nullptr;
    if (refused && whole.refused == 0) whole.refused = ECANCELED;
    refused = false;
    queue(whole);
    begin_all();
  };
  while (consumed < n && head != tail) {
    std::uint32_t place = head & memory_.sq_mask;
    request* const allocated = allocate();
    if (allocated == nullptr) break;  // what is left stays queued
    ++head;
    ++consumed;
    if (memory_.sq_array != nullptr) {
      place = memory_.sq_array[place];
      if (place >= memory_.sq_entries) {
        __atomic_fetch_add(memory_.sq_dropped, 1, __ATOMIC_RELAXED);
        release(*allocated);
        break;
      }
    }
    request& r = *allocated;
    r.entry = memory_.sqes[place];
    r.refused = check(r.entry, last != nullptr);
    const bool is_timeout =
        r.entry.opcode == abi::op_timeout || r.entry.opcode == abi::op_link_timeout;
    if (r.refused == 0 && is_timeout) r.refused = check_timeout(r.entry);
    if (r.entry.opcode == abi::op_link_timeout && last != nullptr &&
        last->entry.opcode == abi::op_link_timeout)
      r.refused = EINVAL;
    const bool bad = r.refused != 0;
    refused |= bad;
    if (first == nullptr)
      first = &r;
    else
      last->rest = &r;
    last = &r;
    // A chain is drained as a whole: none of its parts begins before what was submitted before it.
    first->entry.flags =
        static_cast<std::uint8_t>(first->entry.flags | (r.entry.flags & abi::iosqe_io_drain));
    // The memory of the entry is the program's again from here on.
    __atomic_store_n(memory_.sq_head, head, __ATOMIC_RELEASE);
    if (!links_on(r.entry)) close_chain();
    if (bad && (memory_.setup_flags & abi::setup_submit_all) == 0) break;
  }
  __atomic_store_n(memory_.sq_head, head, __ATOMIC_RELEASE);
  if (first != nullptr) close_chain();
  return consumed;
}

void ring::queue(request& head) noexcept {
  const bool drains = (head.entry.flags & abi::iosqe_io_drain) != 0;
  if (!drains && deferred_.empty() && !drain_runs_) return to_begin_.push_back(head);
  for (const request* r = &head; r != nullptr; r = r->rest) --running_;
  deferred_.push_back(head);
}

void ring::begin_deferred() noexcept {
  while (request* const head = deferred_.front()) {
    const bool drains = (head->entry.flags & abi::iosqe_io_drain) != 0;
    if (running_ != 0 && (drains || drain_runs_)) return;
    head->unlink();
    for (const request* r = head; r != nullptr; r = r->rest) ++running_;
    drain_runs_ = drains;
    to_begin_.push_back(*head);
  }
}

void ring::begin_all() noexcept {
  for (;;) {
    begin_deferred();
    request* const r = to_begin_.pop_front();
    if (r == nullptr) return;
    begin(*r);
  }
}

void ring::activate(request& r) noexcept {
  r.at = stage::active;
  active_.push_back(r);
  index_.add(r);
}

// A chain is not begun at all when one of its parts is refused.
void ring::refuse(request& head, int error) noexcept {
  put(head.entry.user_data, -error, 0);
  if (head.rest != nullptr) {
    head.entry.flags = static_cast<std::uint8_t>(head.entry.flags & ~abi::iosqe_cqe_skip_success);
    cancel_rest(head);
  }
  release(head);
}

void ring::begin(request& r) noexcept {
  activate(r);
  if (stopped_) r.refused = ECANCELED;
  if (r.refused != 0) return refuse(r, r.refused);
  if (request* const t = r.rest; t != nullptr && t->entry.opcode == abi::op_link_timeout) {
    t->refused = start_timeout(*t);
    // Without the limit that it was given it shall not run.
    if (t->refused != 0) return refuse(r, ECANCELED);
    r.rest = std::exchange(t->rest, nullptr);
    activate(*t);
    r.timer = t;
    t->watched = &r;
  }
  if (const int error = resolve(r); error != 0) return end(r, -error, 0);
  if (served_here(r.entry)) return serve(r);
  below_.start(r);
}

// Finds file and memory, as late as the kernel does; 0 or a positive errno.
int ring::resolve(request& r) noexcept {
  const abi::sqe& e = r.entry;
  const bool registered = (e.flags & abi::iosqe_fixed_file) != 0;
  if (acts_on_file(e)) {
    r.file = registered ? files_.held(static_cast<unsigned>(e.fd)) : e.fd;
    if (r.file < 0) return EBADF;
  } else if (registered && e.opcode != abi::op_async_cancel && e.opcode != abi::op_nop) {
    return EBADF;
  }
  constexpr std::uint32_t longest = 0x7ffff000;  // MAX_RW_COUNT, read(2)
  if (is_transfer(e.opcode)) {
    r.length = std::min(e.len, longest);
    if (!r.selects_buffer()) r.memory = reinterpret_cast<std::byte*>(e.addr);
  }
  const vector parts = vector_of(e);
  std::uint64_t all = 0;
  for (std::uint64_t i = 0; parts.first != nullptr && i < parts.count && i < 1024; ++i)
    all += parts.first[i].iov_len;
  if (parts.first != nullptr)
    r.length = static_cast<std::uint32_t>(std::min<std::uint64_t>(all, longest));
  if (e.opcode == abi::op_splice || e.opcode == abi::op_tee) r.length = e.len;
  const bool fixed = e.opcode == abi::op_read_fixed || e.opcode == abi::op_write_fixed ||
                     (e.opcode == abi::op_send_zc && (e.ioprio & abi::recvsend_fixed_buf) != 0);
  if (fixed && !buffers_.covers(e.buf_index, e.addr, e.len)) return EFAULT;
  return 0;
}

void ring::serve(request& r) noexcept {
  const abi::sqe& e = r.entry;
  switch (e.opcode) {
    case abi::op_nop: {
      const bool told = (e.nop_flags & abi::nop_inject_result) != 0;
      return end(r, told ? static_cast<std::int32_t>(e.len) : 0, 0);
    }
    case abi::op_timeout: {
      const int error = start_timeout(r);
      if (error != 0) end(r, -error, 0);
      return;
    }
    case abi::op_timeout_remove:
      return end(r, remove_timeout(e), 0);
    case abi::op_async_cancel:
      return end(r, cancel_by(e, &r), 0);
    case abi::op_poll_remove:
      return end(r, remove_poll(e), 0);
    case abi::op_files_update: {
      auto* fds = reinterpret_cast<std::int32_t*>(e.addr);
      if (e.op_flags != 0 || e.len == 0 || fds == nullptr) return end(r, -EINVAL, 0);
      return end(r,
                 static_cast<std::uint32_t>(e.off) == abi::file_index_alloc
                     ? files_.allocate(fds, e.len)
                     : files_.update(static_cast<unsigned>(e.off), fds, e.len),
                 0);
    }
    case abi::op_provide_buffers: {
      if (e.fd <= 0 || e.fd > 65'536 || e.len == 0 || e.addr == 0) return end(r, -EINVAL, 0);
      try {
        return end(r,
                   provided_.provide(e.buf_group, e.addr, e.len, static_cast<unsigned>(e.fd),
                                     static_cast<std::uint16_t>(e.off)),
                   0);
      } catch (const std::bad_alloc&) {
        return end(r, -ENOMEM, 0);
      }
    }
    case abi::op_remove_buffers:
      if (e.fd <= 0 || e.fd > 65'536) return end(r, -EINVAL, 0);
      return end(r, provided_.remove(e.buf_group, static_cast<unsigned>(e.fd)), 0);
    case abi::op_fixed_fd_install:
      if ((e.flags & abi::iosqe_fixed_file) == 0) return end(r, -EBADF, 0);
      return end(r, below_.install(r.file, (e.install_fd_flags & abi::fixed_fd_no_cloexec) == 0),
                 0);
    case abi::op_close:
      if (e.fd != 0) return end(r, -EINVAL, 0);
      return end(r, files_.close(e.file_index - 1), 0);
    default:
      return end(r, -EINVAL, 0);
  }
}

}  // namespace parkring::kernel::emulated
