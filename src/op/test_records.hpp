// A record type for tests: does one simple request and counts every step of its life.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <vector>

#include "kernel/abi.hpp"
#include "op/operations.hpp"
#include "ring/choice.hpp"

namespace parkring::op {

/// What happened to one record, or to several that share it.
struct life {
  enum class request { nop, read, sync, poll, poll_multishot } what = request::nop;
  int fd = -1;
  int id = 0;
  std::vector<int>* order = nullptr;  // of prepare; gets `id`
  int resubmit = 0;                   // so many completions are answered with "again"
  bool cancel_when_dropped = true;
  bool breaks_chain = true;  // if not, it also has an effect that the end of a runtime waits for
  char byte = 0;             // what a read got

  int prepared = 0;
  int completed = 0;         // calls of complete
  int completed_unseen = 0;  // of those, without a waiter
  int destroyed = 0;
};

inline const detail::record_type& test_type(bool breaks_chain = true) {
  static constexpr detail::record_type type = {
      .name = "test",
      .prepare =
          [](detail::record& r, kernel::abi::sqe& e) noexcept {
            namespace abi = kernel::abi;
            life& l = *r.as<life*>();
            ++l.prepared;
            if (l.order != nullptr) l.order->push_back(l.id);
            e.fd = l.fd;
            switch (l.what) {
              case life::request::nop:
                e.opcode = abi::op_nop;
                break;
              case life::request::read:
                e.opcode = abi::op_read;
                e.addr = reinterpret_cast<std::uint64_t>(&l.byte);
                e.len = 1;
                e.off = ~std::uint64_t{0};
                break;
              case life::request::sync:
                e.opcode = abi::op_fsync;
                break;
              case life::request::poll_multishot:
                e.len = abi::poll_add_multi;
                [[fallthrough]];
              case life::request::poll:
                e.opcode = abi::op_poll_add;
                e.poll32_events = POLLIN;
                break;
            }
          },
      .complete =
          [](detail::record& r, detail::op_waiter* w, std::int32_t, std::uint32_t, bool) noexcept {
            life& l = *r.as<life*>();
            ++l.completed;
            l.completed_unseen += w == nullptr;
            if (l.resubmit > 0) {
              --l.resubmit;
              return detail::after_completion::resubmit;
            }
            return detail::after_completion::finish;
          },
      .destroy = [](detail::record& r) noexcept { ++r.as<life*>()->destroyed; },
      .cancel_when_dropped =
          [](const detail::record& r) noexcept { return r.as<life*>()->cancel_when_dropped; },
  };
  static constexpr detail::record_type lenient = [] {
    detail::record_type t = type;
    t.breaks_chain = false;
    t.has_effect = true;
    return t;
  }();
  return breaks_chain ? type : lenient;
}

/// The kernel that a runtime would get here.
inline kernel::kernel& kernel_at_hand() {
  static kernel::kernel& chosen = *ring::try_kernel(ring::wanted_kernel::any).served_by;
  return chosen;
}

/// A ring of the kernel at hand with the operations on it, driven by hand.
struct test_driver {
  detail::waiter_list ready;
  ring::ring ring;
  operations ops;

  explicit test_driver(unsigned entries = 8, std::size_t limit = 1024,
                       kernel::kernel& k = kernel_at_hand())
      : ring(k, {.entries = entries}), ops(ring, ready, limit) {
    const int answer = ring.bind_to_this_thread();
    PARKRING_CHECK(answer == 0, "the test needs a ring");
  }
  ~test_driver() {
    while (ops.live() != 0) {
      ops.orphan_all();
      ops.cancel_all();
      turn();
    }
    while (ready.pop_front() != nullptr) {
    }
  }

  /// A record of the test type, or null when records are exhausted.
  detail::record* make(life& l) {
    detail::record* r = ops.acquire(test_type(l.breaks_chain));
    if (r != nullptr) r->emplace<life*>(&l);
    return r;
  }
  detail::record& submit(life& l, detail::op_waiter* w) {
    detail::record* r = make(l);
    PARKRING_CHECK(r != nullptr, "the test ran out of records");
    ops.submit(*r, w);
    return *r;
  }
  /// What a turn of the loop does; waits for a completion, though not for ever.
  void turn(unsigned wait_for = 1) {
    ops.serve_starved();
    ops.fill_queue();
    const kernel::abi::timespec64 limit{5, 0};
    if (ring.completions_waiting() || ops.backlog()) wait_for = 0;
    ring.enter(wait_for, &limit, kernel::abi::enter_getevents);
    ops.reap();
  }
  /// Turns until `w` was woken.
  void turn_until_woken(const detail::op_waiter& w) {
    for (int i = 0; i < 1000 && !w.linked(); ++i) turn();
  }
};

struct test_pipe {
  std::array<int, 2> ends{};
  test_pipe() { PARKRING_CHECK(::pipe(ends.data()) == 0, "the test needs a pipe"); }
  test_pipe(const test_pipe&) = delete;
  test_pipe& operator=(const test_pipe&) = delete;
  ~test_pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  [[nodiscard]] int reader() const { return ends[0]; }
  void put(char c = 'x') const { PARKRING_CHECK(::write(ends[1], &c, 1) == 1, "the pipe is full"); }
  void take() const {
    char c;
    PARKRING_CHECK(::read(ends[0], &c, 1) == 1, "the pipe is empty");
  }
};

}  // namespace parkring::op
