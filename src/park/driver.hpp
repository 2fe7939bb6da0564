// The park stack, on one screen: timers over the ring over the waker.
//
// Contract of park():
//   * It returns when something may have become ready: a completion, a timer, an unpark, or for no
//     reason. Waiters that became ready are on the ready list; nothing was resumed.
//   * With `block` false, or with something ready already, it never sleeps.
//   * It makes at most one `enter`, which submits what is queued, and waits with the nearest
//     deadline as its timeout.
//   * An unpark before it makes it return at once.
//
// Who reads the completion queue. By default the thread itself, in that `enter`. There are two more
// ways, chosen before the first turn, and only the sleep differs:
//   reader thread   another thread waits in `enter` and hands completions over; this one submits,
//                   and sleeps on a futex. The protocol is in ring/reader_thread.hpp
//   reactor         this thread submits and sleeps in epoll_wait (park/reactor.hpp). The waker's
//                   event is in the set, and registered with the ring: after a sleep an `enter`
//                   brings what is deferred, and it is reaped. A turn with more to do does not ask
//                   the reactor; what it submits brings completions with it
// In both a turn that sleeps makes more system calls than one. `end_reader`, the first step of a
// teardown, leads back to the default.
//
// It is inlined into the run loop: a return right after a system call misses the processor's
// return predictor, which costs more than the rest of this function.
#pragma once

#include <time.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>

#include "op/operations.hpp"
#include "park/reactor.hpp"
#include "park/timers.hpp"
#include "park/waker.hpp"
#include "ring/choice.hpp"
#include "ring/reader_thread.hpp"
#include "ring/ring.hpp"

namespace parkring::park {

/// CLOCK_MONOTONIC in nanoseconds: the clock of std::chrono::steady_clock and of real kernels.
[[nodiscard]] inline std::uint64_t steady_now_ns() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(t.tv_nsec);
}

/// What `park` tells nobody; see exec/watch.hpp for somebody.
struct unwatched {
  static constexpr bool on = false;
  void entering() noexcept {}
  void entered(int) noexcept {}
  void completions_waiting() noexcept {}
  void timers_fired(std::size_t) noexcept {}
};

class driver {
 public:
  /// What becomes ready is appended to `ready`.
  driver(kernel::kernel& k, const ring::options& queue_sizes, std::size_t max_operations,
         detail::waiter_list& ready)
      : ring(k, queue_sizes),
        ops(ring, ready, max_operations + 1),  // one is the waker's
        timers(now_ns()),
        wake(ops),
        ready_(ready) {}

  [[gnu::always_inline]] void park(bool block) noexcept {
    unwatched nobody;
    park(block, nobody);
  }
  template <class Watch>
  [[gnu::always_inline]] void park(bool block, Watch& watch) noexcept {
    ops.serve_starved();
    ops.fill_queue();
    // With a backlog this enter only makes room: what waits for it may be the cancel of a request
    // that ends no other way.
    if (ring.completions_waiting() || !ready_.empty() || ops.backlog()) block = false;
    int answer = 0;
    if (block && elsewhere_) [[unlikely]] {
      watch.entering();
      answer = sleep_elsewhere();
      watch.entered(answer);
    } else if (block && wake.begin_sleep()) {
      ops.fill_queue();  // the watch may just have been armed
      kernel::abi::timespec64 left;
      const bool limited = !timers.empty();
      if (limited) left = time_left();
      watch.entering();
      answer = ring.enter(ops.backlog() ? 0 : 1, limited ? &left : nullptr, 0);
      watch.entered(answer);
      wake.end_sleep();
    } else if (ring.unsubmitted() != 0 || ring.kernel_wants_enter()) {
      // Also after an unpark: a steady stream of them must not keep requests from the kernel.
      watch.entering();
      answer = ring.enter(0, nullptr, kernel::abi::enter_getevents);
      watch.entered(answer);
    }
    if (answer < 0) [[unlikely]]
      enter_failed(answer);
    watch.completions_waiting();
    ops.reap();
    // Before anybody is resumed: their requests could take the room that a cancel waits for, turn
    // after turn.
    ops.fill_queue();
    if (!timers.empty()) fire_timers(watch);
  }

  // ---- who reads completions ----

  /// A thread of its own does, from now on. The ring is made for it. *Errors*: `std::bad_alloc`,
  /// `std::system_error`.
  void read_by_thread();
  /// This thread does, out of a reactor. *Errors*: as above.
  void read_by_reactor();
  /// This thread does, in `enter`, from now on. Reaps.
  void end_reader() noexcept;
  /// Null where there is none.
  [[nodiscard]] reactor* reactor_if_any() noexcept { return reactor_ ? &*reactor_ : nullptr; }
  [[nodiscard]] const ring::reader_thread* reader_if_any() const noexcept { return reader_.get(); }

  // ---- where a host waits, instead of `park(true)` ----

  /// Hands everything to the kernel and arms what ends a sleep: from now on the descriptor of the
  /// ring's `watch_descriptor` is readable once there is something to do. False: there is already.
  [[nodiscard]] bool leave_to_host() noexcept;
  /// Before the turn that follows. Without a sleep there is none to end: it would cover an unpark
  /// that nobody has seen.
  void return_from_host() noexcept {
    if (!left_) return;
    left_ = false;
    wake.end_sleep();
    ring.end_watch();
  }

  /// The clock of the ring's kernel, read in place where that is the steady clock.
  [[nodiscard]] std::uint64_t now_ns() noexcept {
    return ring.real() ? steady_now_ns() : ring.served_by().now_ns();
  }

  /// The machine has stopped (`enter` answered -ESHUTDOWN): nothing will be served any more.
  [[nodiscard]] bool machine_stopped() const noexcept { return stopped_; }

  ring::ring ring;
  op::operations ops;
  park::timers timers;
  waker wake;

  std::uint64_t turns = 0;
  std::uint64_t refusals = 0;  // enters answered with EAGAIN or EBUSY

 private:
  template <class Watch>
  [[gnu::always_inline]] void fire_timers(Watch& watch) noexcept {
    const std::uint64_t now = now_ns();
    if constexpr (Watch::on) {
      if (timers.next_deadline() <= now) {
        const std::size_t before = ready_.size();
        timers.fire(now, ready_);
        return watch.timers_fired(ready_.size() - before);
      }
    }
    timers.fire(now, ready_);
  }
  /// How long until the nearest deadline.
  [[nodiscard]] kernel::abi::timespec64 time_left() noexcept;
  [[gnu::cold, gnu::noinline]] void enter_failed(int answer) noexcept;
  [[gnu::noinline]] int sleep_elsewhere() noexcept;
  int sleep_beside_reader(const kernel::abi::timespec64* left) noexcept;
  int sleep_in_reactor(const kernel::abi::timespec64* left) noexcept;

  detail::waiter_list& ready_;
  bool stopped_ = false;
  bool left_ = false;       // to the host, which sleeps
  bool elsewhere_ = false;  // not in `enter`
  std::unique_ptr<ring::reader_thread> reader_;
  std::optional<reactor> reactor_;
};

}  // namespace parkring::park
