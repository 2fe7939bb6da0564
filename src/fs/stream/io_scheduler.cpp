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
// The window of the background, `window`, holds while there is a foreground. Each of its requests
// that is in time multiplies it by 1 + 1/150, each that is late by 1/2, but only one in the time
// that such a request takes, as those behind it were late for the same reason. So about one in a
// hundred is late in the long run: the 99th percentile is what is held. After 300 in time in a row
// it grows faster: there is more room than the steps are made for. The automatic target is made of
// the last requests that met no background; until there are enough of them all counts as late, and
// the pauses that follow let there be some.
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

namespace parkring::detail {

using fs::io_class;
using time_point = std::chrono::steady_clock::time_point;
using nanoseconds = std::chrono::nanoseconds;

struct io_ticket : list_node {
  io_class as;
  std::size_t bytes;
  bool granted = false;
  time_point alarm = time_point::max();  // when it looks again by itself
  event woken;
  io_ticket(io_class c, std::size_t n) noexcept : as(c), bytes(n) {}
};

namespace {

constexpr double request_cost = 4096;  // of any request, beside its bytes
constexpr double least_window = 1.0 / 16;
constexpr nanoseconds burst = std::chrono::milliseconds(20);

// A bucket that may be overdrawn once: what counts is whether there is any debt.
class token_bucket {
 public:
  explicit token_bucket(std::uint64_t rate) noexcept : rate_(static_cast<double>(rate)) {}
  [[nodiscard]] bool limited() const noexcept { return rate_ > 0; }
  void fill(nanoseconds passed) noexcept {
    if (!limited()) return;
    const double most = rate_ * seconds(burst);
    tokens_ = std::min(most, tokens_ + rate_ * seconds(passed));
  }
  void take(double n) noexcept {
    if (limited()) tokens_ -= n;
  }
  /// How long until there is no debt.
  [[nodiscard]] nanoseconds wait() const noexcept {
    if (!limited() || tokens_ >= 0) return nanoseconds(0);
    return nanoseconds(static_cast<std::int64_t>(-tokens_ / rate_ * 1e9) + 1);
  }

 private:
  static double seconds(nanoseconds d) noexcept { return static_cast<double>(d.count()) * 1e-9; }
  double rate_;
  double tokens_ = 0;
};

// How long requests of the foreground take that meet no background: the last ones.
class undisturbed {
 public:
  void add(double ns) noexcept {
    last_[added_++ % last_.size()] = static_cast<float>(ns);
    if (added_ < enough || added_ % 16 != 0) return;
    auto sorted = last_;
    const std::size_t there = std::min(added_, last_.size());
    const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(there - 2);
    std::nth_element(sorted.begin(), at, sorted.begin() + static_cast<std::ptrdiff_t>(there));
    p99_ = static_cast<double>(*at);
  }
  /// About the 99th percentile: the second longest of 128; 0: not known.
  [[nodiscard]] double p99() const noexcept { return p99_; }

 private:
  static constexpr std::size_t enough = 64;
  std::array<float, 128> last_{};
  std::size_t added_ = 0;
  double p99_ = 0;
};

struct class_state {
  double shares;
  token_bucket bytes, operations;
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
  double window = 1;     // of the background, while there is a foreground
  unsigned in_time = 0;  // of the foreground, in a row
  undisturbed usual;
  time_point last_cut;
  time_point pause_until;  // between two requests of the background

  explicit io_scheduler_state(const fs::io_scheduler_options& o)
      : options(o),
        classes{class_state(o.foreground), class_state(o.background), class_state(o.sync)} {
    PARKRING_CHECK(o.queue_depth != 0, "an io_scheduler needs a queue_depth of at least 1");
  }

