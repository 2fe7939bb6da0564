#include "kernel/threads/threads_kernel.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "exec/core.hpp"
#include "kernel/threads/workers.hpp"
#include "support/plain_ring.hpp"
#include "support/scratch.hpp"

namespace parkring::kernel {
namespace {

using testing::pipe_pair;
using testing::plain_ring;
using testing::scratch;
using threads::workers;

class ThreadsKernel : public ::testing::Test {
 protected:
  plain_ring ring{threads_kernel()};
};

TEST_F(ThreadsKernel, its_ring_has_a_descriptor_and_keeps_none_when_it_goes) {
  const int before = testing::open_descriptors();
  {
    plain_ring other(threads_kernel());
    EXPECT_GE(other.ring.memory().fd, 0);
    pipe_pair p;
    char byte;
    other.put(abi::op_read, p.read_end(), &byte, 1);
    other.put(abi::op_poll_add, p.read_end()).poll32_events = POLLIN;
    other.ring.enter();
    EXPECT_GT(testing::open_descriptors(), before + 3);
  }
  EXPECT_EQ(testing::open_descriptors(), before);
}

TEST_F(ThreadsKernel, a_file_goes_through_its_life) {
  const scratch dir;
  const int at = ::open(dir.root().c_str(), O_PATH | O_CLOEXEC);
  ring.put(abi::op_mkdirat, at, "d", 0700);
  EXPECT_EQ(ring.wait(), 0);
  ring.put(abi::op_openat, at, "d/f", 0600).open_flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC;
  const int fd = ring.wait();
  ASSERT_GE(fd, 0);
  ring.put(abi::op_fallocate, fd, reinterpret_cast<void*>(8192), 0, 0);
  EXPECT_EQ(ring.wait(), 0);
  ring.put(abi::op_ftruncate, fd, nullptr, 0, 100);
  EXPECT_EQ(ring.wait(), 0);
  ring.put(abi::op_fsync, fd).fsync_flags = abi::fsync_datasync;
  EXPECT_EQ(ring.wait(), 0);
  struct statx s {};
  ring.put(abi::op_statx, at, "d/f", STATX_SIZE, reinterpret_cast<std::uintptr_t>(&s));
  EXPECT_EQ(ring.wait(), 0);
  EXPECT_EQ(s.stx_size, 100u);
  ring.put(abi::op_close, fd);
  EXPECT_EQ(ring.wait(), 0);
  ring.put(abi::op_close, fd);
  EXPECT_EQ(ring.wait(), -EBADF);
  ring.put(abi::op_renameat, at, "d/f", static_cast<std::uint32_t>(at),
           reinterpret_cast<std::uintptr_t>("g"));
  EXPECT_EQ(ring.wait(), 0);
  ring.put(abi::op_linkat, at, "g", static_cast<std::uint32_t>(at),
           reinterpret_cast<std::uintptr_t>("h"));
  EXPECT_EQ(ring.wait(), 0);
  ring.put(abi::op_symlinkat, at, "g", 0, reinterpret_cast<std::uintptr_t>("l"));
  EXPECT_EQ(ring.wait(), 0);
  EXPECT_EQ(std::filesystem::read_symlink(dir / "l"), "g");
  ring.put(abi::op_openat, at, "nowhere").open_flags = O_RDONLY;
  EXPECT_EQ(ring.wait(), -ENOENT);
  for (const char* name : {"g", "h", "l"}) {
    ring.put(abi::op_unlinkat, at, name);
    EXPECT_EQ(ring.wait(), 0);
  }
  ring.put(abi::op_unlinkat, at, "d").unlink_flags = AT_REMOVEDIR;
  EXPECT_EQ(ring.wait(), 0);
  ::close(at);
}

TEST_F(ThreadsKernel, openat2_takes_its_description) {
  const scratch dir;
  const int at = ::open(dir.root().c_str(), O_PATH | O_CLOEXEC);
  struct {
    std::uint64_t flags, mode, resolve;
  } how{O_CREAT | O_RDWR | O_CLOEXEC, 0600, 0};
  ring.put(abi::op_openat2, at, "f", sizeof how, reinterpret_cast<std::uintptr_t>(&how));
  const std::uint64_t opening = ring.last;
  ring.ring.enter();
  how = {};  // it was copied
  const int fd = ring.wait(opening).res;
  EXPECT_GE(fd, 0);
  ::close(fd);
  ring.put(abi::op_openat2, at, "f", sizeof how - 1, reinterpret_cast<std::uintptr_t>(&how));
  EXPECT_EQ(ring.wait(), -EINVAL);
  ::close(at);
}

TEST_F(ThreadsKernel, bytes_are_spliced_from_a_pipe_into_a_file) {
  pipe_pair p;
  p.put("spliced");
  const int file = ::open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  abi::sqe& e = ring.put(abi::op_splice, file, nullptr, 100, 0);
  e.splice_fd_in = p.read_end();
  e.splice_off_in = ~0ull;
  EXPECT_EQ(ring.wait(), 7);
  std::array<char, 8> got{};
  EXPECT_EQ(::pread(file, got.data(), 8, 0), 7);
  EXPECT_EQ(std::string(got.data()), "spliced");
  ::close(file);
}

TEST_F(ThreadsKernel, what_is_not_served_is_refused) {
  for (const auto opcode : {abi::op_uring_cmd, abi::op_futex_wait, abi::op_recv_zc}) {
    ring.put(opcode, 0);
    EXPECT_EQ(ring.wait(), -EINVAL);
  }
  abi::probe p{};
  ASSERT_EQ(ring.ring.reg(abi::register_probe, &p, 256), 0);
  EXPECT_EQ(p.ops[abi::op_uring_cmd].flags, 0);
  EXPECT_EQ(p.ops[abi::op_splice].flags, abi::op_supported);
}

TEST_F(ThreadsKernel, limits_of_workers_are_told_and_set) {
  std::array<std::uint32_t, 2> limits{0, 0};
  ASSERT_EQ(ring.ring.reg(abi::register_iowq_max_workers, limits.data(), 2), 0);
  EXPECT_GE(limits[0], 4u);
  EXPECT_GE(limits[1], 1u);
  const auto before = limits;
  limits = {0, 7};
  ASSERT_EQ(ring.ring.reg(abi::register_iowq_max_workers, limits.data(), 2), 0);
  limits = before;
  ASSERT_EQ(ring.ring.reg(abi::register_iowq_max_workers, limits.data(), 2), 0);
  EXPECT_EQ(limits[0], before[0]);
  EXPECT_EQ(limits[1], 7u);
}

// ---- polls ----

TEST_F(ThreadsKernel, a_poll_ends_when_the_descriptor_is_ready) {
  pipe_pair p;
  ring.put(abi::op_poll_add, p.read_end()).poll32_events = POLLIN;
  const std::uint64_t polling = ring.last;
  EXPECT_FALSE(ring.ended(polling));
  p.put("x");
  EXPECT_EQ(ring.wait(polling).res, POLLIN);
  ring.put(abi::op_poll_add, p.read_end()).poll32_events = POLLIN;
  EXPECT_EQ(ring.wait(), POLLIN);
  ring.put(abi::op_poll_add, 9999).poll32_events = POLLIN;
  EXPECT_EQ(ring.wait(), -EBADF);
}

TEST_F(ThreadsKernel, a_multishot_poll_tells_each_edge_until_it_is_removed) {
  pipe_pair p;
  abi::sqe& e = ring.put(abi::op_poll_add, p.read_end(), nullptr, abi::poll_add_multi);
  e.poll32_events = POLLIN;
  const std::uint64_t polling = ring.last;
  EXPECT_FALSE(ring.ended(polling));
  for (int i = 0; i < 3; ++i) {
    p.put("x");
    const abi::cqe c = ring.wait(polling);
    EXPECT_EQ(c.res, POLLIN);
    EXPECT_EQ(c.flags, abi::cqe_f_more);
    EXPECT_FALSE(ring.ended(polling));
  }
  ring.put(abi::op_poll_remove, -1).addr = polling;
  EXPECT_EQ(ring.wait(), 0);
  const abi::cqe c = ring.wait(polling);
  EXPECT_EQ(c.res, -ECANCELED);
  EXPECT_EQ(c.flags, 0u);
}

TEST_F(ThreadsKernel, what_a_poll_waits_for_can_be_changed) {
  pipe_pair p;
  ring.put(abi::op_poll_add, p.write_end()).poll32_events = POLLPRI;
  const std::uint64_t polling = ring.last;
  EXPECT_FALSE(ring.ended(polling));
  abi::sqe& e = ring.put(abi::op_poll_remove, -1, nullptr, abi::poll_update_events);
  e.addr = polling;
  e.poll32_events = POLLOUT;
  EXPECT_EQ(ring.wait(), 0);
  EXPECT_EQ(ring.wait(polling).res, POLLOUT);
}

TEST_F(ThreadsKernel, a_file_is_always_ready) {
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ring.put(abi::op_poll_add, file).poll32_events = POLLIN;
  EXPECT_EQ(ring.wait(), POLLIN);
  abi::sqe& e = ring.put(abi::op_poll_add, file, nullptr, abi::poll_add_multi);
  e.poll32_events = POLLIN;
  const abi::cqe c = ring.wait(ring.last);
  EXPECT_EQ(c.res, POLLIN);
  EXPECT_EQ(c.flags, 0u);
  ::close(file);
}

TEST_F(ThreadsKernel, a_busy_loop_is_told_that_streams_want_a_look) {
  pipe_pair p;
  EXPECT_FALSE(ring.ring.kernel_wants_enter());
  char byte;
  ring.put(abi::op_read, p.read_end(), &byte, 1);
  const std::uint64_t reading = ring.last;
  EXPECT_FALSE(ring.ended(reading));
  EXPECT_TRUE(ring.ring.kernel_wants_enter());
  p.put("x");
  EXPECT_EQ(ring.wait(reading).res, 1);
  EXPECT_FALSE(ring.ended(reading));
  EXPECT_FALSE(ring.ring.kernel_wants_enter());
  // What only wakes a sleeper does not.
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  ring.put(abi::op_poll_add, event, nullptr, abi::poll_add_multi).poll32_events = POLLIN;
  const std::uint64_t polling = ring.last;
  EXPECT_FALSE(ring.ended(polling));
  EXPECT_FALSE(ring.ring.kernel_wants_enter());
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(event, &one, 8), 8);
  EXPECT_EQ(ring.wait(polling).res, POLLIN);
  ::close(event);
}

TEST_F(ThreadsKernel, events_of_an_epoll_are_waited_for) {
  pipe_pair p;
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  wanted.data.u64 = 77;
  ring.put(abi::op_epoll_ctl, epoll, &wanted, EPOLL_CTL_ADD,
           static_cast<std::uint64_t>(p.read_end()));
  EXPECT_EQ(ring.wait(), 0);
  std::array<epoll_event, 4> got{};
  ring.put(abi::op_epoll_wait, epoll, got.data(), 4);
  const std::uint64_t waiting = ring.last;
  EXPECT_FALSE(ring.ended(waiting));
  p.put("x");
  EXPECT_EQ(ring.wait(waiting).res, 1);
  EXPECT_EQ(got[0].data.u64, 77u);
  ::close(epoll);
}

// ---- cancelling and late answers ----

// Keeps the one unbounded worker busy with the opening of a FIFO until its other end is opened.
struct busy_worker {
  busy_worker() : before(workers::shared().limit({0, 1})) {}
  ~busy_worker() { (void)workers::shared().limit(before); }
  std::array<unsigned, 2> before;
};

TEST_F(ThreadsKernel, a_queued_request_is_cancelled_and_a_running_one_is_not) {
  const scratch dir;
  const auto path = dir.fifo("f");
  const busy_worker one;
  ring.put(abi::op_openat, AT_FDCWD, path.c_str()).open_flags = O_RDONLY | O_CLOEXEC;
  const std::uint64_t running = ring.last;
  // The other end exists, without a byte, only while the open waits for it: so it has begun.
  ring.ring.enter();
  int other;
  while ((other = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
    ring.ring.enter(0, nullptr, abi::enter_getevents);
    std::this_thread::yield();
  }
  const int first = ring.wait(running).res;
  EXPECT_GE(first, 0);
  ::close(first);
  ::close(other);

  pipe_pair empty;
  const int file = ::open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  abi::sqe& e = ring.put(abi::op_splice, file, nullptr, 100, 0);
  e.splice_fd_in = empty.read_end();
  e.splice_off_in = ~0ull;
  const std::uint64_t splicing = ring.last;
  ring.ring.enter();
  abi::sqe& f = ring.put(abi::op_splice, file, nullptr, 100, 0);
  f.splice_fd_in = empty.read_end();
  f.splice_off_in = ~0ull;
  const std::uint64_t queued = ring.last;
  ring.ring.enter();
  EXPECT_EQ(ring.cancel(queued), 0);
  EXPECT_EQ(ring.wait(queued).res, -ECANCELED);
  empty.put("x");
  EXPECT_EQ(ring.wait(splicing).res, 1);
  ::close(file);
}

TEST_F(ThreadsKernel, an_open_that_ends_after_its_ring_leaves_no_descriptor) {
  const scratch dir;
  const auto path = dir.fifo("f");
  const int before = testing::open_descriptors();
  for (int round = 0; round < 20; ++round) {
    int other = -1;
    {
      plain_ring gone(threads_kernel());
      gone.put(abi::op_openat, AT_FDCWD, path.c_str()).open_flags = O_RDONLY | O_CLOEXEC;
      const std::uint64_t opening = gone.last;
      // The other end can be opened as soon as a worker is inside its call, which then ends: before
      // the ring has gone, or after.
      while (other < 0) {
        ASSERT_FALSE(gone.ended(opening));
        other = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
      }
    }
    ::close(other);
  }
  while (testing::open_descriptors() > before) std::this_thread::yield();
  EXPECT_EQ(testing::open_descriptors(), before);
}

TEST_F(ThreadsKernel, a_link_timeout_ends_what_waits) {
  pipe_pair p;
  char byte;
  abi::sqe& e = ring.put(abi::op_read, p.read_end(), &byte, 1);
  e.flags = abi::iosqe_io_link;
  const std::uint64_t reading = ring.last;
  const abi::timespec64 soon{0, 1'000'000};
  ring.put(abi::op_link_timeout, -1, &soon, 1);
  EXPECT_EQ(ring.wait(), -ETIME);
  EXPECT_EQ(ring.wait(reading).res, -ECANCELED);
}

TEST_F(ThreadsKernel, a_chain_opens_and_closes_in_order) {
  const scratch dir;
  const auto path = dir.file("f", "content");
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  std::array<char, 8> got{};
  ring.put(abi::op_write, fd, "CONTENT", 7, 0).flags = abi::iosqe_io_link;
  const std::uint64_t writing = ring.last;
  ring.put(abi::op_fsync, fd).flags = abi::iosqe_io_link;
  const std::uint64_t syncing = ring.last;
  ring.put(abi::op_read, fd, got.data(), 7, 0).flags = abi::iosqe_io_link;
  const std::uint64_t reading = ring.last;
  ring.put(abi::op_close, fd);
  EXPECT_EQ(ring.wait(), 0);
  EXPECT_EQ(ring.wait(reading).res, 7);
  EXPECT_EQ(ring.wait(syncing).res, 0);
  EXPECT_EQ(ring.wait(writing).res, 7);
  EXPECT_EQ(std::string(got.data()), "CONTENT");
}

// ---- between threads and processes ----

TEST_F(ThreadsKernel, a_message_reaches_a_ring_that_sleeps_on_another_thread) {
  int target = -1;
  std::latch made{1}, taken{1};
  std::thread other([&] {
    plain_ring theirs(threads_kernel());
    target = theirs.ring.memory().fd;
    made.count_down();
    const abi::cqe c = theirs.wait(4711);
    EXPECT_EQ(c.res, 42);
    taken.wait();
  });
  made.wait();
  ring.put(abi::op_msg_ring, target, nullptr, 42, 4711);
  EXPECT_EQ(ring.wait(), 0);
  taken.count_down();
  other.join();
  ring.put(abi::op_msg_ring, target, nullptr, 42, 4711);
  EXPECT_EQ(ring.wait(), -EBADFD);
  // To itself, by a registered descriptor.
  const int own = ring.ring.memory().fd;
  ASSERT_EQ(ring.ring.reg(abi::register_files, &own, 1), 0);
  ring.put(abi::op_msg_ring, 0, nullptr, 43, 4712).flags = abi::iosqe_fixed_file;
  EXPECT_EQ(ring.wait(), 0);
  EXPECT_EQ(ring.wait(4712).res, 43);
}

TEST_F(ThreadsKernel, a_forked_child_leaves_its_parents_ring_alone) {
  pipe_pair p;
  char byte;
  ring.put(abi::op_read, p.read_end(), &byte, 1);
  const std::uint64_t reading = ring.last;
  EXPECT_FALSE(ring.ended(reading));
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused = ring.ring.enter(0, nullptr, abi::enter_getevents) == -EBADF;
    ring_memory copy = ring.ring.memory();
    threads_kernel().release(copy);
    plain_ring own(threads_kernel());  // with a ring of its own it goes on
    own.put(abi::op_nop, -1);
    const bool works = own.wait() == 0;
    ::_exit(refused && works && copy.fd < 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  p.put("x");
  EXPECT_EQ(ring.wait(reading).res, 1);
}

TEST_F(ThreadsKernel, a_hundred_thousand_requests_of_every_way_are_answered_once) {
  pipe_pair p;
  const int file = ::open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  std::array<char, 64> bytes{};
  ASSERT_EQ(::pwrite(file, bytes.data(), bytes.size(), 0), 64);
  constexpr std::uint64_t all = 100'000;
  std::uint64_t submitted = 0, ended = 0, wrong = 0;
  std::vector<unsigned char> seen(all + 1);
  while (ended < all) {
    while (submitted < all && ring.ring.room() != 0 && submitted - ended < 512) {
      switch (submitted++ % 8) {
        case 0:  // a worker
          ring.put(abi::op_fadvise, file).fadvise_advice = POSIX_FADV_NORMAL;
          break;
        case 1:  // epoll, often
          ring.put(abi::op_read, p.read_end(), bytes.data(), 1);
          break;
        case 5:
          ring.put(abi::op_write, p.write_end(), bytes.data(), 1);
          break;
        case 3:
          ring.put(abi::op_nop, -1);
          break;
        default:
          ring.put(abi::op_read, file, bytes.data(), 64, 0);
      }
    }
    ASSERT_GE(ring.ring.enter(1), 0);
    ring.ring.reap([&](const abi::cqe& c) {
      ++ended;
      wrong += c.res < 0 || seen[c.user_data]++ != 0;
    });
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(ended, all);
  ::close(file);
}

TEST_F(ThreadsKernel, it_works_where_filters_forbid_what_is_new) {
  const pid_t child = ::fork();
  if (child == 0) {
    // EPERM for the three calls of io_uring and for epoll_pwait2, as containers have it.
    const auto number = static_cast<std::uint32_t>(offsetof(seccomp_data, nr));
    std::array<sock_filter, 8> code{{
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, number},
        {BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 425},
        {BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 426},
        {BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 427},
        {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 441},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
    }};
    const sock_fprog filter{static_cast<unsigned short>(code.size()), code.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) ::_exit(2);
    plain_ring own(threads_kernel());
    const abi::timespec64 soon{0, 1'000'000};
    own.put(abi::op_timeout, -1, &soon, 1);
    if (own.wait() != -ETIME) ::_exit(3);
    pipe_pair p;
    char byte;
    own.put(abi::op_read, p.read_end(), &byte, 1);
    const std::uint64_t reading = own.last;
    if (own.ended(reading)) ::_exit(4);
    p.put("x");
    ::_exit(own.wait(reading).res == 1 ? 0 : 5);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ThreadsKernel, an_interrupted_wait_says_so) {
  // Signals to this thread alone, until one meets the wait.
  struct sigaction quiet {};
  quiet.sa_handler = [](int) {};
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGUSR1, &quiet, &before), 0);
  const pthread_t self = ::pthread_self();
  std::atomic<bool> done{false};
  std::thread sender([&] {
    while (!done.load()) {
      ::pthread_kill(self, SIGUSR1);
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(ring.ring.enter(1), -EINTR);
  done = true;
  sender.join();
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(ThreadsRuntime, tasks_read_and_write_files_on_it) {
  const scratch dir;
  auto rt = exec::runtime_access::make(threads_kernel());
  EXPECT_EQ(rt.kernel(), "threads");
  const auto use_a_file = [](std::filesystem::path path) -> task<void> {
    auto f = co_await fs::open(
        path, {.access = fs::access::read_write, .creation = fs::creation::if_missing});
    buffer bytes(4096);
    std::memset(bytes.bytes().data(), 1, 4096);
    co_await f.write_all_at(bytes, 0);
    co_await f.datasync();
    const std::size_t n = co_await f.read_at(bytes, 4000);
    EXPECT_EQ(n, 96u);
    co_await std::move(f).close();
  };
  rt.run(use_a_file(dir / "f"));
}

}  // namespace
}  // namespace parkring::kernel
