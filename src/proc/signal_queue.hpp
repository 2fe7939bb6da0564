// One subscriber's queue of signals, and how a runtime learns that there is something in it.
//
// Protocol
//   Queue     has, for each signal, the count that it has seen. What the table counts beyond that
//   is
//             in the queue. Taking moves the seen count on; giving back moves it back. So a queue
//             takes no memory, and the handler knows none.
//   Waiter    in its coroutine's frame, on `waiting`; the shared pointers of the object and of its
//             waiters keep the queue. A signal is handed over when it is there: the waiter has it
//             in `given` and is on the ready list. If it is dropped before its turn it gives it
//             back.
//   Watch     one for each runtime: a multishot poll of the table's event, in the kernel while
//             somebody waits on this runtime. The last who leaves lets it go: it is cancelled, and
//             the record no longer knows the watch. The next makes a new one.
//   No edge is lost: the event is readable for ever once there was a signal, and a poll tells of
//   that when it begins. Words are looked at after each completion, and before one waits.
//   Thread    all of it belongs to the runtime's thread while somebody waits.
#pragma once

#include <array>
#include <cstdint>

#include <parkring/detail/list.hpp>
#include <parkring/proc/signals.hpp>

#include "exec/core.hpp"
#include "proc/signal_table.hpp"

namespace parkring::proc {
class signal_watch;
}

namespace parkring::detail {

struct signal_queue : list_node {  // on its watch's list, while somebody waits
  explicit signal_queue(proc::signal_set s) noexcept;

  /// Takes the signal whose last arrival is the oldest; number 0 when there is none.
  [[nodiscard]] received_signal take() noexcept;
  void give_back(const received_signal& s) noexcept {
    seen[static_cast<std::size_t>(s.number)] -= s.count;
  }

  proc::signal_set wanted;  // none once the object has gone
  std::array<std::uint32_t, proc::last_signal + 1> seen{};
  waiter_list waiting;                  // signal_waiters
  proc::signal_watch* watch = nullptr;  // of the runtime where somebody waits
};

}  // namespace parkring::detail

namespace parkring::proc {

class signal_watch final : public exec::service {
 public:
  explicit signal_watch(exec::core& core) noexcept : core_(core) {}
  ~signal_watch() override;

  /// Somebody waits on `q`. False when there is no record for the poll.
  [[nodiscard]] bool add(detail::signal_queue& q) noexcept;
  /// Nobody waits on `q` any more.
  void remove(detail::signal_queue& q) noexcept;
  /// Hands out what is in `q`, as far as somebody waits.
  void serve(detail::signal_queue& q) noexcept;

 private:
  static const detail::record_type type;
  void fail(int answer) noexcept;

  exec::core& core_;
  detail::record* record_ = nullptr;  // the poll, unless it was let go
  detail::intrusive_list<detail::signal_queue> queues_;
};

}  // namespace parkring::proc
