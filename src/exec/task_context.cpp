#include <parkring/detail/task_context.hpp>
#include <parkring/shield.hpp>
#include <parkring/task_local.hpp>

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "exec/core.hpp"

namespace parkring::detail {
namespace {

[[nodiscard]] bool has_own(const task_cell& cell) noexcept {
  return cell.context != nullptr && cell.context->of == &cell;
}

// The nearest ancestor that lives has a context of its own already, if there is one.
void make_own(task_cell& cell) {
  bool stopped = cell.stop_requested;
  task_cell* living = cell.parent;
  for (; living != nullptr && living->state != task_state::live; living = living->parent)
    stopped = stopped || living->stop_requested;

  // What it was spawned with lies below its ancestor's own context, unless that one is newer.
  task_context* above = cell.context;
  if (living != nullptr && (above == nullptr || !above->is_within(*living->context, false)))
    above = living->context;
  auto& own = *new task_context(*cell.home_of.core(), above);
  own.of = &cell;
  own.stop_requested = own.stop_requested || stopped;
  own.references = 1;  // the cell's
  if (cell.context != nullptr) release(*cell.context);
  cell.context = &own;
}

// Gives what was set before. acq_rel: whoever lets go of the handle's reference has seen what the
// other did with the cell.
std::uint8_t set(task_cell& cell, std::uint8_t bit) noexcept {
  return std::atomic_ref(cell.stop_elsewhere).fetch_or(bit, std::memory_order_acq_rel);
}

// A request from another thread; see `request_stop_elsewhere`.
struct stop_message final : message {
  task_cell& cell;
  explicit stop_message(task_cell& c) noexcept : cell(c) {
    run = [](message& m) noexcept {
      const std::unique_ptr<stop_message> self(&static_cast<stop_message&>(m));
      task_cell& of = self->cell;
      if (of.state == task_state::live) {
        ++of.references;
        request_stop(of);
        release(of);
      }
      if ((set(of, task_cell::stop_arrived) & task_cell::stop_has_handle) == 0) return;
      of.home_of.is_here() ? release(of) : release_anywhere(of);
    };
  }
};

}  // namespace

void task_context::attach(task_context& a) noexcept {
  above = &a;
  ++a.references;
  a.below.push_back(*this);
  stop_requested = a.stop_requested;
  deadline_ns = a.deadline_ns;
}

bool task_context::is_within(const task_context& scope, bool by_deadline) const noexcept {
  for (const task_context* c = this; c != nullptr; c = c->above) {
    if (c == &scope) return true;
    if (by_deadline && c->ends_deadline) return false;
  }
  return false;
}

void release(task_context& context) noexcept {
  for (task_context* c = &context; c != nullptr;) {
    if (--c->references != 0) return;
    task_context* above = c->above;
    c->unlink();
    delete c;
    c = above;
  }
}

task_cell& running_task() noexcept {
  task_cell* cell = running_core().current;
  PARKRING_CHECK(cell != nullptr, "ask for it inside a task");
  return *cell;
}

task_cell* surrounding_task() noexcept {
  const auto* core = static_cast<exec::core*>(this_thread_core);
  if (core == nullptr) return nullptr;
  return core->ending != nullptr ? core->ending : core->current;
}

const task_context* surroundings() noexcept {
  const task_cell* cell = surrounding_task();
  return cell == nullptr ? nullptr : cell->context;
}

task_context& own_context(task_cell& cell) {
  if (has_own(cell)) return *cell.context;
  std::vector<task_cell*> without{&cell};  // those in between that live, the nearest first
  for (task_cell* a = cell.parent; a != nullptr && !has_own(*a); a = a->parent)
    if (a->state == task_state::live) without.push_back(a);
  while (!without.empty()) {
    make_own(*without.back());
    without.pop_back();
  }
  return *cell.context;
}

context_ref new_scope() {
  task_context& above = own_context(running_task());
  return context_ref(*new task_context(running_core(), &above));
}

context_ref new_shield() {
  context_ref scope = new_scope();
  scope->ends_deadline = true;
  scope->deadline_ns = task_context::no_deadline;
  return scope;
}

std::uint64_t new_local_key() noexcept {
  static constinit std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

const task_context* find_local(std::uint64_t key) noexcept {
  const task_context* c = surroundings();
  while (c != nullptr && c->key != key) c = c->above;
  return c;
}

void inherit_context(task_cell& cell) noexcept {
  if (cell.context != nullptr) return;  // the task of a scope
  cell.context = cell.parent->context;
  ++cell.context->references;
}

void leave_context(task_cell& cell) noexcept {
  task_context& context = *std::exchange(cell.context, nullptr);
  if (context.of == &cell) context.of = nullptr;
  release(context);
}

void stop_round::mark(task_context& context) noexcept {
  if (context.stop_requested) return;
  context.stop_requested = true;
  ++context.references;
  context.next_told = nullptr;
  (last_ != nullptr ? last_->next_told : first_) = &context;
  last_ = &context;
}

void stop_round::add(task_cell& cell) noexcept {
  if (cell.state != task_state::live) return;
  cell.stop_requested = true;
  if (has_own(cell)) add(*cell.context);
}

void stop_round::add(task_context& context) noexcept {
  task_context* const before = last_;
  mark(context);
  // What was appended is at the same time what is still to be looked through.
  for (task_context* c = before != nullptr ? before->next_told : first_; c != nullptr;
       c = c->next_told)
    c->below.for_each([this](task_context& b) { mark(b); });
}

void stop_round::tell() noexcept {
  last_ = nullptr;
  for (task_context* c = std::exchange(first_, nullptr); c != nullptr;) {
    while (waiter* w = c->waiting.pop_front()) {
      static_cast<stop_waiter&>(*w).woken = true;
      c->core.ready.push_back(*w);
    }
    if (c->source.stop_possible()) c->source.request_stop();
    task_context* following = c->next_told;
    release(*c);
    c = following;
  }
}

void request_stop(task_cell& cell) noexcept {
  stop_round round;
  round.add(cell);
  round.tell();
}

void cell_group::request_stop() noexcept {
  stop_round round;
  members.for_each([&](group_link& link) { round.add(*link.cell); });
  round.tell();  // after which the group may be gone
}

// The handle, which the caller has, keeps the cell until then; see `handle_leaves`.
void request_stop_elsewhere(task_cell& cell) {
  auto m = std::make_unique<stop_message>(cell);
  if ((set(cell, task_cell::stop_sent) & task_cell::stop_sent) != 0) return;  // one is enough
  if (cell.home_of.post(*m))
    (void)m.release();  // the runtime's thread runs and frees it
  else
    set(cell, task_cell::stop_arrived);
}

bool handle_leaves(task_cell& cell) noexcept {
  constexpr std::uint8_t both = task_cell::stop_sent | task_cell::stop_arrived;
  return (set(cell, task_cell::stop_has_handle) & both) != task_cell::stop_sent;
}

}  // namespace parkring::detail
