// A mutex that a forked child finds free.
//
// The child of a fork has one thread. A mutex that another one held at that moment would stay
// locked there for ever, and what it guards would be half changed. So the thread that forks takes
// all mutexes of this kind before, and both sides release them after. Whoever uses what they guard
// needs to know nothing of forks.
//
// Lock order: the list of these mutexes, then each of them. While holding one, take no other, and
// make and destroy none. The homes' mutexes (home.cpp), which a fork holds in the same way, are
// never taken together with these, so the order between the two does not matter.
#pragma once

#include <mutex>

#include <parkring/detail/list.hpp>

namespace parkring::base {

class fork_held_mutex : private detail::list_node {
 public:
  fork_held_mutex();
  fork_held_mutex(const fork_held_mutex&) = delete;
  fork_held_mutex& operator=(const fork_held_mutex&) = delete;
  ~fork_held_mutex();

  void lock() { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }

 private:
  friend detail::intrusive_list<fork_held_mutex>;
  friend struct fork_handlers;
  std::mutex mutex_;
};

}  // namespace parkring::base
