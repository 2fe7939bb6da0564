// How a connection comes to be: see the phases in connection.hpp.
#include <algorithm>

#include "kernel/sim/connection.hpp"
#include "kernel/sim/network.hpp"
#include "kernel/sim/stream_socket.hpp"

namespace parkring::kernel::sim {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr unsigned most_asked = 7;  // at once and tcp_syn_retries = 6 times more

/// When, after the first time, it is asked for the next time; after the last, when it fails.
constexpr std::uint64_t again_ns(unsigned asked) noexcept {
  return ((std::uint64_t{1} << asked) - 1) * second;
}

}  // namespace

void connection::ask(bool there) noexcept {
  there_ = there;
  asked_since_ns_ = net_.time().now_ns();
  asked_ = 0;
  ask_again();
}

void connection::ask_again() noexcept {
  phase_ = phase::asked;
  ++asked_;
  const sim::link& l = net_.way(sides_[0].host, sides_[1].host);
  in_flight_ = there_ && !net_.numbers().chance(l.options().loss);
  if (in_flight_) {
    net_.time().schedule(setting_up_, net_.delay_ns(sides_[0].host, sides_[1].host, 40));
  } else {
    net_.time().schedule_at(setting_up_, asked_since_ns_ + again_ns(asked_));
  }
}

void connection::go_on() noexcept {
  const ref<connection> keep(this);
  if (!in_flight_) {
    if (asked_ >= most_asked) {
      give_up(ETIMEDOUT);
    } else {
      ask_again();
    }
    return;
  }
  const bool there = phase_ == phase::asked;
  const host_id from = sides_[there ? 0 : 1].host;
  const host_id to = sides_[there ? 1 : 0].host;
  if (!net_.open(from, to)) {
    leave_list();
    in_flight_ = false;
    phase_ = phase::asked;
    net_.time().schedule_at(setting_up_, asked_since_ns_ + again_ns(asked_));
    return;
  }
  net_.note(number_ * 4);
  if (there) {
    answer();
  } else if (phase_ == phase::refused) {
    give_up(ECONNREFUSED);
  } else {
    phase_ = phase::open;
    push(0, 0, kind::opening);
    sides_[0].user->connection_opened();
  }
}

/// The request is there.
void connection::answer() noexcept {
  socket* const s =
      net_.sockets_of(sides_[1].host).streams.listener(sides_[1].name, net_.numbers());
  if (s == nullptr) {
    phase_ = phase::refused;
  } else if (auto* const listener = static_cast<stream_socket*>(s); listener->has_room()) {
    phase_ = phase::answered;
    listener_ = listener;
    sides_[1].receive_limit = listener->options().receive_buffer;
    sides_[1].send_limit = listener->options().send_buffer;
    listener->opening().push_back(*this);
    retain();
  } else {
    in_flight_ = false;  // no answer at all, so it is asked for again
    net_.time().schedule_at(setting_up_, asked_since_ns_ + again_ns(asked_));
    return;
  }
  net_.time().schedule(setting_up_, delay(1, 0));
}

void connection::give_up(int error) noexcept {
  setting_up_.unschedule();
  leave_list();
  for (side& s : sides_) s.gone = true;
  if (sides_[0].user != nullptr) sides_[0].user->connection_failed(error);
}

void connection::leave_list() noexcept {
  listener_ = nullptr;
  if (!linked()) return;
  detail::list_node::unlink();
  release();  // never the last: whoever calls this holds one
}

/// The opening has arrived: side 1 gets its socket. False when the listener is gone.
bool connection::make_other_end() noexcept {
  stream_socket* const listener = listener_;
  leave_list();
  if (listener == nullptr) return false;
  listener->add_to_accept(*this);
  return true;
}

}  // namespace parkring::kernel::sim
