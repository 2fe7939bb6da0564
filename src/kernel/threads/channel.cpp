#include "kernel/threads/channel.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "kernel/abi.hpp"

namespace parkring::kernel::threads {

void channel::open(std::uint32_t* shared_flags) noexcept {
  std::lock_guard lock(mutex_);
  flags_ = shared_flags;
}

void channel::close() noexcept {
  parcel* left;
  {
    std::lock_guard lock(mutex_);
    flags_ = nullptr;
    left = std::exchange(first_, nullptr);
    last_ = nullptr;
    any_.store(false, std::memory_order_relaxed);
    event_.reset();  // now, and not when the last worker forgets this channel
  }
  while (left != nullptr) {
    const std::unique_ptr<parcel> p(std::exchange(left, left->next_parcel));
    p->discard();
  }
}

bool channel::send(parcel& p) noexcept {
  p.next_parcel = nullptr;
  std::unique_lock lock(mutex_);
  if (flags_ == nullptr) {
    lock.unlock();
    const std::unique_ptr<parcel> gone(&p);
    p.discard();
    return false;
  }
  (last_ != nullptr ? last_->next_parcel : first_) = &p;
  last_ = &p;
  any_.store(true, std::memory_order_relaxed);
  // Release: `any_` before the flag. Pairs with the fetch_and of enter, which looks after it.
  __atomic_fetch_or(flags_, abi::sq_taskrun, __ATOMIC_RELEASE);
  if (!state_.unpark()) return true;
  const std::uint64_t one = 1;
  while (::write(event_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  return true;
}

parcel* channel::take() noexcept {
  // Relaxed: the lock orders the parcels. One that is missed here has not yet exchanged `state_`,
  // or is seen there.
  if (!any_.load(std::memory_order_relaxed)) return nullptr;
  std::lock_guard lock(mutex_);
  last_ = nullptr;
  any_.store(false, std::memory_order_relaxed);
  return std::exchange(first_, nullptr);
}

}  // namespace parkring::kernel::threads
