#include "base/fork_held_mutex.hpp"

#include <pthread.h>

#include <memory>
#include <new>

namespace parkring::base {

struct fork_handlers {
  struct registry {
    std::mutex mutex;
    detail::intrusive_list<fork_held_mutex> all;
  };

  // Never destroyed: mutexes of objects in static storage leave it while the process ends.
  static registry& the() {
    static registry* r = [] {
      auto made = std::make_unique<registry>();
      if (::pthread_atfork(&before, &after, &after) != 0) throw std::bad_alloc();
      return made.release();
    }();
    return *r;
  }

  static void before() {
    registry& r = the();
    r.mutex.lock();
    r.all.for_each([](fork_held_mutex& m) { m.mutex_.lock(); });
  }
  static void after() {
    registry& r = the();
    r.all.for_each([](fork_held_mutex& m) { m.mutex_.unlock(); });
    r.mutex.unlock();
  }
};

fork_held_mutex::fork_held_mutex() {
  auto& r = fork_handlers::the();
  std::lock_guard lock(r.mutex);
  r.all.push_back(*this);
}

fork_held_mutex::~fork_held_mutex() {
  std::lock_guard lock(fork_handlers::the().mutex);
  unlink();
}

}  // namespace parkring::base
