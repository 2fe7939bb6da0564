#include "kernel/sim/connection.hpp"

#include <algorithm>

#include "kernel/sim/network.hpp"
#include "kernel/sim/stream_socket.hpp"

namespace parkring::kernel::sim {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t first_retry_ns = 200 * ms;     // TCP_RTO_MIN
constexpr std::uint64_t last_retry_ns = 120'000 * ms;  // TCP_RTO_MAX
constexpr std::uint64_t give_up_ns = 924'600 * ms;     // tcp_retries2 = 15
constexpr unsigned lost_in_a_row = 15;

std::uint64_t retry_ns(unsigned tries) noexcept {
  return std::min(first_retry_ns << std::min(tries, 20U), last_retry_ns);
}

}  // namespace

connection::way::way(connection& c, unsigned i) noexcept
    : arrival(
          [](event& e) noexcept {
            timer& t = static_cast<timer&>(e);
            t.home.arrive(t.index);
          },
          c, i),
      acknowledgement(
          [](event& e) noexcept {
            timer& t = static_cast<timer&>(e);
            t.home.acknowledge(t.index);
          },
          c, i) {}

connection::connection(network& net, bool local)
    : net_(net),
      local_(local),
      number_(net.next_connection()),
      ways_{way(*this, 0), way(*this, 1)},
      setting_up_([](event& e) noexcept { static_cast<timer&>(e).home.go_on(); }, *this, 0),
      resets_{
          timer([](event& e) noexcept { static_cast<timer&>(e).home.take_reset(0, 0); }, *this, 0),
          timer([](event& e) noexcept { static_cast<timer&>(e).home.take_reset(1, 0); }, *this,
                1)} {
  ++net_.all().connections;
}

connection::~connection() { --net_.all().connections; }

std::uint64_t connection::delay(unsigned from, std::size_t bytes) noexcept {
  const host_id a = sides_[from].host;
  const host_id b = sides_[1 - from].host;
  std::uint64_t total = net_.delay_ns(a, b, bytes + 40);
  const double loss = net_.way(a, b).options().loss;
  for (unsigned i = 0; i < lost_in_a_row && net_.numbers().chance(loss); ++i) total += retry_ns(i);
  return total;
}

// ---- bytes ----

std::size_t connection::sending(unsigned i) const noexcept {
  const way& w = ways_[i];
  return local_ ? w.bytes.size() : w.bytes.size() - w.arrived + w.unacknowledged;
}

std::size_t connection::room(unsigned i) const noexcept {
  const std::size_t used = sending(i);
  return used < sides_[i].send_limit ? sides_[i].send_limit - used : 0;
}

bool connection::writable(unsigned i) const noexcept {
  // Linux says so only when a good part is free: a half for AF_UNIX, else a third.
  return local_ ? sending(i) * 2 <= sides_[i].send_limit
                : sending(i) * 3 <= sides_[i].send_limit * 2;
}

void connection::send(unsigned i, const iovec* parts, std::size_t count, std::size_t n) noexcept {
  way& w = ways_[i];
  w.bytes.push(parts, count, n);
  if (local_) {
    w.arrived += n;
    w.was_writable = writable(i);
    net_.note(number_ * 4 + i);
    if (sides_[1 - i].user != nullptr) sides_[1 - i].user->changed();
    return;
  }
  push(i, n, kind::bytes);
  w.was_writable = writable(i);
  if (net_.numbers().chance(net_.way(sides_[i].host, sides_[1 - i].host).options().reset)) {
    send_reset(0);
    send_reset(1);
  }
}

void connection::push(unsigned i, std::size_t bytes, kind what) noexcept {
  way& w = ways_[i];
  w.last_due_ns = std::max(w.last_due_ns, net_.time().now_ns() + delay(i, bytes));
  if (what == kind::bytes && !w.segments.empty() && w.segments.back().what == kind::bytes &&
      w.segments.back().due_ns == w.last_due_ns) {
    w.segments.back().bytes += bytes;
    return;
  }
  w.segments.push({w.last_due_ns, bytes, what});
  if (w.segments.size() == 1) net_.time().schedule_at(w.arrival, w.last_due_ns);
}

void connection::consume(unsigned i, std::size_t n) noexcept {
  const ref<connection> keep(this);
  const unsigned from = 1 - i;
  way& w = ways_[from];
  w.bytes.drop_front(n);
  w.arrived -= n;
  if (local_) {
    tell_sender(from);
  } else if (w.stalled && n > 0) {
    // The news of the room travels to the sender, and what waits there travels again.
    w.stalled = false;
    const std::uint64_t back = delay(i, 0);
    net_.time().schedule(w.arrival, back + delay(from, 0));
  }
}

void connection::arrive(unsigned i) noexcept {
  const ref<connection> keep(this);
  way& w = ways_[i];
  if (!net_.open(sides_[i].host, sides_[1 - i].host)) {
    (void)try_again(i, w.arrival);
    return;
  }
  w.tries = 0;
  while (!w.segments.empty() && !w.stalled && w.segments.front().due_ns <= net_.time().now_ns()) {
    if (!take(i)) return;
  }
  if (!w.segments.empty() && !w.stalled) {
    net_.time().schedule_at(w.arrival, w.segments.front().due_ns);
  }
  net_.note(number_ * 4 + i + (static_cast<std::uint64_t>(w.arrived) << 32));
  acknowledge(i);
  if (sides_[1 - i].user != nullptr) sides_[1 - i].user->changed();
}

