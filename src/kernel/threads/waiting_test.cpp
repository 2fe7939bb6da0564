// Requests that have waited, or wait on a worker: what they act on then, and how they end.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernel/threads/channel.hpp"
#include "kernel/threads/workers.hpp"
#include "support/plain_ring.hpp"
#include "support/scratch.hpp"

namespace parkring::kernel::threads {
namespace {

using testing::plain_ring;

// A stream that cannot be read without waiting, unlike pipes and sockets.
struct terminal {
  terminal() {
    EXPECT_EQ(::openpty(&far, &near, nullptr, nullptr, nullptr), 0);
    for (const int fd : {far, near}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  ~terminal() {
    ::close(far);
    ::close(near);
  }
  int far = -1;
  int near = -1;
};

class ThreadsWaiting : public ::testing::Test {
 protected:
  void update_slot(std::int32_t fd) {
    abi::rsrc_update u{};
    u.data = reinterpret_cast<std::uintptr_t>(&fd);
    ASSERT_EQ(ring.ring.reg(abi::register_files_update, &u, 1), 1);
  }
  std::uint64_t read_slot(std::array<char, 64>& into) {
    ring.put(abi::op_read, 0, into.data(), 64, ~0ull).flags = abi::iosqe_fixed_file;
    return ring.last;
  }
  // Whether it ends before a time that it never needs: a request that does not is the failure.
  bool ends(std::uint64_t number) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!ring.ended(number)) {
      if (std::chrono::steady_clock::now() > patience) return false;
      std::this_thread::yield();
    }
    return true;
  }

