#include <parkring/detail/task_cell.hpp>

#include <atomic>
#include <cstdio>
#include <exception>

#include <parkring/detail/frame_allocator.hpp>
#include <parkring/detail/nested_frames.hpp>

#include "exec/core.hpp"

namespace parkring::detail {
namespace {

void add_reference(task_cell* cell) noexcept {
  if (cell != nullptr) ++cell->references;
}

// Skips ancestors that have ended, so that a chain of tasks each started by the one before does
// not keep all their memory.
void forget_ended_ancestors(task_cell& cell) noexcept {
  while (cell.parent != nullptr && cell.parent->state != task_state::live) {
    task_cell* above = cell.parent->parent;
    cell.stop_requested = cell.stop_requested || cell.parent->stop_requested;  // for its children
    add_reference(above);
    release(*std::exchange(cell.parent, above));
  }
}

// The joiner may belong to another runtime of this thread, one within the other: it is resumed by
// its own.
void wake_on_its_runtime(waiter& w) noexcept { w.task->home_of.ready().push_back(w); }

void wake_joiner(task_cell& cell) noexcept {
  if (waiter* j = std::exchange(cell.joiner, nullptr)) wake_on_its_runtime(*j);
}

void wake_group_joiner(cell_group& group) noexcept {
  if (group.joiner == nullptr || (group.live != 0 && group.error == nullptr)) return;
  wake_on_its_runtime(*std::exchange(group.joiner, nullptr));
}

void leave_group(task_cell& cell) noexcept {
  --cell.group->live;
  cell.group = nullptr;
  cell.in_group.unlink();
}

// The task has ended: its group lets go of it.
void end_membership(task_cell& cell) noexcept {
  cell_group* group = cell.group;
  if (group == nullptr) return;
  leave_group(cell);
  if (cell.state == task_state::done && group->error == nullptr)
    group->error = cell.type->error_of(cell);
  wake_group_joiner(*group);
  release(cell);  // the handle's reference
}

// Ends coroutine, callable and arguments, wherever they are.
void end_coroutine(task_cell& cell) noexcept {
  if (cell.child != nullptr) destroy_frame(std::exchange(cell.child, nullptr));
  if (cell.type->end_call != nullptr) cell.type->end_call(cell);
  release(cell);
}

// While a frame is destroyed, its destructors have the surroundings of its task. They look for them
// in this thread's runtime, which need not be the task's.
class ending_scope {
 public:
  explicit ending_scope(task_cell& cell) noexcept
      : core_(static_cast<exec::core*>(this_thread_core)) {
    if (core_ != nullptr) before_ = std::exchange(core_->ending, &cell);
  }
  ending_scope(const ending_scope&) = delete;
  ending_scope& operator=(const ending_scope&) = delete;
  ~ending_scope() {
    if (core_ != nullptr) core_->ending = before_;
  }

 private:
  exec::core* core_;
  task_cell* before_ = nullptr;
};

void destroy_now(task_cell& cell) noexcept {
  cell.state = task_state::aborted;
  cell.live_task::unlink();
  cell.start.unlink();
  ++cell.references;  // the frame's end must not take the cell with it
  {
    const ending_scope scope(cell);
    end_coroutine(cell);
  }
  if (cell.context != nullptr) leave_context(cell);
  forget_ended_ancestors(cell);
  wake_joiner(cell);
  end_membership(cell);
  release(cell);
}

bool runs_within(const task_cell& cell, const exec::core& core) noexcept {
  for (const task_cell* c = core.current; c != nullptr; c = c->parent)
    if (c == &cell) return true;
  return false;
}

// A handle was dropped on another thread; its reference came along. The last messages are run when
// the home is closed, while others who found it closed let go as well.
void handle_dropped_elsewhere(message& m) noexcept {
  auto& cell = static_cast<task_cell&>(m);
  if (!cell.home_of.is_here()) return release_anywhere(cell);
  if (cell.foreign_detach)
    cell.detached = true;
  else
    abort(cell);
  release(cell);
}

}  // namespace

void task_cell::destroy_frame(void* frame) {
  end_coroutine(static_cast<task_cell&>(plain_frame::at(frame)));
}

void report_failure(task_cell& cell) noexcept {
  ++exec::core_at(cell.home_of).counted.tasks_failed;
  print_failure(cell);
}

void print_failure(task_cell& cell) noexcept {
  const char* what = "an exception that is not a std::exception";
  const std::exception_ptr error = cell.type->error_of(cell);
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "parkring: a detached task failed: %s\n", e.what());
    return;
  } catch (...) {
  }
  std::fprintf(stderr, "parkring: a detached task failed: %s\n", what);
}

