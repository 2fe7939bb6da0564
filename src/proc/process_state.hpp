// A child on its runtime: who waits for it, and the request that collects its end.
//
// References are held by the handle, by each wait that is described or under way, and by the
// request. They are counted on the home thread; a handle that is dropped elsewhere posts itself
// home, and when the runtime has gone it is the last.
//
// Protocol
//   running    the child was not collected: its number is taken, its descriptor names it. At most
//              one request is in the kernel, `watch`. It begins with the first wait, or when the
//              handle goes; from then on it stays until the child ends, whoever stops waiting.
//   ended      `status` is there, or `lost`: whoever waits has been woken, whoever comes is
//   answered.
//
//   The request is a WAITID, which also collects; or a poll of the descriptor, and the collecting
//   is done here when it answers: where the ring has no WAITID, and for leaders of groups. Of those
//   a number is used, to reach the group, and only here do we know that it is still taken.
//
//   Handle gone while running: the child is killed if its command says so, and the request collects
//   it. At the runtime's end the request is cancelled, unless the child was killed and so ends
//   soon. A child that was not collected then is left over (proc/child.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <parkring/detail/home.hpp>
#include <parkring/detail/record.hpp>
#include <parkring/proc/process.hpp>

#include "proc/child.hpp"

namespace parkring::detail {

struct process_state final : message {
  process_state(proc::child&& c, home_ref home) noexcept : who(std::move(c)), home_of(home) {}
  ~process_state() {
    if (!ended()) who.let_go();
    who.pid = 0;
  }

  /// Takes a child that nobody has a handle of, on a runtime's thread. False when there is none.
  static bool watch_in_background(proc::child& c) noexcept;

  [[nodiscard]] bool ended() const noexcept { return status.has_value() || lost != 0; }
  /// Sees to it that the end will be collected; false when there is no record for it.
  [[nodiscard]] bool watch_it() noexcept;
  /// The end is known: wakes who waits.
  void end(const proc::child::collected& how) noexcept;
  /// As `process::kill` and `kill_group`.
  bool send(int signal);
  bool send_to_group(int signal);
  /// The handle was dropped, with its reference.
  void handle_gone() noexcept;
  void release() noexcept {
    if (--references == 0) delete this;
  }

  std::uint32_t references = 1;
  proc::child who;
  home_ref home_of;
  std::string program;
  std::optional<exit_status> status;
  int lost = 0;  // why there will be no status
  record* watch = nullptr;
  waiter_list waiting;  // op_waiters of `wait`
};

}  // namespace parkring::detail
