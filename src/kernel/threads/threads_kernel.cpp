#include "kernel/threads/threads_kernel.hpp"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <new>

#include "kernel/emulated/ring.hpp"
#include "kernel/threads/backend.hpp"
#include "kernel/threads/registry.hpp"

namespace parkring::kernel::threads {

namespace {

struct machine {
  std::unique_ptr<backend> below;
  std::unique_ptr<emulated::ring> ring;  // goes first: it lets its files go
  unsigned generation = 0;
  pthread_t user{};  // who entered or registered last
  machine* next_abandoned = nullptr;
};

machine* abandoned = nullptr;  // of the parent, in a forked child: kept, never touched

machine* machine_of(const ring_memory& m) noexcept {
  auto* const ring = static_cast<emulated::ring*>(m.context);
  if (ring == nullptr) return nullptr;
  return static_cast<machine*>(ring->machine);
}

}  // namespace

int threads_kernel::setup(unsigned entries, abi::params& p, ring_memory& out) noexcept {
  int error = 0;
  try {
    auto made = std::make_unique<machine>();
    made->below = backend::make(error);
    if (made->below == nullptr) return -error;
    made->ring = emulated::ring::make(*made->below, entries, p, out, error);
    if (made->ring == nullptr) return -error;
    made->below->serve(*made->ring);
    made->generation = registry::generation();
    out.fd = out.enter_fd = made->below->pollable();
    out.owner_pid = ::getpid();
    registry::add(out.fd, made->below->home());
    made->ring->machine = made.get();
    (void)made.release();
    return 0;
  } catch (const std::bad_alloc&) {
    out = {};
    return -ENOMEM;
  }
}

int threads_kernel::enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete,
                          unsigned flags, const void* arg, std::size_t arg_size) noexcept {
  machine* const m = machine_of(ring);
  if (m == nullptr || m->generation != registry::generation()) return -EBADF;
  m->user = ::pthread_self();
  return m->ring->enter(to_submit, min_complete, flags, arg, arg_size);
}

int threads_kernel::reg(const ring_memory& ring, unsigned opcode, const void* arg,
                        unsigned count) noexcept {
  machine* const m = machine_of(ring);
  if (m == nullptr || m->generation != registry::generation()) return -EBADF;
  m->user = ::pthread_self();
  return m->ring->reg(opcode, arg, count);
}

void threads_kernel::release(ring_memory& ring) noexcept {
  machine* const m = machine_of(ring);
  const int fd = ring.fd;
  ring = {};
  if (m == nullptr) return;
  if (m->generation != registry::generation()) {
    ::close(fd);
    ::close(m->below->home()->event());
    // Only the ring's own thread is known not to have been changing its tables at that moment.
    if (m->generation + 1 == registry::generation() &&
        ::pthread_equal(m->user, registry::forking_thread()) != 0)
      m->below->close_inherited();
    m->next_abandoned = std::exchange(abandoned, m);
    return;
  }
  registry::remove(fd);
  m->below->home()->close();  // workers and other rings raise flags in the ring's memory until then
  delete m;
}

// The epoll descriptor itself: what is watched makes it readable, and so does what workers bring,
// while the channel counts the ring's thread as sleeping.
int threads_kernel::watch_descriptor(ring_memory& ring, int) noexcept { return ring.fd; }

bool threads_kernel::begin_watch(const ring_memory& ring) noexcept {
  machine* const m = machine_of(ring);
  return m != nullptr && m->below->home()->begin_sleep();
}

// Whatever made the descriptor readable is taken out of epoll by the next enter, so there must be
// one: events of the program's own wakers do not raise the flag.
void threads_kernel::end_watch(const ring_memory& ring) noexcept {
  machine* const m = machine_of(ring);
  if (m == nullptr) return;
  m->below->home()->end_sleep();
  __atomic_fetch_or(ring.sq_flags, abi::sq_taskrun, __ATOMIC_RELAXED);
}

}  // namespace parkring::kernel::threads

namespace parkring::kernel {

kernel& threads_kernel() noexcept {
  // Never destroyed: rings in static objects may be released after it.
  alignas(threads::threads_kernel) static unsigned char place[sizeof(threads::threads_kernel)];
  static kernel& instance = *new (place) threads::threads_kernel;
  return instance;
}

}  // namespace parkring::kernel
