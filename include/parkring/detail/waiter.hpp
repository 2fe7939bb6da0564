// The one thing that waits.
//
// Everything in the library that a coroutine can wait for holds a `waiter`, which lives in the
// coroutine's frame. Being woken means being moved to the executor's ready list; being dropped
// means leaving whatever list one is on. There is no other way to wait, so there is no other way
// to lose a wake or to resume a frame that is gone.
#pragma once

#include <parkring/detail/list.hpp>

namespace parkring::detail {

struct task_cell;

struct waiter : list_node {
  // Set when it begins to wait; not before, since waiters are made on the hottest paths.
  void* frame;      // the suspended coroutine, opaque below `exec`
  task_cell* task;  // the task on whose behalf it runs

  waiter() noexcept {}
  ~waiter() { unlink(); }
};

using waiter_list = intrusive_list<waiter>;

}  // namespace parkring::detail
