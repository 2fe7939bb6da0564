#include "fs/stream/splice.hpp"

#include <string>

#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "kernel/abi.hpp"

namespace parkring::detail {
namespace {

namespace abi = kernel::abi;

constexpr std::uint64_t no_position = UINT64_MAX;

struct splice_payload {
  file_ref from, to;
  std::uint64_t from_offset, to_offset;
  std::uint32_t size;
};

std::string both(const file_ref& from, const file_ref& to) {
  return state_of(*from.get()).path.native() + ", " + state_of(*to.get()).path.native();
}

bool is_stream(const file_ref& f) noexcept { return state_of(*f.get()).stream != nullptr; }

const record_type splice_type = {
    .name = "splice",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          const auto& p = r.as<splice_payload>();
          e.opcode = abi::op_splice;
          e.fd = p.to.get()->descriptor;
          e.off = p.to_offset;
          e.splice_fd_in = p.from.get()->descriptor;
          e.splice_off_in = p.from_offset;
          e.len = p.size;
        },
    .complete =
        [](record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
          const bool wanted = w != nullptr || r.cancel_wanted == cancel_wish::none;
          return res == -EINTR && wanted ? after_completion::resubmit : after_completion::finish;
        },
    .destroy = [](record& r) noexcept { r.as<splice_payload>().~splice_payload(); },
    .cancel_when_dropped = [](const record&) noexcept { return true; },
    .describe =
        [](const record& r, std::string& out) {
          const auto& p = r.as<splice_payload>();
          out += "splice(" + both(p.from, p.to) + ")";
        },
    .has_effect = true,
};

}  // namespace

record* splice_request::make(op_waiter&) const noexcept {
  record* r = core_for(*from.get()).ops.acquire(splice_type);
  if (r != nullptr)
    r->emplace<splice_payload>(from.share(), to.share(),
                               is_stream(from) ? no_position : from_offset,
                               is_stream(to) ? no_position : to_offset, size);
  return r;
}

void splice_request::start(op_waiter& w) const noexcept {
  auto& ops = core_for(*from.get()).ops;
  record* r = make(w);
  if (r == nullptr) return ops.starve(w);
  ops.submit(*r, &w);
}

error splice_request::failure(int number) const {
  return {number, "copy_stream", both(from, to), ""};
}

bool may_splice(const file_ref& from, const file_ref& to) noexcept {
  const file_state& source = state_of(*from.get());
  const file_state& target = state_of(*to.get());
  if (source.stream == nullptr && target.stream == nullptr) return false;
  if (source.closed || target.closed || target.appends || source.direct || target.direct)
    return false;
  if (source.stream != nullptr && (source.stream->reading || !source.stream->left_over.empty()))
    return false;
  auto& ring = exec::this_core().driver.ring;
  return ring.real() && ring.opcodes()[abi::op_splice];
}

}  // namespace parkring::detail
