// Who reads the completion queue, and which layer is above: direct reads, each a task, in the
// row "mixed" beside sockets that the same runtime answers.
//
//   parkring          the thread itself, in one enter (the park layer); sockets by polls of the
//   ring parkring/guest    reactor above ring: the same, with the sockets in an epoll set, a guest
//   parkring/task     ring above reactor: the thread sleeps in epoll, where that set is too
//   parkring/thread   another thread hands completions over, on the same cpu
//   parkring/apart    the same with that thread on the other cpus
//
// The traffic comes from a process of its own, on the other cpus: it sends 64 bytes to each of four
// sockets, waits for the answers, and pauses; so there is a bounded number of them.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <parkring/guests/epoll.hpp>
#include <parkring/parkring.hpp>
#include <span>
#include <utility>
#include <vector>

#include "../contender.hpp"

namespace lab {
namespace {

namespace pr = parkring;
using pr::completion_reader;

constexpr std::size_t sockets = 4;
constexpr std::size_t message = 64;
constexpr long pause_ns = 200'000;  // between two rounds of the traffic

/// Where this thread may run, and everywhere else; the same where there is nothing else.
struct cpus {
  cpu_set_t own{}, others{};
  cpus() {
    ::sched_getaffinity(0, sizeof own, &own);
    const long n = ::sysconf(_SC_NPROCESSORS_ONLN);
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
      if (!CPU_ISSET(i, &own)) CPU_SET(i, &others);
    if (CPU_COUNT(&others) == 0) others = own;
  }
  void go_apart() const { ::sched_setaffinity(0, sizeof others, &others); }
  void come_back() const { ::sched_setaffinity(0, sizeof own, &own); }
};

/// The other side: a process, so that nothing of it is counted.
class traffic {
 public:
  explicit traffic(const cpus& where) {
    std::array<int, sockets> theirs{};
    for (std::size_t i = 0; i < sockets; ++i) {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        fail("socketpair: %s", std::strerror(errno));
      ours_[i] = ends[0];
      theirs[i] = ends[1];
      ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    const pid_t child = ::fork();
    if (child < 0) fail("fork: %s", std::strerror(errno));
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::signal(SIGPIPE, SIG_IGN);
      for (const int fd : ours_) ::close(fd);
      where.go_apart();
      send_rounds(theirs);
    }
    for (const int fd : theirs) ::close(fd);
  }
  traffic(const traffic&) = delete;
  traffic& operator=(const traffic&) = delete;
  ~traffic() {  // which ends the other side
    for (const int fd : ours_) ::close(fd);
  }
  [[nodiscard]] const std::array<int, sockets>& ours() const noexcept { return ours_; }

 private:
  [[noreturn]] static void send_rounds(const std::array<int, sockets>& fds) {
    std::array<char, message> bytes{};
    for (;;) {
      for (const int fd : fds)
        if (::send(fd, bytes.data(), message, 0) != message) ::_exit(0);
      for (const int fd : fds)
        if (::recv(fd, bytes.data(), message, MSG_WAITALL) != message) ::_exit(0);
      const timespec pause{0, pause_ns};
      ::nanosleep(&pause, nullptr);
    }
  }
  std::array<int, sockets> ours_{};
};

/// Takes what a socket has and sends it back; the system calls that took. False: it has ended.
bool answer(int fd, std::uint64_t& calls) {
  std::array<char, message> bytes;
  ++calls;
  const ssize_t n = ::recv(fd, bytes.data(), message, 0);
  if (n <= 0) return n < 0 && errno == EAGAIN;
  ++calls;
  return ::send(fd, bytes.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) == n;
}

pr::task<void> serve(int fd, std::uint64_t& calls) {
  const auto socket = pr::async_fd::borrow(fd);
  do co_await socket.readable();
  while (answer(fd, calls));
}

// The sockets' epoll set.
class set_of {
 public:
  set_of(std::span<const int> fds, std::uint64_t& calls)
      : set_(::epoll_create1(EPOLL_CLOEXEC)), calls_(calls) {
    for (const int fd : fds) {
      epoll_event e{};
      e.events = EPOLLIN;
      e.data.fd = fd;
      if (::epoll_ctl(set_, EPOLL_CTL_ADD, fd, &e) < 0) fail("epoll: %s", std::strerror(errno));
    }
  }
  set_of(const set_of&) = delete;
  set_of& operator=(const set_of&) = delete;
  ~set_of() { ::close(set_); }
  [[nodiscard]] pr::guest guest() {
    return pr::guests::epoll(set_, [this](const epoll_event& e) {
      if (!answer(e.data.fd, calls_)) ::epoll_ctl(set_, EPOLL_CTL_DEL, e.data.fd, nullptr);
    });
  }

