#include "ring/ring.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <span>
#include <utility>

#include "ring/reader_thread.hpp"

namespace parkring::ring {

namespace {

// How to ask for a ring, best first. A kernel that does not know a flag answers EINVAL to the
// whole set, so the next step leaves out what came last to Linux.
constexpr std::uint32_t always = abi::setup_cqsize | abi::setup_clamp | abi::setup_r_disabled;
constexpr std::uint32_t issuer = abi::setup_submit_all | abi::setup_single_issuer;
constexpr std::uint32_t deferred = abi::setup_defer_taskrun | abi::setup_taskrun_flag;
constexpr std::uint32_t cooperative = abi::setup_coop_taskrun | abi::setup_taskrun_flag;
constexpr std::uint32_t flag_steps[] = {
    always | issuer | deferred | abi::setup_no_sqarray,  // Linux 6.6
    always | issuer | deferred,                          // 6.1; from here on not deferred
    always | issuer | cooperative,                       // 6.0
    always | abi::setup_submit_all | cooperative,        // 5.19
    always | abi::setup_submit_all,                      // 5.18
    always,                                              // 5.10
};

// Where another thread waits in enter too.
constexpr std::uint32_t shared_flag_steps[] = {
    always | abi::setup_submit_all | cooperative | abi::setup_no_sqarray,
    always | abi::setup_submit_all | cooperative,
    always | abi::setup_submit_all,
    always,
};

// Without these there is no waiting with a deadline (5.11) and completions can be lost (5.5).
constexpr std::uint32_t needed_features = abi::feat_ext_arg | abi::feat_nodrop;

/// 0 and a ring, or the errno of the refusal.
int setup_with_best_flags(kernel::kernel& k, const options& o, kernel::ring_memory& out) {
  // Sizes beyond the kernel's largest are wishes that it clamps; ours only must not wrap round.
  const unsigned entries = std::min(o.entries, 1u << 20);
  unsigned cq_entries = o.cq_entries != 0 ? o.cq_entries : std::max(256u, 4 * entries);
  // The kernel refuses a completion queue shorter than the (rounded) submission queue.
  cq_entries = std::max(cq_entries, std::bit_ceil(entries));

  int result = -EINVAL;
  std::span<const std::uint32_t> steps = flag_steps;
  if (!o.deferred) steps = steps.subspan(2);
  if (o.entered_by_others) steps = shared_flag_steps;
  for (const std::uint32_t flags : steps) {
    abi::params p{};
    p.flags = flags;
    p.cq_entries = cq_entries;
    result = k.setup(entries, p, out);
    if (result != -EINVAL) break;
  }
  if (result < 0) return -result;
  if ((out.features & needed_features) != needed_features) {
    k.release(out);
    return ENOSYS;
  }
  return 0;
}

}  // namespace

ring::ring(kernel::kernel& k, const options& o) : kernel_(k) {
  PARKRING_CHECK(o.entries > 0, "give the ring at least one submission entry");
  if (const int error = setup_with_best_flags(k, o, memory_); error != 0) {
    throw setup_failed(error, o.entries);
  }
  // With the indirection array, entry i is always at place i: it is written once, here.
  if (memory_.sq_array != nullptr) {
    for (unsigned i = 0; i < memory_.sq_entries; ++i) memory_.sq_array[i] = i;
  }
  sqes_ = memory_.sqes;
  sq_mask_ = memory_.sq_mask;
  sq_entries_ = memory_.sq_entries;
  sq_tail_ = *memory_.sq_tail;
  sq_head_ = *memory_.sq_head;
  shared_sq_tail_ = memory_.sq_tail;
  shared_sq_head_ = memory_.sq_head;
  shared_sq_flags_ = memory_.sq_flags;
  read_from({memory_.cqes, memory_.cq_mask, memory_.cq_head, memory_.cq_tail});
  direct_ = k.direct();
  real_ = k.real();
  enter_fd_ = memory_.enter_fd;
  wait_flags_ = abi::enter_getevents;
  // A thread that waits for the network or for nothing is idle, not waiting for a disk.
  if ((memory_.features & abi::feat_no_iowait) != 0) wait_flags_ |= abi::enter_no_iowait;
}

ring::~ring() {
  // The index means this ring in the bound thread's table only. Left there, it keeps the ring
  // alive in the kernel until that thread ends.
  if (descriptor_registered() && bound_to_this_thread()) {
    abi::rsrc_update update{};
    update.offset = static_cast<std::uint32_t>(memory_.enter_fd);
    kernel_.reg(memory_, abi::unregister_ring_fds, &update, 1);
  }
  kernel_.release(memory_);
}

int ring::bind_to_this_thread() noexcept {
  if (bound_to_this_thread()) return 0;
  if (bound()) return -EEXIST;
  if ((memory_.setup_flags & abi::setup_r_disabled) != 0) {
    if (const int result = kernel_.reg(memory_, abi::register_enable_rings, nullptr, 0); result < 0)
      return result;
  }
  // A filter may let a ring be made and refuse to enter it; better known now than at the first
  // wait.
  if (direct_) {
    const int result = kernel_.enter(memory_, 0, 0, 0, nullptr, 0);
    if (result < 0) return result;
  }
  thread_ = claim_thread_token();
  register_descriptor();
  return 0;
}

// Saves the kernel the look-up of the descriptor on every enter. A thread has few places for it
// (16 on Linux) and old kernels none: then enter names the descriptor.
void ring::register_descriptor() noexcept {
  abi::rsrc_update update{};
  update.offset = ~0u;  // any free place
  update.data = static_cast<std::uint64_t>(memory_.fd);
  if (kernel_.reg(memory_, abi::register_ring_fds, &update, 1) != 1) return;
  memory_.enter_fd = static_cast<int>(update.offset);
  memory_.enter_flags = abi::enter_registered_ring;
  enter_fd_ = memory_.enter_fd;
  enter_flags_ = memory_.enter_flags;
}

const std::bitset<256>& ring::opcodes() noexcept {
  if (std::exchange(asked_opcodes_, true)) return opcodes_;
  abi::probe answer{};
  // Refused only by kernels that are too old to make our ring, or by a restriction: then nothing
  // is known to be supported.
  if (reg(abi::register_probe, &answer, 256) < 0) return opcodes_;
  for (std::size_t i = 0; i < answer.ops_len; ++i) {
    const abi::probe_op& one = answer.ops[i];
    if ((one.flags & abi::op_supported) != 0) opcodes_.set(one.op);
  }
  return opcodes_;
}

void ring::read_from(const completion_queue& queue) noexcept {
  cqes_ = queue.cqes;
  cq_mask_ = queue.mask;
  shared_cq_head_ = queue.head;
  shared_cq_tail_ = queue.tail;
  cq_head_ = *queue.head;
}

void ring::begin_reader(reader_thread& by, const completion_queue& queue) noexcept {
  PARKRING_CHECK(!completions_waiting() && unsubmitted() == 0,
                 "a reader begins before the first request");
  reader_ = &by;
  read_from(queue);
}

void ring::end_reader() noexcept {
  PARKRING_CHECK(!completions_waiting(), "reap what the reader has handed over first");
  reader_ = nullptr;
  read_from({memory_.cqes, memory_.cq_mask, memory_.cq_head, memory_.cq_tail});
}

int ring::enter_and_wait(unsigned wait_for) noexcept {
  if (reader_ != nullptr && wait_for != 0) return reader_->wait(nullptr);
  return enter(wait_for, nullptr, 0);
}

int ring::refuse_thread() const noexcept {
  PARKRING_CHECK(bound(), "call bind_to_this_thread() before the first enter");
  return -EEXIST;
}

}  // namespace parkring::ring
