// The header of a spawned task, in front of its frame in one allocation.
//
// States and who may do what (all on the runtime's thread):
//   live     its frame exists; it runs, is ready, or waits. Ends by `finish` (its coroutine came to
//            an end) or by `destroy_now` (aborted).
//   done     its frame is gone, its result is in the cell until the handle takes it.
//   aborted  its frame is gone or going; there is no result.
// The memory, cell and frame together, is freed with the last reference. References: the frame,
// the handle, an awaiter that joins, and tasks that name it as the one that spawned them.
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
#include <source_location>

#include <parkring/detail/home.hpp>
#include <parkring/detail/outcome.hpp>
#include <parkring/detail/waiter.hpp>

namespace parkring::detail {

enum class task_state : std::uint8_t { live, done, aborted };

struct cell_group;

/// A task's place in its group.
struct group_link : list_node {
  task_cell* cell;  // set while linked
};

/// What depends on the type of a task's result.
struct cell_type {
  void (*end)(task_cell&) noexcept;                    // ends the cell
  std::exception_ptr (*error_of)(task_cell&) noexcept;  // what the task threw, or null
};

struct task_cell : list_node, message {  // on the runtime's list of live tasks
  waiter start;                      // schedules the first resume
  std::coroutine_handle<> frame;
  home_ref home_of;
  const cell_type* type;
  std::uint32_t block_size;          // of cell and frame together
  std::uint32_t references = 1;      // the frame's
  task_state state = task_state::live;
  bool doomed = false;               // aborted while running: destroyed at the next suspension
  bool detached = false;             // nobody will take its result
  bool foreign_detach = false;       // what the handle's message asks for
  task_cell* parent = nullptr;       // the live task that spawned it, or the nearest above
  task_cell* next_doomed;            // set while doomed
  waiter* joiner = nullptr;
  cell_group* group = nullptr;       // holds the handle's reference, if the task is in one
  group_link in_group;
  std::source_location where;        // of the spawn; empty where it is not known

  task_cell(const cell_type& t, std::size_t size) noexcept
      : type(&t), block_size(static_cast<std::uint32_t>(size)) {}
};

template <class T>
struct task_cell_of final : task_cell {
  outcome<T> result;
  explicit task_cell_of(std::size_t size) noexcept : task_cell(type_of, size) {}

 private:
  static constexpr cell_type type_of = {
      .end =
          [](task_cell& base) noexcept { std::destroy_at(static_cast<task_cell_of*>(&base)); },
      .error_of = [](task_cell& base) noexcept -> std::exception_ptr {
        return static_cast<task_cell_of&>(base).result.error();
      },
  };
};

/// The tasks of a `task_group`.
struct cell_group {
  intrusive_list<group_link> members;
  std::size_t live = 0;
  waiter* joiner = nullptr;    // woken when there is no member or an error
  std::exception_ptr error;    // the first

  /// Takes over the handle's reference.
  void add(task_cell& cell) noexcept;
  /// Aborts all members and forgets them.
  void abort_all() noexcept;
};

/// Makes a suspended root coroutine known to the runtime and ready to run.
void launch(core_base& core, task_cell& cell, std::coroutine_handle<> frame,
            std::source_location where) noexcept;
/// The coroutine of `cell` has come to an end; destroys its frame.
void finish(task_cell& cell) noexcept;
/// Destroys the task, now or, where it must be, at the next suspension. Idempotent.
void abort(task_cell& cell) noexcept;
/// Lets go of one reference.
void release(task_cell& cell) noexcept;
/// What the destructor of a handle does, on any thread and after the runtime's death.
void drop_handle(task_cell& cell, bool detach) noexcept;

}  // namespace parkring::detail
