// A child of this process, and the system calls that name it by its descriptor.
//
// A child that has ended stays as a zombie, and keeps its number, until its end is collected. Who
// has a `child` has to see to that: `collect` asks without waiting. A child that goes without
// having been collected is left to the runtime of the thread, if there is one, else to `leftovers`.
//
// Only the process that made a child can collect it or has a say in its life: in a forked child of
// ours, where the same objects exist again, they only close their descriptors.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <optional>
#include <utility>

#include <parkring/proc/exit_status.hpp>

#include "base/owned_fd.hpp"

namespace parkring::proc {

/// As the system headers of newer C libraries call it.
inline constexpr int by_pidfd = 3;  // P_PIDFD

/// pidfd_open(2): a descriptor or -errno.
[[nodiscard]] int open_pidfd(pid_t pid) noexcept;

[[nodiscard]] exit_status status_of(const siginfo_t& info) noexcept;

struct child {
  pid_t pid = 0;  // 0: none
  base::owned_fd pidfd;
  pid_t parent = 0;
  bool leads_group = false;
  bool kill_on_drop = false;
  bool killed = false;  // SIGKILL was sent: it ends soon

  child() noexcept = default;
  child(child&& other) noexcept
      : pid(std::exchange(other.pid, 0)),
        pidfd(std::move(other.pidfd)),
        parent(other.parent),
        leads_group(other.leads_group),
        kill_on_drop(other.kill_on_drop),
        killed(other.killed) {}
  child& operator=(child&&) = delete;
  /// Leaves a child that has not been collected to the runtime of this thread, or lets go of it.
  ~child();
  /// Without a runtime: collects it if it has ended, kills it before if it is to be killed, or adds
  /// it to the leftovers. There is no child then.
  void let_go() noexcept;

  [[nodiscard]] bool is_ours() const noexcept;
  /// 0 or an errno; ESRCH once it was collected.
  [[nodiscard]] int send(int signal) const noexcept;
  /// To its group. REQUIRES: it leads one and has not been collected, so that its number is taken.
  [[nodiscard]] int send_to_group(int signal) const noexcept;
  /// SIGKILL, to its group if it has one.
  void end_it() noexcept;

  struct collected {
    std::optional<exit_status> status;
    int error = 0;  // ECHILD: somebody else has collected it
  };
  /// Without waiting; neither when it still runs. REQUIRES: no request collects it.
  [[nodiscard]] collected collect() const noexcept;
};

/// Children that nobody waits for and no runtime watches.
struct leftovers {
  static void add(child&& c) noexcept;
  /// Collects those that have ended.
  static void collect() noexcept;
};

}  // namespace parkring::proc
