// The runtime: runs tasks, timers and requests, of one thread on one ring, or of several workers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <parkring/counters.hpp>
#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/dump.hpp>
#include <parkring/spawn.hpp>
#include <parkring/spawn_anywhere.hpp>

namespace parkring {

class guest;
class hosted;

namespace exec {
class core;
class worker_team;
struct runtime_access;
}  // namespace exec

/// What serves a runtime's requests.
enum class kernel_choice : std::uint8_t {
  /// `io_uring` where it can be had, from Linux 6.1 on; else `threads`.
  automatic,
  /// Linux's own rings, or an error that says why not.
  io_uring,
  /// Ordinary system calls, those that may block on a pool of threads.
  threads,
};

/// Who reads a runtime's completions, and where its thread sleeps when there is nothing to do.
enum class completion_reader : std::uint8_t {
  /// The thread itself, in the one system call that submits and waits.
  park_layer,
  /// A second thread waits for them and hands them over; the runtime's sleeps on a futex.
  reader_thread,
  /// The thread itself, when an epoll set that it sleeps in says that there are some. Guests'
  /// descriptors are in that set too.
  driving_task,
};

/// How a runtime is made. All sizes are upper limits, none is a promise of speed.
struct runtime_options {
  /// Entries of the submission queue, 1 to 32,768; rounded up to a power of two.
  unsigned entries = 256;
  /// Entries of the completion queue; 0: four times `entries`. More completions than that are
  /// kept by the kernel and cost an extra system call.
  unsigned completion_entries = 0;
  /// Requests that may exist at once; further ones wait, in order, until one ends.
  std::size_t max_operations = 65'536;
  /// Bytes of pooled buffers; what goes beyond is allocated singly, and counted.
  std::size_t pool_bytes = std::size_t{64} << 20;
  /// Register pooled buffers with the ring, as far as the limit of locked memory allows.
  bool register_buffers = true;
  /// Files that may be registered with the ring; 0 turns it off.
  unsigned registered_files = 1'024;
  /// Threads that `blocking` may start.
  unsigned blocking_threads = 8;
  /// How long the destructor waits: for writes and syncs that were left to finish, most of it, and
  /// for requests that the kernel does not give back.
  std::chrono::milliseconds shutdown_patience{2'000};
  /// How many threads run tasks: the one that makes the runtime, and others that it starts, each
  /// with a ring of its own. Tasks go to the others by `spawn_anywhere` only. 0: one for each
  /// processor that this process may use; at most 48. In a simulated world, and in a `hosted`
  /// runtime, there is one.
  unsigned workers = 1;
  /// What serves the requests. When it is `automatic` the environment may choose, by
  /// PARKRING_KERNEL=linux or PARKRING_KERNEL=threads. A simulated world comes before both: a
  /// runtime that is made in one is served by it.
  kernel_choice kernel = kernel_choice::automatic;
  /// Who reads completions; there to be compared, `park_layer` is the fastest. When it is empty the
  /// environment may choose, by PARKRING_READER=park, thread or task. Only io_uring has a choice:
  /// on the threads and in a simulated world it is `park_layer` whatever was asked for, see
  /// `runtime::reader`. A `hosted` runtime takes no other.
  std::optional<completion_reader> reader{};
  /// Let a dump tell ages in time, for which the clock is read once a turn. Else it tells them in
  /// turns of the run loop.
  bool track_ages = false;
  /// A resume of a task that takes at least so long is a stall: it is counted, and a thread that
  /// looks on says on standard error which task it is. 0: nobody looks.
  std::chrono::milliseconds stall_threshold{0};
};

/// Posts work to a runtime from any thread, also after the runtime's end.
class remote {
 public:
  /// Runs `fn` on the runtime's thread, between two tasks. False when the runtime is gone; `fn` is
  /// destroyed then without being run. `fn` must not throw.
  ///
  /// *Owns* `fn`. *Thread*: any. *Errors*: `std::bad_alloc`.
  bool post(std::move_only_function<void()> fn) const;

  /// What the runtime's tasks do, taken on its thread between two of them; see `runtime_dump`. None
  /// when the runtime is gone, is not being run, or is inside a task for longer than `patience`.
  ///
  /// Blocks the calling thread meanwhile. *Thread*: any. *Errors*: `std::bad_alloc`.
  [[nodiscard]] std::optional<runtime_dump> dump(
      std::chrono::milliseconds patience = std::chrono::seconds(1)) const;

 private:
  friend class runtime;
  explicit remote(detail::home_ref home) noexcept : home_(home) {}
  detail::home_ref home_;
};

/// A runtime of the thread that makes it; with `runtime_options::workers`, of further threads too.
///
/// What `run` and `spawn` start is run by this thread, as is all that those tasks `spawn`. The
/// other workers run what `spawn_anywhere` starts, always; this thread takes part while it runs
/// `run`. *Owns* its tasks, its rings and its buffer pools. *Thread*: belongs to the thread that
/// makes it; only `post` of a `remote` may be called from others. *Drop*: destroys all tasks,
/// cancels what is in flight, except writes to regular files and syncs, waits until the kernel has
/// let go of everything, at most `shutdown_patience`, and keeps (leaks and reports) what it would
/// not give back. Not from inside one of its own tasks. *Errors*: `std::system_error` when no ring
/// can be made, or what the reader of its completions needs, with the reason and the remedy.
class runtime {
 public:
  explicit runtime(const runtime_options& options = {});
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;
  ~runtime();

