// Share-nothing: a runtime on each core, which pass calls to each other instead of sharing state.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <parkring/detail/awaitable.hpp>
#include <parkring/detail/outcome.hpp>
#include <parkring/detail/root.hpp>
#include <parkring/event.hpp>
#include <parkring/race.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/task.hpp>
#include <parkring/when_all.hpp>

namespace parkring {

struct shards_options {
  /// How many; 0: one for each processor that this process may use.
  unsigned shards = 0;
  /// Keep each on one processor.
  bool pin = true;
  /// For the runtime of each.
  runtime_options runtime{};
};

/// Thrown where a shard is called that has ended.
class shard_stopped : public std::runtime_error {
 public:
  shard_stopped()
      : std::runtime_error("the shard has ended: call it before `shards` is destroyed") {}
};

namespace detail {

// One call. Shared by the caller, on its thread, and the task that serves it on the shard's. The
// caller reads the result when `done` is set, which happens once, also when the shard ends before
// the call does. Each side may go first.
template <class T>
struct shard_job {
  virtual ~shard_job() = default;
  virtual task<> work() = 0;

  event done;
  event unwanted;  // the caller went away
  outcome<T> result;
};

template <class R>
struct call_result {
  using type = R;
};
template <awaitable R>
struct call_result<R> {
  using type = await_result_t<R>;
};

template <class T, class Call>
struct shard_job_of final : shard_job<T> {
  Call call;
  template <class... Parts>
  explicit shard_job_of(Parts&&... parts) : call(std::forward<Parts>(parts)...) {}

  task<> work() override {
    try {
      if constexpr (!awaitable<typename Call::result>) {
        if constexpr (std::is_void_v<T>) {
          call();
          this->result.set_value();
        } else {
          this->result.set_value(call());
        }
      } else if constexpr (std::is_void_v<T>) {
        co_await call();
        this->result.set_value();
      } else {
        this->result.set_value(co_await call());
      }
    } catch (...) {
      this->result.set_error(std::current_exception());
    }
    co_return;
  }
};

// The shard's side of a call: however it ends, served, aborted or never begun, the caller is told.
template <class T>
class shard_call {
 public:
  explicit shard_call(std::shared_ptr<shard_job<T>> job) noexcept : job_(std::move(job)) {}
  shard_call(shard_call&&) noexcept = default;
  shard_call& operator=(shard_call&&) = delete;
  ~shard_call() {
    if (job_ == nullptr) return;
    if (!job_->result.ready()) job_->result.set_error(std::make_exception_ptr(task_aborted()));
    job_->done.set();
  }
  shard_job<T>& operator*() const noexcept { return *job_; }

 private:
  std::shared_ptr<shard_job<T>> job_;
};

template <class T>
task<> serve_call(shard_call<T> call) {
  if ((*call).unwanted.is_set()) co_return;
  (void)co_await race((*call).work(), (*call).unwanted.wait());
}

}  // namespace detail

/// Runtimes on threads of their own, one for each core, that share nothing.
///
/// A shard's files, buffers and tasks are its own; others reach them by calling it. *Owns* threads
/// and runtimes. *Thread*: any may call. *Drop*: aborts what runs on the shards, whose callers get
/// `task_aborted`, and waits for the threads; not from inside a shard. *Errors*: those of
/// `runtime`.
class shards {
 public:
  explicit shards(const shards_options& options = {});
  shards(const shards&) = delete;
  shards& operator=(const shards&) = delete;
  ~shards();

  [[nodiscard]] unsigned size() const noexcept { return static_cast<unsigned>(remotes_.size()); }
  /// The shard that the calling thread is, of whichever `shards`; nothing elsewhere.
  [[nodiscard]] static std::optional<unsigned> this_shard() noexcept;

  /// Calls `fn(args...)` on a shard; `co_await sh.on(3, fn, args...)` gives what it does. `fn` may
  /// give a task or another awaitable, which is awaited there.
  ///
  /// *Completes when* it has returned or thrown. *Owns* `fn`, the arguments and the result; they
  /// are moved between threads. *Thread*: awaited inside a task of any runtime. *Drop*: the call is
  /// aborted there, at its next suspension, or is not begun. *Errors*: what `fn` throws;
  /// `task_aborted` when the shard ends meanwhile; `shard_stopped`; a shard that does not exist
  /// fails a check.
  template <class Fn, class... Args>
  [[nodiscard]] auto on(unsigned shard, Fn fn, Args... args) {
    using call = detail::kept_call<Fn, Args...>;
    using T = typename detail::call_result<typename call::result>::type;
    return await_job<T>(
        shard, std::make_shared<detail::shard_job_of<T, call>>(std::move(fn), std::move(args)...));
  }
  /// As `on`, for a thread without a runtime: blocks it.
  template <class Fn, class... Args>
  auto blocking_on(unsigned shard, Fn fn, Args... args) {
    using call = detail::kept_call<Fn, Args...>;
    using T = typename detail::call_result<typename call::result>::type;
    auto job = std::make_shared<detail::shard_job_of<T, call>>(std::move(fn), std::move(args)...);
    start<T>(shard, job);
    job->done.blocking_wait();
    return job->result.take();
  }

  /// Calls `fn(shard)` on every shard at once; gives a vector of the results, by shard.
  ///
  /// *Completes when* all have returned, or one has thrown: then the others are dropped. *Owns* a
  /// copy of `fn` for each. *Thread*, *Drop*, *Errors*: as `on`.
  template <class Fn>
  [[nodiscard]] auto on_all(Fn fn) {
    std::vector<decltype(on(0U, fn, 0U))> calls;
    calls.reserve(size());
    for (unsigned shard = 0; shard < size(); ++shard) calls.push_back(on(shard, fn, shard));
    return when_all(std::move(calls));
  }

  /// `reduce(... reduce(reduce(first, map(0)), map(1)) ...)`, with each `map(shard)` on its shard,
  /// all at once, and `reduce` where it is awaited.
  ///
  /// *Completes when* all is reduced, or one has thrown. *Owns* the functions. *Thread*, *Drop*,
  /// *Errors*: as `on`; what `reduce` throws.
  template <class Map, class T, class Reduce>
  [[nodiscard]] task<T> map_reduce(Map map, T first, Reduce reduce) {
    auto parts = co_await on_all(std::move(map));
    for (auto& part : parts) first = std::invoke(reduce, std::move(first), std::move(part));
    co_return first;
  }

 private:
  struct worker;

  template <class T>
  void start(unsigned shard, std::shared_ptr<detail::shard_job<T>> job) {
    if (!remote_of(shard).post([call = detail::shard_call<T>(std::move(job))]() mutable {
          spawn(detail::serve_call<T>(std::move(call))).detach();
        }))
      throw shard_stopped();
  }
  template <class T>
  task<T> await_job(unsigned shard, std::shared_ptr<detail::shard_job<T>> job) {
    start<T>(shard, job);
    struct leaving {
      detail::shard_job<T>& job;
      ~leaving() { job.unwanted.set(); }
    } const at_end{*job};
    co_await job->done.wait();
    co_return job->result.take();
  }
  [[nodiscard]] const remote& remote_of(unsigned shard) const;

  std::vector<remote> remotes_;  // before the threads, which call each other until they end
  std::vector<std::unique_ptr<worker>> workers_;
};

}  // namespace parkring
