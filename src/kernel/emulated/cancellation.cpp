// ASYNC_CANCEL, POLL_REMOVE and IORING_REGISTER_SYNC_CANCEL; and io_uring_register(2) as a whole.
#include <algorithm>
#include <cerrno>
#include <new>

#include "kernel/emulated/ring.hpp"

namespace parkring::kernel::emulated {
namespace {

constexpr std::uint32_t cancel_flags = abi::async_cancel_all | abi::async_cancel_fd |
                                       abi::async_cancel_any | abi::async_cancel_fd_fixed |
                                       abi::async_cancel_userdata | abi::async_cancel_op;

}  // namespace

bool ring::matches(const request& r, const wanted& w) noexcept {
  if (r.entry.opcode == abi::op_link_timeout) return false;
  if ((w.flags & abi::async_cancel_any) != 0) return true;
  if ((w.flags & abi::async_cancel_op) != 0 && r.entry.opcode != w.opcode) return false;
  const bool by_data = (w.flags & (abi::async_cancel_fd | abi::async_cancel_op)) == 0 ||
                       (w.flags & abi::async_cancel_userdata) != 0;
  if (by_data && r.entry.user_data != w.user_data) return false;
  return (w.flags & abi::async_cancel_fd) == 0 || (r.file >= 0 && below_.acts_on(r, w.file));
}

// 0, -ENOENT or -EALREADY.
int ring::cancel_one(request& r) noexcept {
  if (r.entry.opcode == abi::op_timeout) {
    disarm(r);
    end(r, -ECANCELED, 0);
    return 0;
  }
  if (r.cancel_asked) return -EALREADY;
  r.cancel_asked = true;
  switch (below_.cancel(r)) {
    case cancel_answer::cancelled:
      return 0;
    case cancel_answer::too_late:
      return -EALREADY;
    case cancel_answer::not_found:
      r.cancel_asked = false;
      return -ENOENT;
  }
  return -ENOENT;
}

int ring::cancel(const wanted& w, const request* asker) noexcept {
  const auto is_meant = [&](const request& r) { return &r != asker && matches(r, w); };
  if ((w.flags & (abi::async_cancel_all | abi::async_cancel_any)) == 0) {
    request* first = nullptr;
    if ((w.flags & (abi::async_cancel_fd | abi::async_cancel_op)) == 0) {
      first = index_.find(w.user_data, is_meant);
    } else {
      active_.for_each([&](request& r) {
        if (first == nullptr && is_meant(r)) first = &r;
      });
    }
    return first != nullptr ? cancel_one(*first) : -ENOENT;
  }
  // Ends of requests change the list, so those to cancel are chosen first.
  std::vector<std::pair<request*, std::uint64_t>> chosen;
  try {
    active_.for_each([&](request& r) {
      if (is_meant(r)) chosen.emplace_back(&r, r.number);
    });
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  int n = 0;
  for (const auto& [r, number] : chosen) {
    if (r->at == stage::active && r->number == number && cancel_one(*r) != -ENOENT) ++n;
  }
  return n;
}

int ring::cancel_by(const abi::sqe& e, const request* asker) noexcept {
  const std::uint32_t flags = e.cancel_flags;
  if ((flags & ~cancel_flags) != 0 || e.off != 0 || e.splice_fd_in != 0) return -EINVAL;
  wanted w{.user_data = e.addr, .file = e.fd, .opcode = 0, .flags = flags};
  if ((flags & abi::async_cancel_any) != 0 &&
      (flags & (abi::async_cancel_fd | abi::async_cancel_op)) != 0)
    return -EINVAL;
  if ((flags & abi::async_cancel_op) != 0)
    w.opcode = static_cast<std::uint8_t>(e.len);
  else if (e.len != 0)
    return -EINVAL;
  if ((flags & abi::async_cancel_fd) != 0) {
    const bool registered =
        (flags & abi::async_cancel_fd_fixed) != 0 || (e.flags & abi::iosqe_fixed_file) != 0;
    w.file = registered ? files_.held(static_cast<unsigned>(e.fd)) : e.fd;
    if (w.file < 0 || (!registered && !below_.is_open(w.file))) return -EBADF;
  }
  return cancel(w, asker);
}

int ring::remove_poll(const abi::sqe& e) noexcept {
  constexpr std::uint32_t updates = abi::poll_update_events | abi::poll_update_user_data;
  if ((e.len & ~(updates | abi::poll_add_multi)) != 0) return -EINVAL;
  if ((e.len & updates) == 0 && e.len != 0) return -EINVAL;
  request* const found =
      index_.find(e.addr, [](const request& r) { return r.entry.opcode == abi::op_poll_add; });
  if (found == nullptr) return -ENOENT;
  if ((e.len & updates) == 0) return cancel_one(*found);
  if ((e.len & abi::poll_update_user_data) != 0) {
    index_.remove(*found);
    found->entry.user_data = e.off;
    index_.add(*found);
  }
  if ((e.len & abi::poll_update_events) != 0)
    return below_.update_poll(*found, e.poll32_events, e.len & abi::poll_add_multi);
  return 0;
}

int ring::cancel_and_wait(const abi::sync_cancel_reg& asked) noexcept {
  if ((asked.flags & ~cancel_flags) != 0) return -EINVAL;
  wanted w{asked.addr, asked.fd, asked.opcode, asked.flags};
  if ((asked.flags & abi::async_cancel_fd_fixed) != 0)
    w.file = files_.held(static_cast<unsigned>(asked.fd));
  if ((asked.flags & abi::async_cancel_fd) != 0 && w.file < 0) return -EBADF;
  const bool limited = asked.timeout.tv_sec != -1 || asked.timeout.tv_nsec != -1;
  const std::uint64_t deadline = limited ? deadline_of(asked.timeout, 0) : never;
  int answer = cancel(w, nullptr);
  begin_all();
  const auto goes_on = [&] {
    bool any = false;
    active_.for_each([&](request& r) { any |= matches(r, w); });
    return any;
  };
  while (answer == -EALREADY && goes_on()) {
    const int waited = below_.wait(deadline);
    begin_all();
    if (waited < 0) return waited;
    if (below_.now_ns(clock::monotonic) >= deadline) return -ETIME;
  }
  return answer == -EALREADY ? 0 : answer;
}

int ring::reg(unsigned opcode, const void* arg, unsigned count) noexcept {
  using region = buffer_slots::region;
  static_assert(sizeof(region) == 16, "as an iovec");
  opcode &= ~abi::register_use_registered_ring;
  void* const out = const_cast<void*>(arg);  // some answer in their argument
  try {
    switch (opcode) {
      case abi::register_buffers:
        return buffers_.make(count, static_cast<const region*>(arg));
      case abi::register_buffers2: {
        if (count != sizeof(abi::rsrc_register)) return -EINVAL;
        const auto& asked = *static_cast<const abi::rsrc_register*>(arg);
        const bool sparse = (asked.flags & abi::rsrc_register_sparse) != 0;
        if (asked.tags != 0 || (!sparse && asked.data == 0)) return -EINVAL;
        return buffers_.make(asked.nr,
                             sparse ? nullptr : reinterpret_cast<const region*>(asked.data));
      }
      case abi::register_buffers_update: {
        if (count != sizeof(abi::rsrc_update2)) return -EINVAL;
        const auto& asked = *static_cast<const abi::rsrc_update2*>(arg);
        if (asked.tags != 0 || asked.nr == 0) return -EINVAL;
        return buffers_.update(asked.offset, reinterpret_cast<const region*>(asked.data), asked.nr);
      }
      case abi::unregister_buffers:
        return buffers_.drop_table();
      case abi::register_files:
        return files_.make(count, static_cast<const std::int32_t*>(arg));
      case abi::register_files2: {
        if (count != sizeof(abi::rsrc_register)) return -EINVAL;
        const auto& asked = *static_cast<const abi::rsrc_register*>(arg);
        const bool sparse = (asked.flags & abi::rsrc_register_sparse) != 0;
        if (asked.tags != 0 || (!sparse && asked.data == 0)) return -EINVAL;
        return files_.make(asked.nr,
                           sparse ? nullptr : reinterpret_cast<const std::int32_t*>(asked.data));
      }
      case abi::register_files_update: {
        const auto& asked = *static_cast<const abi::rsrc_update*>(arg);
        return files_.update(asked.offset, reinterpret_cast<const std::int32_t*>(asked.data),
                             count);
      }
      case abi::register_files_update2: {
        if (count != sizeof(abi::rsrc_update2)) return -EINVAL;
        const auto& asked = *static_cast<const abi::rsrc_update2*>(arg);
        if (asked.tags != 0) return -EINVAL;
        return files_.update(asked.offset, reinterpret_cast<const std::int32_t*>(asked.data),
                             asked.nr);
      }
      case abi::unregister_files:
        return files_.drop_table();
      case abi::register_file_alloc_range: {
        const auto& asked = *static_cast<const abi::file_index_range*>(arg);
        return files_.set_range(asked.off, asked.len);
      }
      case abi::register_probe: {
        auto& answer = *static_cast<abi::probe*>(out);  // as far as `count` entries reach
        const unsigned n = std::min(count, abi::op_last);
        answer.last_op = abi::op_last - 1;
        answer.ops_len = static_cast<std::uint8_t>(n);
        for (unsigned i = 0; i < n; ++i) {
          abi::sqe e{};
          e.opcode = static_cast<std::uint8_t>(i);
          answer.ops[i] = {e.opcode, 0, 0, 0};
          if (check(e, true) == 0) answer.ops[i].flags = abi::op_supported;
        }
        return 0;
      }
      case abi::register_enable_rings:
        if (!disabled_) return -EBADFD;
        disabled_ = false;
        return 0;
      case abi::register_pbuf_ring:
        return provided_.register_ring(*static_cast<const abi::buf_reg*>(arg));
      case abi::unregister_pbuf_ring:
        return provided_.unregister_ring(static_cast<const abi::buf_reg*>(arg)->bgid);
      case abi::register_pbuf_status:
        return provided_.status(*static_cast<abi::buf_status*>(out));
      case abi::register_sync_cancel:
        return cancel_and_wait(*static_cast<const abi::sync_cancel_reg*>(arg));
      default:
        return below_.reg(opcode, arg, count);
    }
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

}  // namespace parkring::kernel::emulated