  plain_ring ring{threads_kernel(), {.entries = 256}};
};

TEST_F(ThreadsWaiting, a_request_keeps_its_registered_file_when_the_slot_gets_another) {
  terminal asked, other;
  ASSERT_EQ(ring.ring.reg(abi::register_files, &asked.near, 1), 0);
  std::array<char, 64> got{};
  const std::uint64_t reading = read_slot(got);
  EXPECT_FALSE(ring.ended(reading));
  update_slot(-1);
  update_slot(other.near);
  ASSERT_EQ(::write(other.far, "wrong\n", 6), 6);
  ASSERT_EQ(::write(asked.far, "right\n", 6), 6);
  EXPECT_EQ(ring.wait(reading).res, 6);
  EXPECT_EQ(std::string(got.data()), "right\n");
}

TEST_F(ThreadsWaiting, the_programs_descriptors_stay_its_own_when_a_slot_was_emptied) {
  testing::scratch dir;
  int taken = -1;
  {
    plain_ring own{threads_kernel()};
    terminal asked;
    ASSERT_EQ(own.ring.reg(abi::register_files, &asked.near, 1), 0);
    std::array<char, 64> got{};
    own.put(abi::op_read, 0, got.data(), 64, ~0ull).flags = abi::iosqe_fixed_file;
    const std::uint64_t reading = own.last;
    EXPECT_FALSE(own.ended(reading));
    std::int32_t none = -1;
    abi::rsrc_update u{};
    u.data = reinterpret_cast<std::uintptr_t>(&none);
    ASSERT_EQ(own.ring.reg(abi::register_files_update, &u, 1), 1);
    // The lowest free number, which was the slot's.
    taken = ::open(dir.file("program", "SECRET").c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(::write(asked.far, "right\n", 6), 6);
    EXPECT_EQ(own.wait(reading).res, 6);
    EXPECT_EQ(std::string(got.data()), "right\n");
  }
  EXPECT_GE(::fcntl(taken, F_GETFD), 0) << "the ring has closed it";
  ::close(taken);
}

TEST_F(ThreadsWaiting, a_file_made_for_a_slot_is_the_rings_until_the_slot_is_emptied) {
  testing::scratch dir;
  const std::string path = dir.file("file", "content");
  std::array<std::int32_t, 2> none{-1, -1};
  ASSERT_EQ(ring.ring.reg(abi::register_files, none.data(), 2), 0);
  const int free_number = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(free_number);
  abi::sqe& e = ring.put(abi::op_openat, AT_FDCWD, path.c_str());
  e.open_flags = O_RDONLY;
  e.file_index = 1;
  ASSERT_EQ(ring.wait(), 0);
  EXPECT_GE(::fcntl(free_number, F_GETFD), 0);
  std::array<char, 64> got{};
  ring.put(abi::op_read, 0, got.data(), 64, 0).flags = abi::iosqe_fixed_file | abi::iosqe_async;
  EXPECT_EQ(ring.wait(), 7);
  update_slot(-1);
  EXPECT_EQ(::fcntl(free_number, F_GETFD), -1);
}

// The open is looked at by a bounded worker first, and goes on to an unbounded one. The cancel
// comes when the look is over and its answer was not taken yet.
TEST_F(ThreadsWaiting, an_open_ends_that_was_cancelled_between_the_look_and_the_opening) {
  testing::scratch dir;
  const std::string path = dir.fifo("fifo");
  const std::uint32_t& flags = *ring.ring.memory().sq_flags;
  for (int i = 0; i < 50; ++i) {
    ring.put(abi::op_openat, AT_FDCWD, path.c_str()).open_flags = O_RDONLY;
    const std::uint64_t opening = ring.last;
    ring.ring.enter();
    // The look may have been over within `enter`: then nothing more is raised.
    for (int n = 0; n < 2000 && i % 2 == 0; ++n) {
      if ((__atomic_load_n(&flags, __ATOMIC_ACQUIRE) & abi::sq_taskrun) != 0) break;
      std::this_thread::yield();
    }
    ring.put(abi::op_async_cancel, -1).addr = opening;
    const std::uint64_t cancelling = ring.last;
    ASSERT_TRUE(ends(opening));
    EXPECT_EQ(ring.wait(opening).res, -ECANCELED);
    const std::int32_t told = ring.wait(cancelling).res;
    EXPECT_TRUE(told == 0 || told == -ENOENT || told == -EALREADY) << told;
  }
}

// A writer that comes with the cancel: the open has its descriptor, or has ended without one.
TEST_F(ThreadsWaiting, no_descriptor_is_lost_when_a_cancel_meets_the_other_end) {
  testing::scratch dir;
  const std::string path = dir.fifo("fifo");
  const auto descriptors = [] {
    int n = 0;
    for (int fd = 0; fd < 200; ++fd) n += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return n;
  };
  constexpr int rounds = 300;
  std::atomic<int> round{0}, written{0};
  std::jthread writer([&] {
    for (int i = 1; i <= rounds; ++i) {
      while (round.load() != i) std::this_thread::yield();
      const int fd = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
      if (fd >= 0) ::close(fd);
      written.store(i);
    }
  });
  const int before = descriptors();
  for (int i = 1; i <= rounds; ++i) {
    ring.put(abi::op_openat, AT_FDCWD, path.c_str()).open_flags = O_RDONLY;
    const std::uint64_t opening = ring.last;
    for (int n = 0; n < i % 60; ++n) (void)ring.ended(opening);
    round.store(i);
    ring.put(abi::op_async_cancel, -1).addr = opening;
    const std::uint64_t cancelling = ring.last;
    EXPECT_TRUE(ends(opening));
    const int fd = ring.wait(opening).res;
    if (fd >= 0) ::close(fd);
    (void)ring.wait(cancelling);
    while (written.load() != i) std::this_thread::yield();
  }
  // Sanitizers look at memory by pipes of a moment.
  bool all_closed = false;
  for (int n = 0; n < 1000 && !all_closed; ++n) all_closed = descriptors() <= before;
  EXPECT_TRUE(all_closed);
}

TEST_F(ThreadsWaiting, a_multishot_accept_ends_whose_cancel_meets_a_connection) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(listener, 16), 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  for (int i = 0; i < 50; ++i) {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), length), 0);
    ring.put(abi::op_accept, listener).ioprio = abi::accept_multishot;
    const std::uint64_t accepting = ring.last;
    ring.ring.enter();  // it is lent, because there is a connection
    ring.put(abi::op_async_cancel, -1).addr = accepting;
    const std::uint64_t cancelling = ring.last;
    for (bool more = true; more;) {
      ASSERT_TRUE(ends(accepting));
      const abi::cqe c = ring.wait(accepting);
      more = (c.flags & abi::cqe_f_more) != 0;
      if (c.res >= 0)
        ::close(c.res);
      else
        EXPECT_EQ(c.res, -ECANCELED);
    }
    EXPECT_NE(ring.wait(cancelling).res, -EINVAL);
    ::close(client);
    // The connection that a cancelled one left is not for the next.
    ::fcntl(listener, F_SETFL, O_NONBLOCK);
    for (int left; (left = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;)
      ::close(left);
    ::fcntl(listener, F_SETFL, 0);
  }
  ::close(listener);
}

