// The runtime of one thread: tasks above, the park stack below.
//
// Turn: resume what is ready, at most a batch; take messages from other threads; park. The task
// protocol is in <parkring/detail/task_cell.hpp>, the way in from other threads in
// <parkring/detail/home.hpp>, the park contract in park/driver.hpp.
//
// Teardown, in this order and no other:
//   1. no new work: a task launched from now on is destroyed at once; guests are forgotten;
//   2. all tasks are destroyed, so no frame is left that a completion could want to resume; another
//      reader of completions ends, and this thread reads them itself from here on;
//   3. every request becomes an orphan, and is cancelled unless it is left to finish for its
//      effect: writes to regular files, and sync;
//   4. the ring is driven until no record is live, at most `shutdown_patience` long; when a quarter
//      of that is left, what was to finish is cancelled too, and reported;
//   5. the home closes: whoever posts from now on is told that the runtime is gone;
//   6. what the kernel did not give back stays allocated for ever, and is reported;
//   7. the ring is closed. That ends nothing by itself, which is why it comes last.
//
// Fork: a child has none of the ring's memory. There all homes count as gone (base/home.cpp) and
// the destructor of a runtime lets everything be.
#pragma once

#include <parkring/runtime.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buf/registered_buffers.hpp"
#include "exec/blocking_pool.hpp"
#include "exec/guests.hpp"
#include "exec/service.hpp"
#include "exec/stall_detector.hpp"
#include "exec/watch.hpp"
#include "exec/worker_team.hpp"
#include "park/driver.hpp"

namespace parkring::exec {

/// What sets a core apart from that of a plain runtime.
struct core_role {
  bool hosted = false;                // a host waits for it
  blocking_pool* blocking = nullptr;  // that of another core, which stops it; null: its own
};

class core final : public detail::core_base {
 public:
  core(const runtime_options& options, kernel::kernel& kernel, std::string why_this_kernel,
       core_role role = {});
  core(const core&) = delete;
  core& operator=(const core&) = delete;
  ~core();

  /// Runs turns until `target` is no longer live.
  void run_until_ended(const detail::task_cell& target);

  // ---- a runtime that has no loop of its own (exec/hosted.cpp) ----

  /// A descriptor that tells a host when a turn is due.
  [[nodiscard]] int make_hosted();
  /// Runs what is ready, for a few batches, and leaves the waiting to the host. True: another turn
  /// is due at once.
  bool turn_hosted();
  /// The host has made something ready outside of a turn: its descriptor is to tell.
  void tell_host() noexcept {
    if (!running_) driver.wake.unpark();
  }
  [[nodiscard]] bool has_work() const noexcept { return !ready.empty() || home_->has_messages(); }

  // ---- one of several workers (exec/worker_team.hpp) ----

  void join_team(worker_team& team, worker& as) noexcept;
  void leave_team() noexcept;
  /// Runs turns until the team ends, then destroys what is left, with the ring.
  void work_until_stopped() noexcept;
  /// Destroys the roaming tasks that nobody will run any more; the other workers have ended.
  void end_team() noexcept;
  /// Takes a roaming task that was on its way. What to make ready; null: it has ended.
  [[nodiscard]] detail::waiter* place(detail::roaming_task& t) noexcept;
  /// `t`, which was on its way, goes on here.
  void make_ready_here(detail::roaming_task& t) noexcept;
  /// What `t` waits with becomes ready; another worker's core may do it, if one is idle.
  void ready_anywhere(detail::waiter& w) noexcept;
  /// Whether something has come from outside: completions, messages. Cheap.
  [[nodiscard]] bool something_happened() const noexcept {
    return home_->has_messages() || driver.ring.completions_waiting() ||
           driver.ring.kernel_wants_enter();
  }
  [[nodiscard]] bool has_other_work() const noexcept { return has_work() || !works_as->empty(); }
  worker* works_as = nullptr;
  worker_team* in_team = nullptr;

  // ---- foreign loops (exec/guests.hpp) ----

  void park_on(guest& g);
  void forget_guest(detail::guest_watch& w) noexcept {
    guests_.remove(w);
    w.leave();
  }

  [[nodiscard]] runtime_counters counters() noexcept;

  /// Runs what other threads have posted, between two resumes.
  void run_messages() noexcept;

