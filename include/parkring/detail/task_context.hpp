// What a task has from the one that spawned it: stop requests, a deadline, task-local values.
//
// A task's cell names one context, or none, which is the rule. A spawned task takes over the
// context of its parent, so one context serves many tasks; it ends with the last of them.
//
//   own      made for one task (`of`) when it first asks for its stop token or opens a scope, so
//            that it alone, with its descendants, can be asked to stop. Its ancestors get theirs
//            then, too.
//   scope    made by `with_deadline`, `with_stop_token`, `task_local::with` and `shield`, for a new
//            task, whose own it is, that runs what is awaited in the scope: so whoever is resumed
//            has the right context, and two scopes may run beside each other in one task.
//
// Contexts form a tree, each counting a reference on the one above it, and copying what it inherits
// that cannot change. A stop request goes down the tree. A task that has no context of its own, and
// hence no descendant with one, only notes the request in its cell; who asks later finds it there,
// on the way up to the nearest context. Cells of ended tasks keep the note for their descendants.
//
// The end of a task lets go of its context, so none lives longer than its runtime. All of it
// belongs to the runtime's thread; a std::stop_token that was given out may go anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/detail/frame_allocator.hpp>
#include <parkring/detail/list.hpp>
#include <parkring/detail/task_cell.hpp>
#include <parkring/detail/waiter.hpp>

namespace parkring::detail {

/// In the frame of a coroutine that waits for a stop request.
struct stop_waiter : waiter {
  bool woken = false;
};

struct task_context : list_node {  // on the list `below` of the one above
  static constexpr std::uint64_t no_deadline = UINT64_MAX;

  core_base& core;
  task_context* above = nullptr;       // counted; null: none
  intrusive_list<task_context> below;  // they count us
  task_cell* of = nullptr;             // whose own it is, until that one ends
  std::uint32_t references = 0;
  bool awaited = false;  // one of them is an awaiter's
  bool stop_requested = false;
  bool expired = false;        // its own deadline has passed
  bool ends_deadline = false;  // what lies above sets no deadline to what lies below: a shield
  std::uint64_t deadline_ns = no_deadline;    // the nearest from here upwards
  std::uint64_t key = 0;                      // of the task-local value that it has; 0: none
  std::stop_source source{std::nostopstate};  // made when a token is asked for
  waiter_list waiting;                        // `stop_waiter`s
  task_context* next_told;                    // while a stop request goes round

  task_context(core_base& c, task_context* a) noexcept : core(c) {
    if (a != nullptr) attach(*a);
  }
  virtual ~task_context() = default;

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    deallocate_frame(memory, size);
  }

  /// Puts it below `a`. Once only, before anybody uses it.
  void attach(task_context& a) noexcept;
  /// Whether `scope` is this context or above it, with no shield between them if `by_deadline`.
  [[nodiscard]] bool is_within(const task_context& scope, bool by_deadline) const noexcept;
};

/// Lets go of a reference.
void release(task_context& context) noexcept;

/// A counted reference.
class context_ref {
 public:
  context_ref() noexcept = default;
  explicit context_ref(task_context& c) noexcept : context_(&c) { ++c.references; }
  context_ref(context_ref&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}
  context_ref& operator=(context_ref&& other) noexcept {
    std::swap(context_, other.context_);
    return *this;
  }
  ~context_ref() {
    if (context_ != nullptr) release(*context_);
  }
  task_context* operator->() const noexcept { return context_; }
  task_context& operator*() const noexcept { return *context_; }

 private:
  task_context* context_ = nullptr;
};

/// The task that runs; it is an error if there is none.
[[nodiscard]] task_cell& running_task() noexcept;

/// The task whose surroundings count: the one that is being destroyed after it was aborted, else
/// the one that runs. Null: there is none.
[[nodiscard]] task_cell* surrounding_task() noexcept;
/// Its context, or null.
[[nodiscard]] const task_context* surroundings() noexcept;

/// A context for a scope of the running task. Throws `std::bad_alloc`.
[[nodiscard]] context_ref new_scope();

/// The context of its own that the task has, or gets now. Throws `std::bad_alloc`.
[[nodiscard]] task_context& own_context(task_cell& cell);

/// Asks tasks to stop, with all that they have spawned: first all are marked, then all are told,
/// since the callbacks of stop tokens may do anything, destroy those tasks for instance.
class stop_round {
 public:
  void add(task_cell& cell) noexcept;
  void add(task_context& context) noexcept;
  /// Touches neither the tasks nor what they were found by.
  void tell() noexcept;

 private:
  void mark(task_context& context) noexcept;
  task_context* first_ = nullptr;  // each counted
  task_context* last_ = nullptr;
};

}  // namespace parkring::detail
