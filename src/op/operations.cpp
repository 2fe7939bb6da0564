#include "op/operations.hpp"

#include <cerrno>
#include <utility>

#include "kernel/abi.hpp"

namespace parkring::op {

using detail::after_completion;
using detail::cancel_wish;
using detail::op_waiter;
using detail::record;
using detail::record_state;
namespace abi = kernel::abi;

record* operations::acquire(const detail::record_type& type) noexcept {
  if (!starved_.empty() && !serving_starved_) return nullptr;  // first come, first served
  record* r = slab_.acquire();
  if (r == nullptr) return nullptr;
  r->type = &type;
  r->waiter = nullptr;
  r->owner = this;
  r->born = stamp;
  return r;
}

void operations::start(const detail::record_type& type, op_waiter& w) noexcept {
  record* r = acquire(type);
  if (r == nullptr) return starve(w);
  submit(*r, &w);
}

void operations::submit(record& r, op_waiter* w) noexcept {
  attach(r, w);
  if (deferred_.empty() && (held_ & reaping) == 0) {
    if (abi::sqe* e = ring_.take()) return push(r, *e, r.type->prepare);
  }
  ++deferrals;
  deferred_.push_back(r);
  held_ |= records_wait;
  if ((held_ & reaping) != 0) return;  // the next turn pushes it
  // The queue is full: hand it over now, without waiting. Whatever `enter` answers, the entries
  // belong to the ring; those it did not take yet go with a later call.
  ring_.enter(0, nullptr, 0);
  fill_queue();
}

bool operations::submit_chain(std::span<record* const> chain) noexcept {
  if (chain.size() > ring_.capacity()) return false;
  record* before = nullptr;
  for (record* r : chain) {
    r->special = true;
    r->before_in_chain = before;
    if (before != nullptr) {
      before->next_in_chain = r;
      before->entry_linked = before->type->breaks_chain;
    }
    later_parts_.push_back(*r);
    before = r;
  }
  submit_segment(*chain.front());
  if ((held_ & reaping) != 0) return true;
  fill_queue();
  if (chain.front()->state == record_state::prepared) {
    ++deferrals;
    ring_.enter(0, nullptr, 0);
    fill_queue();
  }
  return true;
}

void operations::submit_segment(record& first) noexcept {
  for (record* r = &first;; r = r->next_in_chain) {
    r->unlink();
    deferred_.push_back(*r);
    if (!r->entry_linked) break;
  }
  held_ |= records_wait;
}

void operations::fill_queue_slowly() noexcept {
  while (!cancels_.empty()) {
    abi::sqe* e = ring_.take();
    if (e == nullptr) return;
    record* target = cancels_.pop_front();
    ring::clear(*e);
    e->opcode = abi::op_async_cancel;
    e->fd = -1;
    e->addr = user_data_of(*target);
    // Else nobody waits for the cancel's own answer.
    const bool again = target->cancel_wanted == cancel_wish::until_found;
    e->user_data = again ? e->addr | cancel_answer : 0;
    ++cancels;
  }
  held_ &= ~cancels_wait;
  while (record* first = deferred_.front()) {
    unsigned length = 1;
    for (const record* r = first; r->entry_linked; r = r->next_in_chain) ++length;
    if (ring_.room() < length) return;
    record* later = nullptr;
    for (unsigned i = 0; i < length; ++i) {
      abi::sqe* e = ring_.take();
      PARKRING_CHECK(e != nullptr, "room() promised an entry that take() did not have");
      record& r = *deferred_.pop_front();
      push(r, *e, r.type->prepare);
      if (r.entry_linked) e->flags = static_cast<std::uint8_t>(e->flags | abi::iosqe_io_link);
      later = r.next_in_chain;
    }
    for (; later != nullptr && later->state == record_state::prepared; later = later->next_in_chain)
      later->state = record_state::held;  // the chain has begun
  }
  held_ &= ~records_wait;
}

namespace {

bool cancelled_when_dropped(const record& r) noexcept {
  return r.type->cancel_when_dropped == nullptr || r.type->cancel_when_dropped(r);
}

bool finishes(const record& r) noexcept { return r.type->has_effect && !cancelled_when_dropped(r); }

}  // namespace

void operations::abandon(record& r) noexcept {
  if (r.state == record_state::prepared) return end_unsubmitted(r);
  const bool unwanted = cancelled_when_dropped(r);
  if (r.state == record_state::held && unwanted) return end_unsubmitted(r);
  ++abandoned;
  if (unwanted) cancel(r);
}

// Its part of a chain is over before its payload ends: that may run the user's code, which must not
// find a chain with a gap.
void operations::end_unsubmitted(record& r) noexcept {
  r.unlink();
  if (r.special) leave_chain(r);
  if (r.type->destroy != nullptr) r.type->destroy(r);
  end(r);
}

void operations::cancel(record& r) noexcept {
  PARKRING_DCHECK(r.state == record_state::in_flight, "only a request in flight can be cancelled");
  if (r.cancel_wanted != cancel_wish::none) return;
  r.cancel_wanted = r.follows_ended ? cancel_wish::until_found : cancel_wish::once;
  r.special = true;
  send_cancel(r);
}

void operations::orphan_all() noexcept {
  while (detail::waiter* w = starved_.pop_front()) static_cast<op_waiter*>(w)->restart = nullptr;
  // All of them first: the end of one part may end others.
  slab_.for_each_live([](record& r) {
    if (r.waiter == nullptr) return;
    r.waiter->rec = nullptr;
    r.waiter = nullptr;
  });
  slab_.for_each_live([this](record& r) {
    const bool unsubmitted = r.state != record_state::in_flight;
    if (unsubmitted && !r.linked()) return;  // who acquired it has it still
    if (r.state != record_state::prepared && finishes(r)) return;
    if (unsubmitted)
      end_unsubmitted(r);
    else
      cancel(r);
  });
}

std::size_t operations::cancel_all() noexcept {
  std::size_t n = 0;
  slab_.for_each_live([&](record& r) {
    // One that is left to finish and was to be submitted again. Others that are prepared dispose of
    // what has ended, closing it: they go to the kernel.
    const bool again = r.state == record_state::prepared && r.linked() && finishes(r);
    if (again || r.state == record_state::held)
      end_unsubmitted(r);
    else if (r.state == record_state::in_flight && r.cancel_wanted == cancel_wish::none)
      cancel(r);
    else
      return;
    ++n;
  });
  return n;
}

[[gnu::always_inline]] inline void operations::wake(record& r, std::int32_t res) noexcept {
  op_waiter* w = r.waiter;
  if (w == nullptr || r.special) [[unlikely]]
    return wake_special(r, res);
  w->answer = res;
  w->rec = nullptr;
  ready_.push_back(*w);
}

void operations::wake_special(record& r, std::int32_t res) noexcept {
  if (r.special) r.ended_well = res >= 0;
  op_waiter* w = r.waiter;
  if (w == nullptr) return;
  w->answer = res;
  w->rec = nullptr;
  if (w->chain == nullptr)
    ready_.push_back(*w);
  else if (--w->chain->left == 0)
    ready_.push_back(*w->chain->whole);
}

[[gnu::always_inline]] inline void operations::complete(record& r, std::int32_t res,
                                                        std::uint32_t flags) noexcept {
  const bool more = (flags & abi::cqe_f_more) != 0;
  const auto completed = r.type->complete;
  if (completed == nullptr) {  // nothing but a number
    if (more) [[unlikely]]
      return;
    wake(r, res);
    return end(r);
  }
  const auto then = completed(r, r.waiter, res, flags, more);
  if (more) [[unlikely]]
    return;
  if (then == after_completion::resubmit) [[unlikely]]
    return resubmit(r);
  wake(r, res);
  if (then == after_completion::finish && r.type->destroy != nullptr) r.type->destroy(r);
  end(r);
}

// Interrupted before it did anything. Of its segment the kernel has dropped the rest: this part
// goes alone.
void operations::resubmit(record& r) noexcept {
  PARKRING_DCHECK(r.cancel_wanted == cancel_wish::none,
                  "a cancelled request is not submitted again");
  ++resubmissions;
  r.entry_linked = false;
  r.state = record_state::prepared;
  deferred_.push_back(r);
  held_ |= records_wait;
}

// `r` ends: of what is behind it, nothing may begin any more unless `r` ended well.
void operations::leave_chain(record& r) noexcept {
  if (record* before = std::exchange(r.before_in_chain, nullptr); before != nullptr) {
    before->next_in_chain = nullptr;
    before->entry_linked = false;
  }
  record* next = std::exchange(r.next_in_chain, nullptr);
  if (next == nullptr) return;
  next->before_in_chain = nullptr;
  if (next->state == record_state::in_flight) {
    next->follows_ended = true;
    if (next->cancel_wanted == cancel_wish::none) return;
    next->cancel_wanted = cancel_wish::until_found;
    if (!next->linked()) send_cancel(*next);
  } else if (r.ended_well) {
    submit_segment(*next);
  } else {
    cancel_unsubmitted(*next);
  }
}

// They leave through a list, since the end of one may drop others.
void operations::cancel_unsubmitted(record& first) noexcept {
  detail::intrusive_list<record> rest;
  for (record* r = &first; r != nullptr;) {
    r->unlink();
    rest.push_back(*r);
    r->before_in_chain = nullptr;
    r->entry_linked = false;
    r = std::exchange(r->next_in_chain, nullptr);
  }
  while (record* r = rest.pop_front()) complete(*r, -ECANCELED, 0);
}

void operations::end_special(record& r) noexcept {
  leave_chain(r);
  r.unlink();  // from the cancels, when its wish was not sent yet
  r.special = r.follows_ended = r.ended_well = false;
  r.cancel_wanted = cancel_wish::none;
  r.entry_linked = false;
}

void operations::send_cancel(record& r) noexcept {
  cancels_.push_back(r);
  held_ |= cancels_wait;
}

[[gnu::cold, gnu::noinline]] void operations::cancel_answered(std::uint64_t user_data,
                                                              std::int32_t res) noexcept {
  if (user_data == 0 || res != -ENOENT) return;
  auto& r = *reinterpret_cast<record*>(user_data & ~cancel_answer & ~generation_mask);
  if (r.state != record_state::in_flight || (user_data & ~cancel_answer) != user_data_of(r)) return;
  if (r.cancel_wanted == cancel_wish::until_found && !r.linked()) send_cancel(r);
}

unsigned operations::reap() noexcept {
  if (!ring_.completions_waiting()) return 0;
  const unsigned around = held_ & reaping;  // a disposal waits, see `wait_for`
  held_ |= reaping;
  const unsigned n = ring_.reap([this](const abi::cqe& c) {
    if (static_cast<std::int64_t>(c.user_data) <= 0) [[unlikely]]
      return cancel_answered(c.user_data, c.res);
    auto& r = *reinterpret_cast<record*>(c.user_data & ~generation_mask);
    PARKRING_DCHECK(c.user_data == user_data_of(r),
                    "a completion names an earlier use of its record");
    complete(r, c.res, c.flags);
  });
  held_ = (held_ & ~reaping) | around;
  completions += n;
  return n;
}

void operations::serve_starved_now() noexcept {
  serving_starved_ = true;
  starved_again_ = false;
  while (slab_.live() < slab_.limit() && !starved_again_) {
    detail::waiter* w = starved_.pop_front();
    if (w == nullptr) break;
    auto* op = static_cast<op_waiter*>(w);
    op->restart(*op);
  }
  serving_starved_ = false;
  if (starved_.empty()) held_ &= ~waiters_starve;
}

void operations::wait_for(record& r) noexcept {
  const auto generation = r.generation;
  while (r.state != record_state::free && r.generation == generation) {
    fill_queue();
    const bool go_on = ring_.completions_waiting() || backlog();
    const int answer = ring_.enter_and_wait(go_on ? 0 : 1);
    const unsigned ended = reap();
    // In a machine that has stopped every request has ended, at the latest as reaping made room.
    PARKRING_CHECK(answer >= 0 || answer == -EINTR || answer == -EAGAIN || answer == -EBUSY ||
                       answer == -ETIME || (answer == -ESHUTDOWN && (ended != 0 || backlog())),
                   "io_uring_enter failed while a borrowed buffer was in use; is this the "
                   "runtime's thread?");
  }
}

std::size_t operations::orphans() noexcept {
  std::size_t n = 0;
  slab_.for_each_live([&n](record& r) { n += r.waiter == nullptr; });
  return n;
}

}  // namespace parkring::op
