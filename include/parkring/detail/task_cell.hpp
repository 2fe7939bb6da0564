// What the runtime knows of a spawned task, and, as a plain frame, where the task begins and ends:
// see root.hpp. "The frame" below is that frame with all that hangs on it: callable, arguments and
// the task's coroutine.
//
// States and who may do what (all on the runtime's thread):
//   live     its frame exists; it runs, is ready, or waits. Ends by `finish` (its coroutine came to
//            an end) or by `destroy_now` (aborted).
//   done     its frame is gone, its result is in the cell until the handle takes it.
//   aborted  its frame is gone or going; there is no result.
// The memory is freed with the last reference. References: the frame, the handle, an awaiter that
// joins, and tasks that name it as the one that spawned them.
//
// Abort is synchronous: when `abort` returns, nothing of the task exists any more. One case is
// deferred until the running coroutine suspends: aborting the running task, or one that it
// descends from, since destroying that one would pull the floor from under the running one.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/detail/frame_allocator.hpp>
#include <parkring/detail/home.hpp>
#include <parkring/detail/outcome.hpp>
#include <parkring/detail/plain_frame.hpp>
#include <parkring/detail/spawn_site.hpp>
#include <parkring/detail/waiter.hpp>

namespace parkring::detail {

enum class task_state : std::uint8_t { live, done, aborted };

struct cell_group;
struct roaming_task;
struct task_context;

/// A task's place in its group.
struct group_link : list_node {
  task_cell* cell;  // set while linked
};

/// What depends on the types of a task's result and of its callable.
struct cell_type {
  void (*end)(task_cell&) noexcept;                     // ends the result
  std::exception_ptr (*error_of)(task_cell&) noexcept;  // what the task threw, or null
  void (*end_call)(task_cell&) noexcept;  // ends callable and arguments; null: nothing to do
  roaming_task* (*roaming)(task_cell&) noexcept = nullptr;  // of one that may change its worker
};

struct task_cell : plain_frame, live_task, message {
  waiter start;                   // schedules the first resume
  std::coroutine_handle<> child;  // the task's outermost coroutine; null before it was called
  waiter* joiner = nullptr;
  cell_group* group = nullptr;  // holds the handle's reference, if the task is in one
  group_link in_group;
  home_ref home_of;
  const cell_type* type;
  task_cell* parent;                // the live task that spawned it, or the nearest above
  task_context* context = nullptr;  // of the task while it lives; see task_context.hpp
  std::uint32_t block_size;         // of all of it; 0: `end` frees it
  std::uint32_t references = 2;     // the frame's and the handle's
  task_state state = task_state::live;
  bool doomed = false;          // aborted while running: destroyed at the next suspension
  bool detached = false;        // nobody will take its result
  bool failed = false;          // it threw
  bool stop_requested = false;  // of itself; its descendants look here
  bool pinned = false;          // has something that is of no use on another worker
  // A stop request by another thread, of which one is enough: atomic, once there may be one.
  std::uint8_t stop_elsewhere = 0;
  static constexpr std::uint8_t stop_sent = 1;        // a message is under way
  static constexpr std::uint8_t stop_arrived = 2;     // it was run, or never will be
  static constexpr std::uint8_t stop_has_handle = 4;  // it lets go of the handle's reference
  bool foreign_detach;                                // what the handle's message asks for
  std::uint32_t born;                                 // the stamp of the turn that started it
  spawn_site where;
  task_cell* next_doomed;  // set while doomed

  task_cell(core_base& core, const cell_type& t, std::size_t size, plain_frame::function resume,
            spawn_site w) noexcept
      : plain_frame(resume, &destroy_frame),
        home_of(core.home_of),
        type(&t),
        parent(core.current),
        block_size(static_cast<std::uint32_t>(size)),
        born(core.stamp),
        where(w) {}
  /// One that no runtime has yet.
  task_cell(const cell_type& t, plain_frame::function resume, spawn_site w) noexcept
      : plain_frame(resume, &destroy_frame),
        type(&t),
        parent(nullptr),
        block_size(0),
        born(0),
        where(w) {}

 private:
  static void destroy_frame(void* frame);
};

template <class T>
struct task_cell_of : task_cell {
  outcome<T> result;
  using task_cell::task_cell;
};

template <class T>
inline constexpr cell_type cell_type_of = {
    .end = [](task_cell& base) noexcept { std::destroy_at(static_cast<task_cell_of<T>*>(&base)); },
    .error_of = [](task_cell& base) noexcept -> std::exception_ptr {
      return static_cast<task_cell_of<T>&>(base).result.error();
    },
    .end_call = nullptr,
};

/// The tasks of a `task_group`.
struct cell_group {
  intrusive_list<group_link> members;
  std::size_t live = 0;
  waiter* joiner = nullptr;  // woken when there is no member or an error
  std::exception_ptr error;  // the first

