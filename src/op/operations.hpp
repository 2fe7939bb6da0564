// The driver of operation records: from a prepared record to the ring, and from a completion back
// to the waiter. The life of a record is written down in <parkring/detail/record.hpp>.
//
// Order of submission. Records go to the ring in the order they were submitted. When the
// submission queue is full they wait in `deferred_`; as long as that list is not empty every later
// record queues behind it. Wishes to cancel wait in `cancels_` and go first: a cancel can only name
// a request that is already pushed, so it always follows it.
//
// A cancel never hits a newer request. A record leaves `cancels_` when its last completion is
// read, and the kernel takes entries in order: an entry that reuses the slot comes behind any
// cancel of the earlier use. The generation in `user_data` guards the same thing a second time.
//
// Chains. Each part runs when the one before has succeeded. The kernel sees to that by a link of
// their entries (IOSQE_IO_LINK), but not behind a type with `breaks_chain == false`: Linux runs
// what is linked behind such a request though it failed. So a chain is cut behind each of those
// into segments. Within a segment the parts are linked and go to the kernel together or not at all,
// because a link is broken by the end of a submission batch. Across a cut it is done here:
//
//   prepared ──push of the first segment──> held ──the part before it ended well──> held, deferred
//      │                                     │                                          │
//      │ dropped: ends                       │ that part failed or ended unrun:         └─push─>
//      │                                     │ -ECANCELED, with all behind it       in flight
//      └──> free                             └──> free
//
//   Owner     Later parts wait in `later_parts_` with a record, payload and waiter of their own.
//             They have all that they need, so a chain that has begun needs no record to go on, and
//             exhaustion cannot stop it. The chain as a whole must fit into the submission queue,
//             though its segments need less: whether it fits does not depend on what is in it.
//   Links     `next_in_chain` and `before_in_chain` name neighbours that have not ended. Whatever
//             ends, in any order and for any reason, clears the pointers of both its neighbours
//             (`leave_chain`), so they never name a later use of a record.
//   Failure   What is not submitted ends as if the kernel had answered -ECANCELED, by `complete`.
//   Drop      Until the first segment is pushed nothing has begun, and a dropped part ends at once.
//             From then on a held part is dropped like one in flight: left to its turn, as an
//             orphan, or, when it is to be cancelled, ended at once. Either way what is behind a
//             part that ended unrun never runs.
//   Teardown  Likewise: `orphan_all` leaves those held that are to finish for their effect, and
//             `cancel_all` ends them. Nothing is held after it.
//   Resubmit  A last part of a segment that was interrupted goes again; what is held stays so.
//
// Later parts of a segment. A cancel does not find a request that the kernel has not begun, and the
// completion of one part is seen before the next has begun. So when a part has ended, the cancel of
// the next is asked for again, with an answer of its own, for as long as that is ENOENT.
//
// Reaping. Completions are read in one go and waiters only move to the ready list; nothing is
// resumed meanwhile. Disposal may submit (a close, say): while reaping that always defers, so the
// ring is entered by nobody in between.
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>

#include <parkring/detail/record.hpp>

#include "op/record_slab.hpp"
#include "ring/ring.hpp"

namespace parkring::op {

class operations final : public detail::operations_base {
 public:
  /// Waiters whose request ended are appended to `ready`.
  operations(ring::ring& ring, detail::waiter_list& ready, std::size_t limit) noexcept
      : ring_(ring), ready_(ready), slab_(limit) {}
  operations(const operations&) = delete;
  operations& operator=(const operations&) = delete;

  /// A prepared record without a payload, or null when records are exhausted (see `starve`).
  [[nodiscard]] detail::record* acquire(const detail::record_type& type) noexcept;

  /// Whether `n` records can be acquired now; then they are there.
  [[nodiscard]] bool can_acquire(std::size_t n) noexcept {
    return (starved_.empty() || serving_starved_) && slab_.reserve(n);
  }

  /// Gives back a record that was acquired and not submitted; its payload must be gone.
  void release_unused(detail::record& r) noexcept { end(r); }