  class_state& of(io_class c) noexcept { return classes[static_cast<std::size_t>(c)]; }
  [[nodiscard]] bool anybody_waits() const noexcept {
    return std::any_of(classes.begin(), classes.end(),
                       [](const class_state& c) { return c.waiting_count != 0; });
  }
  void fill_buckets(time_point t) noexcept;
  [[nodiscard]] double background_window(time_point t) const noexcept;
  [[nodiscard]] std::optional<time_point> earliest(io_class c, time_point t) noexcept;
  void grant(io_class c, std::size_t bytes, time_point t) noexcept;
  void take_back(io_class c, std::size_t bytes) noexcept;
  void dispatch() noexcept;
  void ended(io_class c, time_point since, std::uint64_t background) noexcept;
  [[nodiscard]] std::uint64_t background_now() noexcept;
  void foreground_took(nanoseconds d, time_point t, bool alone) noexcept;
  bool try_now(io_class c, std::size_t bytes) noexcept;
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

double io_scheduler_state::background_window(time_point t) const noexcept {
  const auto most = static_cast<double>(options.queue_depth);
  const class_state& front = classes[0];
  const bool alone = !foreground_ever ||
                     (front.counters.in_flight == 0 && t - foreground_seen >= options.idle_after);
  return alone ? most : std::min(window, most);
}

// When the first of a class may go, if only time is to pass; none: something has to end.
std::optional<time_point> io_scheduler_state::earliest(io_class c, time_point t) noexcept {
  class_state& mine = of(c);
  if (in_flight >= options.queue_depth) return std::nullopt;
  time_point at = t + std::max(mine.bytes.wait(), mine.operations.wait());
  if (c != io_class::background) return at;
  const double allowed = background_window(t);
  const auto there = static_cast<double>(mine.counters.in_flight);
  // When it will have the device to itself, if nobody of the foreground comes: not before those end
  // that are there.
  const bool front_is_there = of(io_class::foreground).counters.in_flight != 0;
  const time_point alone =
      front_is_there ? time_point::max() : foreground_seen + options.idle_after;
  if (there >= 1 && there + 1 > allowed) {
    if (front_is_there) return std::nullopt;
    return std::max(at, alone);
  }
  if (allowed < 1) at = std::max(at, std::min(pause_until, alone));
  return at;
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
  if (c == io_class::foreground) {
    foreground_ever = true;
    foreground_seen = t;
  }
}

// Of a request that was granted and never made.
void io_scheduler_state::take_back(io_class c, std::size_t bytes) noexcept {
  class_state& mine = of(c);
  mine.ended -= (static_cast<double>(bytes) + request_cost) / mine.shares;
  mine.bytes.take(-static_cast<double>(bytes));
  mine.operations.take(-1);
  --mine.counters.operations;
  mine.counters.bytes -= bytes;
  --mine.counters.in_flight;
  --in_flight;
}

void io_scheduler_state::dispatch() noexcept {
  if (!anybody_waits()) return;
  const time_point t = now();
  fill_buckets(t);
  for (;;) {
    class_state* next = nullptr;
    io_ticket* ticket = nullptr;
    double lowest = 0;
    for (class_state& c : classes) {
      io_ticket* const first = c.waiting.front();
      if (first == nullptr) continue;
      const auto when = earliest(first->as, t);
      if (!when) continue;
      if (*when > t) {
        if (*when < first->alarm) first->woken.set();  // to wait for that
        continue;
      }
      const double tag = std::max(virtual_time, c.ended);
      if (next != nullptr && tag >= lowest) continue;
      next = &c;
      ticket = first;
      lowest = tag;
    }
    if (next == nullptr) return;
    ticket->unlink();
    --next->waiting_count;
    ticket->granted = true;
    grant(ticket->as, ticket->bytes, t);
    ticket->woken.set();
  }
}

// To be compared later: whether there was any background in between.
std::uint64_t io_scheduler_state::background_now() noexcept {
  const fs::io_class_counters& back = of(io_class::background).counters;
  return back.in_flight != 0 ? UINT64_MAX : back.operations;
}

void io_scheduler_state::foreground_took(nanoseconds d, time_point t, bool alone) noexcept {
  const auto took = static_cast<double>(d.count());
  if (alone) usual.add(took);
  double target = static_cast<double>(options.latency_target.count());
  if (target == 0) target = 1.75 * usual.p99();
  if (took <= target) {
    const double growth = ++in_time <= 300 ? 1.0 / 150 : 1.0 / 50;
    window = std::min(window * (1 + growth), static_cast<double>(options.queue_depth));
  } else {
    in_time = 0;
    if (t - last_cut < d) return;
    last_cut = t;
    window = std::max(window / 2, least_window);
  }
}

void io_scheduler_state::ended(io_class c, time_point since, std::uint64_t background) noexcept {
  const time_point t = now();
  class_state& mine = of(c);
  --mine.counters.in_flight;
  --in_flight;
  if (c == io_class::foreground) {
    foreground_seen = t;
    const bool alone = background != UINT64_MAX && background == background_now();
    foreground_took(t - since, t, alone);
  } else if (c == io_class::background) {
    const double allowed = background_window(t);
    if (allowed < 1) {
      const auto took = static_cast<double>((t - since).count());
      pause_until = t + nanoseconds(static_cast<std::int64_t>(took * (1 / allowed - 1)));
    }
  }
  dispatch();
}

bool io_scheduler_state::try_now(io_class c, std::size_t bytes) noexcept {
  if (of(c).waiting_count != 0) return false;
  const time_point t = now();
  fill_buckets(t);
  const auto when = earliest(c, t);
  if (!when || *when > t) return false;
  grant(c, bytes, t);
  return true;
}

namespace {

// In the frame of who waits.
class place {
 public:
  place(std::shared_ptr<io_scheduler_state> of, io_class as, std::size_t bytes)
      : of_(std::move(of)), ticket_(as, bytes) {
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
  void take() noexcept { taken_ = true; }
  event& woken() noexcept { return ticket_.woken; }
  /// When it should look again by itself.
  [[nodiscard]] std::optional<time_point> look_again(time_point t) noexcept {
    std::optional<time_point> when;
    if (of_->of(ticket_.as).waiting.front() == &ticket_) when = of_->earliest(ticket_.as, t);
    ticket_.alarm = when.value_or(time_point::max());
    return when;
  }

 private:
  std::shared_ptr<io_scheduler_state> of_;
  io_ticket ticket_;
  bool taken_ = false;
};

task<> wait_for_turn(std::shared_ptr<io_scheduler_state> of, io_class as, std::size_t bytes) {
  place mine(of, as, bytes);
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
  mine.take();
}

}  // namespace

bool io_attempt::try_now() {
  if (of_ == nullptr) return true;  // an empty lane: nobody's turn is waited for
  if (!of_->try_now(as_, bytes_)) return false;
  permit_ = fs::io_permit(of_, as_);
  return true;
}

task<> io_attempt::slowly() {
  co_await wait_for_turn(of_, as_, bytes_);
  permit_ = fs::io_permit(of_, as_);
}

}  // namespace parkring::detail

namespace parkring::fs {

using detail::io_scheduler_state;

void io_permit::release() noexcept {
  if (of_ == nullptr) return;
  const auto of = std::move(of_);
  of->ended(as_, since_, background_);
}

io_permit::io_permit(std::shared_ptr<io_scheduler_state> of, io_class as)
    : of_(std::move(of)), as_(as), since_(now()), background_(of_->background_now()) {}

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

double io_scheduler::background_window() const noexcept { return state_->background_window(now()); }

}  // namespace parkring::fs