void tell_of_end(task_cell& cell) noexcept {
  if (cell.parent != nullptr) forget_ended_ancestors(cell);
  wake_joiner(cell);
  if (cell.group != nullptr) end_membership(cell);
  if (cell.context != nullptr) {
    // What its last values do must not take this task, which is no more, for the one that runs.
    core_base& core = *cell.home_of.core();
    if (core.current == &cell) core.current = cell.parent;
    leave_context(cell);
  }
  if (cell.detached && cell.failed) report_failure(cell);
}

void finish_failed(task_cell& cell) noexcept {
  cell.failed = true;
  finish(cell, true);
}

void cell_group::add(task_cell& cell) noexcept {
  if (cell.state != task_state::live) return release(cell);  // the runtime is closing
  cell.group = this;
  cell.in_group.cell = &cell;
  members.push_back(cell.in_group);
  ++live;
}

void cell_group::abort_all() noexcept {
  while (group_link* link = members.front()) {
    task_cell& cell = *link->cell;
    leave_group(cell);  // first: a task that cannot be destroyed yet must not find the group
    abort(cell);
    release(cell);
  }
  if (joiner != nullptr) {
    waiter& w = *std::exchange(joiner, nullptr);
    if (!w.linked()) wake_on_its_runtime(w);
  }
}

void abort(task_cell& cell) noexcept {
  if (cell.state != task_state::live) return;
  // One that is doomed does not wait for its turn: who aborts it may own what it borrows.
  auto& core = exec::core_at(cell.home_of);
  if (runs_within(cell, core)) return abort_later(core, cell);
  destroy_now(cell);
}

void abort_later(core_base& core, task_cell& cell) noexcept {
  if (cell.state != task_state::live || cell.doomed) return;
  cell.doomed = true;
  ++cell.references;
  cell.next_doomed = std::exchange(core.doomed, &cell);
  core.attention = true;
}

void end_cell(task_cell& cell) noexcept {
  for (task_cell* c = &cell;;) {
    task_cell* parent = c->parent;
    const std::size_t size = c->block_size;
    c->type->end(*c);
    if (size != 0) deallocate_frame(c, size);
    if (parent == nullptr || --parent->references != 0) return;
    c = parent;
  }
}

void release_anywhere(task_cell& cell) noexcept {
  task_cell* c = &cell;
  while (c != nullptr) {
    // acq_rel: the last one to let go sees what the others did.
    if (std::atomic_ref(c->references).fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    task_cell* parent = c->parent;
    const std::size_t size = c->block_size;
    c->type->end(*c);
    if (size != 0) deallocate_frame(c, size);
    c = parent;
  }
}

void drop_handle(task_cell& cell, bool detach) noexcept {
  if (cell.home_of.is_here()) {
    if (detach)
      cell.detached = true;
    else
      abort(cell);
    if (handle_leaves(cell)) release(cell);
    return;
  }
  cell.foreign_detach = detach;
  cell.run = &handle_dropped_elsewhere;
  // When the runtime is gone it has destroyed the task. What is left are references of handles,
  // and of tasks that name it as their parent, which several threads may let go at once.
  if (!cell.home_of.post(cell) && handle_leaves(cell)) release_anywhere(cell);
}

}  // namespace parkring::detail

namespace parkring::exec {

void core::destroy_doomed() noexcept {
  while (detail::task_cell* cell = doomed) {
    doomed = std::exchange(cell->next_doomed, nullptr);
    cell->doomed = false;
    detail::abort(*cell);  // nothing runs now, so this one is destroyed
    detail::release(*cell);
  }
}

}  // namespace parkring::exec
