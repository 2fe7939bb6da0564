#include "kernel/threads/registry.hpp"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <unordered_map>

#include "base/fork_held_mutex.hpp"

namespace parkring::kernel::threads {

namespace {

struct entry {
  std::shared_ptr<channel> home;
  unsigned generation;
};

struct rings {
  base::fork_held_mutex mutex;
  std::unordered_map<int, entry> by_descriptor;
};

// Never destroyed: rings in static objects may be released while the process ends.
rings& all() {
  static rings& r = *new rings;
  return r;
}

std::atomic<unsigned> forks{0};
pthread_t forker{};  // written where there is one thread only

void count_fork() noexcept {
  forker = ::pthread_self();
  forks.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

unsigned registry::generation() noexcept {
  [[maybe_unused]] static const int hooked = ::pthread_atfork(nullptr, nullptr, &count_fork);
  return forks.load(std::memory_order_relaxed);
}

pthread_t registry::forking_thread() noexcept { return forker; }

void registry::add(int fd, const std::shared_ptr<channel>& home) {
  rings& r = all();
  std::lock_guard lock(r.mutex);
  entry& e = r.by_descriptor[fd];
  // The parent's channel must not be destroyed here.
  if (e.home != nullptr && e.generation != generation())
    (void)new std::shared_ptr<channel>(std::move(e.home));
  e = {home, generation()};
}

void registry::remove(int fd) noexcept {
  rings& r = all();
  std::lock_guard lock(r.mutex);
  r.by_descriptor.erase(fd);
}

std::shared_ptr<channel> registry::find(int fd) noexcept {
  rings& r = all();
  std::lock_guard lock(r.mutex);
  const auto at = r.by_descriptor.find(fd);
  if (at == r.by_descriptor.end() || at->second.generation != generation()) return nullptr;
  return at->second.home;
}

}  // namespace parkring::kernel::threads
