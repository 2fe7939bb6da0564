#include "kernel/sim/sim_kernel.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "kernel/sim/event_counter.hpp"

namespace parkring::kernel::sim {

sim_kernel::~sim_kernel() {
  PARKRING_CHECK(served_.empty(), "let every runtime end before the world that it runs in");
}

void sim_kernel::check_thread() const noexcept {
  PARKRING_CHECK(std::this_thread::get_id() == thread_,
                 "a simulated world and all that runs in it belong to one thread");
}

// Every turn of a run loop is to enter, also one with nothing to submit: the time of the world must
// go on for a task that spins until something happens.
void sim_kernel::want_enter(const ring_memory& ring) noexcept {
  __atomic_fetch_or(ring.sq_flags, abi::sq_taskrun, __ATOMIC_RELAXED);
}

sim_kernel::served& sim_kernel::of(const ring_memory& ring) const noexcept {
  return *static_cast<served*>(ring.context);
}

int sim_kernel::setup(unsigned entries, abi::params& p, ring_memory& out) noexcept {
  check_thread();
  try {
    auto s = std::make_unique<served>(m_);
    if (const unsigned most = m_.faults.faults().completion_queue; most != 0) {
      // As small as the ring allows, so that completions overflow.
      p.flags |= abi::setup_cqsize;
      p.cq_entries = std::max(most, entries);
    }
    int error = 0;
    s->queues = emulated::ring::make(s->below, entries, p, out, error);
    if (s->queues == nullptr) return -error;
    out.context = s.get();
    const ref<endpoint> descriptor(make_event_counter(m_.net.all()));
    out.fd = out.enter_fd = m_.table.add({descriptor, {}, -1});
    if (out.fd < 0) return out.fd;
    m_.rings.emplace_back(descriptor.get(), s->queues.get());
    served_.push_back(std::move(s));
    want_enter(out);
    return 0;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

int sim_kernel::enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete,
                      unsigned flags, const void* arg, std::size_t arg_size) noexcept {
  check_thread();
  served& s = of(ring);
  m_.pass_call();
  if (!s.ended) m_.count_call();
  if (!s.ended && m_.stopped() == machine::stop_reason::none) {
    if (const int error = m_.refuse_enter(); error != 0) {
      m_.log(m_.steps(), trace_entry::kind::fault, "enter", 0, -1, 0, 0, -error);
      return -error;
    }
    const int answer = s.queues->enter(to_submit, min_complete, flags, arg, arg_size);
    want_enter(ring);
    if (m_.stopped() == machine::stop_reason::none) return answer;
    settle();
    return -ESHUTDOWN;
  }
  settle();
  s.queues->enter(to_submit, 0, abi::enter_getevents, nullptr, 0);
  return -ESHUTDOWN;
}

void sim_kernel::settle() noexcept {
  if (m_.stopped() == machine::stop_reason::none) return;
  for (const auto& s : served_)
    if (!s->ended) s->below.cut();
  if (m_.stopped() == machine::stop_reason::power_cut) m_.lose_power();
  for (const auto& s : served_) {
    if (s->ended) continue;
    s->ended = true;
    s->queues->stop();
  }
}

int sim_kernel::reg(const ring_memory& ring, unsigned opcode, const void* arg,
                    unsigned count) noexcept {
  check_thread();
  return of(ring).queues->reg(opcode, arg, count);
}

void sim_kernel::release(ring_memory& ring) noexcept {
  if (ring.context == nullptr) return;
  check_thread();
  const served* const gone = &of(ring);
  std::erase_if(m_.rings, [gone](const auto& r) { return r.second == gone->queues.get(); });
  m_.table.close(ring.fd);
  std::erase_if(served_, [gone](const auto& s) { return s.get() == gone; });
  ring = {};
}

int sim_kernel::inspect(int fd, bool, file_facts& out) noexcept {
  const open_object* const found = m_.table.find(fd);
  out = {};
  // The power may go in the middle of a turn, by an enter that only makes room; nothing has an
  // effect from then on, and the program must not take it for an error of its own.
  if (found == nullptr && m_.stopped() != machine::stop_reason::none) return 0;
  if (found == nullptr) return -EBADF;
  if (found->stream) {
    out.what = file_facts::kind::stream;
    out.has_position = false;
    return 0;
  }
  struct statx s {};
  m_.files.stat(*found->file, s);
  out.what = S_ISDIR(s.stx_mode) ? file_facts::kind::directory : file_facts::kind::regular;
  return 0;
}

int sim_kernel::make_event() noexcept {
  try {
    return m_.table.add({ref<endpoint>(make_event_counter(m_.net.all())), {}, -1});
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

void sim_kernel::signal_event(int fd) noexcept {
  check_thread();
  const open_object* const found = m_.table.find(fd);
  if (found != nullptr && found->stream) static_cast<event_counter&>(*found->stream).signal();
}

void sim_kernel::clear_event(int fd) noexcept {
  const open_object* const found = m_.table.find(fd);
  std::uint64_t count;
  if (found != nullptr && found->stream) (void)found->stream->read(&count, sizeof count);
}

}  // namespace parkring::kernel::sim
