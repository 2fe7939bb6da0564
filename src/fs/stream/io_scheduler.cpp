// Turns at a device.
//
// A request is
//   waiting    a ticket in its class's queue, in the frame of whoever waits. It is woken when it is
//              granted, and when it has become the first of a class that must wait for a time: the
//              first is who sets the timer, for there is no task of the scheduler's own
//   granted    it counts: against the depth, the class's tokens and its share. Whoever drops it
//              before it was taken gives all of it back
//   in flight  a permit has it; its end gives back the depth
//
// `dispatch` is run whenever something has changed: a ticket came or went, a permit ended, a timer
// fired. It grants what may go, in the order of start tags.
//
// Start tags (start-time fair queueing): a ticket that comes to the head of its class has the tag
// max(virtual time, where its class ended before); the one with the lowest tag goes first, the
// virtual time is its tag then, and the class ends its cost / shares later. A class that did not
// wait has saved nothing up.
//
// A request of the background that may be cut (it has a `grain`) is granted for its first piece
// only while there is a foreground, as large as the window has room for at that moment; whoever has
// it comes again for the rest (io_pieces.cpp). A class with a limit on operations is not cut, or
// the limit would be one on pieces.
//
// The window of the background holds while there is a foreground; its law is in
// background_window.hpp. One request is let through whatever its size when none of the background
// is with the device, and after one that is larger than the window comes a pause. So nothing but a
// look at the foreground alone, which ends by itself, holds the background altogether.
//
// All of it belongs to the runtime's thread.

#include <parkring/fs/io_scheduler.hpp>

#include <algorithm>
#include <array>
#include <optional>

#include <parkring/event.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

#include "exec/core.hpp"
#include "fs/stream/background_window.hpp"
#include "fs/stream/token_bucket.hpp"

namespace parkring::detail {

using fs::io_class;
using time_point = std::chrono::steady_clock::time_point;
using nanoseconds = std::chrono::nanoseconds;

struct io_ticket : list_node {
  io_class as;
  std::size_t bytes;  // that it asks for; granted: that it may have
  std::size_t grain;  // 0: not to be cut
  bool granted = false;
  time_point alarm = time_point::max();  // when it looks again by itself
  event woken;
  io_ticket(io_class c, std::size_t n, std::size_t g) noexcept : as(c), bytes(n), grain(g) {}
};

namespace {

constexpr double request_cost = 4096;  // of any request, beside its bytes
// What a request of the background counts for in the window.
std::size_t in_window(std::size_t bytes) noexcept {
  return std::max(bytes, static_cast<std::size_t>(request_cost));
}

struct class_state {
  double shares;
  fs::token_bucket bytes, operations;
  intrusive_list<io_ticket> waiting;
  std::size_t waiting_count = 0;
  double ended = 0;  // the virtual time at which its last request ends
  fs::io_class_counters counters;
  explicit class_state(const fs::io_limits& l)
      : shares(l.shares), bytes(l.bytes_per_second), operations(l.operations_per_second) {
    PARKRING_CHECK(l.shares != 0, "a class of an io_scheduler needs a share");
  }
};

}  // namespace

struct io_scheduler_state {
  fs::io_scheduler_options options;
  std::array<class_state, 3> classes;
  std::size_t in_flight = 0;
  double virtual_time = 0;
  time_point filled;           // the buckets, last
  time_point foreground_seen;  // one came or ended, last
  bool foreground_ever = false;
  fs::background_window window;
  std::size_t background_bytes = 0;  // with the device
  time_point pause_until;            // between two requests of the background

  explicit io_scheduler_state(const fs::io_scheduler_options& o)
      : options(o),
        classes{class_state(o.foreground), class_state(o.background), class_state(o.sync)},
        window(o.latency_target, o.queue_depth) {
    PARKRING_CHECK(o.queue_depth != 0, "an io_scheduler needs a queue_depth of at least 1");
    // Longer is never, and no point in time is beyond the clock.
    options.idle_after = std::min<nanoseconds>(options.idle_after, std::chrono::hours(24 * 365));
  }

