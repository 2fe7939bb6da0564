#include "kernel/emulated/ring.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>

namespace parkring::kernel::emulated {
namespace {

constexpr unsigned most_entries = 32'768;
constexpr unsigned most_completions = 2 * most_entries;

constexpr std::uint32_t features = abi::feat_single_mmap | abi::feat_nodrop | abi::feat_rw_cur_pos |
                                   abi::feat_fast_poll | abi::feat_poll_32bits | abi::feat_ext_arg |
                                   abi::feat_cqe_skip | abi::feat_linked_file | abi::feat_no_iowait;

constexpr std::uint32_t enter_flags =
    abi::enter_getevents | abi::enter_sq_wakeup | abi::enter_sq_wait | abi::enter_ext_arg |
    abi::enter_registered_ring | abi::enter_abs_timer | abi::enter_no_iowait;

// Rounds the sizes as io_uring_setup(2) does; 0 or a positive errno.
int sizes(unsigned entries, abi::params& p) noexcept {
  if ((p.flags & ~setup_flags_taken) != 0) return EINVAL;
  if (entries == 0) return EINVAL;
  const bool clamp = (p.flags & abi::setup_clamp) != 0;
  if (entries > most_entries) {
    if (!clamp) return EINVAL;
    entries = most_entries;
  }
  p.sq_entries = std::bit_ceil(entries);
  if ((p.flags & abi::setup_cqsize) == 0) {
    p.cq_entries = 2 * p.sq_entries;
    return 0;
  }
  if (p.cq_entries == 0) return EINVAL;
  if (p.cq_entries > most_completions) {
    if (!clamp) return EINVAL;
    p.cq_entries = most_completions;
  }
  p.cq_entries = std::bit_ceil(p.cq_entries);
  return p.cq_entries < p.sq_entries ? EINVAL : 0;
}

// The words that both sides share, each side's on a cache line of its own.
struct alignas(64) program_words {
  std::uint32_t sq_tail = 0, cq_head = 0, cq_flags = 0;
};
struct alignas(64) kernel_words {
  std::uint32_t sq_head = 0, sq_flags = 0, sq_dropped = 0, cq_tail = 0, cq_overflow = 0;
};

}  // namespace

std::unique_ptr<ring> ring::make(backend& below, unsigned entries, abi::params& p, ring_memory& out,
                                 int& error) noexcept {
  error = sizes(entries, p);
  if (error != 0) return nullptr;
  try {
    std::unique_ptr<ring> r(new ring(below));
    const bool indirect = (p.flags & abi::setup_no_sqarray) == 0;
    const std::size_t bytes = 64 + sizeof(program_words) + sizeof(kernel_words) +
                              p.sq_entries * (sizeof(abi::sqe) + sizeof(std::uint32_t)) +
                              p.cq_entries * sizeof(abi::cqe);
    r->queues_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    const auto start =
        (reinterpret_cast<std::uintptr_t>(r->queues_.get()) + 63) & ~std::uintptr_t{63};
    auto* at = reinterpret_cast<std::byte*>(start);
    auto& mine = *::new (at) kernel_words();
    auto& theirs = *::new (at += sizeof(kernel_words)) program_words();
    out = {};
    out.sqes = reinterpret_cast<abi::sqe*>(at += sizeof(program_words));
    out.cqes = reinterpret_cast<abi::cqe*>(at += p.sq_entries * sizeof(abi::sqe));
    if (indirect)
      out.sq_array = reinterpret_cast<std::uint32_t*>(at + p.cq_entries * sizeof(abi::cqe));
    out.sq_head = &mine.sq_head;
    out.sq_tail = &theirs.sq_tail;
    out.sq_flags = &mine.sq_flags;
    out.sq_dropped = &mine.sq_dropped;
    out.sq_mask = p.sq_entries - 1;
    out.sq_entries = p.sq_entries;
    out.cq_head = &theirs.cq_head;
    out.cq_tail = &mine.cq_tail;
    out.cq_overflow = &mine.cq_overflow;
    out.cq_flags = &theirs.cq_flags;
    out.cq_mask = p.cq_entries - 1;
    out.cq_entries = p.cq_entries;
    out.setup_flags = p.flags;
    out.features = p.features = features;
    out.context = r.get();
    r->memory_ = out;
    r->disabled_ = (p.flags & abi::setup_r_disabled) != 0;
    return r;
  } catch (const std::bad_alloc&) {
    error = ENOMEM;
    return nullptr;
  }
}

ring::~ring() = default;

int ring::enter(unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
                std::size_t arg_size) noexcept {
  if ((flags & ~enter_flags) != 0) return -EINVAL;
  if (disabled_) return -EBADFD;
  std::uint64_t deadline = never;
  if ((flags & abi::enter_ext_arg) != 0) {
    if (arg_size != sizeof(abi::getevents_arg)) return -EINVAL;
    const auto& a = *static_cast<const abi::getevents_arg*>(arg);
    if (a.sigmask != 0 || a.min_wait_usec != 0) return -EINVAL;
    if (a.ts != 0)
      deadline = deadline_of(*reinterpret_cast<const abi::timespec64*>(a.ts),
                             (flags & abi::enter_abs_timer) != 0 ? abi::timeout_abs : 0);
  } else if (arg != nullptr) {
    return -EINVAL;  // a signal mask
  }

  const unsigned consumed = submit(to_submit);
  if (consumed == 0 && to_submit != 0 && *memory_.sq_head != *memory_.sq_tail) return -EAGAIN;
  // Before the answers are taken: what a worker brings from now on raises it again.
  __atomic_fetch_and(memory_.sq_flags, ~abi::sq_taskrun, __ATOMIC_ACQ_REL);
  below_.harvest();
  begin_all();
  fire_timeouts();
  // Who has submitted less than it meant to is told at once, without waiting.
  if ((flags & abi::enter_getevents) == 0 || consumed != to_submit)
    return static_cast<int>(consumed);
  flush_overflow();
  int answer = 0;
  const unsigned enough = std::min(min_complete, memory_.cq_entries);
  while (ready() < enough && answer == 0) {
    answer = below_.wait(std::min(deadline, next_timeout()));
    begin_all();
    fire_timeouts();
    flush_overflow();
    if (answer == 0 && ready() < enough && deadline != never &&
        below_.now_ns(clock::monotonic) >= deadline)
      answer = -ETIME;
  }
  if (consumed == 0 && answer < 0 && ready() == 0) return answer;
  return static_cast<int>(consumed);
}

// ---- the completion queue ----

std::uint32_t ring::ready() const noexcept {
  return *memory_.cq_tail - __atomic_load_n(memory_.cq_head, __ATOMIC_RELAXED);
}

void ring::put(std::uint64_t user_data, std::int32_t result, std::uint32_t flags) noexcept {
  ++posted_;
  // Acquire: the program's reads of these places before our writes. Pairs with the release store of
  // the head when it has reaped.
  const std::uint32_t head = __atomic_load_n(memory_.cq_head, __ATOMIC_ACQUIRE);
  if (!overflow_.empty() || *memory_.cq_tail - head == memory_.cq_entries) {
    try {
      overflow_.push_back({user_data, result, flags});
      __atomic_fetch_or(memory_.sq_flags, abi::sq_cq_overflow, __ATOMIC_RELAXED);
    } catch (const std::bad_alloc&) {
      // Lost, and counted, as Linux does it.
      __atomic_fetch_add(memory_.cq_overflow, 1, __ATOMIC_RELAXED);
    }
    return;
  }
  memory_.cqes[*memory_.cq_tail & memory_.cq_mask] = {user_data, result, flags};
  // Release: the entry before the tail. Pairs with the program's acquire load of the tail.
  __atomic_store_n(memory_.cq_tail, *memory_.cq_tail + 1, __ATOMIC_RELEASE);
}

void ring::flush_overflow() noexcept {
  while (!overflow_.empty()) {
    const std::uint32_t head = __atomic_load_n(memory_.cq_head, __ATOMIC_ACQUIRE);
    if (*memory_.cq_tail - head == memory_.cq_entries) return;
    memory_.cqes[*memory_.cq_tail & memory_.cq_mask] = overflow_.front();
    __atomic_store_n(memory_.cq_tail, *memory_.cq_tail + 1, __ATOMIC_RELEASE);
    overflow_.pop_front();
    if (overflow_.empty())
      __atomic_fetch_and(memory_.sq_flags, ~abi::sq_cq_overflow, __ATOMIC_RELAXED);
  }
}

// ---- what a backend calls ----

std::uint32_t ring::buffer_flags(request& r, std::int32_t result) noexcept {
  if (!r.has_chosen) return 0;
  if (result < 0) {
    give_back_buffer(r);
    return 0;
  }
  r.has_chosen = false;
  provided_.used(r.entry.buf_group, r.chosen_from);
  return abi::cqe_f_buffer | std::uint32_t{r.chosen.bid} << abi::cqe_buffer_shift;
}

bool ring::full() const noexcept { return !overflow_.empty() || ready() == memory_.cq_entries; }

bool ring::post(request& r, std::int32_t result, std::uint32_t flags) noexcept {
  if (full()) return false;
  if (result >= 0 && r.entry.file_index != 0 && r.entry.opcode == abi::op_accept) {
    if (!files_.has_place(r.entry.file_index)) return false;
    result = files_.install(result, r.entry.file_index);
  }
  r.posted_failure = failed(r, result);
  put(r.entry.user_data, result, flags | buffer_flags(r, result) | abi::cqe_f_more);
  return true;
}

void ring::post_message(std::uint64_t user_data, std::int32_t result,
                        std::uint32_t flags) noexcept {
  put(user_data, result, flags);
}

void ring::complete(request& r, std::int32_t result, std::uint32_t flags) noexcept {
  const auto opcode = r.entry.opcode;
  const bool makes_file = opcode == abi::op_openat || opcode == abi::op_openat2 ||
                          opcode == abi::op_socket || opcode == abi::op_accept;
  if (makes_file && result >= 0 && r.entry.file_index != 0)
    result = files_.install(result, r.entry.file_index);
  end(r, result, flags);
}

int ring::choose_buffer(request& r) noexcept {
  if (!r.selects_buffer() || r.has_chosen) return 0;
  r.chosen_from = provided_.take(r.entry.buf_group, r.chosen);
  if (r.chosen_from == 0) return -ENOBUFS;
  r.has_chosen = true;
  r.memory = reinterpret_cast<std::byte*>(r.chosen.addr);
  // Of messages the field is no number of bytes; of a vector of one part the backend makes it one.
  const bool told = r.entry.opcode != abi::op_recvmsg && r.entry.len != 0;
  r.length = told ? std::min(r.entry.len, r.chosen.len) : r.chosen.len;
  return 0;
}

void ring::give_back_buffer(request& r) noexcept {
  if (!r.has_chosen) return;
  r.has_chosen = false;
  r.memory = nullptr;
  provided_.give_back(r.entry.buf_group, r.chosen_from, r.chosen);
}

bool ring::in_registered_buffer(unsigned index, std::uint64_t at,
                                std::uint64_t length) const noexcept {
  return buffers_.covers(index, at, length);
}

int ring::registered_file(unsigned index) const noexcept { return files_.held(index); }

// ---- the end of a request ----

bool ring::failed(const request& r, std::int32_t result) const noexcept {
  if (result < 0) {
    return !(result == -ETIME && r.entry.opcode == abi::op_timeout &&
             (r.entry.timeout_flags & abi::timeout_etime_success) != 0);
  }
  switch (r.entry.opcode) {
    case abi::op_read:
    case abi::op_write:
    case abi::op_read_fixed:
    case abi::op_write_fixed:
    case abi::op_readv:
    case abi::op_writev:
    case abi::op_readv_fixed:
    case abi::op_writev_fixed:
    case abi::op_splice:
    case abi::op_tee:
      return static_cast<std::uint32_t>(result) != r.length;
    case abi::op_send:
    case abi::op_sendmsg:
    case abi::op_recv:
    case abi::op_recvmsg:
    case abi::op_send_zc:
    case abi::op_sendmsg_zc:
      return (r.entry.msg_flags & 0x100u /* MSG_WAITALL */) != 0 &&
             static_cast<std::uint32_t>(result) < r.length;
    default:
      return false;
  }
}

void ring::end(request& r, std::int32_t result, std::uint32_t flags) noexcept {
  PARKRING_CHECK(r.at == stage::active, "a request ends once, after it has begun");
  flags |= buffer_flags(r, result);
  // A notification tells that memory is free, not how it went: that was posted before.
  const bool bad = (flags & abi::cqe_f_notif) != 0 ? r.posted_failure : failed(r, result);
  if (bad || (r.entry.flags & abi::iosqe_cqe_skip_success) == 0) {
    put(r.entry.user_data, result, flags);
    // Those that wait for a number of completions do not count timeouts.
    if (r.entry.opcode == abi::op_timeout && result != -ECANCELED) --posted_;
  }
  if (request* const t = std::exchange(r.timer, nullptr); t != nullptr) {
    t->watched = nullptr;
    disarm(*t);
    end(*t, -ECANCELED, 0);
  }
  if (r.rest != nullptr) {
    if (bad && (r.entry.flags & abi::iosqe_io_hardlink) == 0)
      cancel_rest(r);
    else
      to_begin_.push_back(*std::exchange(r.rest, nullptr));
  }
  release(r);
}

// All that would have come after it in its chain.
void ring::cancel_rest(request& failed) noexcept {
  const bool silent = (failed.entry.flags & abi::iosqe_cqe_skip_success) != 0;
  for (request* r = std::exchange(failed.rest, nullptr); r != nullptr;) {
    request* const following = std::exchange(r->rest, nullptr);
    if (!silent) put(r->entry.user_data, r->refused != 0 ? -r->refused : -ECANCELED, 0);
    release(*r);
    r = following;
  }
}

void ring::release(request& r) noexcept {
  r.unlink();
  if (r.at == stage::active) index_.remove(r);
  r.at = stage::gone;
  free_.push_front(r);
  --live_;
  --running_;
  if (running_ == 0) drain_runs_ = false;
}

void ring::stop() noexcept {
  stopped_ = true;
  // Whatever waits is told so, in the order of submission; the machine has forgotten the rest.
  const auto end_now = [this](request& r) {
    r.rest = nullptr;
    put(r.entry.user_data, -ECANCELED, 0);
    r.timer = nullptr;
    if (r.entry.opcode == abi::op_timeout || r.entry.opcode == abi::op_link_timeout) disarm(r);
    release(r);
  };
  const auto end_chain = [&](request& head) {
    for (request* r = &head; r != nullptr;) {
      request* const following = r->rest;
      end_now(*r);
      r = following;
    }
  };
  while (request* r = active_.front()) end_chain(*r);
  while (request* r = to_begin_.front()) end_chain(*r);
  while (request* r = deferred_.front()) {
    for (request* part = r; part != nullptr; part = part->rest) ++running_;
    end_chain(*r);
  }
}

}  // namespace parkring::kernel::emulated
