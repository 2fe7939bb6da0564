// A connection: two sides, and a way of bytes from each to the other.
//
// A way holds its bytes once, in one queue, from send to receive:
//
//   front                                                     back
//   [ arrived, not received | in flight, in segments of `segments` ]
//
// Sending appends a segment that is due later; its arrival only moves the border. So a way has one
// event: the arrival of its first segment. Segments keep their order because none is due before the
// one in front of it. A segment that finds no room in the receiver's buffer waits at the front; a
// receive that makes room has it sent again. The sender's buffer holds what is in flight, and
// what arrived while the way back was cut, so that no acknowledgement came.
//
// Setting up, for AF_INET and AF_INET6 (side 0 is who connects):
//
//   asked      the request travels to side 1, or waits to be sent again
//   answered   side 1 has room for it; the answer travels back. A reference is with the listener's
//              list of these, or the network's when the listener goes
//   refused    nobody listens; that travels back
//   open       side 0 is connected. Its first segment is an `opening`, at whose arrival side 1 gets
//              its socket and the listener has it to accept
//
// A side is `gone` when its socket closed, or a reset or a time-out ended it: whatever then arrives
// there is answered with a reset. AF_UNIX connections are open at once, and everything on them
// arrives at once.
#pragma once

#include <array>
#include <cstdint>

#include "kernel/sim/address.hpp"
#include "kernel/sim/byte_queue.hpp"
#include "kernel/sim/event_queue.hpp"
#include "kernel/sim/socket.hpp"

namespace parkring::kernel::sim {

class network;
class stream_socket;

class connection final : public counted, public detail::list_node {
 public:
  struct side {
    stream_socket* user = nullptr;  // null before there is one, and when it closed
    host_id host{};
    address name;
    std::size_t receive_limit = 0;
    std::size_t send_limit = 0;
    bool gone = false;
  };

  connection(network& net, bool local);
  ~connection() override;

  [[nodiscard]] side& at(unsigned i) noexcept { return sides_[i]; }
  [[nodiscard]] bool local() const noexcept { return local_; }

  /// Side 0 asks for it; it tells its user how that ends.
  /// With nobody `there` to hear, the requests are lost.
  void ask(bool there) noexcept;
  /// Both users are there, and it is open.
  void open_at_once() noexcept { phase_ = phase::open; }

  // ---- of side `i` ----

  /// Bytes that can be received, and whether none follow them.
  [[nodiscard]] std::size_t readable(unsigned i) const noexcept { return ways_[1 - i].arrived; }
  [[nodiscard]] bool ended(unsigned i) const noexcept { return ways_[1 - i].end_arrived; }
  /// Bytes of its send buffer in use, and the room that is left.
  [[nodiscard]] std::size_t sending(unsigned i) const noexcept;
  [[nodiscard]] std::size_t room(unsigned i) const noexcept;
  [[nodiscard]] bool writable(unsigned i) const noexcept;

  void send(unsigned i, const iovec* parts, std::size_t count, std::size_t n) noexcept;
  void receive(unsigned i, const iovec* parts, std::size_t count, std::size_t n) const noexcept {
    ways_[1 - i].bytes.peek(parts, count, n);
  }
  void consume(unsigned i, std::size_t n) noexcept;
  void end(unsigned i) noexcept;
  /// Its user goes; with `abort`, or bytes not received, by a reset.
  void close(unsigned i, bool abort) noexcept;
  /// It is gone, and the other side sees a reset when that has travelled.
  void crash(unsigned i) noexcept;
  void reset_now() noexcept;

  /// The listener that answered goes.
  void forget_listener() noexcept { listener_ = nullptr; }

 private:
  enum class phase : std::uint8_t { asked, answered, refused, open };
  enum class kind : std::uint8_t { bytes, opening, end };
  struct segment {
    std::uint64_t due_ns = 0;
    std::size_t bytes = 0;
    kind what = kind::bytes;
  };
  struct timer : event {
    connection& home;
    const unsigned index;
    timer(action a, connection& c, unsigned i) noexcept : event(a), home(c), index(i) {}
  };
  struct way {  // from side `index` of `arrival`
    byte_queue bytes;
    std::size_t arrived = 0;
    std::size_t unacknowledged = 0;  // of those that arrived or were received
    ring_queue<segment> segments;
    timer arrival;
    timer acknowledgement;  // is tried again
    std::uint64_t last_due_ns = 0;
    std::uint64_t blocked_since_ns = 0;  // while `tries` > 0
    unsigned tries = 0;
    bool end_sent = false;
    bool end_arrived = false;
    bool stalled = false;      // the first segment found no room
    bool was_writable = true;  // for the sender, when it was last told
    way(connection& c, unsigned i) noexcept;
  };

  void go_on() noexcept;  // setting up
  void ask_again() noexcept;
  void answer() noexcept;
  void give_up(int error) noexcept;
  void leave_list() noexcept;
  [[nodiscard]] bool make_other_end() noexcept;

  void push(unsigned i, std::size_t bytes, kind what) noexcept;
  void arrive(unsigned i) noexcept;
  [[nodiscard]] bool take(unsigned i) noexcept;
  void acknowledge(unsigned i) noexcept;
  /// When to try again what a cut stopped; false when it is time to give up, which is done.
  [[nodiscard]] bool try_again(unsigned i, timer& t) noexcept;
  void tell_sender(unsigned i) noexcept;
  void send_reset(unsigned to) noexcept;
  void take_reset(unsigned i, int error) noexcept;
  void drop_undelivered(unsigned i) noexcept;
  [[nodiscard]] std::uint64_t delay(unsigned from, std::size_t bytes) noexcept;

  network& net_;
  const bool local_;
  phase phase_ = phase::asked;
  unsigned asked_ = 0;  // how often
  std::uint64_t asked_since_ns_ = 0;
  bool in_flight_ = false;  // the request travels, rather than waits
  bool there_ = true;       // a host answers at the address of side 1
  const std::uint64_t number_;
  std::array<side, 2> sides_;
  stream_socket* listener_ = nullptr;
  std::array<way, 2> ways_;
  timer setting_up_;
  std::array<timer, 2> resets_;  // to side [i]
};

}  // namespace parkring::kernel::sim