  class_state& of(io_class c) noexcept { return classes[static_cast<std::size_t>(c)]; }
  [[nodiscard]] bool anybody_waits() const noexcept {
    return std::any_of(classes.begin(), classes.end(),
                       [](const class_state& c) { return c.waiting_count != 0; });
  }
  void fill_buckets(time_point t) noexcept;
  [[nodiscard]] bool background_alone(time_point t) noexcept;
  [[nodiscard]] std::size_t turn_of(io_class c, std::size_t bytes, std::size_t grain,
                                    time_point t) noexcept;
  [[nodiscard]] std::optional<time_point> earliest(io_class c, std::size_t bytes,
                                                   time_point t) noexcept;
  void grant(io_class c, std::size_t bytes, time_point t) noexcept;
  void take_back(io_class c, std::size_t bytes) noexcept;
  void left(io_class c, std::size_t bytes) noexcept;
  void dispatch() noexcept;
  void ended(io_class c, std::size_t bytes, time_point since, std::uint64_t background) noexcept;
  [[nodiscard]] std::uint64_t background_now() noexcept;
  [[nodiscard]] std::optional<std::size_t> try_now(io_class c, std::size_t bytes,
                                                   std::size_t grain) noexcept;
};

void io_scheduler_state::fill_buckets(time_point t) noexcept {
  if (filled == time_point()) filled = t;
  const nanoseconds passed = t - filled;
  filled = t;
  for (class_state& c : classes) {
    c.bytes.fill(passed);
    c.operations.fill(passed);
  }
}

bool io_scheduler_state::background_alone(time_point t) noexcept {
  if (!foreground_ever) return true;
  return of(io_class::foreground).counters.in_flight == 0 &&
         t - foreground_seen >= options.idle_after;
}

// For how many of `bytes` there would be a turn.
std::size_t io_scheduler_state::turn_of(io_class c, std::size_t bytes, std::size_t grain,
                                        time_point t) noexcept {
  if (grain == 0 || c != io_class::background || of(c).operations.limited() || background_alone(t))
    return bytes;
  return window.piece(bytes, grain);
}

// When the first of a class may go, if only time is to pass; none: something has to end.
std::optional<time_point> io_scheduler_state::earliest(io_class c, std::size_t bytes,
                                                       time_point t) noexcept {
  class_state& mine = of(c);
  if (in_flight >= options.queue_depth) return std::nullopt;
  const time_point at = t + std::max(mine.bytes.wait(), mine.operations.wait());
  if (c != io_class::background || background_alone(t)) return at;
  // When it will have the device to itself, if nobody of the foreground comes: not before those end
  // that are there.
  const bool front_is_there = of(io_class::foreground).counters.in_flight != 0;
  const time_point alone =
      front_is_there ? time_point::max() : foreground_seen + options.idle_after;
  if (const auto until = window.looks_until(t)) return std::max(at, std::min(*until, alone));
  const double wanted = static_cast<double>(background_bytes + in_window(bytes));
  if (wanted <= window.bytes()) return at;
  if (mine.counters.in_flight == 0) return std::max(at, std::min(pause_until, alone));
  if (front_is_there) return std::nullopt;
  return std::max(at, alone);
}

void io_scheduler_state::grant(io_class c, std::size_t bytes, time_point t) noexcept {
  class_state& mine = of(c);
  const double start = std::max(virtual_time, mine.ended);
  virtual_time = start;
  mine.ended = start + (static_cast<double>(bytes) + request_cost) / mine.shares;
  mine.bytes.take(static_cast<double>(bytes));
  mine.operations.take(1);
  ++mine.counters.operations;
  mine.counters.bytes += bytes;
  ++mine.counters.in_flight;
  ++in_flight;
  if (c == io_class::background) background_bytes += in_window(bytes);
  if (c == io_class::foreground) {
    foreground_ever = true;
    foreground_seen = t;
    window.foreground_began(t);
  }
}

void io_scheduler_state::left(io_class c, std::size_t bytes) noexcept {
  --of(c).counters.in_flight;
  --in_flight;
  if (c == io_class::background) background_bytes -= in_window(bytes);
}

// Of a request that was granted and never made.
void io_scheduler_state::take_back(io_class c, std::size_t bytes) noexcept {
  class_state& mine = of(c);
  mine.ended -= (static_cast<double>(bytes) + request_cost) / mine.shares;
  mine.bytes.take(-static_cast<double>(bytes));
  mine.operations.take(-1);
  --mine.counters.operations;
  mine.counters.bytes -= bytes;
  left(c, bytes);
}

void io_scheduler_state::dispatch() noexcept {
  if (!anybody_waits()) return;
  const time_point t = now();
  fill_buckets(t);
  for (;;) {
    class_state* next = nullptr;
    io_ticket* ticket = nullptr;
    std::size_t bytes = 0;
    double lowest = 0;
    for (class_state& c : classes) {
      io_ticket* const first = c.waiting.front();
      if (first == nullptr) continue;
      const std::size_t turn = turn_of(first->as, first->bytes, first->grain, t);
      const auto when = earliest(first->as, turn, t);
      if (!when) continue;
      if (*when > t) {
        if (*when < first->alarm) first->woken.set();  // to wait for that
        continue;
      }
      const double tag = std::max(virtual_time, c.ended);
      if (next != nullptr && tag >= lowest) continue;
      next = &c;
      ticket = first;
      bytes = turn;
      lowest = tag;
    }
    if (next == nullptr) return;
    ticket->unlink();
    --next->waiting_count;
    ticket->granted = true;
    ticket->bytes = bytes;
    grant(ticket->as, bytes, t);
    ticket->woken.set();
  }
}

// To be compared later: whether there was any background in between.
std::uint64_t io_scheduler_state::background_now() noexcept {
  const fs::io_class_counters& back = of(io_class::background).counters;
  return back.in_flight != 0 ? UINT64_MAX : back.operations;
}

void io_scheduler_state::ended(io_class c, std::size_t bytes, time_point since,
                               std::uint64_t background) noexcept {
  const time_point t = now();
  if (c == io_class::foreground) {
    foreground_seen = t;
    const bool met = background == UINT64_MAX || background != background_now();
    const class_state& back = of(io_class::background);
    const bool limited = back.bytes.wait() + back.operations.wait() > nanoseconds(0);
    const bool used = (back.waiting_count != 0 && !limited) ||
                      static_cast<double>(background_bytes) * 4 >= window.bytes();
    window.foreground_ended(since, t, met, used);
  } else if (c == io_class::background) {
    // A small one does not end the pause after a large one.
    pause_until = std::max(pause_until, t + window.pause(in_window(bytes), t - since));
  }
  left(c, bytes);
  dispatch();
}

std::optional<std::size_t> io_scheduler_state::try_now(io_class c, std::size_t bytes,
                                                       std::size_t grain) noexcept {
  if (of(c).waiting_count != 0) return std::nullopt;
  const time_point t = now();
  fill_buckets(t);
  const std::size_t turn = turn_of(c, bytes, grain, t);
  const auto when = earliest(c, turn, t);
  if (!when || *when > t) return std::nullopt;
  grant(c, turn, t);
  return turn;
}

namespace {

// In the frame of who waits.
class place {
 public:
  place(std::shared_ptr<io_scheduler_state> of, io_class as, std::size_t bytes, std::size_t grain)
      : of_(std::move(of)), ticket_(as, bytes, grain) {
    of_->of(as).waiting.push_back(ticket_);
    ++of_->of(as).waiting_count;
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;
  ~place() {
    if (taken_) return;
    if (ticket_.granted) {
      of_->take_back(ticket_.as, ticket_.bytes);
    } else {
      ticket_.unlink();
      --of_->of(ticket_.as).waiting_count;
    }
    of_->dispatch();
  }
  [[nodiscard]] bool granted() const noexcept { return ticket_.granted; }
  /// For how many bytes.
  std::size_t take() noexcept {
    taken_ = true;
    return ticket_.bytes;
  }
  event& woken() noexcept { return ticket_.woken; }
  /// When it should look again by itself.
  [[nodiscard]] std::optional<time_point> look_again(time_point t) noexcept {
    std::optional<time_point> when;
    if (of_->of(ticket_.as).waiting.front() == &ticket_) {
      const std::size_t turn = of_->turn_of(ticket_.as, ticket_.bytes, ticket_.grain, t);
      when = of_->earliest(ticket_.as, turn, t);
    }
    ticket_.alarm = when.value_or(time_point::max());
    return when;
  }

 private:
  std::shared_ptr<io_scheduler_state> of_;
  io_ticket ticket_;
  bool taken_ = false;
};

task<std::size_t> wait_for_turn(std::shared_ptr<io_scheduler_state> of, io_class as,
                                std::size_t bytes, std::size_t grain) {
  place mine(of, as, bytes, grain);
  for (;;) {
    of->dispatch();
    if (mine.granted()) break;
    const time_point t = now();
    const auto when = mine.look_again(t);
    mine.woken().reset();
    if (!when) {
      co_await mine.woken().wait();
    } else {
      const nanoseconds pause = *when - t;
      auto wait = mine.woken().wait();
      (void)co_await timeout(pause, std::move(wait));
    }
    if (mine.granted()) break;
  }
  co_return mine.take();
}

}  // namespace

bool io_attempt::try_now() {
  if (of_ == nullptr) return true;  // an empty lane: nobody's turn is waited for
  const auto turn = of_->try_now(as_, bytes_, grain_);
  if (!turn) return false;
  permit_ = fs::io_permit(of_, as_, *turn);
  return true;
}

task<> io_attempt::slowly() {
  const std::size_t turn = co_await wait_for_turn(of_, as_, bytes_, grain_);
  permit_ = fs::io_permit(of_, as_, turn);
}

}  // namespace parkring::detail

namespace parkring::fs {

using detail::io_scheduler_state;

void io_permit::release() noexcept {
  if (of_ == nullptr) return;
  const auto of = std::move(of_);
  of->ended(as_, bytes_, since_, background_);
}

io_permit::io_permit(std::shared_ptr<io_scheduler_state> of, io_class as, std::size_t bytes)
    : of_(std::move(of)),
      as_(as),
      bytes_(bytes),
      since_(now()),
      background_(of_->background_now()) {}

io_scheduler::io_scheduler(const io_scheduler_options& options)
    : state_(std::make_shared<io_scheduler_state>(options)) {}

io_lane io_scheduler::lane(io_class as) const {
  io_lane l;
  l.of_ = state_;
  l.as_ = as;
  return l;
}

io_class_counters io_scheduler::counters(io_class of) const noexcept {
  const auto& c = state_->of(of);
  io_class_counters result = c.counters;
  result.waiting = c.waiting_count;
  return result;
}

std::uint64_t io_scheduler::background_window() const noexcept {
  if (state_->background_alone(now())) return UINT64_MAX;
  return static_cast<std::uint64_t>(state_->window.bytes());
}

}  // namespace parkring::fs
