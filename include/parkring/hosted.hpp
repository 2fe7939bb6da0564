// A runtime without a loop of its own: it lives in another library's loop.
//
// Protocol with the host. Between two turns everything is with the kernel, and the thread counts
// as asleep: a completion, a post and a spawn make the descriptor readable. So a host may sleep
// when the last turn said false, for as long as the descriptor is not readable and the next
// deadline has not come. The rest is a few lines in each of <parkring/hosts/*.hpp>.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/detail/list.hpp>
#include <parkring/runtime.hpp>

namespace parkring {

namespace detail {

/// What connects a runtime with its host. Whoever goes first tells the other.
struct host_link : list_node {
  host_link() noexcept = default;
  virtual ~host_link() { unlink(); }
  /// The runtime goes: watch its descriptor no more, and give it no turn.
  virtual void runtime_ends() noexcept = 0;
  /// The host's own thread has given the runtime something to do: a turn is due.
  virtual void work_came() noexcept {}
};

/// For a scope: the calling thread acts inside the runtime, as one of its tasks would.
class inside_runtime {
 public:
  explicit inside_runtime(core_base& core) noexcept;
  inside_runtime(const inside_runtime&) = delete;
  inside_runtime& operator=(const inside_runtime&) = delete;
  ~inside_runtime();

 private:
  core_base& core_;
  core_base* core_before_;
  void* pool_before_;
};

}  // namespace detail

/// A runtime that is run by turns, in the loop of another library.
///
/// *Owns* what a `runtime` owns. *Thread*: as a `runtime`'s. *Drop*: as a `runtime`'s; hosts that
/// are connected to it let it go. Not from inside a turn. *Errors*: as a `runtime`'s; EOPNOTSUPP in
/// a simulated world, which has no foreign loops.
class hosted {
 public:
  explicit hosted(const runtime_options& options = {});
  hosted(const hosted&) = delete;
  hosted& operator=(const hosted&) = delete;
  ~hosted();

  /// Readable when a turn is due; level-triggered. The runtime's: do not read, write or close it.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  /// When a turn is due although the descriptor says nothing: a timer. May change with every turn.
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> next_deadline() const noexcept;
  /// Runs what is ready, without waiting and not for long. True: another turn is due at once, so do
  /// not sleep before it; others may have theirs in between. Never from inside a task.
  bool turn();

  /// Whether something is ready now: for hosts that can look before they sleep. It notices what was
  /// done to the runtime outside of turns and without `call`.
  [[nodiscard]] bool has_work() const noexcept;
  /// Whether tasks exist.
  [[nodiscard]] bool has_tasks() const noexcept;

  /// Starts a task, which begins with the next turn. See `parkring::spawn`.
  template <class... Args>
  auto spawn(Args&&... args) {
    const tell_at_end tell{*this};
    return rt_.spawn(std::forward<Args>(args)...);
  }
  /// Calls `fn` now, as if one of the tasks did: it may spawn, set events and drop what tasks have.
  /// The way in from the host's callbacks; the next turn comes by itself.
  template <class Fn>
  decltype(auto) call(Fn&& fn) {
    const tell_at_end tell{*this};
    const detail::inside_runtime scope(rt_.core());
    return std::forward<Fn>(fn)();
  }

  /// Runs `fn` in a turn; any thread may call it while the runtime lives.
  void post(std::move_only_function<void()> fn) { rt_.post(std::move(fn)); }
  /// A handle to post with that may outlive the runtime.
  [[nodiscard]] parkring::remote remote() const noexcept { return rt_.remote(); }

  [[nodiscard]] runtime_counters counters() const noexcept { return rt_.counters(); }
  [[nodiscard]] std::string_view kernel() const noexcept { return rt_.kernel(); }
  [[nodiscard]] std::string_view kernel_reason() const noexcept { return rt_.kernel_reason(); }

  /// For adapters: `link` is told of the runtime's end.
  void connect(detail::host_link& link) noexcept { hosts_.push_back(link); }

 private:
  struct tell_at_end {
    hosted& of;
    ~tell_at_end() { of.tell(); }
  };
  void tell() noexcept;

  runtime rt_;
  int descriptor_;
  detail::intrusive_list<detail::host_link> hosts_;
};

}  // namespace parkring