  /// Runs `a`, a task or another awaitable, and everything spawned beside it, until `a` is done;
  /// gives its value. Other tasks stay where they are and go on with the next `run`.
  /// *Errors*: what `a` throws; `machine_stopped` when a simulated machine stops under it.
  template <detail::awaitable A>
  requires(!std::is_lvalue_reference_v<A>) decltype(auto)
      run(A&& a, std::source_location where = std::source_location::current()) {
    using T = detail::await_result_t<A>;
    return run_root<T>(detail::spawn_awaitable_on(core(), where, std::forward<A>(a)));
  }

  /// As `run(fn(args...))`, keeping the callable and the arguments as `spawn` does.
  template <class Fn, class... Args>
  requires(!detail::awaitable<std::decay_t<Fn>>) [[gnu::always_inline]] decltype(auto)
      run(Fn&& fn, Args&&... args) {
    using T = detail::spawn_result_t<std::decay_t<Fn>, std::decay_t<Args>...>;
    return run_root<T>(detail::spawn_on(core(), detail::this_code(), std::forward<Fn>(fn),
                                        std::forward<Args>(args)...));
  }

  /// Starts `fn(args...)` as a task; it runs during `run`. See `parkring::spawn`.
  template <class Fn, class... Args>
  requires(!detail::awaitable<std::decay_t<Fn>>)
      [[gnu::always_inline]] auto spawn(Fn&& fn, Args&&... args) {
    using T = detail::spawn_result_t<std::decay_t<Fn>, std::decay_t<Args>...>;
    return make_handle<T>(detail::spawn_on(core(), detail::this_code(), std::forward<Fn>(fn),
                                           std::forward<Args>(args)...));
  }
  /// Starts an awaitable as a task.
  template <detail::awaitable A>
  requires(!std::is_lvalue_reference_v<A>) auto spawn(
      A&& a, std::source_location where = std::source_location::current()) {
    return make_handle<detail::await_result_t<A>>(
        detail::spawn_awaitable_on(core(), where, std::forward<A>(a)));
  }

  /// Starts `fn(args...)` as a task on any worker; any thread may call it while the runtime lives.
  /// See `parkring::spawn_anywhere`. Where there is one worker only, it runs during `run`.
  template <class Fn, class... Args>
  requires(!detail::awaitable<std::decay_t<Fn>>)
      [[gnu::always_inline]] auto spawn_anywhere(Fn&& fn, Args&&... args) {
    return detail::remote_access::start([this](detail::roaming_task& t) noexcept { launch(t); },
                                        detail::this_code(), std::forward<Fn>(fn),
                                        std::forward<Args>(args)...);
  }
  /// How many workers it has.
  [[nodiscard]] unsigned workers() const noexcept;

  /// Runs `fn` on this runtime's thread; any thread may call it while the runtime lives.
  void post(std::move_only_function<void()> fn) { (void)remote().post(std::move(fn)); }

  /// A handle to post with that may outlive the runtime.
  [[nodiscard]] parkring::remote remote() const noexcept { return parkring::remote(home_); }

  /// Waits for `g` too from now on, whenever it runs: gives it a turn when its descriptor or its
  /// time-out asks for one, before each sleep, and now and then while it is busy; one for each
  /// batch of tasks at most. A guest uses one of `max_operations`. Its callbacks may spawn, set
  /// events and post.
  ///
  /// *Owns* nothing: either may be destroyed first. *Thread*: the runtime's, also inside a task.
  /// *Errors*: `std::bad_alloc`.
  void park_on(guest& g);

  /// What the runtime has done, all workers together. One that is inside a task for long is not
  /// waited for, and left out. On the thread of the runtime. *Errors*: `std::bad_alloc`, with more
  /// than one worker.
  [[nodiscard]] runtime_counters counters() const;

  /// What every task does and waits for, now, on all workers; of one that is inside a task for long
  /// nothing. Inside a task too. From other threads ask a `remote`, which tells of this thread
  /// only. *Errors*: `std::bad_alloc`.
  [[nodiscard]] runtime_dump dump() const;

  /// What serves the requests: "linux" (io_uring), "threads", or "sim" in a simulated world.
  [[nodiscard]] std::string_view kernel() const noexcept;
  /// Why it does, in words: "Linux 6.18 offers io_uring".
  [[nodiscard]] std::string_view kernel_reason() const noexcept;
  /// Who reads its completions.
  [[nodiscard]] completion_reader reader() const noexcept;

 private:
  friend struct exec::runtime_access;
  friend class hosted;
  friend class dump_on_signal;
  explicit runtime(std::unique_ptr<exec::core> core);

  // Runs until the task has ended and frees it, also when the run ends by an exception.
  template <class T>
  T run_root(detail::task_cell& cell) {
    struct guard {
      detail::task_cell& cell;
      ~guard() { detail::drop_handle(cell, false); }
    } const at_end{cell};
    run_until_ended(cell);
    if (cell.state == detail::task_state::aborted) throw task_aborted();
    return static_cast<detail::task_cell_of<T>&>(cell).result.take();
  }

  detail::core_base& core() const;
  void run_until_ended(detail::task_cell& cell);
  void launch(detail::roaming_task& t) noexcept;

  std::unique_ptr<exec::worker_team> team_;  // outlives the core, which is its worker 0
  std::unique_ptr<exec::core> core_;
  detail::home_ref home_;
};

/// Makes a default runtime, runs `a` on it, tears everything down, and gives `a`'s value.
/// *Errors*: what `a` throws; `std::system_error` when no ring can be made.
template <detail::awaitable A>
requires(!std::is_lvalue_reference_v<A>) detail::await_result_t<A> run(
    A&& a, const runtime_options& options = {},
    std::source_location where = std::source_location::current()) {
  runtime rt(options);
  return rt.run(std::forward<A>(a), where);
}

}  // namespace parkring
