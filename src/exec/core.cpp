#include "exec/core.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <string>

#include <parkring/detail/timer.hpp>
#include <parkring/error.hpp>
#include <parkring/time.hpp>

#include "exec/reader_choice.hpp"

namespace parkring {
namespace detail {

constinit thread_local core_base* this_thread_core = nullptr;

void timed_waiter::arm_on_core() noexcept {
  static_cast<exec::core*>(core_)->driver.timers.arm(*this);
}

void timed_waiter::leave() noexcept {
  static_cast<exec::core*>(core_)->driver.timers.cancel(*this);
}

steady_time now_by_kernel() noexcept {
  std::uint64_t ns;
  if (this_thread_core != nullptr)
    ns = static_cast<exec::core*>(this_thread_core)->driver.now_ns();
  else if (kernel::this_thread_kernel != nullptr)
    ns = kernel::this_thread_kernel->now_ns();
  else
    ns = park::steady_now_ns();
  return steady_time(std::chrono::nanoseconds(ns));
}

bool in_simulated_world() noexcept {
  if (this_thread_core != nullptr)
    return !static_cast<exec::core*>(this_thread_core)->driver.ring.real();
  return kernel::this_thread_kernel != nullptr && !kernel::this_thread_kernel->real();
}

}  // namespace detail

namespace exec {
namespace {

constexpr unsigned batch = 256;           // resumes between two looks at the ring
constexpr unsigned batches_for_host = 4;  // in one turn that a host gives

// So that no sum with them overflows.
runtime_options within_bounds(runtime_options o) noexcept {
  constexpr std::chrono::milliseconds none{0}, a_year = std::chrono::hours{365 * 24};
  o.shutdown_patience = std::clamp(o.shutdown_patience, none, a_year);
  o.stall_threshold = std::clamp(o.stall_threshold, none, a_year);
  o.max_operations = std::min(o.max_operations, std::size_t{1} << 40);
  return o;
}

// Before any thread is: the hook is one for all runtimes.
[[maybe_unused]] const bool fork_hook_set = [] {
  detail::on_fork_in_child = [] noexcept {
    detail::this_thread_core = nullptr;
    buf::this_thread_pool = nullptr;
  };
  return true;
}();

}  // namespace

core::core(const runtime_options& o, kernel::kernel& kernel, std::string why, core_role role)
    : options(within_bounds(o)),
      why_this_kernel(std::move(why)),
      reader(choose_reader(o.reader, kernel.direct())),
      driver(kernel,
             {.entries = o.entries,
              .cq_entries = o.completion_entries,
              .entered_by_others = reader == completion_reader::reader_thread,
              .deferred = reader != completion_reader::driving_task && !role.hosted},
             options.max_operations, ready),
      ops(driver.ops),
      buffers(driver.ring, o.pool_bytes, o.register_buffers),
      own_blocking_(o.blocking_threads),
      blocking(role.blocking != nullptr ? *role.blocking : own_blocking_),
      watch(driver) {
  PARKRING_CHECK(o.max_operations > 0, "let the runtime have at least one operation at a time");
  const int answer = driver.ring.bind_to_this_thread();
  if (answer < 0) throw ring::setup_failed(-answer, o.entries);
  if (reader == completion_reader::reader_thread) driver.read_by_thread();
  if (reader == completion_reader::driving_task) driver.read_by_reactor();
  steady = driver.ring.real();
  home_ = &detail::home::open(
      *this, ready, [](void* self) noexcept { static_cast<core*>(self)->driver.wake.unpark(); },
      this);
  home_of = {home_, home_->generation()};
  live_operations = &ops.slab().live_count();
  if (options.track_ages) watch.track_ages();
  // In a simulated world no time passes inside a task.
  if (options.stall_threshold.count() > 0 && driver.ring.real()) {
    watch.count_stalls_from(static_cast<std::uint64_t>(options.stall_threshold.count()) *
                            1'000'000u);
    stalls_.emplace(watch.running, options.stall_threshold);
  }
  watched_ = watch.wanted();
}

void core::show_running(bool yes) noexcept {
  yes ? ++lookers_ : --lookers_;
  watch.show_running(lookers_ != 0 || stalls_.has_value());
  watched_ = watch.wanted();
}

std::unique_ptr<core> core::make(const runtime_options& options, core_role role) {
  const auto wanted = [&] {
    switch (options.kernel) {
      case kernel_choice::io_uring:
        return ring::wanted_kernel::linux_rings;
      case kernel_choice::threads:
        return ring::wanted_kernel::threads;
      case kernel_choice::automatic:
        break;
    }
    return ring::wanted_kernel::any;
  }();
  ring::choice first = ring::choose_kernel(wanted);
  int error;
  try {
    return std::make_unique<core>(options, *first.served_by, first.why, role);
  } catch (const ring::setup_failed& failure) {
    error = failure.code().value();
    if (!first.instead(error, {})) throw;
  }
  ring::choice next = *first.instead(error, ring::surroundings::read());
  return std::make_unique<core>(options, *next.served_by, std::move(next.why), role);
}

core::~core() { shut_down(); }

namespace {

struct nobody : park::unwatched {
  void turn_begins() noexcept {}
  void resuming(const detail::waiter&) noexcept {}
  void resumed() noexcept {}
};

}  // namespace

template <bool Team, class Watch>
[[gnu::always_inline]] inline void core::run_batch(
    Watch& who, [[maybe_unused]] const detail::task_cell* target) noexcept {
  [[maybe_unused]] unsigned placed = 0;
  for (unsigned i = 0; i < batch; ++i) {
    detail::waiter* w = ready.pop_front();
    if (w == nullptr) {
      // Where others have nothing to do, what is queued is left to them: one a turn is taken.
      if constexpr (Team)
        if (placed++ == 0 || !works_as->others_idle()) w = next_placed(target);
      if (w == nullptr) break;
    }
    current = w->task;
    budget = full_budget;
    who.resuming(*w);
    std::coroutine_handle<>::from_address(w->frame).resume();
    if (attention) [[unlikely]]
      attend();
    who.resumed();
  }
  current = nullptr;
}

template <class Watch>
[[gnu::always_inline]] inline bool core::turn(const detail::task_cell& target, Watch& who) {
  who.turn_begins();
  run_batch<false>(who);
  if (home_->has_messages()) [[unlikely]]
    run_messages();
  if (target.state != detail::task_state::live) return false;
  stamp = ops.stamp = static_cast<std::uint32_t>(++driver.turns);
  bool guests_wait = false;
  if (!guests_.empty()) [[unlikely]]
    guests_wait = guests_.turn_all(ready.empty());
  driver.park(ready.empty() && !guests_wait, who);
  if (driver.machine_stopped()) [[unlikely]]
    throw machine_stopped();
  return true;
}

[[gnu::noinline]] bool core::watched_turn(const detail::task_cell& target) {
  const bool again = turn(target, watch);
  if (!again) watch.run_ends();
  watched_ = watch.wanted();
  return again;
}

// As `turn`, for a worker: it has roaming tasks, and looks for some when it has nothing else.
template <class Watch>
[[gnu::always_inline]] inline void core::team_turn(const detail::task_cell* target, Watch& who) {
  who.turn_begins();
  if (driver.turns % worker::turns_between == 0)
    if (detail::waiter* w = next_placed(target)) ready.push_back(*w);
  run_batch<true>(who, target);
  if (home_->has_messages()) [[unlikely]]
    run_messages();
  if (target != nullptr && target->state != detail::task_state::live) return;
  stamp = ops.stamp = static_cast<std::uint32_t>(++driver.turns);
  bool guests_wait = false;
  if (!guests_.empty()) [[unlikely]]
    guests_wait = guests_.turn_all(ready.empty());
  bool idle = ready.empty() && !guests_wait && works_as->empty();
  // What is queued is not to wait for a long look.
  if (idle && works_as->spins_long() && driver.ring.unsubmitted() != 0) idle = false;
  if (idle) idle = !works_as->find_work(*this);
  driver.park(idle, who);
  works_as->end_sleep();
}

[[gnu::noinline]] void core::one_team_turn(const detail::task_cell* target) {
  // Relaxed: what a recording brings is taken under its mutex.
  if (current_recording.load(std::memory_order_relaxed) != 0 || watched_) [[unlikely]] {
    team_turn(target, watch);
    if (target != nullptr && target->state != detail::task_state::live) watch.run_ends();
    watched_ = watch.wanted();
  } else {
    nobody looks_on;
    team_turn(target, looks_on);
  }
}

void core::run_until_ended(const detail::task_cell& target) {
  PARKRING_CHECK(home_of.is_here(), "run a runtime on the thread that made it");
  PARKRING_CHECK(!running_, "this runtime is running already: inside its tasks, co_await instead");
  if (driver.machine_stopped()) throw machine_stopped();
  running_ = true;
  struct run_end {  // also when the machine stops
    bool& running;
    ~run_end() { running = false; }
  } const at_end{running_};
  const core_scope scope(*this);
  stack_base = detail::stack_pointer();
  if (works_as != nullptr) {
    while (target.state == detail::task_state::live) one_team_turn(&target);
    works_as->leave_all();
  }
  while (target.state == detail::task_state::live) {
    // Relaxed: what a recording brings is taken under its mutex.
    if (current_recording.load(std::memory_order_relaxed) != 0 || watched_) [[unlikely]] {
      if (!watched_turn(target)) break;
    } else {
      nobody looks_on;
      if (!turn(target, looks_on)) break;
    }
  }
  driver.timers.date(driver.now_ns());  // their time passes also while nothing runs
}

template <class Watch>
void core::batch_for_host(Watch& who) {
  who.turn_begins();
  run_batch<false>(who);
  if (home_->has_messages()) run_messages();
  stamp = ops.stamp = static_cast<std::uint32_t>(++driver.turns);
  driver.park(false, who);
}

bool core::turn_hosted() {
  PARKRING_CHECK(home_of.is_here(), "give a hosted runtime its turns on the thread that made it");
  PARKRING_CHECK(!running_, "a hosted runtime cannot have a turn from inside one of its tasks");
  running_ = true;
  const core_scope scope(*this);
  stack_base = detail::stack_pointer();
  driver.return_from_host();
  for (unsigned i = 0; i < batches_for_host; ++i) {
    nobody looks_on;
    if (current_recording.load(std::memory_order_relaxed) != 0 || watched_) {
      batch_for_host(watch);
      watched_ = watch.wanted();
    } else {
      batch_for_host(looks_on);
    }
    if (!has_work()) break;
  }
  running_ = false;
  return !driver.leave_to_host();
}

void core::attend() noexcept {
  while (next_frame != nullptr)  // see transfer()
    std::coroutine_handle<>::from_address(std::exchange(next_frame, nullptr)).resume();
  attention = false;
  if (leaving_ != nullptr) [[unlikely]]
    let_go_on_elsewhere();
  current = nullptr;
  if (doomed != nullptr) destroy_doomed();
}

void core::run_messages() noexcept {
  home_->take(messages_);
  while (detail::message* m = messages_.pop_front()) m->run(*m);
}

void core::shut_down() noexcept {
  const core_scope scope(*this);
  PARKRING_CHECK(!running_,
                 "a runtime cannot be destroyed from inside one of its tasks; let the "
                 "task return to run() first");
  closing = true;
  guests_.leave_all();
  while (detail::task_cell* t = tasks.front()) detail::abort(*t);
  driver.end_reader();
  const auto patience = static_cast<std::uint64_t>(options.shutdown_patience.count()) * 1'000'000u;
  const std::uint64_t give_up = driver.now_ns() + patience;
  driver.wake.stop();
  ops.orphan_all();
  ops.fill_queue();
  driver.ring.enter(0, nullptr,
                    0);  // what is to finish begins before the blocking calls are awaited
  own_blocking_.stop(options.shutdown_patience);
  run_messages();
  ops.orphan_all();  // what the messages may have added
  driver.ring.enter(0, nullptr, kernel::abi::enter_getevents);
  ops.reap();  // what has finished meanwhile
  // What was posted is run while the runtime can still serve what it leads to, and the home closes
  // when there is no more of it. Who posts again and again is refused in the end.
  bool closed = false;
  for (unsigned round = 0; round < 1'000 && !closed; ++round) {
    drain(give_up - patience / 4, give_up);
    closed = home_->close_if_empty();
    if (!closed) {
      run_messages();
      ops.orphan_all();
    }
  }
  if (!closed) home_->close(messages_);
  while (detail::message* m = messages_.pop_front()) m->run(*m);
  if (ops.live() == 0) services_.clear();  // else what is left still names them
  if (ops.live() != 0) report_leaks();
}

void core::drain(std::uint64_t cancel_at, std::uint64_t give_up) noexcept {
  unsigned stopped_and_idle = 0;
  for (bool idle = false, cancelled = false;;) {
    if (!cancelled && driver.now_ns() >= cancel_at) {
      cancelled = true;
      if (const std::size_t n = ops.cancel_all(); n != 0) report_unfinished(n);
    }
    ops.fill_queue();
    if (ops.live() == 0) return;
    // Even without patience the kernel is asked, again as long as it gives something back.
    const std::uint64_t now = driver.now_ns();
    if (now >= give_up && idle) return;
    const std::uint64_t until = cancelled ? give_up : cancel_at;
    const std::uint64_t left = until > now ? until - now : 0;
    const kernel::abi::timespec64 timeout{static_cast<std::int64_t>(left / 1'000'000'000u),
                                          static_cast<std::int64_t>(left % 1'000'000'000u)};
    // A cancel that found the queue full must go before there is anything to wait for.
    const bool go_on = driver.ring.completions_waiting() || ops.backlog();
    const int answer = driver.ring.enter(go_on ? 0 : 1, &timeout, kernel::abi::enter_getevents);
    idle = ops.reap() == 0;
    run_messages();
    // The clock of a stopped machine stands still, so patience would never end there; but what it
    // gives back is back when `enter` returns, and its entries are consumed then.
    stopped_and_idle = answer == -ESHUTDOWN && idle ? stopped_and_idle + 1 : 0;
    if (stopped_and_idle == 2) return;
  }
}

void core::report_unfinished(std::size_t n) noexcept {
  std::fprintf(
      stderr,
      "parkring: %zu request(s) that were left to finish had not when the patience of %lld "
      "ms was nearly over, and were cancelled; raise runtime_options::shutdown_patience, "
      "or await them\n",
      n, static_cast<long long>(options.shutdown_patience.count()));
}

void core::report_leaks() noexcept {
  std::map<std::string, unsigned> by_name;
  ops.slab().for_each_live([&](detail::record& r) { ++by_name[r.type->name]; });
  std::string list;
  for (auto& [name, count] : by_name)
    list += (list.empty() ? "" : ", ") + std::to_string(count) + " " + name;
  std::fprintf(stderr,
               "parkring: the kernel did not give back %zu request(s) within %lld ms (%s); their "
               "memory stays allocated so that it cannot write into anything else\n",
               ops.live(), static_cast<long long>(options.shutdown_patience.count()), list.c_str());
  ops.slab().leak();
}

runtime_counters core::counters() noexcept {
  runtime_counters c = counted;
  c.inline_hits = inline_hits;
  if (works_as != nullptr) {
    c.steals = works_as->steals;
    c.injections = works_as->injected;
    c.moves = works_as->moved;
  }
  c.turns = driver.turns;
  c.guest_turns = guests_.turns;
  c.enters = driver.ring.enters;
  if (const ring::reader_thread* r = driver.reader_if_any()) {
    c.reader_enters = r->enters.load(std::memory_order_relaxed);
    c.reader_wakes = r->wakes.load(std::memory_order_relaxed);
    c.reader_waits = r->waits_for_room.load(std::memory_order_relaxed);
    c.other_sleeps = r->sleeps;
  }
  if (const park::reactor* r = driver.reactor_if_any()) c.other_sleeps = r->waits;
  c.submissions = ops.submissions();
  c.completions = ops.completions;
  c.cancels = ops.cancels;
  c.abandoned = ops.abandoned;
  c.deferrals = ops.deferrals;
  c.starvations = ops.starvations;
  c.resubmissions = ops.resubmissions;
  c.stalls = watch.stalls;
  c.refused_enters = driver.refusals;
  c.wakes = driver.wake.wakes.load(std::memory_order_relaxed);
  tasks.for_each([&](detail::task_cell&) { ++c.tasks; });
  const std::size_t own =
      driver.wake.holds_record() ? 1 : 0;  // the waker's watch is not the user's
  c.operations = ops.live() - own;
  c.orphans = ops.orphans() - own;
  c.buffers = buffers.pool().in_use();
  return c;
}

}  // namespace exec
}  // namespace parkring
