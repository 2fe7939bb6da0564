#include "kernel/sim/stream_socket.hpp"

#include <poll.h>

#include <algorithm>

#include "kernel/sim/network.hpp"

namespace parkring::kernel::sim {

void stream_socket::attach(ref<connection> c, unsigned side) noexcept {
  connection::side& s = c->at(side);
  s.user = this;
  s.host = host_;
  s.name = name_;
  s.receive_limit = options_.receive_buffer;
  s.send_limit = options_.send_buffer;
  side_ = static_cast<std::uint8_t>(side);
  connection_ = std::move(c);
}

void stream_socket::pair(stream_socket& a, stream_socket& b) {
  const ref<connection> c(new connection(a.net_, true));
  a.attach(c, 0);
  b.attach(c, 1);
  c->open_at_once();
  for (stream_socket* s : {&a, &b}) {
    s->state_ = state::connected;
    s->told_connected_ = true;
    s->peer_.family = AF_UNIX;
  }
}

void stream_socket::buffers_changed() noexcept {
  if (!connection_) return;
  connection::side& s = connection_->at(side_);
  s.receive_limit = options_.receive_buffer;
  s.send_limit = options_.send_buffer;
}

// ---- listening ----

int stream_socket::listen(int backlog) noexcept {
  if (state_ != state::fresh && state_ != state::listening) return -EINVAL;
  if (!bound_) {
    if (family_ == AF_UNIX) return -EINVAL;
    if (const int error = bind_to(name_, -EADDRINUSE); error != 0) return error;
  }
  if (family_ != AF_UNIX && net_.sockets_of(host_).streams.listened(*this)) return -EADDRINUSE;
  backlog_ = static_cast<std::size_t>(backlog < 0 ? 4096 : std::min(backlog, 4096));  // somaxconn
  state_ = state::listening;
  return 0;
}

bool stream_socket::has_room() const noexcept {
  // As Linux counts: one more than the backlog says.
  return waiting_.size() <= backlog_ && !opening_.longer_than(backlog_ - waiting_.size());
}

void stream_socket::add_to_accept(connection& c) noexcept {
  const ref<stream_socket> child(new stream_socket(net_, host_, family_));
  const connection::side limits = c.at(1);
  child->options_ = options_;
  child->name_ = limits.name;
  child->name_.family = family_;
  child->peer_ = c.at(0).name;
  child->peer_.family = family_;
  child->state_ = state::connected;
  child->told_connected_ = true;
  child->attach(ref<connection>(&c), 1);
  if (family_ != AF_UNIX) {
    child->child_ = true;
    child->child_shares_ = options_.reuse_address;
    net_.sockets_of(host_).streams.add_child(name_.port, child->child_shares_);
  }
  waiting_.push(child);
  notify();
}

int stream_socket::accept(ref<socket>& out, address* peer) noexcept {
  if (state_ != state::listening) return -EINVAL;
  if (waiting_.empty()) return -EAGAIN;
  const ref<stream_socket> child = waiting_.front();
  waiting_.pop();
  if (peer != nullptr) *peer = child->peer_;
  out = child;
  return 0;
}

void stream_socket::stop_listening() noexcept {
  state_ = state::fresh;
  while (connection* c = opening_.pop_front()) {  // with the list's reference
    c->forget_listener();
    net_.unheld().push_back(*c);
  }
  while (!waiting_.empty()) {
    const ref<stream_socket> child = waiting_.front();
    waiting_.pop();
    child->connection_->close(child->side_, true);
  }
}

// ---- connecting ----

int stream_socket::connect(const sockaddr* to, socklen_t size) noexcept {
  address a;
  if (const int error = parse_target(to, size, a); error != 0) return error;
  switch (state_) {
    case state::fresh:
      return family_ == AF_UNIX ? connect_unix(a) : connect_inet(a);
    case state::connecting:
      return -EALREADY;
    case state::failed: {
      const int error = take_error();
      state_ = state::fresh;
      connection_ = {};
      return error != 0 ? -error : -ECONNABORTED;
    }
    case state::connected:
      return std::exchange(told_connected_, true) ? -EISCONN : 0;
    case state::listening:
      return family_ == AF_UNIX ? -EINVAL : -EISCONN;
    case state::broken:
      break;
  }
  return -EISCONN;
}

int stream_socket::connect_inet(const address& to) noexcept {
  if (const int error = bind_for(to); error != 0) return error;
  peer_ = to;
  const ref<connection> c(new connection(net_, false));
  attach(c, 0);
  connection::side& other = c->at(1);
  other.name = to;
  state_ = state::connecting;
  told_connected_ = false;
  c->ask(net_.find(host_, to.ip, other.host));
  return -EINPROGRESS;
}

int stream_socket::connect_unix(const address& to) noexcept {
  auto& names = net_.sockets_of(host_).names;
  const auto at = names.find(to.path);
  if (at == names.end()) return to.path[0] == '\0' ? -ECONNREFUSED : -ENOENT;
  if (at->second->type() != SOCK_STREAM) return -EPROTOTYPE;
  auto& listener = static_cast<stream_socket&>(*at->second);
  if (!listener.listening()) return -ECONNREFUSED;
  if (!listener.has_room()) return -EAGAIN;
  peer_ = to;
  const ref<connection> c(new connection(net_, true));
  attach(c, 0);
  c->at(1).name = to;
  c->open_at_once();
  state_ = state::connected;
  told_connected_ = true;
  listener.add_to_accept(*c);
  return 0;
}

void stream_socket::connection_opened() noexcept {
  state_ = state::connected;
  notify();
}

void stream_socket::connection_failed(int error) noexcept {
  state_ = state::failed;
  error_ = error;
  notify();
}

int stream_socket::getpeername(address& out) const {
  if (state_ != state::connected) return -ENOTCONN;
  out = peer_;
  return 0;
}

// ---- bytes ----

bool stream_socket::no_more_to_receive() const noexcept {
  return shut_receive_ || state_ == state::broken || (connection_ && connection_->ended(side_));
}

long stream_socket::receive(const iovec* parts, std::size_t count, int flags,
                            received* info) noexcept {
  if ((flags & MSG_OOB) != 0) return family_ == AF_UNIX ? -EOPNOTSUPP : -EINVAL;
  const long wanted = total_size(parts, count);
  if (wanted < 0) return wanted;
  if (state_ == state::fresh || state_ == state::listening) {
    return family_ == AF_UNIX ? -EINVAL : -ENOTCONN;
  }
  if (state_ == state::connecting) return -EAGAIN;
  if (state_ == state::failed || !connection_) return error_ != 0 ? -take_error() : 0;
  if (info != nullptr) *info = {};
  const std::size_t n = std::min(static_cast<std::size_t>(wanted), connection_->readable(side_));
  if (n > 0) {
    if ((flags & MSG_TRUNC) == 0 || family_ == AF_UNIX) {
      connection_->receive(side_, parts, count, n);
    }
    if (info != nullptr) info->more = connection_->readable(side_) > n;
    if ((flags & MSG_PEEK) == 0) connection_->consume(side_, n);
    return static_cast<long>(n);
  }
  if (wanted == 0) return 0;
  if (family_ == AF_UNIX && error_ != 0) return -take_error();
  if (connection_->ended(side_)) return 0;
  if (error_ != 0) return -take_error();
  return no_more_to_receive() ? 0 : -EAGAIN;
}

long stream_socket::send(const iovec* parts, std::size_t count, int flags, const sockaddr* to,
                         socklen_t) noexcept {
  if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
  const long offered = total_size(parts, count);
  if (offered < 0) return offered;
  if (family_ == AF_UNIX) {
    if (to != nullptr) return connected() ? -EISCONN : -EOPNOTSUPP;
    if (!connected()) return -ENOTCONN;
    if (shut_send_ || peer_shut_receive_ || state_ == state::broken) return -EPIPE;
  } else {
    if (state_ == state::connecting) return -EAGAIN;
    if (error_ != 0) return -take_error();
    if (shut_send_ || state_ != state::connected) return -EPIPE;
  }
  if (offered == 0) return 0;
  const std::size_t n = std::min(static_cast<std::size_t>(offered), connection_->room(side_));
  if (n == 0) return -EAGAIN;
  connection_->send(side_, parts, count, n);
  return static_cast<long>(n);
}

// ---- ends ----

int stream_socket::shutdown(int how) noexcept {
  if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
  const ref<stream_socket> keep(this);
  const bool receiving = how != SHUT_WR;
  const bool sending = how != SHUT_RD;
  if (state_ == state::listening) {
    if (receiving && family_ != AF_UNIX) stop_listening();
    notify();
    return 0;
  }
  if (state_ == state::connecting) {
    connection_->close(side_, true);
    connection_ = {};
    state_ = state::fresh;
    notify();
    return 0;
  }
  if (state_ != state::connected) return family_ == AF_UNIX ? 0 : -ENOTCONN;
  shut_receive_ = shut_receive_ || receiving;
  shut_send_ = shut_send_ || sending;
  if (sending) connection_->end(side_);
  if (receiving && family_ == AF_UNIX) {
    if (stream_socket* other = connection_->at(1U - side_).user; other != nullptr) {
      other->peer_shut_receive_ = true;
      other->notify();
    }
  }
  notify();
  return 0;
}

void stream_socket::broken(int error) noexcept {
  state_ = state::broken;
  error_ = error;
  notify();
}

void stream_socket::peer_closed(int error) noexcept {
  peer_shut_receive_ = true;
  if (error != 0) error_ = error;
  notify();
}

void stream_socket::crash() noexcept {
  const ref<stream_socket> keep(this);
  if (state_ == state::listening) stop_listening();
  if (state_ == state::connecting) connection_->close(side_, true);
  if (state_ == state::connected) connection_->crash(side_);
  unbind();
  if (state_ != state::broken) broken(ECONNRESET);
}

void stream_socket::reset_now() noexcept {
  if (connection_) connection_->reset_now();
}

void stream_socket::last_reference_goes() noexcept {
  if (state_ == state::listening) stop_listening();
  if (connection_) connection_->close(side_, options_.linger && options_.linger_seconds == 0);
  connection_ = {};
  if (child_) net_.sockets_of(host_).streams.remove_child(name_.port, child_shares_);
}

unsigned stream_socket::poll_events() const noexcept {
  unsigned events = error_ != 0 ? POLLERR : 0U;
  if (state_ == state::listening) return events | (waiting_.empty() ? 0U : POLLIN | POLLRDNORM);
  if (state_ == state::connecting) return events;
  if (state_ == state::fresh) return events | POLLOUT | POLLWRNORM | POLLHUP;
  if (state_ == state::failed || state_ == state::broken) {
    return events | POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLRDHUP;
  }
  const bool in_ended = no_more_to_receive();
  const bool out_ended = shut_send_ || peer_shut_receive_;
  if (in_ended && out_ended) events |= POLLHUP;
  if (in_ended) events |= POLLRDHUP;
  if (in_ended || connection_->readable(side_) > 0) events |= POLLIN | POLLRDNORM;
  const bool writable = connection_->writable(side_) || (out_ended && family_ != AF_UNIX);
  if (writable) events |= POLLOUT | POLLWRNORM;
  return events;
}

}  // namespace parkring::kernel::sim
