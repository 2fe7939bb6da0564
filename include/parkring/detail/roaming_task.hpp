// A task that may run on any worker of a runtime: see <parkring/spawn_anywhere.hpp>.
//
// One block holds the task's cell, what this file adds, and the callable with its arguments. The
// cell is as that of any other task while its worker runs it, but for three things: it has no
// parent, so nothing of its spawner is borrowed; its handle's part is not a reference of the cell
// but here, where any thread may reach it; and it may change its worker, at the points below.
//
// Where it is and who may do what: `place` (detail/whereabouts.hpp).
//   on its way   exactly one queue of a worker, or the injection queue, has it. Nobody runs it,
//                and its cell is on no list. Whoever takes it out may do all that its worker may.
//   placed       its worker's thread alone touches the cell, the frame and `next_step`.
//                `at_home` names that worker. It is written before the task is placed; who has been
//                told to post a message may read it, for the task does not leave until that came.
//   ended        the frame is gone. The result is the handle's.
// It moves before its first resume, and where it says so (`yield_anywhere`), which is the only time
// that a frame that has begun moves: see `may_leave` in exec/roaming_task.cpp.
//
// Memory. `owners` counts the worker's side, until the cell's last reference goes, the handle, who
// waits for the end, and a message under way. The last one ends the result and frees the block, on
// whatever thread.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/detail/frame_allocator.hpp>
#include <parkring/detail/root.hpp>
#include <parkring/detail/task_cell.hpp>
#include <parkring/detail/whereabouts.hpp>
#include <parkring/event.hpp>

namespace parkring {

namespace exec {
class worker_team;
}
namespace detail {

struct remote_access;

struct roaming_task {
  whereabouts place;
  std::atomic<std::uint32_t> owners{2};  // the worker's side and the handle
  home_ref at_home;
  waiter* next_step = nullptr;   // what becomes ready where it is placed
  roaming_task* next = nullptr;  // in the injection queue
  task_cell& cell;
  void (*free)(roaming_task&) noexcept;  // ends the result, and the memory
  event over;                            // it has ended

  roaming_task(task_cell& c, void (*f)(roaming_task&) noexcept) noexcept : cell(c), free(f) {}

  void keep() noexcept { owners.fetch_add(1, std::memory_order_relaxed); }
  void let_go() noexcept {
    // acq_rel: the last one to let go sees what the others did.
    if (owners.fetch_sub(1, std::memory_order_acq_rel) == 1) free(*this);
  }
  /// Asks for `whereabouts::abort` or `stop`. By an owner, on any thread.
  void ask(std::uint32_t wish) noexcept;
  /// What the destructor of a handle does, on any thread and after the runtime's death.
  void drop_handle(bool detach) noexcept;
  /// The task is over. By its worker, when its callable has gone.
  void tell_of_end() noexcept;
};

/// Hands a new task to the runtime that runs here, or, from any thread, to the one at `home`, which
/// must live.
void launch_anywhere(core_base& core, roaming_task& t) noexcept;
void launch_anywhere(const home_ref& home, exec::worker_team* team, roaming_task& t) noexcept;
/// A message of `ask` has come.
void wishes_arrived(message& m) noexcept;
/// One that was never placed, and never will be.
void end_unplaced(roaming_task& t) noexcept;

template <class T, class Call>
struct roaming_cell final : task_cell_of<T>, roaming_task {
  union {
    Call call;  // until `end_call`
  };

  template <class... Parts>
  roaming_cell(spawn_site site, Parts&&... parts)
      : task_cell_of<T>(type, &begin, site),
        roaming_task(static_cast<task_cell&>(*this), &free_block),
        call(std::forward<Parts>(parts)...) {
    this->run = &wishes_arrived;
    this->references = 1;  // the frame's
    this->start.frame = this->handle().address();
    this->start.task = this;
    this->next_step = &this->start;
  }
  ~roaming_cell() {}

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    deallocate_frame(memory, size);
  }

 private:
  static roaming_cell& of(task_cell& cell) noexcept { return static_cast<roaming_cell&>(cell); }
  static roaming_cell& at(void* frame) noexcept {
    return of(static_cast<task_cell&>(plain_frame::at(frame)));
  }
  static void free_block(roaming_task& t) noexcept { delete static_cast<roaming_cell*>(&t); }

  static void begin(void* frame) {
    roaming_cell& self = at(frame);
    std::coroutine_handle<> child;
    try {
      if constexpr (std::is_same_v<typename Call::result, task<T>>) {
        task<T> t = self.call();
        child = adopt(self, t);
      } else {
        task<T> t = await_call<T>(self.call);
        child = adopt(self, t);
      }
    } catch (...) {
      self.result.set_error(std::current_exception());
      return finish_failed(self);
    }
    self.resumes_with(&end);
    child.resume();
  }
  static void end(void* frame) {
    roaming_cell& self = at(frame);
    auto child = std::coroutine_handle<task_promise<T>>::from_address(self.child.address());
    if (!self.result.take_over(child.promise().result)) [[unlikely]]
      return finish_failed(self);
    finish(self, true);
  }

  static constexpr cell_type type = {
      .end = [](task_cell& c) noexcept { of(c).let_go(); },
      .error_of = [](task_cell& c) noexcept -> std::exception_ptr { return of(c).result.error(); },
      .end_call =
          [](task_cell& c) noexcept {
            std::destroy_at(&of(c).call);
            of(c).tell_of_end();
          },
      .roaming = [](task_cell& c) noexcept -> roaming_task* { return &of(c); },
  };
};

/// Makes a task that calls `fn(args...)`; it is not launched. Throws `std::bad_alloc`, and what
/// moving the parts throws.
template <class T, class Call, class... Parts>
roaming_cell<T, Call>* make_roaming(spawn_site where, Parts&&... parts) {
  static_assert(alignof(roaming_cell<T, Call>) <= alignof(std::max_align_t),
                "results and arguments of tasks with extended alignment are not supported; box "
                "the value");
  return new roaming_cell<T, Call>(where, std::forward<Parts>(parts)...);
}

}  // namespace detail
}  // namespace parkring