// Both are told that there is something, and one comes too late for it.
TEST_F(ThreadsWaiting, an_accept_that_came_too_late_can_be_cancelled) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(listener, 16), 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  const auto connect = [&] {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), length), 0);
    return client;
  };
  for (int i = 0; i < 10; ++i) {
    std::array<std::uint64_t, 2> accepts{};
    for (std::uint64_t& accepting : accepts) {
      ring.put(abi::op_accept, listener).accept_flags = SOCK_CLOEXEC;
      accepting = ring.last;
    }
    EXPECT_FALSE(ring.ended(accepts[0]));
    std::array<int, 2> clients{connect(), -1};
    while (!ring.ended(accepts[0]) && !ring.ended(accepts[1])) std::this_thread::yield();
    if (!ring.ended(accepts[0])) std::swap(accepts[0], accepts[1]);
    ::close(ring.wait(accepts[0]).res);
    ASSERT_FALSE(ring.ended(accepts[1]));
    const int told = ring.cancel(accepts[1]);
    EXPECT_TRUE(told == 0 || told == -EALREADY) << told;
    ASSERT_TRUE(ends(accepts[1])) << "it will take a connection that is for another";
    EXPECT_EQ(ring.wait(accepts[1]).res, -ECANCELED);
    clients[1] = connect();
    const int accepted = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(accepted, 0);
    for (const int fd : {clients[0], clients[1], accepted}) ::close(fd);
  }
  ::close(listener);
}

TEST_F(ThreadsWaiting, a_read_of_a_terminal_that_came_too_late_can_be_cancelled) {
  terminal t;
  std::array<std::array<char, 16>, 2> got{};
  std::array<std::uint64_t, 2> reads{};
  for (std::size_t i = 0; i < 2; ++i) {
    ring.put(abi::op_read, t.near, got[i].data(), 16, ~0ull);
    reads[i] = ring.last;
  }
  EXPECT_FALSE(ring.ended(reads[0]));
  ASSERT_EQ(::write(t.far, "hi\n", 3), 3);
  while (!ring.ended(reads[0]) && !ring.ended(reads[1])) std::this_thread::yield();
  if (!ring.ended(reads[0])) std::swap(reads[0], reads[1]);
  EXPECT_EQ(ring.wait(reads[0]).res, 3);
  ASSERT_FALSE(ring.ended(reads[1]));
  const int told = ring.cancel(reads[1]);
  EXPECT_TRUE(told == 0 || told == -EALREADY) << told;
  ASSERT_TRUE(ends(reads[1]));
  EXPECT_EQ(ring.wait(reads[1]).res, -ECANCELED);
}

