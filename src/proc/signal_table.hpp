// What the process knows of its signals: one word for each, written by the handler.
//
// Protocol
//   Handler   async-signal-safe: it adds one to the signal's word by compare-and-swap, and writes
//   to
//             an eventfd. No lock, no memory, errno as it was. Several threads may be in it.
//   Words     only ever count up (modulo 2^32), so any number of readers each find out, by the
//   count
//             that they have seen, what is new to them. Nobody takes anything from anybody. Count
//             and sender share a word, so they belong together.
//   Event     one eventfd for the process. It is never read, so every write to it is an edge for
//             every poll that watches it; and it is never closed, so that a handler that is late
//             writes to nothing else. A full counter (2^64 - 2 signals) would still be readable.
//   Handlers  are installed for the first subscriber of a signal and removed after the last, under
//             the mutex. If somebody else has installed another one meanwhile, that one stays.
//   Fork      the child finds the mutex free and gets an event of its own under the same number, so
//             that its signals do not wake the parent's runtimes. Handlers and words are copies.
//   Exec      ends handlers; no mask was changed, so a child inherits none.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace parkring::proc {

inline constexpr int last_signal = 64;

struct arrivals {
  std::uint32_t count = 0;  // since the process began, modulo 2^32
  pid_t sender = 0;         // of the last; 0: not known
};

/// Bit n - 1 is signal n.
using signal_set = std::uint64_t;
[[nodiscard]] constexpr signal_set bit_of(int number) noexcept {
  return signal_set{1} << (number - 1);
}

struct signal_table {
  /// Throws io_error; then nothing was subscribed.
  static void subscribe(signal_set wanted);
  static void unsubscribe(signal_set wanted) noexcept;
  [[nodiscard]] static arrivals look(int number) noexcept;
  /// When the last of it arrived, in the order of all arrivals.
  [[nodiscard]] static std::uint64_t order_of(int number) noexcept;
  /// The event, readable and written to with every signal; once there was a subscriber.
  [[nodiscard]] static int event() noexcept;
};

}  // namespace parkring::proc
