// Messages between two threads with a ring each, by hand: through the ring of the other one
// (IORING_OP_MSG_RING), and through a list and an eventfd that is written when the other one
// sleeps, which is how Parkring does it. A round trip is one operation.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cstdint>
#include <mutex>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include "../contender.hpp"
#include "raw_ring.hpp"
#include "two_processors.hpp"

namespace lab {
namespace {

constexpr std::uint64_t the_end = ~std::uint64_t{0};

class by_ring {
 public:
  explicit by_ring(unsigned depth) : ring_(2 * std::bit_ceil(depth), raw_ring::tell_of_work) {
    io_uring_sqe pattern{};
    pattern.opcode = IORING_OP_MSG_RING;
    pattern.flags = IOSQE_CQE_SKIP_SUCCESS;
    ring_.prepare_entries(pattern);
  }
  void send(by_ring& to, std::uint64_t what) noexcept {
    auto& entry = ring_.take();
    entry.fd = to.ring_.descriptor();
    entry.off = what;  // the user_data there
  }
  template <class F>
  void receive(bool sleep, F&& each) noexcept {
    if (sleep || ring_.wants_enter()) ring_.submit(sleep ? 1 : 0);
    ring_.reap([&](const io_uring_cqe& cqe) {
      if (cqe.res < 0) fail("MSG_RING: errno %d", -cqe.res);
      each(cqe.user_data);
    });
  }
  void flush() noexcept { ring_.submit(0); }
  [[nodiscard]] std::uint64_t calls() const noexcept { return ring_.enters(); }

 private:
  raw_ring ring_;
};

class by_event {
 public:
  explicit by_event(unsigned) : ring_(8) {
    if (event_ < 0) fail("no eventfd");
    auto& entry = ring_.take();
    entry = {};
    entry.opcode = IORING_OP_POLL_ADD;
    entry.fd = event_;
    entry.poll32_events = POLLIN;
    entry.len = IORING_POLL_ADD_MULTI;
  }
  by_event(const by_event&) = delete;
  by_event& operator=(const by_event&) = delete;
  ~by_event() { ::close(event_); }

  void send(by_event& to, std::uint64_t what) noexcept {
    {
      const std::lock_guard guard(to.lock_);
      to.arrived_.push_back(what);
      to.any_.store(true, std::memory_order_relaxed);
    }
    if (to.state_.exchange(notified) != sleeping) return;
    const std::uint64_t one = 1;
    ++calls_;
    (void)!::write(to.event_, &one, sizeof one);
  }
  template <class F>
  void receive(bool sleep, F&& each) noexcept {
    if (sleep && state_.exchange(sleeping) != notified) {
      ring_.submit(1);
      ring_.reap([&](const io_uring_cqe&) {
        std::uint64_t count;
        ++calls_;
        (void)!::read(event_, &count, sizeof count);
      });
    }
    if (sleep) state_.store(awake);
    if (!any_.load(std::memory_order_relaxed)) return;
    {
      const std::lock_guard guard(lock_);
      std::swap(arrived_, taken_);
      any_.store(false, std::memory_order_relaxed);
    }
    for (const std::uint64_t what : taken_) each(what);
    taken_.clear();
  }
  void flush() noexcept {}
  [[nodiscard]] std::uint64_t calls() const noexcept { return ring_.enters() + calls_; }

 private:
  enum : int { awake, sleeping, notified };

  raw_ring ring_;
  int event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::atomic<int> state_{awake};
  std::atomic<bool> any_{false};
  std::mutex lock_;
  std::vector<std::uint64_t> arrived_, taken_;
  std::uint64_t calls_ = 0;
};

// Answers until it is told to end.
template <class Way>
void answer(Way& own, Way& other, bool busy) {
  for (bool more = true; more;) {
    if (busy) some_work();
    own.receive(!busy, [&](std::uint64_t what) {
      if (what == the_end)
        more = false;
      else
        own.send(other, what);
    });
  }
}

template <class Way>
void call(session& run) {
  const unsigned depth = run.what().depth;
  const int cpu = ::sched_getcpu();
  Way own(depth);
  Way* other = nullptr;
  std::binary_semaphore made{0}, may_go{0};
  std::thread server([&] {
    run_beside(cpu);
    Way there(depth);
    other = &there;
    made.release();
    answer(there, own, run.what().kind == work::shard_call_busy);
    may_go.acquire();  // what it has sent is taken by now
  });
  made.acquire();
  while (load* stream = run.next_phase()) {
    const std::uint64_t before = own.calls();
    unsigned in_flight = 0;
    const auto refill = [&](unsigned slot) {
      if (!stream->next(slot)) return;
      own.send(*other, slot);
      ++in_flight;
    };
    for (unsigned slot = 0; slot < depth; ++slot) refill(slot);
    while (in_flight != 0)
      own.receive(true, [&](std::uint64_t what) {
        const auto slot = static_cast<unsigned>(what);
        --in_flight;
        stream->done(slot);
        refill(slot);
      });
    run.add_syscalls(own.calls() - before);
  }
  own.send(*other, the_end);
  own.flush();
  may_go.release();
  server.join();
}

}  // namespace

void add_limit_calls(roster& to) {
  for (const work kind : {work::shard_call, work::shard_call_busy}) {
    to.present.push_back({.name = "msg_ring", .kind = kind, .run = call<by_ring>});
    to.present.push_back({.name = "event", .kind = kind, .run = call<by_event>});
  }
}

}  // namespace lab
