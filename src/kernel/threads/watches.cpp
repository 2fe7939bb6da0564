#include "kernel/threads/watches.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "kernel/emulated/backend.hpp"
#include "kernel/threads/file_identity.hpp"

namespace parkring::kernel::threads {

namespace {

constexpr int batch = 128;
thread_local std::array<epoll_event, batch> arrived;  // between wait() and its caller

std::uint32_t with_mode(std::uint32_t events, watches::mode m) noexcept {
  if (m == watches::mode::one_shot) return events | EPOLLONESHOT;
  return m == watches::mode::edge ? events | EPOLLET : events;
}

bool is_eventfd(int fd) noexcept {
  std::array<char, 40> path;
  std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
  std::array<char, 40> target;
  const ssize_t n = ::readlink(path.data(), target.data(), target.size());
  constexpr char name[] = "anon_inode:[eventfd]";
  return n == sizeof name - 1 && std::memcmp(target.data(), name, sizeof name - 1) == 0;
}

// epoll_pwait2 is younger than Linux 5.11 or may be forbidden: then ppoll waits, which counts
// nanoseconds too. The answer of epoll_wait, errno in its place.
std::atomic<bool> no_pwait2{false};

int wait_precisely(int epoll, std::uint64_t timeout_ns) noexcept {
  constexpr long sys_epoll_pwait2 = 441;  // on all architectures
  const timespec t{static_cast<time_t>(timeout_ns / 1'000'000'000u),
                   static_cast<long>(timeout_ns % 1'000'000'000u)};
  if (!no_pwait2.load(std::memory_order_relaxed)) {
    const long n =
        ::syscall(sys_epoll_pwait2, epoll, arrived.data(), batch, &t, nullptr, std::size_t{0});
    if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(n);
    no_pwait2.store(true, std::memory_order_relaxed);
  }
  pollfd p{epoll, POLLIN, 0};
  if (const int ready = ::ppoll(&p, 1, &t, nullptr); ready <= 0) return ready;
  return ::epoll_wait(epoll, arrived.data(), batch, 0);
}

}  // namespace

watches::watches(int epoll) noexcept : epoll_(epoll), spare_(::fcntl(epoll, F_DUPFD_CLOEXEC, 0)) {}

watches::~watches() {
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (places_[i].of != nullptr) remove(static_cast<int>(i));
}

int watches::control(int operation, int number, std::uint32_t index,
                     std::uint32_t events) noexcept {
  epoll_event e{};
  e.events = with_mode(events, nodes_[index].how);
  e.data.u64 = std::uint64_t{nodes_[index].generation} << 32 | index;
  return ::epoll_ctl(epoll_, operation, number, &e) == 0 ? 0 : -errno;
}

// None and errno when there is none.
base::owned_fd watches::duplicate(int fd, mode m) noexcept {
  if (m == mode::edge && spare_ && is_eventfd(fd) && ::dup3(fd, spare_.get(), O_CLOEXEC) >= 0)
    return std::move(spare_);
  return base::owned_fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

// The node's index or -errno. The lists have room.
int watches::make_node(int fd, std::uint32_t events, mode m, bool shared) noexcept {
  // Epoll would say so as well, but not before there is a duplicate.
  if (!shared && is_file(fd)) return -EPERM;
  const std::uint32_t index = free_nodes_.back();
  node& n = nodes_[index];
  ++n.generation;
  n.how = m;
  n.handle = fd;
  if (shared) {
    const int answer = control(EPOLL_CTL_ADD, fd, index, events);
    if (answer < 0) return answer;
  }
  base::owned_fd own = duplicate(fd, m);
  if (!own) {
    const int error = errno;
    if (shared) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    return -error;
  }
  if (!shared) {
    n.handle = own.get();
    const int answer = control(EPOLL_CTL_ADD, n.handle, index, events);
    if (answer < 0) return answer;
  }
  free_nodes_.pop_back();
  n.fd = std::move(own);
  n.armed = events;
  n.first = none;
  n.lost = false;
  return static_cast<int>(index);
}

void watches::close_node(std::uint32_t index) noexcept {
  node& n = nodes_[index];
  // Closing is not enough: the registration lives as long as the open file, which others have
  // too. Where the number is not its own any more, what is left reports once, to nobody.
  const bool unregistered = ::epoll_ctl(epoll_, EPOLL_CTL_DEL, n.handle, nullptr) == 0;
  if (n.handle != n.fd.get()) {
    const auto known = shared_.find(n.handle);
    if (unregistered)
      shared_.erase(known);
    else
      known->second = none;
  }
  if (!spare_ && ::dup3(epoll_, n.fd.get(), O_CLOEXEC) >= 0) spare_ = std::move(n.fd);
  n.fd.reset();
  ++n.generation;
  free_nodes_.push_back(index);
}

// The number is not the node's any more: it goes on under its own. 0 or -errno.
int watches::take_number(std::uint32_t index) noexcept {
  node& n = nodes_[index];
  shared_.find(n.handle)->second = none;
  n.handle = n.fd.get();
  ++n.generation;  // what the lost registration may still report is not for it
  std::uint32_t wanted = 0;
  for (std::uint32_t at = n.first; at != none; at = places_[at].next) wanted |= places_[at].events;
  const int answer = control(EPOLL_CTL_ADD, n.handle, index, wanted);
  n.armed = answer == 0 ? wanted : 0;
  n.lost = answer < 0;
  any_lost_ |= n.lost;
  return answer;
}

// Has the node report `events` too.
int watches::arm(std::uint32_t index, std::uint32_t events) noexcept {
  node& n = nodes_[index];
  if (n.how == mode::one_shot && n.armed != 0 && (n.armed & events) == events) return 0;
  const std::uint32_t all = n.how == mode::one_shot ? n.armed | events : events;
  int answer = control(EPOLL_CTL_MOD, n.handle, index, all);
  // What is wanted is in the watches already, which is where it takes it from.
  if (answer < 0 && n.handle != n.fd.get()) return take_number(index);
  if (answer == -ENOENT) answer = control(EPOLL_CTL_ADD, n.handle, index, all);  // it was lost
  if (answer == 0) n.armed = all;
  return answer;
}

// For a one-shot watch: one that waits for the same file, or a new one. The index or -errno.
int watches::find_node(int fd, std::uint32_t events) {
  const auto [at, is_new] = shared_.try_emplace(fd, none);
  if (!is_new && at->second != none) {
    const std::uint32_t index = at->second;
    // The number's file is the node's only if epoll says so, whatever is armed already.
    if (control(EPOLL_CTL_MOD, fd, index, nodes_[index].armed | events) == 0) {
      nodes_[index].armed |= events;
      return static_cast<int>(index);
    }
    take_number(index);  // its watches are told if it is lost by that
  }
  if (!is_new) return make_node(fd, events, mode::one_shot, false);
  const int index = make_node(fd, events, mode::one_shot, true);
  if (index == -EEXIST) return make_node(fd, events, mode::one_shot, false);
  if (index >= 0)
    at->second = static_cast<std::uint32_t>(index);
  else
    shared_.erase(at);
  return index;
}

int watches::add(emulated::request& r, int fd, std::uint32_t events, mode m) noexcept {
  int index = -1;
  try {
    if (free_.empty()) {
      places_.emplace_back();
      // So that `remove` and `collect` never allocate.
      free_.reserve(places_.capacity());
      told_.reserve(places_.capacity());
      free_.push_back(static_cast<std::uint32_t>(places_.size() - 1));
    }
    if (free_nodes_.empty()) {
      nodes_.emplace_back();
      free_nodes_.reserve(nodes_.capacity());
      free_nodes_.push_back(static_cast<std::uint32_t>(nodes_.size() - 1));
    }
    index = m == mode::one_shot ? find_node(fd, events) : make_node(fd, events, m, false);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  if (index < 0) return index;
  const std::uint32_t place = free_.back();
  free_.pop_back();
  watch& w = places_[place];
  ++w.generation;
  w.of = &r;
  w.how = m;
  w.events = events;
  w.node = static_cast<std::uint32_t>(index);
  w.urgent = m == mode::one_shot || !is_eventfd(fd);
  node& n = nodes_[w.node];
  w.prev = none;
  w.next = n.first;
  if (n.first != none) places_[n.first].prev = place;
  n.first = place;
  ++live_;
  if (w.urgent) ++urgent_;
  return static_cast<int>(place);
}

int watches::again(int place, std::uint32_t events) noexcept {
  watch& w = places_[static_cast<std::size_t>(place)];
  w.events = events;
  return arm(w.node, events);
}

void watches::remove(int place) noexcept {
  watch& w = places_[static_cast<std::size_t>(place)];
  node& n = nodes_[w.node];
  (w.prev != none ? places_[w.prev].next : n.first) = w.next;
  if (w.next != none) places_[w.next].prev = w.prev;
  if (n.first == none) close_node(w.node);
  w.of = nullptr;
  --live_;
  if (w.urgent) --urgent_;
  free_.push_back(static_cast<std::uint32_t>(place));
}

// Tells all watches that wait for one of the events, or whom an error concerns.
void watches::report(const node& n, std::uint32_t what) noexcept {
  for (std::uint32_t at = n.first; at != none; at = places_[at].next) {
    watch& w = places_[at];
    if (w.events == 0 || (what & (w.events | EPOLLERR | EPOLLHUP)) == 0) continue;
    told_.push_back({w.of, what, at, w.generation});
    if (w.how == mode::one_shot) w.events = 0;
  }
}

// After a one-shot node has reported: for those that it did not concern.
void watches::rearm(std::uint32_t index) noexcept {
  std::uint32_t left = 0;
  for (std::uint32_t at = nodes_[index].first; at != none; at = places_[at].next)
    left |= places_[at].events;
  if (left != 0) (void)arm(index, left);
}

int watches::wait(std::uint64_t timeout_ns) noexcept {
  if (timeout_ns == 0) return ::epoll_wait(epoll_, arrived.data(), batch, 0);
  if (timeout_ns == emulated::never) return ::epoll_wait(epoll_, arrived.data(), batch, -1);
  return wait_precisely(epoll_, timeout_ns);
}

int watches::collect(std::uint64_t timeout_ns) noexcept {
  told_.clear();
  if (std::exchange(any_lost_, false)) {
    timeout_ns = 0;
    for (node& n : nodes_)
      if (n.fd && std::exchange(n.lost, false)) report(n, EPOLLERR);
  }
  const int n = wait(timeout_ns);
  if (n < 0 && told_.empty()) return -errno;
  for (int i = 0; i < n; ++i) {
    const epoll_event& e = arrived[static_cast<std::size_t>(i)];
    if (e.data.u64 == not_a_watch) continue;
    const auto index = static_cast<std::uint32_t>(e.data.u64);
    if (!nodes_[index].fd || nodes_[index].generation != e.data.u64 >> 32) continue;
    report(nodes_[index], e.events);
    if (nodes_[index].how != mode::one_shot) continue;
    nodes_[index].armed = 0;
    rearm(index);
  }
  // Waiters of one descriptor are served in the order in which they came.
  std::sort(told_.begin(), told_.end(),
            [](const event& a, const event& b) { return a.of->number < b.of->number; });
  return 0;
}

}  // namespace parkring::kernel::threads
