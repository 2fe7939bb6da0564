// Which file a waiting request waits for, whatever its number means by then, and what watching
// costs the program: descriptors, locks.
#include "kernel/threads/watches.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "support/plain_ring.hpp"
#include "support/scratch.hpp"

namespace parkring::kernel::threads {
namespace {

using testing::pipe_pair;
using testing::plain_ring;

// One number, that means one file after the other.
struct number {
  explicit number(int first) : fd(::fcntl(first, F_DUPFD_CLOEXEC, 100)) { EXPECT_GE(fd, 0); }
  ~number() { ::close(fd); }
  void becomes(int other) const { EXPECT_EQ(::dup3(other, fd, O_CLOEXEC), fd); }
  int fd;
};

class ThreadsWatches : public ::testing::Test {
 protected:
  std::uint64_t read(int fd, char& into) {
    ring.put(abi::op_read, fd, &into, 1, ~0ull);
    const std::uint64_t reading = ring.last;
    EXPECT_FALSE(ring.ended(reading));
    return reading;
  }
  plain_ring ring{threads_kernel()};
};

TEST_F(ThreadsWatches, a_number_that_returns_to_its_first_file_means_that_file) {
  pipe_pair x, y;
  const number n(x.read_end());
  std::array<char, 3> got{};
  const std::uint64_t first = read(n.fd, got[0]);
  n.becomes(y.read_end());
  const std::uint64_t second = read(n.fd, got[1]);
  n.becomes(x.read_end());
  const std::uint64_t third = read(n.fd, got[2]);
  y.put("y");
  EXPECT_EQ(ring.wait(second).res, 1);
  EXPECT_FALSE(ring.ended(first));
  EXPECT_FALSE(ring.ended(third));
  x.put("12");
  EXPECT_EQ(ring.wait(first).res, 1);
  EXPECT_EQ(ring.wait(third).res, 1);
  EXPECT_EQ(std::string(got.data(), 3), "1y2");
}

TEST_F(ThreadsWatches, a_wait_goes_on_for_its_file_when_the_number_returns_to_an_older_one) {
  pipe_pair x, y;
  const number n(x.read_end());
  std::array<char, 4> got{};
  const std::uint64_t first = read(n.fd, got[0]);
  n.becomes(y.read_end());
  const std::uint64_t second = read(n.fd, got[1]);
  const std::uint64_t third = read(n.fd, got[2]);
  n.becomes(x.read_end());
  // One is served, the other has to wait again: for the pipe, which is not the number's any more.
  for (const std::uint64_t reading : {second, third}) {
    y.put("y");
    EXPECT_EQ(ring.wait(reading).res, 1);
    EXPECT_FALSE(ring.ended(first));
  }
  x.put("x");
  EXPECT_EQ(ring.wait(first).res, 1);
}

TEST_F(ThreadsWatches, what_a_request_that_ended_left_behind_concerns_nobody) {
  pipe_pair x, y;
  const number n(x.read_end());
  std::array<char, 3> got{};
  const std::uint64_t first = read(n.fd, got[0]);
  n.becomes(y.read_end());
  EXPECT_EQ(ring.cancel(first), 0);  // the number is not its own any more
  const std::uint64_t second = read(n.fd, got[1]);
  n.becomes(x.read_end());
  const std::uint64_t third = read(n.fd, got[2]);
  y.put("y");
  EXPECT_EQ(ring.wait(second).res, 1);
  x.put("x");
  EXPECT_EQ(ring.wait(third).res, 1);
  EXPECT_EQ(got[2], 'x');
}

// Whether another process finds the file locked.
bool locked(int fd) {
  const pid_t child = ::fork();
  if (child == 0) {
    struct flock asked {};
    asked.l_type = F_WRLCK;
    ::fcntl(fd, F_GETLK, &asked);
    ::_exit(asked.l_type != F_UNLCK ? 1 : 0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status == 1 << 8;
}

TEST_F(ThreadsWatches, nothing_that_is_done_with_a_plain_file_gives_up_its_locks) {
  const testing::scratch dir;
  const int fd = ::open(dir.file("f", "content").c_str(), O_RDWR | O_CLOEXEC);
  struct flock whole {};
  whole.l_type = F_WRLCK;
  ASSERT_EQ(::fcntl(fd, F_SETLK, &whole), 0);
  ASSERT_TRUE(locked(fd));
  char byte;
  ring.put(abi::op_poll_add, fd, nullptr, abi::poll_add_multi).poll32_events = POLLIN;
  EXPECT_EQ(ring.wait(), POLLIN);
  ring.put(abi::op_poll_add, fd, nullptr, abi::poll_add_multi | abi::poll_add_level).poll32_events =
      POLLIN;
  EXPECT_EQ(ring.wait(), POLLIN);
  ring.put(abi::op_recv, fd, &byte, 1).ioprio = abi::recvsend_poll_first;
  EXPECT_LT(ring.wait(), 0);
  ring.put(abi::op_accept, fd).ioprio = abi::accept_poll_first;
  EXPECT_LT(ring.wait(), 0);
  ring.put(abi::op_read, fd, &byte, 1).flags = abi::iosqe_async;
  EXPECT_EQ(ring.wait(), 1);
  EXPECT_TRUE(locked(fd));
  ::close(fd);
}

// As the runtime has it, whose waker would ask again and again.
TEST_F(ThreadsWatches, an_eventfd_is_watched_although_the_program_has_all_its_descriptors) {
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const auto watch_and_cancel = [&] {
    ring.put(abi::op_poll_add, event, nullptr, abi::poll_add_multi).poll32_events = POLLIN;
    const std::uint64_t polling = ring.last;
    ASSERT_FALSE(ring.ended(polling));
    std::uint64_t count = 1;
    EXPECT_EQ(::write(event, &count, sizeof count), 8);
    EXPECT_EQ(ring.wait(polling).res, POLLIN);
    EXPECT_EQ(ring.cancel(polling), 0);
    EXPECT_EQ(ring.wait(polling).res, -ECANCELED);
    EXPECT_EQ(::read(event, &count, sizeof count), 8);
  };
  watch_and_cancel();  // sanitizers need descriptors where they have not been before
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(event);
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const int more = ::dup(event);
  for (int i = 0; i < 3; ++i) watch_and_cancel();
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(more, -1);
  ::close(event);
}

// From here on epoll takes no more descriptors in this process.
bool refuse_registrations() {
  const auto field = [](std::size_t at) { return static_cast<std::uint32_t>(at); };
  // The second argument, whose lower half is first on all machines that this runs on.
  std::array<sock_filter, 6> code{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, field(offsetof(seccomp_data, nr))),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_ctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, field(offsetof(seccomp_data, args) + 8)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, EPOLL_CTL_ADD, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{static_cast<unsigned short>(code.size()), code.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_F(ThreadsWatches, requests_end_that_can_be_watched_no_longer) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);  // a request that does not end is the failure
    plain_ring own(threads_kernel());
    pipe_pair x, y;
    const number n(x.read_end());
    std::array<char, 3> got{};
    std::array<std::uint64_t, 3> reads{};
    for (int i = 0; i < 2; ++i) {
      own.put(abi::op_read, n.fd, &got[static_cast<std::size_t>(i)], 1, ~0ull);
      reads[static_cast<std::size_t>(i)] = own.last;
      if (own.ended(own.last)) ::_exit(1);
    }
    n.becomes(y.read_end());
    if (!refuse_registrations()) ::_exit(2);
    own.put(abi::op_read, n.fd, &got[2], 1, ~0ull);
    reads[2] = own.last;
    for (const std::uint64_t reading : reads)
      if (own.wait(reading).res != -ENOSPC) ::_exit(3);
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace parkring::kernel::threads