  /// Whether the destructor may touch the ring: false in a forked child.
  [[nodiscard]] bool owns_ring() const noexcept { return home_of.is_here(); }

  /// The service made by `make` (a function `std::unique_ptr<service>(core&)`), one for each
  /// runtime and key.
  template <class S>
  S& service_of() {
    static constexpr char key = 0;
    for (auto& [k, s] : services_)
      if (k == &key) return static_cast<S&>(*s);
    services_.emplace_back(&key, std::make_unique<S>(*this));
    return static_cast<S&>(*services_.back().second);
  }

  /// A runtime's core on the kernel that its options, the environment and this machine lead to.
  [[nodiscard]] static std::unique_ptr<core> make(const runtime_options& options,
                                                  core_role role = {});

  const runtime_options options;
  const std::string why_this_kernel;
  const completion_reader reader;
  park::driver driver;
  op::operations& ops;
  buf::registered_buffers buffers;

 private:
  blocking_pool own_blocking_;

 public:
  blocking_pool& blocking;
  runtime_counters counted;  // those counted by hand: inline hits and the like
  exec::watch watch;
  detail::task_cell* ending = nullptr;  // the aborted task whose frame is being destroyed

  /// Lets others see which task runs; calls nest.
  void show_running(bool yes) noexcept;

 private:
  // Each once with a `watch` and once with nobody.
  template <class Watch>
  bool turn(const detail::task_cell& target, Watch& who);
  template <bool Team, class Watch>
  void run_batch(Watch& who, const detail::task_cell* target = nullptr) noexcept;
  template <class Watch>
  void batch_for_host(Watch& who);
  bool watched_turn(const detail::task_cell& target);
  template <class Watch>
  void team_turn(const detail::task_cell* target, Watch& who);
  void one_team_turn(const detail::task_cell* target = nullptr);
  [[nodiscard]] detail::waiter* next_placed(const detail::task_cell* target) noexcept;
  void let_go_on_elsewhere() noexcept;
  void attend() noexcept;
  void destroy_doomed() noexcept;
  void shut_down() noexcept;
  /// Drives the ring until no record is live, or the clock reads `give_up`. At `cancel_at` it
  /// cancels what it had left to finish.
  void drain(std::uint64_t cancel_at, std::uint64_t give_up) noexcept;
  void report_unfinished(std::size_t n) noexcept;
  void report_leaks() noexcept;

  detail::home* home_;
  detail::message_list messages_;      // taken from the home, not yet run
  detail::waiter* leaving_ = nullptr;  // of the running roaming task, which may move
  bool running_ = false;
  guests guests_{*this};
  bool watched_ = false;  // `watch` is wanted
  unsigned lookers_ = 0;  // at what runs, beside the stall detector
  std::optional<stall_detector> stalls_;
  std::vector<std::pair<const void*, std::unique_ptr<service>>> services_;
};

/// The runtime of this thread, which must run one.
[[nodiscard]] inline core& this_core() noexcept {
  return static_cast<core&>(detail::running_core());
}

/// The runtime at `home`; only where `home.is_here()`.
[[nodiscard]] inline core& core_at(const detail::home_ref& home) noexcept {
  return static_cast<core&>(*home.core());
}

/// The way for tests to a runtime on a kernel of their choice.
struct runtime_access {
  static runtime make(kernel::kernel& kernel, const runtime_options& options = {}) {
    return runtime(std::make_unique<core>(options, kernel, "the program gave it"));
  }
};

/// Makes `c` the runtime of this thread for a scope.
class core_scope {
 public:
  explicit core_scope(core& c) noexcept
      : core_before_(detail::this_thread_core), pool_before_(buf::this_thread_pool) {
    detail::this_thread_core = &c;
    buf::this_thread_pool = &c.buffers.pool();
  }
  core_scope(const core_scope&) = delete;
  core_scope& operator=(const core_scope&) = delete;
  ~core_scope() {
    if (detail::this_thread_core == nullptr) return;  // a forked child has no runtime
    detail::this_thread_core = core_before_;
    buf::this_thread_pool = pool_before_;
  }

 private:
  detail::core_base* core_before_;
  buf::pool* pool_before_;
};

}  // namespace parkring::exec
