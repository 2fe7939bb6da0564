// What a running runtime shows to the templates above it: the ready list, the task being run and
// the budget. The rest of the runtime derives from this and stays out of public headers.
//
// Exactly one coroutine runs at a time on a runtime's thread, and never below another one on the
// stack: awaits hand over by symmetric transfer, or, where the build makes calls of those, through
// `next_frame` every so often, which the run loop resumes. So a million ready awaits need little
// stack in any build, and a frame that is destroyed is never one that is running, except the
// current task's own; `abort` defers that one.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <parkring/detail/home.hpp>
#include <parkring/detail/wait_note.hpp>
#include <parkring/detail/waiter.hpp>

namespace parkring::detail {

/// A task's place on its runtime's list of live tasks.
struct live_task : list_node {};

struct core_base {
  waiter_list ready;
  task_cell* current = nullptr;   // the task whose coroutine is running
  bool attention = false;         // `next_frame` or `doomed` is set
  void* next_frame = nullptr;     // where to go on, after a transfer that would go too deep
  std::uintptr_t stack_base = 0;  // of the run loop
  unsigned budget = 0;            // awaits that may still complete without suspending
  bool steady = true;             // its clock is the steady clock, which is read in place
  bool closing = false;           // a task that is started now is aborted at once
  task_cell* doomed = nullptr;    // aborted tasks to destroy once the running coroutine suspends
  intrusive_list<task_cell, live_task> tasks;    // the live ones
  intrusive_list<wait_note> notes;               // of waits that nothing else here leads to
  home_ref home_of;                              // the way back to this runtime
  std::uint64_t team = 0;                        // of workers, which share files; 0: it is alone
  const std::size_t* live_operations = nullptr;  // how many requests have a record
  bool more_to_place = false;     // others wait in this worker's queue: a batch is to come
  std::uint64_t inline_hits = 0;  // counted where they happen, in the coroutine
  // What tasks and requests are dated by, for a dump: the number of the turn, or milliseconds since
  // the start where ages are tracked.
  std::uint32_t stamp = 0;

  static constexpr unsigned full_budget = 128;

  /// Takes one unit; false when it is time to let the others run.
  [[nodiscard]] bool spend_budget() noexcept {
    if (budget == 0) return false;
    --budget;
    return true;
  }

  /// Whether more than `n` waiters are ready, for small `n`.
  [[nodiscard]] bool more_ready_than(std::size_t n) const noexcept { return ready.longer_than(n); }

  /// Makes `w` wait for nothing but its turn.
  void make_ready(waiter& w, std::coroutine_handle<> h) noexcept {
    w.frame = h.address();
    w.task = current;
    ready.push_back(w);
  }
};

/// What a loop that waits for another processor does in between.
inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// The runtime that runs on this thread, or null.
extern constinit thread_local core_base* this_thread_core;

/// Whether a runtime that this thread made would be served by a simulated machine.
[[nodiscard]] bool in_simulated_world() noexcept;

/// As `this_thread_core`, but it is an error if there is none.
[[nodiscard]] inline core_base& running_core() noexcept {
  core_base* core = this_thread_core;
  PARKRING_CHECK(core != nullptr, "await it inside a task that a parkring::runtime runs");
  return *core;
}

/// Where the stack of the running function ends.
[[nodiscard, gnu::always_inline]] inline std::uintptr_t stack_pointer() noexcept {
#if defined(__x86_64__)
  std::uintptr_t at;
  asm volatile("mov %%rsp, %0" : "=r"(at));
  return at;
#elif defined(__aarch64__)
  std::uintptr_t at;
  asm volatile("mov %0, sp" : "=r"(at));
  return at;
#else
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#endif
}

/// What an `await_suspend` returns to continue with `to`, in constant stack in every build.
///
/// Most builds turn a symmetric transfer into a jump. Those that do not (GCC below -O2, and under
/// the sanitizers) call instead, deeper with each transfer; no macro tells which is which. So the
/// depth is looked at: once it is too great the run loop continues, on a stack that is short again.
[[nodiscard]] inline std::coroutine_handle<> transfer(std::coroutine_handle<> to) noexcept {
  constexpr std::uintptr_t deep = 32 * 1024;
  core_base& core = running_core();
  if (core.stack_base - stack_pointer() < deep) [[likely]]
    return to;
  core.next_frame = to.address();
  core.attention = true;
  return std::noop_coroutine();
}

}  // namespace parkring::detail