  /// After `acquire` or `can_acquire` failed: queues `w` until a record is free; then
  /// `w.restart(w)` is called. If it was for lack of memory `w` fails with ENOMEM, since none may
  /// ever come back.
  void starve(detail::op_waiter& w) noexcept {
    ++starvations;
    held_ |= waiters_starve;
    const bool had_its_turn = starved_.empty() || serving_starved_;
    if (had_its_turn && slab_.out_of_memory()) {
      w.answer = -ENOMEM;
      ready_.push_back(w);
    } else if (serving_starved_) {  // it needs more than has come back: it stays the first
      starved_again_ = true;
      starved_.push_front(w);
    } else {
      starved_.push_back(w);
    }
  }

  /// Whether a request may go straight to the ring: `acquire_now` and `push_now` will do.
  [[gnu::always_inline, nodiscard]] bool nothing_in_the_way() const noexcept {
    return (held_ & (reaping | records_wait | waiters_starve)) == 0 && slab_.has_free() &&
           ring_.room() != 0;
  }
  /// As `acquire`. Requires: nothing in the way.
  [[gnu::always_inline, nodiscard]] detail::record& acquire_now(
      const detail::record_type& type) noexcept {
    detail::record& r = slab_.acquire_free();
    r.type = &type;
    r.owner = this;
    r.born = stamp;
    return r;
  }
  /// As `submit`. Requires: nothing in the way, and nothing done since but `acquire_now`. Callers
  /// name the type's `prepare`, so that it is inlined.
  template <class Prepare>
  [[gnu::always_inline]] void push_now(detail::record& r, detail::op_waiter& w,
                                       Prepare prepare) noexcept {
    r.waiter = &w;
    w.rec = &r;
    push(r, ring_.take_unchecked(), prepare);
  }

  /// Submits a record; `w` (may be null) is woken when it ends.
  void submit(detail::record& r, detail::op_waiter* w) noexcept;

  /// Submits a request without a payload, or starves.
  void start(const detail::record_type& type, detail::op_waiter& w) noexcept;

  /// Submits records that must run in order, each when the one before has succeeded. Their `waiter`
  /// must have been set with `attach`. False when the chain is longer than the queue: nothing is
  /// submitted then.
  [[nodiscard]] bool submit_chain(std::span<detail::record* const> chain) noexcept;

  static void attach(detail::record& r, detail::op_waiter* w) noexcept {
    r.waiter = w;
    if (w != nullptr) w->rec = &r;
  }

  void abandon(detail::record& r) noexcept override;

  /// Asks the kernel to cancel; the answer is the record's own completion. Idempotent.
  void cancel(detail::record& r) noexcept;

  /// The start of a teardown: detaches every waiter and asks to cancel every request but those that
  /// are to finish for their effect.
  void orphan_all() noexcept;
  /// Asks to cancel those too, and ends what the kernel does not have: what is held, and what was
  /// to be submitted again. Returns how many.
  std::size_t cancel_all() noexcept;

  /// Moves waiting cancels and deferred records into the submission queue, as far as there is room.
  void fill_queue() noexcept {
    if ((held_ & (cancels_wait | records_wait)) != 0) [[unlikely]]
      fill_queue_slowly();
  }

  /// Starts starved requests, in order, as far as records are free. Between two resumes only, and
  /// on behalf of the running runtime: it calls back into the requests.
  void serve_starved() noexcept {
    if ((held_ & waiters_starve) != 0) [[unlikely]]
      serve_starved_now();
  }

  /// Whether something waits for room that the next `enter` will make.
  [[nodiscard]] bool backlog() const noexcept {
    return (held_ & (cancels_wait | records_wait)) != 0 &&
           (!cancels_.empty() || !deferred_.empty());
  }

  /// The record that a completion is for; null when it is the answer to a cancel.
  [[nodiscard]] static detail::record* record_of(const kernel::abi::cqe& c) noexcept {
    if (static_cast<std::int64_t>(c.user_data) <= 0) return nullptr;
    return reinterpret_cast<detail::record*>(c.user_data & ~generation_mask);
  }

