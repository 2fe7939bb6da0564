#include "op/operations.hpp"

#include <cerrno>

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
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    chain[i]->entry_flags = abi::iosqe_io_link;
    chain[i]->next_in_chain = chain[i + 1];
  }
  chain.front()->chain_length = static_cast<std::uint16_t>(chain.size());
  for (record* r : chain) {
    r->special = true;
    deferred_.push_back(*r);
  }
  held_ |= records_wait;
  if ((held_ & reaping) != 0) return true;
  fill_queue();
  if (chain.front()->state == record_state::prepared) {
    ++deferrals;
    ring_.enter(0, nullptr, 0);
    fill_queue();
  }
  return true;
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
    // A chain goes whole or not at all: its links are broken by the end of a submission batch.
    const unsigned length = first->chain_length;
    if (ring_.room() < length) return;
    for (unsigned i = 0; i < length; ++i) {
      abi::sqe* e = ring_.take();
      PARKRING_CHECK(e != nullptr, "room() promised an entry that take() did not have");
      record& r = *deferred_.pop_front();
      push(r, *e, r.type->prepare);
      e->flags = static_cast<std::uint8_t>(e->flags | r.entry_flags);
    }
  }
  held_ &= ~records_wait;
}

void operations::abandon(record& r) noexcept {
  if (r.state == record_state::prepared) {
    r.unlink();
    if (r.type->destroy != nullptr) r.type->destroy(r);
    end(r);
    return;
  }
  ++abandoned;
  if (r.type->cancel_when_dropped == nullptr || r.type->cancel_when_dropped(r)) cancel(r);
}

void operations::cancel(record& r) noexcept {
  PARKRING_DCHECK(r.state == record_state::in_flight, "only a request in flight can be cancelled");
  if (r.cancel_wanted != cancel_wish::none) return;
  r.cancel_wanted = r.follows_ended ? cancel_wish::until_found : cancel_wish::once;
  r.special = true;
  send_cancel(r);
}

namespace {

bool finishes(const record& r) noexcept {
  return r.type->has_effect &&
         (r.type->cancel_when_dropped != nullptr && !r.type->cancel_when_dropped(r));
}

}  // namespace

void operations::orphan_all() noexcept {
  while (detail::waiter* w = starved_.pop_front()) static_cast<op_waiter*>(w)->restart = nullptr;
  slab_.for_each_live([this](record& r) {
    if (r.waiter != nullptr) {
      r.waiter->rec = nullptr;
      r.waiter = nullptr;
    }
    if (r.state == record_state::in_flight) {
      if (!finishes(r)) cancel(r);
    } else if (r.state == record_state::prepared && r.linked()) {
      r.unlink();
      if (r.type->destroy != nullptr) r.type->destroy(r);
      end(r);
    }
  });
}

std::size_t operations::cancel_all() noexcept {
  std::size_t n = 0;
  slab_.for_each_live([&](record& r) {
    if (r.state != record_state::in_flight || r.cancel_wanted != cancel_wish::none) return;
    cancel(r);
    ++n;
  });
  return n;
}

[[gnu::always_inline]] inline void operations::wake(record& r, std::int32_t res) noexcept {
  op_waiter* w = r.waiter;
  if (w == nullptr) [[unlikely]]
    return;
  w->answer = res;
  w->rec = nullptr;
  if (!r.special || w->chain == nullptr) [[likely]]
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

// Interrupted before it did anything. Of a chain the kernel has dropped the rest: this part goes
// alone.
void operations::resubmit(record& r) noexcept {
  PARKRING_DCHECK(r.cancel_wanted == cancel_wish::none,
                  "a cancelled request is not submitted again");
  ++resubmissions;
  r.entry_flags = 0;
  r.chain_length = 1;
  r.state = record_state::prepared;
  deferred_.push_back(r);
  held_ |= records_wait;
}

void operations::end_special(record& r) noexcept {
  if (record* next = r.next_in_chain; next != nullptr) {
    // If that one has ended meanwhile, `next` is some later use: then an asked cancel is asked
    // again, as long as it is in flight, and nothing else is different.
    if (next->state == record_state::in_flight) {
      next->special = next->follows_ended = true;
      if (next->cancel_wanted != cancel_wish::none) {
        next->cancel_wanted = cancel_wish::until_found;
        if (!next->linked()) send_cancel(*next);
      }
    }
  }
  r.unlink();  // from the cancels, when its wish was not sent yet
  r.special = r.follows_ended = false;
  r.cancel_wanted = cancel_wish::none;
  r.entry_flags = 0;
  r.chain_length = 1;
  r.next_in_chain = nullptr;
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
    const int answer = ring_.enter(go_on ? 0 : 1, nullptr, 0);
    PARKRING_CHECK(answer >= 0 || answer == -EINTR || answer == -EAGAIN || answer == -EBUSY ||
                       answer == -ETIME,
                   "io_uring_enter failed while a borrowed buffer was in use; is this the "
                   "runtime's thread?");
    reap();
  }
}

std::size_t operations::orphans() noexcept {
  std::size_t n = 0;
  slab_.for_each_live([&n](record& r) { n += r.waiter == nullptr; });
  return n;
}

}  // namespace parkring::op
