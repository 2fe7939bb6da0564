// MSG_RING: completions on another ring of this kernel, whose thread may be another one.
#include <cerrno>
#include <new>

#include "kernel/threads/backend.hpp"
#include "kernel/threads/registry.hpp"

namespace parkring::kernel::threads {

namespace {

struct message final : parcel {
  bool arrive(backend& at) noexcept override {
    at.ring().post_message(user_data, result, flags);
    return true;
  }

  std::uint64_t user_data = 0;
  std::int32_t result = 0;
  std::uint32_t flags = 0;
};

}  // namespace

void backend::start_message(request& r) noexcept {
  const abi::sqe& e = r.entry;
  const bool passes_flags = (e.msg_ring_flags & abi::msg_ring_flags_pass) != 0;
  // Descriptors are not sent: they would have to go into the other ring's table.
  if (e.addr != abi::msg_data || (e.msg_ring_flags & ~abi::msg_ring_flags_pass) != 0 ||
      (!passes_flags && e.file_index != 0) || e.buf_index != 0)
    return end(r, -EINVAL);
  const auto file = file_of(r);
  const std::shared_ptr<channel> to = file != nullptr ? file->ring : registry::find(r.file);
  if (to == nullptr) return end(r, -EBADFD);
  auto* const m = new (std::nothrow) message;
  if (m == nullptr) return end(r, -ENOMEM);
  m->user_data = e.off;
  m->result = static_cast<std::int32_t>(e.len);
  m->flags = passes_flags ? e.file_index : 0;
  end(r, to->send(*m) ? 0 : -EBADFD);
}

}  // namespace parkring::kernel::threads