  /// Takes over the handle's reference.
  void add(task_cell& cell) noexcept;
  /// Aborts all members and forgets them.
  void abort_all() noexcept;
  /// Asks all members, and what they have spawned, to stop.
  void request_stop() noexcept;
};

/// Makes the task known to the runtime, and ready: `first` is resumed first. Aborts it, if the
/// runtime is closing.
void launch(core_base& core, task_cell& cell, std::coroutine_handle<> first) noexcept;
/// The coroutine of `cell` has come to an end and its value is in the cell; destroys the frame.
void finish(task_cell& cell, bool result_needs_end) noexcept;
/// As `finish`, where the task, or its call, has thrown.
void finish_failed(task_cell& cell) noexcept;
/// Tells of a task that has failed, with nobody to take its error; and counts it.
void print_failure(task_cell& cell) noexcept;
void report_failure(task_cell& cell) noexcept;
/// Gives the task its parent's context, unless it has one, where the parent has one.
void inherit_context(task_cell& cell) noexcept;
/// Lets go of the context of a task that has ended.
void leave_context(task_cell& cell) noexcept;
/// Asks the task, and all that it has spawned, to stop.
void request_stop(task_cell& cell) noexcept;
/// As `request_stop`, by the owner of the handle on another thread. Throws `std::bad_alloc`.
void request_stop_elsewhere(task_cell& cell);
/// The running task, if there is one, is of use on this worker only from now on.
/// So are those that it is a part of, to which it may give what it has.
inline void pin_running_task(core_base& core) noexcept {
  for (task_cell* c = core.current; c != nullptr && !c->pinned; c = c->parent) c->pinned = true;
}
/// Destroys the task once the running coroutine suspends.
void abort_later(core_base& core, task_cell& cell) noexcept;
/// Destroys the task, now or, where it must be, at the next suspension. Idempotent.
void abort(task_cell& cell) noexcept;
/// As `release`, after the runtime's end.
void release_anywhere(task_cell& cell) noexcept;
/// Lets go of one reference.
void release(task_cell& cell) noexcept;
/// Whether the handle's reference is to be let go: else a stop message under way does so.
[[nodiscard]] bool handle_leaves(task_cell& cell) noexcept;
/// What the destructor of a handle does, on any thread and after the runtime's death.
void drop_handle(task_cell& cell, bool detach) noexcept;

// What follows is inline because it is all that most tasks need.

/// Whether somebody waits for the task or counts it, it has a context, or its parent has ended.
[[nodiscard]] inline bool concerns_others(const task_cell& cell) noexcept {
  if (cell.context != nullptr || cell.joiner != nullptr || cell.group != nullptr || cell.failed)
    return true;
  return cell.parent != nullptr && cell.parent->state != task_state::live;
}
/// The part of `finish` for those.
void tell_of_end(task_cell& cell) noexcept;
/// Frees the cell and lets go of its parent.
void end_cell(task_cell& cell) noexcept;

inline void release(task_cell& cell) noexcept {
  if (--cell.references == 0) end_cell(cell);
}

/// As `release`, where it is probably the last one.
inline void release_last(task_cell& cell, bool result_needs_end) noexcept {
  if (--cell.references != 0) return;
  task_cell* parent = cell.parent;
  if (result_needs_end || (parent != nullptr && parent->references == 1)) return end_cell(cell);
  if (parent != nullptr) --parent->references;
  deallocate_frame(&cell, cell.block_size);
}

/// Makes the task known to the runtime, not ready.
inline void introduce(core_base& core, task_cell& cell, std::coroutine_handle<> first) noexcept {
  if (cell.parent != nullptr) {
    ++cell.parent->references;
    if (cell.parent->context != nullptr) [[unlikely]]
      inherit_context(cell);
  }
  cell.start.frame = first.address();
  cell.start.task = &cell;
  core.tasks.push_back(cell);
}

inline void launch(core_base& core, task_cell& cell, std::coroutine_handle<> first) noexcept {
  introduce(core, cell, first);
  core.ready.push_back(cell.start);
  if (core.closing) [[unlikely]]
    abort(cell);
}

inline void finish(task_cell& cell, bool result_needs_end) noexcept {
  // While it is still this task that runs.
  if (cell.child != nullptr) std::exchange(cell.child, nullptr).destroy();
  core_base& core = *cell.home_of.core();
  cell.state = task_state::done;
  cell.live_task::unlink();
  if (concerns_others(cell)) tell_of_end(cell);
  // What the last destructors spawn must not take this task, which is no more, for its parent.
  if (core.current == &cell) core.current = cell.parent;
  if (cell.type->end_call != nullptr) cell.type->end_call(cell);
  release_last(cell, result_needs_end);  // the frame's reference
}

}  // namespace parkring::detail
