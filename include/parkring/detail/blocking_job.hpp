// A function on its way through the pool of blocking threads.
//
// Owned by shared pointers of: the queue or the thread that runs it; the message that carries it
// home; the coroutine that waits. `wait` belongs to the home thread alone: the waiter clears it
// when it leaves, the message reads it. The result is written by the pool's thread before the
// message is posted and read after it was taken, so the home's mutex orders the two.
#pragma once

#include <memory>

#include <parkring/detail/core.hpp>
#include <parkring/detail/home.hpp>

namespace parkring::detail {

struct blocking_job : message {
  waiter* wait = nullptr;              // who waits; null once it left or was woken
  std::shared_ptr<blocking_job> self;  // the message's own reference, while posted
  home_ref home_of;

  blocking_job() = default;
  blocking_job(const blocking_job&) = delete;
  blocking_job& operator=(const blocking_job&) = delete;
  virtual ~blocking_job() = default;
  virtual void execute() noexcept = 0;
};

/// Hands the job to the pool of `core`.
void submit_blocking(core_base& core, std::shared_ptr<blocking_job> job);

}  // namespace parkring::detail
