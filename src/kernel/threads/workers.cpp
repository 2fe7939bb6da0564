#include "kernel/threads/workers.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include "kernel/threads/channel.hpp"
#include "kernel/threads/interrupter.hpp"

namespace parkring::kernel::threads {

namespace {

constexpr unsigned most_threads = 4096;
constexpr unsigned most_ready = 256;
constexpr std::size_t stack_size = 256u << 10;  // a system call and its unwinding
constexpr std::chrono::milliseconds idle_patience{50};

std::atomic<workers*> current{nullptr};
workers* inherited = nullptr;  // the parent's, in a forked child: kept, never used

void forget_in_child() noexcept {
  if (workers* const of_parent = current.load(std::memory_order_relaxed)) inherited = of_parent;
  current.store(nullptr, std::memory_order_relaxed);
}

// As many as the process may have.
unsigned thread_limit() noexcept {
  rlimit most{};
  if (::getrlimit(RLIMIT_NPROC, &most) != 0 || most.rlim_cur >= most_threads) return most_threads;
  return std::max(1u, static_cast<unsigned>(most.rlim_cur));
}

}  // namespace

workers& workers::shared() noexcept {
  // Acquire: the pool's contents. Pairs with the exchange below.
  if (workers* const w = current.load(std::memory_order_acquire)) return *w;
  [[maybe_unused]] static const int hooked = ::pthread_atfork(nullptr, nullptr, &forget_in_child);
  workers* const made = new workers;
  workers* other = nullptr;
  // Release: what the constructor wrote. Pairs with the load above.
  if (current.compare_exchange_strong(other, made, std::memory_order_acq_rel)) return *made;
  delete made;
  return *other;
}

workers::workers() noexcept {
  team_of(worker_class::bounded).limit = std::max(4u, 2 * std::thread::hardware_concurrency());
  team_of(worker_class::unbounded).limit = thread_limit();
  team_of(worker_class::ready).limit = std::min(most_ready, thread_limit());
}

void workers::team::append(job& j) noexcept {
  j.next = nullptr;
  j.prev = last;
  (last != nullptr ? last->next : first) = &j;
  last = &j;
  ++queued;
}

void workers::team::remove(job& j) noexcept {
  (j.prev != nullptr ? j.prev->next : first) = j.next;
  (j.next != nullptr ? j.next->prev : last) = j.prev;
  --queued;
}

bool workers::submit(job& j) noexcept {
  team& t = team_of(j.by);
  std::unique_lock lock(t.mutex);
  j.where = job::stage::queued;
  t.append(j);
  if (!t.wants_thread()) {
    lock.unlock();
    t.work.notify_one();
    return true;
  }
  ++t.running;
  lock.unlock();
  if (start_thread(t)) return true;
  lock.lock();
  --t.running;
  // With other threads there the job just waits its turn. They may also have run it and ended, so
  // it is looked for, not at.
  if (t.running != 0) return true;
  const job* at = t.first;
  while (at != nullptr && at != &j) at = at->next;
  if (at != nullptr) t.remove(j);
  end_unserved(t, lock);
  return at == nullptr;
}

bool workers::start_thread(team& t) noexcept {
  // The thread inherits the mask: signals of the process are for the program's own threads.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t how;
  bool started = ::pthread_attr_init(&how) == 0;
  if (started) {
    const auto body = [](void* of) -> void* {
      ::pthread_setname_np(::pthread_self(), "parkring-io");
      serve(*static_cast<team*>(of));
      return nullptr;
    };
    pthread_t thread;
    ::pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
    ::pthread_attr_setstacksize(&how, stack_size);
    started = ::pthread_create(&thread, &how, body, &t) == 0;
    ::pthread_attr_destroy(&how);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

// A thread could not be started. The jobs that counted on it, if no other is left: they end with
// -EAGAIN.
void workers::end_unserved(team& t, std::unique_lock<std::mutex>& lock) noexcept {
  while (t.running == 0 && t.first != nullptr) {
    job& j = *t.first;
    t.remove(j);
    j.where = job::stage::done;
    j.result = -EAGAIN;
    const std::shared_ptr<channel> home = std::move(j.home);
    lock.unlock();
    home->send(j);
    lock.lock();
  }
}

// After a thread has ended: another one in its place when more jobs wait than threads are idle.
void workers::replace(team& t) noexcept {
  std::unique_lock lock(t.mutex);
  if (t.first == nullptr) return;
  if (!t.wants_thread()) return t.work.notify_one();
  ++t.running;
  lock.unlock();
  if (start_thread(t)) return;
  lock.lock();
  --t.running;
  end_unserved(t, lock);
}

void workers::hand_back(team& t, job& j) noexcept {
  {
    std::lock_guard lock(t.mutex);
    j.where = job::stage::done;
    // From here on nobody interrupts it: what was too late must not meet the next job.
    if (j.interrupted) j.runner->calm();
    if (j.interrupted && j.result == -EINTR) j.result = -ECANCELED;
  }
  const std::shared_ptr<channel> home = std::move(j.home);
  home->send(j);
}

void workers::serve(team& t) {
  std::optional<interrupter> own;
  std::unique_lock lock(t.mutex);
  while (t.running <= t.limit) {
    if (t.first == nullptr) {
      ++t.idle;
      const bool called = t.work.wait_for(
          lock, idle_patience, [&t] { return t.first != nullptr || t.running > t.limit; });
      --t.idle;
      if (!called) break;
      continue;
    }
    job& j = *t.first;
    t.remove(j);
    j.where = job::stage::running;
    if (j.interruptible) j.runner = own ? &*own : &own.emplace();
    lock.unlock();
    if (j.interruptible) own->open();
    j.run();
    if (j.interruptible) own->shut();
    hand_back(t, j);
    lock.lock();
  }
  --t.running;
  lock.unlock();
  replace(t);  // a lowered limit may end the thread that a job's notification had woken
}

workers::withdrawal workers::withdraw(job& j) noexcept {
  team& t = team_of(j.by);
  std::lock_guard lock(t.mutex);
  if (j.where == job::stage::running) {
    if (j.interruptible && !j.interrupted) {
      j.interrupted = true;
      j.runner->interrupt();
    }
    return withdrawal::running;
  }
  if (j.where == job::stage::done) return withdrawal::done;
  t.remove(j);
  return withdrawal::withdrawn;
}

std::array<unsigned, 2> workers::limit(std::array<unsigned, 2> wanted) noexcept {
  std::array<unsigned, 2> before{};
  for (std::size_t i = 0; i < before.size(); ++i) {
    team& t = teams_[i];
    unsigned places = 0;  // that jobs have been waiting for
    {
      std::lock_guard lock(t.mutex);
      before[i] = t.limit;
      if (wanted[i] != 0) t.limit = std::min(wanted[i], most_threads);
      if (t.wants_thread()) places = std::min(t.queued - t.idle, t.limit - t.running);
      t.work.notify_all();
    }
    for (; places != 0; --places) replace(t);
  }
  return before;
}

unsigned workers::running(worker_class c) noexcept {
  team& t = team_of(c);
  std::lock_guard lock(t.mutex);
  return t.running;
}

}  // namespace parkring::kernel::threads
