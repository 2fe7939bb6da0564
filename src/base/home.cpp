#include <parkring/detail/home.hpp>

#include <pthread.h>

#include <memory>
#include <new>
#include <vector>

#include <parkring/detail/check.hpp>

namespace parkring::detail {

void (*on_fork_in_child)() noexcept = nullptr;

namespace {

struct stock;
stock& homes();

struct stock {
  std::mutex mutex;
  std::vector<home*> unused;
  std::vector<home*> all;
};

// Never destroyed: objects in static storage may post while the process ends.
stock& homes() {
  static stock* s = [] {
    auto made = std::make_unique<stock>();
    if (::pthread_atfork(&fork_access::before, &fork_access::in_parent, &fork_access::in_child) !=
        0)
      throw std::bad_alloc();
    return made.release();
  }();
  return *s;
}

}  // namespace

// A forked child has a copy of the memory, but no ring: there every runtime counts as gone. All
// homes' mutexes are held over the fork, so the child finds them, and what they guard, in order. So
// are the pools' (base/fork_held_mutex.hpp). That of the blocking threads is not: without a runtime
// nothing in the child reaches it.
//
// Lock order: the stock, then each home. A home's mutex is held while its waker is called, which
// takes no other.
void fork_access::before() {
  stock& s = homes();
  s.mutex.lock();
  for (home* h : s.all) h->mutex_.lock();
}
void fork_access::in_parent() {
  stock& s = homes();
  for (home* h : s.all) h->mutex_.unlock();
  s.mutex.unlock();
}
void fork_access::in_child() {
  stock& s = homes();
  for (home* h : s.all) {
    if (h->generation() % 2 == 1)
      h->generation_.store(h->generation() + 1, std::memory_order_relaxed);
    h->owner_.store(nullptr, std::memory_order_relaxed);
    h->mutex_.unlock();
  }
  s.mutex.unlock();
  if (on_fork_in_child != nullptr) on_fork_in_child();
}

home& home::open(core_base& core, waiter_list& ready, wake_function wake, void* wake_context) {
  home* h = nullptr;
  {
    auto& s = homes();
    std::lock_guard lock(s.mutex);
    if (!s.unused.empty()) {
      h = s.unused.back();
      s.unused.pop_back();
    }
  }
  if (h == nullptr) {
    auto fresh = std::make_unique<home>();
    auto& s = homes();
    std::lock_guard lock(s.mutex);
    s.all.push_back(fresh.get());
    h = fresh.release();
  }
  std::lock_guard lock(h->mutex_);
  h->core_ = &core;
  h->ready_ = &ready;
  h->wake_ = wake;
  h->wake_context_ = wake_context;
  h->owner_.store(thread_token(), std::memory_order_relaxed);
  h->generation_.store(h->generation() + 1, std::memory_order_relaxed);
  return *h;
}

// Under the mutex: from here on it answers to nobody.
void home::end_generation() noexcept {
  generation_.store(generation() + 1, std::memory_order_relaxed);
  owner_.store(nullptr, std::memory_order_relaxed);
  core_ = nullptr;
  ready_ = nullptr;
  wake_ = nullptr;
  has_messages_.store(false, std::memory_order_relaxed);
}

void home::give_back() noexcept {
  auto& s = homes();
  std::lock_guard lock(s.mutex);
  try {
    s.unused.push_back(this);
  } catch (...) {  // out of memory: this home is not reused, which costs its few bytes
  }
}

bool home::close_if_empty() noexcept {
  PARKRING_CHECK(owner_.load(std::memory_order_relaxed) == thread_token(),
                 "destroy a runtime on the thread that made it");
  {
    std::lock_guard lock(mutex_);
    if (!inbox_.empty()) return false;
    end_generation();
  }
  give_back();
  return true;
}

void home::close(message_list& rest) noexcept {
  PARKRING_CHECK(owner_.load(std::memory_order_relaxed) == thread_token(),
                 "destroy a runtime on the thread that made it");
  {
    std::lock_guard lock(mutex_);
    rest.splice_back(inbox_);
    end_generation();
  }
  give_back();
}

void home::take(message_list& taken) noexcept {
  std::lock_guard lock(mutex_);
  taken.splice_back(inbox_);
  has_messages_.store(false, std::memory_order_relaxed);
}

bool home::withdraw(message& m) noexcept {
  // The mutex is for neighbours in the inbox; what was taken is the owner's.
  std::lock_guard lock(mutex_);
  if (!m.linked()) return false;
  m.unlink();
  return true;
}

bool home::is_open(std::uint64_t generation) noexcept {
  std::lock_guard lock(mutex_);  // whoever finds it closed sees what the runtime did
  return generation_.load(std::memory_order_relaxed) == generation;
}

void home::wake(std::uint64_t generation) noexcept {
  std::lock_guard lock(mutex_);
  if (generation_.load(std::memory_order_relaxed) == generation) wake_(wake_context_);
}

bool home::post(std::uint64_t generation, message& m) noexcept {
  std::lock_guard lock(mutex_);
  if (generation_.load(std::memory_order_relaxed) != generation) return false;
  const bool first = inbox_.empty();
  inbox_.push_back(m);
  // Who posted the first has woken the owner, which has not looked since: it takes all at once.
  if (!first) return true;
  has_messages_.store(true, std::memory_order_release);  // pairs with `has_messages`
  // Under the mutex, so that the runtime cannot be gone when its waker is called.
  wake_(wake_context_);
  return true;
}

}  // namespace parkring::detail
