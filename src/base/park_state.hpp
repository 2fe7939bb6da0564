// Whether a thread sleeps: so that whoever has made work for it wakes it, once, and nothing is
// lost.
//
//   awake      the thread runs; an unpark needs no system call
//   sleeping   the thread is, or is about to be, inside a call that blocks
//   notified   an unpark came since the last look
//
// The sleeper exchanges in `sleeping` and reads what was there; an unparker exchanges in `notified`
// and reads what was there. Both are read-modify-writes of one word, so exactly one of them comes
// first: either the sleeper sees `notified` and does not sleep, or the unparker sees `sleeping` and
// signals, which ends the sleep.
//
// To be awake again is exchanged, too, before the look at what was made. A second unparker sees the
// `notified` of the first and does not signal, and the first one's signal may be used up already.
// The exchange comes after the second one's, and the look sees what it made; or before, and it
// leaves a `notified` to be seen. A plain store could become visible after the look.
#pragma once

#include <atomic>

namespace parkring::base {

template <class Word = std::atomic<int>>
class basic_park_state {
 public:
  /// Any thread. True: it sleeps; signal it.
  [[nodiscard]] bool unpark() noexcept {
    // acq_rel: pairs with the exchanges of the sleeper.
    return state_.exchange(notified, std::memory_order_acq_rel) == sleeping;
  }
  /// Before blocking. False: an unpark came, do not block.
  [[nodiscard]] bool begin_sleep() noexcept {
    // acq_rel: pairs with the exchange in unpark().
    if (state_.exchange(sleeping, std::memory_order_acq_rel) == notified) [[unlikely]] {
      end_sleep();
      return false;
    }
    return true;
  }
  /// Before the look at what was made.
  void end_sleep() noexcept {
    // Acquire: pairs with the exchange in unpark().
    (void)state_.exchange(awake, std::memory_order_acquire);
  }

 private:
  enum : int { awake, sleeping, notified };

  Word state_{awake};
};

using park_state = basic_park_state<>;

}  // namespace parkring::base
