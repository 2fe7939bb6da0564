// TIMEOUT, TIMEOUT_REMOVE and LINK_TIMEOUT (io_uring_enter(2)).
#include <algorithm>
#include <cerrno>
#include <new>

#include "kernel/emulated/ring.hpp"

namespace parkring::kernel::emulated {
namespace {

constexpr std::uint32_t clocks = abi::timeout_boottime | abi::timeout_realtime;

constexpr std::uint64_t ns_of(const abi::timespec64& t) noexcept {
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(t.tv_nsec);
}
bool valid(const abi::timespec64& t) noexcept {
  return t.tv_sec >= 0 && t.tv_nsec >= 0 && t.tv_nsec < 1'000'000'000;
}
std::uint64_t sum(std::uint64_t a, std::uint64_t b) noexcept {
  return a + b < a ? never - 1 : a + b;
}

}  // namespace

// On the monotonic clock; a point of time on another clock is translated once.
std::uint64_t ring::deadline_of(const abi::timespec64& t, std::uint32_t flags) noexcept {
  const std::uint64_t asked = t.tv_sec > INT64_MAX / 1'000'000'000 - 1 ? never - 1 : ns_of(t);
  const std::uint64_t now = below_.now_ns(clock::monotonic);
  if ((flags & abi::timeout_abs) == 0) return sum(now, asked);
  if ((flags & clocks) == 0) return asked;
  const std::uint64_t there =
      below_.now_ns((flags & abi::timeout_boottime) != 0 ? clock::boottime : clock::realtime);
  return asked > there ? sum(now, asked - there) : now;
}

// 0, or the positive errno by which a timeout is refused.
int ring::check_timeout(const abi::sqe& e) noexcept {
  const bool link = e.opcode == abi::op_link_timeout;
  constexpr std::uint32_t known =
      abi::timeout_abs | clocks | abi::timeout_etime_success | abi::timeout_multishot;
  if (e.len != 1 || e.buf_index != 0 || e.splice_fd_in != 0) return EINVAL;
  if ((e.timeout_flags & ~known) != 0 || (e.timeout_flags & clocks) == clocks) return EINVAL;
  if (link && e.off != 0) return EINVAL;
  const bool repeats = (e.timeout_flags & abi::timeout_multishot) != 0;
  if (repeats && (link || (e.timeout_flags & abi::timeout_abs) != 0)) return EINVAL;
  if (e.addr == 0) return EFAULT;
  return valid(*reinterpret_cast<const abi::timespec64*>(e.addr)) ? 0 : EINVAL;
}

int ring::start_timeout(request& r) noexcept {
  const abi::sqe& e = r.entry;
  // It was valid when it was submitted, but the time is read now, and may have been changed.
  if (const int error = check_timeout(e); error != 0) return error;
  const auto& t = *reinterpret_cast<const abi::timespec64*>(e.addr);
  const bool repeats = (e.timeout_flags & abi::timeout_multishot) != 0;
  r.make_scratch<std::uint64_t>() = ns_of(t);  // for the next round of a repeated one
  try {
    arm(r, deadline_of(t, e.timeout_flags));
    if (static_cast<std::uint32_t>(e.off) != 0) {
      const auto count = static_cast<std::uint32_t>(e.off);
      r.count_left = repeats ? count : posted_ + count;
      if (!repeats) counting_.push_back(&r);
    }
  } catch (const std::bad_alloc&) {
    disarm(r);
    return ENOMEM;
  }
  return 0;
}

void ring::arm(request& r, std::uint64_t deadline_ns) {
  r.deadline_ns = deadline_ns;
  timeouts_.emplace(std::pair{deadline_ns, r.number}, &r);
}

// Moves one that is armed, without needing memory.
void ring::rearm(request& r, std::uint64_t deadline_ns) noexcept {
  auto node = timeouts_.extract({r.deadline_ns, r.number});
  r.deadline_ns = deadline_ns;
  node.key() = {deadline_ns, r.number};
  timeouts_.insert(std::move(node));
}

void ring::disarm(request& r) noexcept {
  timeouts_.erase({r.deadline_ns, r.number});
  std::erase(counting_, &r);
}

std::uint64_t ring::next_timeout() const noexcept {
  return timeouts_.empty() ? never : timeouts_.begin()->first.first;
}

void ring::expire(request& r) noexcept {
  if (r.entry.opcode == abi::op_link_timeout) {
    disarm(r);
    request& target = *std::exchange(r.watched, nullptr);
    target.timer = nullptr;
    const int answer = cancel_one(target);
    return end(r, answer == 0 ? -ETIME : answer, 0);
  }
  const bool repeats = (r.entry.timeout_flags & abi::timeout_multishot) != 0;
  if (repeats && !full() && (r.count_left == 0 || --r.count_left != 0)) {
    put(r.entry.user_data, -ETIME, abi::cqe_f_more);
    --posted_;
    // From now on, as Linux does it: what was missed is not made up for.
    const auto period = std::max<std::uint64_t>(r.scratch_as<std::uint64_t>(), 1);
    return rearm(r, sum(below_.now_ns(clock::monotonic), period));
  }
  disarm(r);
  end(r, -ETIME, 0);
}

void ring::fire_timeouts() noexcept {
  if (timeouts_.empty()) return;
  // Time goes on while they fire: what becomes due meanwhile has its turn with the next call.
  const std::uint64_t now = below_.now_ns(clock::monotonic);
  for (;;) {
    const auto counted = std::ranges::find_if(
        counting_, [this](const request* r) { return posted_ >= r->count_left; });
    if (counted != counting_.end()) {
      request& r = **counted;
      disarm(r);
      end(r, 0, 0);
    } else if (next_timeout() <= now) {
      expire(*timeouts_.begin()->second);
    } else {
      break;
    }
    begin_all();
  }
}

int ring::remove_timeout(const abi::sqe& e) noexcept {
  constexpr std::uint32_t known =
      abi::timeout_update | abi::link_timeout_update | abi::timeout_abs | clocks;
  const std::uint32_t flags = e.timeout_flags;
  if ((flags & ~known) != 0 || e.buf_index != 0 || e.len != 0) return -EINVAL;
  const bool link = (flags & abi::link_timeout_update) != 0;
  const bool update = link || (flags & abi::timeout_update) != 0;
  if (!update && flags != 0) return -EINVAL;
  const std::uint8_t opcode = link ? abi::op_link_timeout : abi::op_timeout;
  const auto found = std::ranges::find_if(timeouts_, [&](const auto& entry) {
    return entry.second->entry.opcode == opcode && entry.second->entry.user_data == e.addr;
  });
  const bool there = found != timeouts_.end();
  if (!update) {
    if (!there) return -ENOENT;
    request& r = *found->second;
    disarm(r);
    end(r, -ECANCELED, 0);
    return 0;
  }
  if (e.addr2 == 0) return -EFAULT;
  const auto& t = *reinterpret_cast<const abi::timespec64*>(e.addr2);
  if (!valid(t)) return -EINVAL;
  if (!there) return -ENOENT;
  rearm(*found->second, deadline_of(t, flags));
  return 0;
}

}  // namespace parkring::kernel::emulated