  /// Reads all completions; returns how many.
  unsigned reap() noexcept;

  /// Blocks the thread until `r`, in its present use, has ended. Resumes nothing.
  void wait_for(detail::record& r) noexcept;

  /// Records in use: prepared, in flight and orphaned.
  [[nodiscard]] std::size_t live() const noexcept { return slab_.live(); }
  /// Calls `f(op_waiter&)` for each that waits for a record.
  template <class F>
  void for_each_starved(F&& f) {
    starved_.for_each([&](detail::waiter& w) { f(static_cast<detail::op_waiter&>(w)); });
  }
  /// Records whose waiter has gone.
  [[nodiscard]] std::size_t orphans() noexcept;
  [[nodiscard]] record_slab& slab() noexcept { return slab_; }
  [[nodiscard]] ring::ring& ring() noexcept { return ring_; }

  [[nodiscard]] std::uint64_t submissions() const noexcept {  // records pushed
    return ring_.taken() - cancels;
  }
  std::uint64_t completions = 0;  // completions read, multishot ones included
  std::uint64_t cancels = 0;      // cancels pushed
  std::uint64_t abandoned = 0;    // waiters that left a request in flight
  std::uint64_t deferrals = 0;    // records that found the queue full
  std::uint64_t starvations = 0;  // requests that found no free record
  std::uint64_t resubmissions = 0;
  std::uint32_t stamp = 0;  // of the turn, for the records acquired in it

 private:
  static constexpr std::uint64_t generation_mask = 63;  // records are aligned to 64

  // Beside the user_data of its target: the answer to a cancel. No address has this bit.
  static constexpr std::uint64_t cancel_answer = std::uint64_t{1} << 63;

  static std::uint64_t user_data_of(const detail::record& r) noexcept {
    return reinterpret_cast<std::uint64_t>(&r) | (r.generation & generation_mask);
  }

  template <class Prepare>
  [[gnu::always_inline]] void push(detail::record& r, kernel::abi::sqe& e,
                                   Prepare prepare) noexcept {
    ring::clear(e);
    prepare(r, e);
    e.user_data = user_data_of(r);
    r.state = detail::record_state::in_flight;
  }

  void wake(detail::record& r, std::int32_t res) noexcept;
  void wake_special(detail::record& r, std::int32_t res) noexcept;
  void complete(detail::record& r, std::int32_t res, std::uint32_t flags) noexcept;
  void resubmit(detail::record& r) noexcept;
  void submit_segment(detail::record& first) noexcept;
  void end_unsubmitted(detail::record& r) noexcept;
  void leave_chain(detail::record& r) noexcept;
  void cancel_unsubmitted(detail::record& first) noexcept;
  void end_special(detail::record& r) noexcept;
  void end(detail::record& r) noexcept {
    if (r.special) [[unlikely]]
      end_special(r);
    ++r.generation;
    slab_.release(r);
  }
  void cancel_answered(std::uint64_t user_data, std::int32_t res) noexcept;
  void send_cancel(detail::record& r) noexcept;
  void fill_queue_slowly() noexcept;
  void serve_starved_now() noexcept;

  ring::ring& ring_;
  detail::waiter_list& ready_;
  record_slab slab_;
  detail::intrusive_list<detail::record> deferred_;     // prepared, waiting for an entry
  detail::intrusive_list<detail::record> cancels_;      // in flight, cancel not yet pushed
  detail::intrusive_list<detail::record> later_parts_;  // of chains: the part before has not ended
  detail::waiter_list starved_;                         // op_waiters without a record

  // What stands in the way of the short path. A bit is set with its reason and may outlive it: what
  // it leads to looks again.
  enum : unsigned { reaping = 1, cancels_wait = 2, records_wait = 4, waiters_starve = 8 };
  unsigned held_ = 0;
  bool serving_starved_ = false;
  bool starved_again_ = false;
};

}  // namespace parkring::op
