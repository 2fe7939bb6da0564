// The foreign loops that a runtime waits for beside its own work.
//
// Protocol. A `guest_watch` belongs to its guest and stands in the runtime's list; whoever goes
// first, guest or runtime, takes it off. It waits in two ways at a time, like any coroutine, but
// with plain frames for coroutines:
//   poll    one-shot, of the guest's descriptor, by a request of the ring, or in the reactor that
//           the thread sleeps in, where there is one (park/driver.hpp) and it takes the descriptor.
//           One-shot, because it is armed after the turn and then looks: what a turn has left over
//           makes it fire at once, where a multishot poll would say nothing until something new
//           happened.
//   timer   of the guest's time-out hint, in the wheel: so it is part of the deadline of a park.
// Both only note what happened. Turns are given in one place of the run loop, before the park:
// nothing is resumed then, no completion is being read, and no task is current. A guest has a turn
//   * when its poll has fired, its time has come, or it said `more`;
//   * before the thread may sleep, because tasks may have told the foreign loop to do things, which
//     changes neither its descriptor nor a time-out that was asked for earlier;
//   * every eighth turn of a runtime that is never idle, for the same reason.
// One turn of the guest for one batch of ours: neither starves.
#pragma once

#include <parkring/guest.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <parkring/detail/plain_frame.hpp>
#include <parkring/detail/record.hpp>
#include <parkring/detail/timer.hpp>

#include "park/reactor.hpp"

namespace parkring::exec {

class core;

class guests {
 public:
  explicit guests(core& c) noexcept : core_(c) {}
  guests(const guests&) = delete;
  guests& operator=(const guests&) = delete;

  [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
  [[nodiscard]] std::size_t count() const noexcept { return all_.size(); }

  void add(detail::guest_watch& w) { all_.push_back(&w); }
  void remove(const detail::guest_watch& w) noexcept;

  /// Gives turns to those that need one; whether some want another one at once.
  bool turn_all(bool about_to_sleep) noexcept;
  /// The runtime ends.
  void leave_all() noexcept;

  std::uint64_t turns = 0;  // given

 private:
  core& core_;
  std::vector<detail::guest_watch*> all_;  // null: left during the turns
  bool turning_ = false;
};

}  // namespace parkring::exec

namespace parkring::detail {

class guest_watch {
 public:
  guest_watch(guest& g, exec::core& at) noexcept;
  guest_watch(const guest_watch&) = delete;
  guest_watch& operator=(const guest_watch&) = delete;

  [[nodiscard]] static bool watches(const guest& g) noexcept { return g.watch_ != nullptr; }
  [[nodiscard]] exec::core& runs_on() const noexcept { return core_; }
  /// The guest has moved.
  void follow(guest& g) noexcept { guest_ = &g; }
  /// Gives a turn, if there is a reason to: whether it wants another one at once.
  bool maybe_turn(bool about_to_sleep, std::uint64_t& turns) noexcept;
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  /// Ends the watch: forgets the guest, and is gone.
  void leave() noexcept;

 private:
  struct poll_wait final : plain_frame, op_waiter {
    explicit poll_wait(guest_watch& w) noexcept;
    guest_watch& of;
  };
  struct time_wait final : plain_frame {
    explicit time_wait(guest_watch& w) noexcept;
    guest_watch& of;
  };

  struct reactor_wait final : park::reactor::watch {
    explicit reactor_wait(guest_watch& w) noexcept;
    guest_watch& of;
  };

  void descriptor_called() noexcept;
  bool arm_in_reactor() noexcept;
  void arm_poll() noexcept;
  void drop_poll() noexcept;
  void submit_poll() noexcept;
  void arm_timer(std::chrono::nanoseconds after) noexcept;

  guest* guest_;
  exec::core& core_;
  bool polling_ = false;  // the poll is armed, or its answer is not resumed yet
  bool called_ = true;    // poll or timer say that a turn is due
  bool more_ = false;     // it wants another turn
  bool ended_ = false;
  std::uint8_t busy_turns_ = 0;  // of the runtime, since the guest had one
  poll_wait poll_;
  reactor_wait in_reactor_;
  time_wait time_;
  std::optional<timed_waiter> timer_;
};

}  // namespace parkring::detail