TEST_F(ThreadsWaiting, calls_that_wait_for_somebody_else_can_be_cancelled) {
  testing::pipe_pair empty;
  testing::pipe_pair other;
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  abi::sqe& e = ring.put(abi::op_splice, other.write_end(), nullptr, 100, ~0ull);
  e.splice_fd_in = empty.read_end();
  e.splice_off_in = ~0ull;
  std::vector<std::uint64_t> waiting{ring.last};
  ring.put(abi::op_tee, other.write_end(), nullptr, 100).splice_fd_in = empty.read_end();
  waiting.push_back(ring.last);
  siginfo_t told{};
  abi::sqe& w = ring.put(abi::op_waitid, child, nullptr, P_PID);
  w.addr2 = reinterpret_cast<std::uintptr_t>(&told);
  w.file_index = WEXITED;
  waiting.push_back(ring.last);
  // They are in their calls by then, or are told before they begin.
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(ring.ended(waiting[0]));
    std::this_thread::yield();
  }
  for (const std::uint64_t number : waiting) {
    const int answer = ring.cancel(number);
    EXPECT_TRUE(answer == 0 || answer == -EALREADY) << answer;
    EXPECT_TRUE(ends(number));
    EXPECT_EQ(ring.wait(number).res, -ECANCELED);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(ThreadsWaiting, what_is_made_for_a_slot_is_for_no_program_that_is_executed) {
  testing::scratch dir;
  const std::string path = dir.file("file", "content");
  const std::vector<std::int32_t> none(8, -1);
  ASSERT_EQ(ring.ring.reg(abi::register_files, none.data(), 8), 0);
  const auto inherited = [] {
    int n = 0;
    for (int fd = 3; fd < 200; ++fd) {
      const int flags = ::fcntl(fd, F_GETFD);
      n += flags >= 0 && (flags & FD_CLOEXEC) == 0 ? 1 : 0;
    }
    return n;
  };
  const int before = inherited();
  abi::sqe& o = ring.put(abi::op_openat, AT_FDCWD, path.c_str());
  o.file_index = abi::file_index_alloc;
  EXPECT_GE(ring.wait(), 0);
  struct {
    std::uint64_t flags, mode, resolve;
  } how{O_RDONLY, 0, 0};
  ring.put(abi::op_openat2, AT_FDCWD, path.c_str(), sizeof how,
           reinterpret_cast<std::uintptr_t>(&how))
      .file_index = abi::file_index_alloc;
  EXPECT_GE(ring.wait(), 0);
  how.flags = O_RDONLY | O_CLOEXEC;
  ring.put(abi::op_openat2, AT_FDCWD, path.c_str(), sizeof how,
           reinterpret_cast<std::uintptr_t>(&how))
      .file_index = abi::file_index_alloc;
  EXPECT_EQ(ring.wait(), -EINVAL);  // a slot has no such flag
  ring.put(abi::op_socket, AF_INET, nullptr, 0, SOCK_STREAM).file_index = abi::file_index_alloc;
  EXPECT_GE(ring.wait(), 0);
  for (const int flags : {0, int{SOCK_NONBLOCK}}) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    ASSERT_EQ(::listen(listener, 8), 0);
    sockaddr_in address{};
    socklen_t length = sizeof address;
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), length), 0);
    ring.put(abi::op_accept, listener).file_index = abi::file_index_alloc;
    EXPECT_GE(ring.wait(), 0);
    ::close(client);
    ::close(listener);
  }
  EXPECT_EQ(inherited(), before);
}

TEST_F(ThreadsWaiting, opens_that_wait_for_one_another_all_find_their_other_end) {
  testing::scratch dir;
  constexpr int fifos = 80;
  std::vector<std::string> paths;
  for (int i = 0; i < fifos; ++i) paths.push_back(dir.fifo(("fifo" + std::to_string(i)).c_str()));
  std::vector<std::uint64_t> opens;
  for (const int flags : {O_RDONLY, O_WRONLY}) {
    for (const std::string& path : paths) {
      ring.put(abi::op_openat, AT_FDCWD, path.c_str()).open_flags = flags;
      opens.push_back(ring.last);
    }
  }
  for (const std::uint64_t number : opens) {
    ASSERT_TRUE(ends(number));
    const int fd = ring.wait(number).res;
    EXPECT_GE(fd, 0);
    ::close(fd);
  }
}

// Keeps the only bounded worker until it is let go.
struct busy_worker {
  struct work final : job {
    explicit work(busy_worker& b) : owner(b) {}
    void run() override {
      owner.begun.count_down();
      owner.go.wait();
    }
    bool arrive(backend&) noexcept override { return true; }
    busy_worker& owner;
  };
  busy_worker() {
    home->open(&flags);
    workers& pool = workers::shared();
    before = pool.limit({1, 0});
    while (pool.running(worker_class::bounded) > 1) std::this_thread::yield();
    auto* const j = new work(*this);
    j->home = home;
    EXPECT_TRUE(pool.submit(*j));
    begun.wait();
  }
  ~busy_worker() {
    let_go();
    while (__atomic_load_n(&flags, __ATOMIC_ACQUIRE) == 0) std::this_thread::yield();
    home->close();
    (void)workers::shared().limit(before);
  }
  void let_go() {
    if (!std::exchange(gone, true)) go.count_down();
  }
  std::uint32_t flags = 0;
  std::shared_ptr<channel> home =
      std::make_shared<channel>(base::owned_fd(::eventfd(0, EFD_CLOEXEC)));
  std::array<unsigned, 2> before{};
  std::latch begun{1}, go{1};
  bool gone = false;
};