/// The first segment arrives. False when the connection ended over it.
bool connection::take(unsigned i) noexcept {
  way& w = ways_[i];
  side& to = sides_[1 - i];
  segment& s = w.segments.front();
  if (s.what == kind::opening) {
    w.segments.pop();
    if (make_other_end()) return true;
    to.gone = true;
    send_reset(i);
    return false;
  }
  if (to.gone) {
    if (s.what == kind::bytes) send_reset(i);
    w.bytes.drop_back(s.bytes);
    w.segments.pop();
    return true;
  }
  if (s.what == kind::end) {
    w.end_arrived = true;
    w.segments.pop();
    return true;
  }
  const std::size_t limit = to.receive_limit;
  const std::size_t n = std::min(s.bytes, limit > w.arrived ? limit - w.arrived : 0);
  w.arrived += n;
  w.unacknowledged += n;
  s.bytes -= n;
  w.stalled = s.bytes > 0;
  if (!w.stalled) w.segments.pop();
  return true;
}

void connection::acknowledge(unsigned i) noexcept {
  way& w = ways_[i];
  if (w.unacknowledged == 0) return;
  if (!net_.open(sides_[1 - i].host, sides_[i].host)) {
    if (!w.acknowledgement.scheduled()) (void)try_again(i, w.acknowledgement);
    return;
  }
  w.tries = 0;
  w.unacknowledged = 0;
  w.acknowledgement.unschedule();
  tell_sender(i);
}

bool connection::try_again(unsigned i, timer& t) noexcept {
  way& w = ways_[i];
  const std::uint64_t now = net_.time().now_ns();
  if (w.tries == 0) w.blocked_since_ns = now;
  if (now - w.blocked_since_ns < give_up_ns) {
    net_.time().schedule(t, retry_ns(w.tries++));
    return true;
  }
  const ref<connection> keep(this);
  drop_undelivered(i);  // what comes the other way is still answered, with a reset
  side& s = sides_[i];
  if (!std::exchange(s.gone, true) && s.user != nullptr) s.user->broken(ETIMEDOUT);
  return false;
}

void connection::tell_sender(unsigned i) noexcept {
  way& w = ways_[i];
  if (w.was_writable || !writable(i)) return;
  w.was_writable = true;
  if (sides_[i].user != nullptr) sides_[i].user->changed();
}

// ---- ends ----

void connection::end(unsigned i) noexcept {
  way& w = ways_[i];
  if (std::exchange(w.end_sent, true) || sides_[i].gone) return;
  if (!local_) {
    push(i, 0, kind::end);
    return;
  }
  w.end_arrived = true;
  if (sides_[1 - i].user != nullptr) sides_[1 - i].user->changed();
}

void connection::close(unsigned i, bool abort) noexcept {
  const ref<connection> keep(this);
  side& s = sides_[i];
  s.user = nullptr;
  if (s.gone) return;
  if (phase_ != phase::open) {
    s.gone = true;
    setting_up_.unschedule();
    leave_list();
    return;
  }
  const bool unread = ways_[1 - i].arrived > 0;
  if (local_) {
    s.gone = true;
    ways_[i].end_sent = ways_[i].end_arrived = true;
    ways_[1 - i].bytes.drop_back(ways_[1 - i].bytes.size());
    ways_[1 - i].arrived = 0;
    stream_socket* const other = sides_[1 - i].user;
    if (other != nullptr) other->peer_closed(abort || unread ? ECONNRESET : 0);
    return;
  }
  if (abort || unread) {
    send_reset(1 - i);
  } else {
    end(i);
  }
  s.gone = true;
}

void connection::crash(unsigned i) noexcept {
  const ref<connection> keep(this);
  stream_socket* const user = sides_[i].user;
  if (sides_[i].gone) return;
  close(i, true);
  if (user == nullptr) return;
  sides_[i].user = user;
  user->broken(ECONNRESET);
}

void connection::reset_now() noexcept {
  const ref<connection> keep(this);
  if (phase_ != phase::open) {
    give_up(ECONNREFUSED);
    return;
  }
  take_reset(0, ECONNRESET);
  take_reset(1, ECONNRESET);
}

void connection::send_reset(unsigned to) noexcept {
  if (sides_[to].gone || resets_[to].scheduled()) return;
  const std::uint64_t due = net_.time().now_ns() + delay(1 - to, 0);
  net_.time().schedule_at(resets_[to], std::max(due, ways_[1 - to].last_due_ns + 1));
}

/// Side `i` sees a reset; error 0 is one that travelled.
void connection::take_reset(unsigned i, int error) noexcept {
  const ref<connection> keep(this);
  side& s = sides_[i];
  resets_[i].unschedule();
  if (s.gone) return;
  if (error == 0) {
    if (!net_.open(sides_[1 - i].host, s.host)) return;  // lost, and nobody sends it again
    error = ended(i) ? EPIPE : ECONNRESET;               // as Linux tells one that waits to close
  }
  net_.note(number_ * 4 + 2 + i);
  s.gone = true;
  drop_undelivered(0);
  drop_undelivered(1);
  if (s.user != nullptr) s.user->broken(error);
}

void connection::drop_undelivered(unsigned i) noexcept {
  way& w = ways_[i];
  const bool opening = !w.segments.empty() && w.segments.front().what == kind::opening;
  w.bytes.drop_back(w.bytes.size() - w.arrived);
  w.segments.clear();
  w.unacknowledged = 0;
  w.stalled = false;
  w.arrival.unschedule();
  w.acknowledgement.unschedule();
  if (opening) leave_list();
}

}  // namespace parkring::kernel::sim
