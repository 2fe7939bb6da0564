#include <parkring/detail/sync_waiter.hpp>

#include <sched.h>

namespace parkring::detail {

bool sync_waiter::grant_elsewhere() noexcept {
  if (home_.where == nullptr) {
    // The thread does not leave `block` before it had the lock, which is ours: so it is there.
    stage_.store(stage::granted, std::memory_order_release);  // pairs with the loads in `block`
    stage_.notify_one();
    return true;
  }
  arrival_.of = this;
  arrival_.run = &arrived;
  // Once it is posted, the other thread may be done with all of this.
  const home_ref home = home_;
  stage_.store(stage::granting, std::memory_order_release);  // pairs with the loads of its thread
  if (home.post(arrival_)) return true;
  // The runtime is gone, so no thread of its own looks at the waiter now. It may be destroyed
  // later.
  stage_.store(stage::granted, std::memory_order_release);
  phase_ = phase::taken;
  return false;
}

void sync_waiter::arrived(message& m) noexcept {
  sync_waiter& self = *static_cast<arrival&>(m).of;
  self.stage_.store(stage::granted, std::memory_order_relaxed);
  if (self.home_.is_here()) self.home_.ready().push_back(self);  // else it is a leaked frame's
}

void sync_waiter::withdraw() noexcept {
  // What it does not find is about to be posted, by a thread that is between two instructions.
  while (!home_.where->withdraw(arrival_)) ::sched_yield();
  stage_.store(stage::granted, std::memory_order_relaxed);
}

void sync_waiter::block(sync_lock& lock) noexcept {
  stage_.wait(stage::queued, std::memory_order_acquire);  // pairs with the store of the grant
  // Whoever granted is done with this waiter when it lets go of the lock.
  lock.lock();
  lock.unlock();
}

}  // namespace parkring::detail