TEST_F(ThreadsWaiting, a_write_whose_number_means_another_file_by_now_writes_to_none) {
  testing::scratch dir;
  const int meant = ::open(dir.file("meant", "").c_str(), O_RDWR | O_CLOEXEC);
  const int other = ::open(dir.file("other", "").c_str(), O_RDWR | O_CLOEXEC);
  {
    busy_worker busy;
    ring.put(abi::op_write, meant, "payload", 7, 0).flags = abi::iosqe_async;
    const std::uint64_t writing = ring.last;
    EXPECT_FALSE(ring.ended(writing));
    ASSERT_EQ(::dup2(other, meant), meant);
    busy.let_go();
    EXPECT_EQ(ring.wait(writing).res, -EBADF);
  }
  EXPECT_EQ(::lseek(other, 0, SEEK_END), 0);
  ::close(meant);
  ::close(other);
}

TEST_F(ThreadsWaiting, a_call_whose_number_means_another_file_by_now_is_made_on_none) {
  testing::scratch dir;
  const int meant = ::open(dir.file("meant", "content").c_str(), O_RDWR | O_CLOEXEC);
  const int other = ::open(dir.file("other", "content").c_str(), O_RDWR | O_CLOEXEC);
  {
    busy_worker busy;
    std::vector<std::uint64_t> calls;
    ring.put(abi::op_ftruncate, meant);
    calls.push_back(ring.last);
    ring.put(abi::op_fallocate, meant, reinterpret_cast<void*>(8192));
    calls.push_back(ring.last);
    ring.put(abi::op_fsync, meant);
    calls.push_back(ring.last);
    EXPECT_FALSE(ring.ended(calls.back()));
    ASSERT_EQ(::dup2(other, meant), meant);
    busy.let_go();
    for (const std::uint64_t number : calls) EXPECT_EQ(ring.wait(number).res, -EBADF);
  }
  EXPECT_EQ(::lseek(other, 0, SEEK_END), 7);
  // And one that is still the same is made.
  ring.put(abi::op_ftruncate, meant, nullptr, 0, 3);
  EXPECT_EQ(ring.wait(), 0);
  EXPECT_EQ(::lseek(other, 0, SEEK_END), 3);
  ::close(meant);
  ::close(other);
}

TEST_F(ThreadsWaiting, a_forked_child_that_releases_the_ring_keeps_no_stream_open) {
  std::array<int, 2> ends_of{};
  std::array<int, 2> held{};  // keeps the child until it is closed
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_of.data()), 0);
  ASSERT_EQ(::pipe2(held.data(), O_CLOEXEC), 0);
  std::array<char, 8> got{};
  ASSERT_EQ(ring.ring.reg(abi::register_files, ends_of.data(), 1), 0);
  ring.put(abi::op_recv, ends_of[0], got.data(), 8);
  const std::uint64_t receiving = ring.last;
  EXPECT_FALSE(ring.ended(receiving));
  std::array<int, 2> told{};
  ASSERT_EQ(::pipe2(told.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ring_memory copy = ring.ring.memory();
    threads_kernel().release(copy);
    for (const int fd : {ends_of[0], ends_of[1], held[1]}) ::close(fd);
    char byte = 0;
    if (::write(told[1], &byte, 1) != 1) ::_exit(1);
    ::_exit(::read(held[0], &byte, 1) == 0 ? 0 : 2);
  }
  char byte;
  EXPECT_EQ(::read(told[0], &byte, 1), 1);
  EXPECT_EQ(ring.cancel(receiving), 0);
  EXPECT_EQ(ring.wait(receiving).res, -ECANCELED);
  EXPECT_EQ(ring.ring.reg(abi::unregister_files, nullptr, 0), 0);
  ::close(ends_of[0]);
  // The end of the stream, unless somebody has it still.
  EXPECT_EQ(::recv(ends_of[1], &byte, 1, MSG_DONTWAIT), 0);
  ::close(held[1]);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  for (const int fd : {ends_of[1], held[0], told[0], told[1]}) ::close(fd);
}

}  // namespace
}  // namespace parkring::kernel::threads