 private:
  int set_;
  std::uint64_t& calls_;
};

struct job {
  load& stream;
  pr::fs::file& file;
  std::size_t size;
};

pr::task<void> reads(const job& its, unsigned slot) {
  pr::buffer memory(its.size, pr::aligned(its.file));
  std::uint64_t offset = 0;
  while (its.stream.next(slot, offset)) {
    const std::size_t n = co_await its.file.read_at(memory, offset);
    its.stream.done(slot, memory.bytes().data(), n);
  }
}

pr::task<void> all_readers(const job& its, unsigned depth,
                           std::vector<pr::join_handle<void>>& readers) {
  for (unsigned slot = 0; slot < depth; ++slot)
    readers.push_back(pr::spawn(reads, std::cref(its), slot));
  for (auto& one : readers) co_await std::move(one);
  readers.clear();
}

// System calls of the runtime, its reader's among them. A sleep in epoll is two: the event is
// cleared before. A guest's turn is one.
std::uint64_t calls_of(const pr::runtime& rt) {
  const pr::runtime_counters c = rt.counters();
  const bool in_epoll = rt.reader() == completion_reader::driving_task;
  return c.enters + c.reader_enters + c.reader_wakes + c.reader_waits +
         c.other_sleeps * (in_epoll ? 2 : 1) + c.wakes + c.guest_turns + c.inline_hits +
         c.inline_misses;
}

template <completion_reader Reader, bool AsGuest, bool Apart = false>
void run_mixed(session& run) {
  const cpus where;
  std::uint64_t calls = 0;  // of those who answer
  std::optional<traffic> beside;
  if (run.what().traffic) beside.emplace(where);
  if (Apart) where.go_apart();
  pr::runtime rt({.reader = Reader});
  where.come_back();
  pr::fs::file file =
      rt.run(pr::fs::open(run.path(), {.access = pr::fs::access::read,
                                       .direct = run.what().direct,
                                       .noatime = run.noatime(),
                                       .inline_first = pr::fs::inline_mode::never}));
  std::optional<set_of> set;
  std::optional<pr::guest> guest;
  if (AsGuest) {
    set.emplace(beside ? std::span<const int>(beside->ours()) : std::span<const int>(), calls);
    guest.emplace(set->guest());
    rt.park_on(*guest);
  } else if (beside) {
    for (const int fd : beside->ours()) rt.spawn(serve, fd, std::ref(calls)).detach();
  }
  const unsigned depth = run.what().depth;
  std::vector<pr::join_handle<void>> readers;
  readers.reserve(depth);
  while (load* stream = run.next_phase()) {
    const std::uint64_t before = calls_of(rt) + calls;
    const job its{*stream, file, run.what().block};
    rt.run(all_readers(its, depth, readers));
    run.add_syscalls(calls_of(rt) + calls - before);
  }
}

}  // namespace

void add_parkring_readers(roster& to) {
  const auto add = [&](const char* name, void (*run)(session&)) {
    to.present.push_back({.name = name, .kind = work::cq_reader, .run = run, .quick = false});
  };
  add("parkring", run_mixed<completion_reader::park_layer, false>);
  add("parkring/guest", run_mixed<completion_reader::park_layer, true>);
  add("parkring/task", run_mixed<completion_reader::driving_task, true>);
  add("parkring/thread", run_mixed<completion_reader::reader_thread, false>);
  add("parkring/apart", run_mixed<completion_reader::reader_thread, false, true>);
}

}  // namespace lab
