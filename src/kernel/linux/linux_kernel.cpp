#include "kernel/linux/linux_kernel.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "kernel/linux/enter.hpp"

namespace parkring::kernel::linux_impl {

namespace {

// Answers the address or null, and errno.
void* map(int fd, std::size_t size, std::uint64_t offset) noexcept {
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                    static_cast<off_t>(offset));
  if (at == MAP_FAILED) return nullptr;
  // The queues are shared memory: a forked child that ran a destructor or a stray submission would
  // move the parent's tails. Where this is refused the ring still works, so its answer is not used.
  ::madvise(at, size, MADV_DONTFORK);
  return at;
}

std::uint32_t* word(void* base, std::uint32_t offset) noexcept {
  return reinterpret_cast<std::uint32_t*>(static_cast<char*>(base) + offset);
}

void locate_queues(const abi::params& p, void* rings, void* sqes, ring_memory& out) noexcept {
  out.sq_head = word(rings, p.sq_off.head);
  out.sq_tail = word(rings, p.sq_off.tail);
  out.sq_flags = word(rings, p.sq_off.flags);
  out.sq_dropped = word(rings, p.sq_off.dropped);
  const bool indirect = (p.flags & abi::setup_no_sqarray) == 0;
  out.sq_array = indirect ? word(rings, p.sq_off.array) : nullptr;
  out.sq_mask = *word(rings, p.sq_off.ring_mask);
  out.sq_entries = *word(rings, p.sq_off.ring_entries);
  out.sqes = static_cast<abi::sqe*>(sqes);
  out.cq_head = word(rings, p.cq_off.head);
  out.cq_tail = word(rings, p.cq_off.tail);
  out.cq_overflow = word(rings, p.cq_off.overflow);
  out.cq_flags = word(rings, p.cq_off.flags);
  out.cq_mask = *word(rings, p.cq_off.ring_mask);
  out.cq_entries = *word(rings, p.cq_off.ring_entries);
  out.cqes = reinterpret_cast<abi::cqe*>(word(rings, p.cq_off.cqes));
}

}  // namespace

int linux_kernel::setup(unsigned entries, abi::params& p, ring_memory& out) noexcept {
  // These rings live in memory of the caller's, or have no descriptor to map.
  if ((p.flags & (abi::setup_no_mmap | abi::setup_registered_fd_only)) != 0) return -EINVAL;

  out = {};
  const int fd = static_cast<int>(::syscall(abi::sys_io_uring_setup, entries, &p));
  if (fd < 0) return -errno;
  out.fd = out.enter_fd = fd;
  out.owner_pid = ::getpid();
  out.setup_flags = p.flags;
  out.features = p.features;

  // Linux 5.4 and later map both queues at once; everything the ring layer needs is younger.
  if ((p.features & abi::feat_single_mmap) == 0) {
    release(out);
    return -ENOSYS;
  }
  // Rings of double entries are mapped whole; stepping through them is the caller's business.
  const std::size_t cqe_size = sizeof(abi::cqe) << ((p.flags & abi::setup_cqe32) != 0);
  const std::size_t sqe_size = sizeof(abi::sqe) << ((p.flags & abi::setup_sqe128) != 0);
  std::size_t rings_size = p.cq_off.cqes + p.cq_entries * cqe_size;
  if ((p.flags & abi::setup_no_sqarray) == 0) {
    rings_size =
        std::max(rings_size, p.sq_off.array + std::size_t{p.sq_entries} * sizeof(std::uint32_t));
  }
  const std::size_t sqes_size = p.sq_entries * sqe_size;

  void* rings = map(fd, rings_size, abi::off_sq_ring);
  if (rings == nullptr) {
    const int error = errno;
    release(out);
    return -error;
  }
  out.mappings[0] = {rings, rings_size};
  void* sqes = map(fd, sqes_size, abi::off_sqes);
  if (sqes == nullptr) {
    const int error = errno;
    release(out);
    return -error;
  }
  out.mappings[1] = {sqes, sqes_size};
  locate_queues(p, rings, sqes, out);
  return 0;
}

int linux_kernel::enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete,
                        unsigned flags, const void* arg, std::size_t arg_size) noexcept {
  return enter_inlined(ring.enter_fd, to_submit, min_complete, flags | ring.enter_flags, arg,
                       arg_size);
}

int linux_kernel::reg(const ring_memory& ring, unsigned opcode, const void* arg,
                      unsigned count) noexcept {
  const long result = ::syscall(abi::sys_io_uring_register, ring.fd, opcode, arg, count);
  return result < 0 ? -errno : static_cast<int>(result);
}

void linux_kernel::release(ring_memory& ring) noexcept {
  if (ring.fd < 0) return;
  // A forked child has holes where the queues were, and may have mapped something else there.
  if (ring.owner_pid == ::getpid()) {
    for (const ring_memory::mapping& m : ring.mappings) {
      if (m.base != nullptr) ::munmap(m.base, m.size);
    }
  }
  ::close(ring.fd);
  ring = {};
}

// Not the ring's own descriptor: with DEFER_TASKRUN it is readable when work waits, but epoll is
// not told. A registered eventfd is signalled when such work is added, and for each completion. It
// is the program's own event, which others signal too; a poll of it in the ring that signals it
// would end itself.
int linux_kernel::watch_descriptor(ring_memory& ring, int event) noexcept {
  if (const int answer = reg(ring, abi::register_eventfd, &event, 1); answer < 0) return answer;
  return ring.watch_fd = event;
}

// First the event is cleared, then the queues are looked at: what comes before the look is seen,
// and what comes after it signals again. The read is a system call, which orders the two.
bool linux_kernel::begin_watch(const ring_memory& ring) noexcept {
  std::uint64_t count;
  while (::read(ring.watch_fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
  constexpr std::uint32_t waiting = abi::sq_cq_overflow | abi::sq_taskrun | abi::sq_need_wakeup;
  return (__atomic_load_n(ring.sq_flags, __ATOMIC_ACQUIRE) & waiting) == 0 &&
         __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) == *ring.cq_head;
}

}  // namespace parkring::kernel::linux_impl

namespace parkring::kernel {

kernel& linux_kernel() noexcept {
  // Never destroyed: rings in static objects may be released after it.
  alignas(linux_impl::linux_kernel) static unsigned char place[sizeof(linux_impl::linux_kernel)];
  static kernel& instance = *new (place) linux_impl::linux_kernel;
  return instance;
}

}  // namespace parkring::kernel
