#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "kernel/threads/backend.hpp"
#include "support/plain_ring.hpp"
#include "support/scratch.hpp"

namespace parkring::kernel::threads {
namespace {

using testing::plain_ring;

struct pipe_ends {
  explicit pipe_ends(int flags = 0) { EXPECT_EQ(::pipe2(fd, flags | O_CLOEXEC), 0); }
  ~pipe_ends() {
    ::close(fd[0]);
    ::close(fd[1]);
  }
  int fd[2];
};

class ThreadsRw : public ::testing::Test {
 protected:
  // On a disk, and on memory, where reads and writes cannot be tried.
  int disk = ::open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  int memory = ::memfd_create("test", MFD_CLOEXEC);
  plain_ring ring{threads_kernel()};
  ~ThreadsRw() override {
    ::close(disk);
    ::close(memory);
  }
};

TEST_F(ThreadsRw, what_was_written_is_read) {
  for (const int fd : {disk, memory}) {
    ASSERT_GE(fd, 0);
    const std::string text = "what was written";
    ring.put(abi::op_write, fd, text.data(), 16, 100);
    EXPECT_EQ(ring.wait(), 16);
    std::array<char, 32> got{};
    ring.put(abi::op_read, fd, got.data(), 32, 100);
    EXPECT_EQ(ring.wait(), 16);
    EXPECT_EQ(std::string(got.data()), text);
    ring.put(abi::op_read, fd, got.data(), 32, 116);
    EXPECT_EQ(ring.wait(), 0);
    ring.put(abi::op_read, fd, got.data(), 4, 50);
    EXPECT_EQ(ring.wait(), 4);
  }
}

TEST_F(ThreadsRw, vectors_go_to_their_parts) {
  for (const int fd : {disk, memory}) {
    std::array<iovec, 2> out{iovec{const_cast<char*>("abc"), 3}, {const_cast<char*>("defg"), 4}};
    ring.put(abi::op_writev, fd, out.data(), 2, 0);
    EXPECT_EQ(ring.wait(), 7);
    std::array<char, 5> a{};
    std::array<char, 10> b{};
    std::array<iovec, 2> in{iovec{a.data(), 5}, {b.data(), 10}};
    ring.put(abi::op_readv, fd, in.data(), 2, 0);
    EXPECT_EQ(ring.wait(), 7);
    EXPECT_EQ(std::string(a.data(), 5), "abcde");
    EXPECT_EQ(std::string(b.data(), 2), "fg");
  }
}

TEST_F(ThreadsRw, minus_one_means_the_position_of_the_file) {
  for (const int fd : {disk, memory}) {
    ring.put(abi::op_write, fd, "one", 3, ~0ull);
    EXPECT_EQ(ring.wait(), 3);
    ring.put(abi::op_write, fd, "two", 3, ~0ull);
    EXPECT_EQ(ring.wait(), 3);
    EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 6);
    ::lseek(fd, 1, SEEK_SET);
    std::array<char, 8> got{};
    ring.put(abi::op_read, fd, got.data(), 8, ~0ull);
    EXPECT_EQ(ring.wait(), 5);
    EXPECT_EQ(std::string(got.data()), "netwo");
  }
}

TEST_F(ThreadsRw, what_is_not_in_the_cache_is_read_whole_by_a_worker) {
  const std::string text(1 << 20, 'x');
  ASSERT_EQ(::pwrite(disk, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  ::fsync(disk);
  ::posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED);
  char first;
  ASSERT_EQ(::pread(disk, &first, 1, 0), 1);  // a part of it is there again
  std::string got(text.size() + 5, 'y');
  ring.put(abi::op_read, disk, got.data(), static_cast<std::uint32_t>(got.size()), 0);
  EXPECT_EQ(ring.wait(), 1 << 20);
  EXPECT_EQ(got.substr(0, text.size()), text);
  // And when a worker does all of it.
  ring.put(abi::op_read, disk, got.data(), 4096, 8192).flags = abi::iosqe_async;
  EXPECT_EQ(ring.wait(), 4096);
}

TEST_F(ThreadsRw, errors_are_the_kernels) {
  char byte = 0;
  ring.put(abi::op_read, 9999, &byte, 1, 0);
  EXPECT_EQ(ring.wait(), -EBADF);
  const int directory = ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ring.put(abi::op_read, directory, &byte, 1, 0);
  EXPECT_EQ(ring.wait(), -EISDIR);
  ::close(directory);
  ring.put(abi::op_read, disk, &byte, 1, ~0ull - 4);
  EXPECT_EQ(ring.wait(), -EINVAL);
  ring.put(abi::op_read, disk, &byte, 1, 0).rw_flags = 1u << 30;
  EXPECT_EQ(ring.wait(), -EOPNOTSUPP);
  const int read_only = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ring.put(abi::op_write, read_only, &byte, 1, 0);
  EXPECT_EQ(ring.wait(), -EBADF);
  ::close(read_only);
}

// What is learned of a descriptor is kept for small numbers only.
TEST_F(ThreadsRw, a_file_in_memory_is_served_whatever_its_number) {
  const int large = ::fcntl(memory, F_DUPFD_CLOEXEC, 5000);
  if (large < 0) GTEST_SKIP() << "no descriptor of such a number may be had";
  std::array<char, 32> got{};
  for (int i = 0; i < 3; ++i) {
    ring.put(abi::op_write, large, "what was written", 16, 0);
    EXPECT_EQ(ring.wait(), 16);
    ring.put(abi::op_read, large, got.data(), 32, 0);
    EXPECT_EQ(ring.wait(), 16);
    EXPECT_EQ(std::string(got.data()), "what was written");
  }
  // Too long for the ring's thread, and of several parts.
  const std::string text(1 << 20, 'x');
  ring.put(abi::op_write, large, text.data(), 1 << 20, 0);
  EXPECT_EQ(ring.wait(), 1 << 20);
  std::array<iovec, 2> parts{iovec{got.data(), 16}, {got.data() + 16, 16}};
  ring.put(abi::op_readv, large, parts.data(), 2, 0);
  EXPECT_EQ(ring.wait(), 32);
  EXPECT_EQ(std::string(got.data(), 32), text.substr(0, 32));
  ::close(large);
}

TEST_F(ThreadsRw, a_read_of_an_empty_pipe_waits_for_bytes) {
  for (const int flags : {0, O_NONBLOCK}) {
    pipe_ends p(flags);
    std::array<char, 16> got{};
    ring.put(abi::op_read, p.fd[0], got.data(), 16, 0);
    const std::uint64_t reading = ring.last;
    EXPECT_FALSE(ring.ended(reading));
    ASSERT_EQ(::write(p.fd[1], "bytes", 5), 5);
    EXPECT_EQ(ring.wait(reading).res, 5);
    EXPECT_EQ(std::string(got.data()), "bytes");
  }
}

TEST_F(ThreadsRw, rwf_nowait_on_a_stream_answers_at_once) {
  pipe_ends p;
  char byte = 0;
  ring.put(abi::op_read, p.fd[0], &byte, 1, 0).rw_flags = 8;
  EXPECT_EQ(ring.wait(), -EAGAIN);
}

TEST_F(ThreadsRw, several_reads_of_one_pipe_are_served_in_order) {
  pipe_ends p;
  const int same = ::dup(p.fd[0]);
  std::array<char, 3> got{};
  std::array<std::uint64_t, 3> reads{};
  for (std::size_t i = 0; i < 3; ++i) {
    ring.put(abi::op_read, i == 1 ? same : p.fd[0], &got[i], 1, 0);
    reads[i] = ring.last;
  }
  EXPECT_FALSE(ring.ended(reads[2]));
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(::write(p.fd[1], &"abc"[i], 1), 1);
    EXPECT_EQ(ring.wait(reads[i]).res, 1);
    EXPECT_EQ(got[i], "abc"[i]);
  }
  ::close(same);
}

TEST_F(ThreadsRw, a_full_pipe_makes_a_write_wait) {
  pipe_ends p;
  const std::string much(1 << 16, 'm');
  ring.put(abi::op_write, p.fd[1], much.data(), 1 << 16, 0);
  EXPECT_EQ(ring.wait(), 1 << 16);
  ring.put(abi::op_write, p.fd[1], "more", 4, 0);
  const std::uint64_t writing = ring.last;
  EXPECT_FALSE(ring.ended(writing));
  std::string got(much.size(), 0);
  ASSERT_EQ(::read(p.fd[0], got.data(), got.size()), 1 << 16);
  EXPECT_EQ(ring.wait(writing).res, 4);
}

TEST_F(ThreadsRw, a_waiting_read_can_be_cancelled_and_its_descriptor_closed) {
  pipe_ends p;
  char byte = 0;
  ring.put(abi::op_read, p.fd[0], &byte, 1, 0);
  const std::uint64_t first = ring.last;
  EXPECT_EQ(ring.cancel(first), 0);
  EXPECT_EQ(ring.wait(first).res, -ECANCELED);
  EXPECT_EQ(ring.cancel(first), -ENOENT);

  const int number = ::dup(p.fd[0]);
  ring.put(abi::op_read, number, &byte, 1, 0);
  const std::uint64_t second = ring.last;
  EXPECT_FALSE(ring.ended(second));
  ::close(number);
  ASSERT_EQ(::write(p.fd[1], "z", 1), 1);
  EXPECT_EQ(ring.wait(second).res, 1);
  EXPECT_EQ(byte, 'z');
}

TEST_F(ThreadsRw, a_number_that_has_a_new_file_while_requests_wait_means_each_file_once) {
  pipe_ends old, fresh;
  const int number = ::dup(old.fd[0]);
  std::array<char, 3> got{};
  ring.put(abi::op_read, number, &got[0], 1, 0);
  const std::uint64_t first = ring.last;
  EXPECT_FALSE(ring.ended(first));
  ASSERT_EQ(::dup2(fresh.fd[0], number), number);
  ring.put(abi::op_read, number, &got[1], 1, 0);
  const std::uint64_t second = ring.last;
  ring.put(abi::op_read, number, &got[2], 1, 0);
  const std::uint64_t third = ring.last;
  EXPECT_FALSE(ring.ended(second));
  ASSERT_EQ(::write(old.fd[1], "o", 1), 1);
  EXPECT_EQ(ring.wait(first).res, 1);
  EXPECT_FALSE(ring.ended(second));
  ASSERT_EQ(::write(fresh.fd[1], "fg", 2), 2);
  EXPECT_EQ(ring.wait(second).res, 1);
  EXPECT_EQ(ring.wait(third).res, 1);
  EXPECT_EQ(std::string(got.data(), 3), "ofg");
  ::close(number);
}

TEST_F(ThreadsRw, a_thousand_requests_wait_for_one_descriptor_by_one_duplicate) {
  pipe_ends p;
  const int before = testing::open_descriptors();
  std::array<char, 1000> got{};
  for (char& byte : got) ring.put(abi::op_read, p.fd[0], &byte, 1, 0);
  const std::uint64_t last = ring.last;
  EXPECT_FALSE(ring.ended(last));
  EXPECT_EQ(testing::open_descriptors(), before + 1);
  const std::string bytes(1000, 'b');
  ASSERT_EQ(::write(p.fd[1], bytes.data(), 1000), 1000);
  for (std::uint64_t i = 0; i < 1000; ++i) EXPECT_EQ(ring.wait(last - i).res, 1);
  EXPECT_EQ(std::string(got.data(), 1000), bytes);
  EXPECT_EQ(testing::open_descriptors(), before);
}

TEST_F(ThreadsRw, an_event_counter_is_read_when_it_is_signalled) {
  const int event = ::eventfd(0, EFD_CLOEXEC);
  std::uint64_t count = 0;
  ring.put(abi::op_read, event, &count, 8, 0);
  const std::uint64_t reading = ring.last;
  EXPECT_FALSE(ring.ended(reading));
  const std::uint64_t three = 3;
  ASSERT_EQ(::write(event, &three, 8), 8);
  EXPECT_EQ(ring.wait(reading).res, 8);
  EXPECT_EQ(count, 3u);
  ::close(event);
}

TEST_F(ThreadsRw, a_vector_of_a_waiting_read_may_be_reused) {
  pipe_ends p;
  std::array<char, 4> got{};
  iovec v{got.data(), 4};
  ring.put(abi::op_readv, p.fd[0], &v, 1, 0);
  const std::uint64_t reading = ring.last;
  EXPECT_FALSE(ring.ended(reading));
  v = {};
  ASSERT_EQ(::write(p.fd[1], "abcd", 4), 4);
  EXPECT_EQ(ring.wait(reading).res, 4);
  EXPECT_EQ(std::string(got.data(), 4), "abcd");
}

TEST_F(ThreadsRw, registered_files_and_buffers_serve) {
  ASSERT_EQ(::pwrite(disk, "registered", 10, 0), 10);
  std::array<char, 64> buffer{};
  const iovec region{buffer.data(), buffer.size()};
  ASSERT_EQ(ring.ring.reg(abi::register_buffers, &region, 1), 0);
  const std::array<int, 2> files{disk, -1};
  ASSERT_EQ(ring.ring.reg(abi::register_files, files.data(), 2), 0);
  abi::sqe& e = ring.put(abi::op_read_fixed, 0, buffer.data(), 10, 0);
  e.flags = abi::iosqe_fixed_file;
  EXPECT_EQ(ring.wait(), 10);
  EXPECT_EQ(std::string(buffer.data(), 10), "registered");
  ring.put(abi::op_read_fixed, disk, buffer.data() + 60, 10, 0);
  EXPECT_EQ(ring.wait(), -EFAULT);
  iovec part{buffer.data() + 20, 4};
  ring.put(abi::op_readv_fixed, disk, &part, 1, 0);
  EXPECT_EQ(ring.wait(), 4);
  // A worker keeps the file of a slot that is emptied meanwhile.
  abi::sqe& sync = ring.put(abi::op_fsync, 0);
  sync.flags = abi::iosqe_fixed_file;
  const std::uint64_t syncing = ring.last;
  ring.ring.enter();
  ASSERT_EQ(ring.ring.reg(abi::unregister_files, nullptr, 0), 0);
  EXPECT_EQ(ring.wait(syncing).res, 0);
}

TEST_F(ThreadsRw, a_multishot_read_fills_provided_buffers) {
  pipe_ends p;
  std::array<char, 4 * 16> pool{};
  abi::sqe& e = ring.put(abi::op_provide_buffers, 4, pool.data(), 16, 0);
  e.buf_group = 5;
  EXPECT_EQ(ring.wait(), 0);
  abi::sqe& read = ring.put(abi::op_read_multishot, p.fd[0]);
  read.flags = abi::iosqe_buffer_select;
  read.buf_group = 5;
  const std::uint64_t reading = ring.last;
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(::write(p.fd[1], "12345", 5), 5);
    const abi::cqe c = ring.wait(reading);
    EXPECT_EQ(c.res, 5);
    EXPECT_EQ(c.flags & (abi::cqe_f_more | abi::cqe_f_buffer), abi::cqe_f_more | abi::cqe_f_buffer);
    EXPECT_EQ(std::memcmp(&pool[16 * (c.flags >> abi::cqe_buffer_shift)], "12345", 5), 0);
  }
  ASSERT_EQ(::write(p.fd[1], "1", 1), 1);
  const abi::cqe c = ring.wait(reading);
  EXPECT_EQ(c.res, -ENOBUFS);
  EXPECT_EQ(c.flags & abi::cqe_f_more, 0u);
}

// The number of a file in memory, of which the ring has learned that reads need not be tried.
TEST_F(ThreadsRw, a_number_that_means_an_empty_pipe_now_is_not_read_by_a_call_that_waits) {
  std::array<char, 16> got{};
  ring.put(abi::op_write, memory, got.data(), 16, 0);
  ASSERT_EQ(ring.wait(), 16);
  ring.put(abi::op_read, memory, got.data(), 16, 0);
  ASSERT_EQ(ring.wait(), 16);
  pipe_ends p;
  ASSERT_EQ(::dup2(p.fd[0], memory), memory);
  ring.put(abi::op_read, memory, got.data(), 16, ~0ull);
  const std::uint64_t reading = ring.last;
  EXPECT_FALSE(ring.ended(reading));
  ASSERT_EQ(::write(p.fd[1], "abc", 3), 3);
  EXPECT_EQ(ring.wait(reading).res, 3);
}

TEST_F(ThreadsRw, a_number_that_means_a_pipe_now_has_no_offsets) {
  std::array<char, 16> got{};
  ring.put(abi::op_read, memory, got.data(), 16, 0);
  ASSERT_EQ(ring.wait(), 0);
  pipe_ends p;
  ASSERT_EQ(::write(p.fd[1], "abc", 3), 3);
  ASSERT_EQ(::dup2(p.fd[0], memory), memory);
  ring.put(abi::op_read, memory, got.data(), 16, 0);
  EXPECT_EQ(ring.wait(), 3);
}

TEST_F(ThreadsRw, a_transfer_is_limited_as_linux_has_it) {
  const std::size_t gib = std::size_t{1} << 30;
  std::vector<iovec> parts{{nullptr, gib}, {nullptr, 3 * gib}, {nullptr, gib}};
  limit_transfer(parts);
  EXPECT_EQ(parts[0].iov_len, gib);
  EXPECT_EQ(parts[1].iov_len, most_transferred - gib);
  EXPECT_EQ(parts[2].iov_len, 0u);
  // What is no length is for the call to refuse.
  std::vector<iovec> wrong{{nullptr, 5 * gib}, {nullptr, ~std::size_t{0}}};
  limit_transfer(wrong);
  EXPECT_EQ(wrong[0].iov_len, most_transferred);
  EXPECT_EQ(wrong[1].iov_len, ~std::size_t{0});
}

TEST_F(ThreadsRw, a_vector_of_no_memory_is_a_fault) {
  for (const std::uint8_t opcode : {abi::op_readv, abi::op_writev, abi::op_readv_fixed}) {
    ring.put(opcode, memory, nullptr, 3, 0);
    EXPECT_EQ(ring.wait(), -EFAULT);
  }
  ring.put(abi::op_readv, memory, nullptr, 0, 0);
  EXPECT_EQ(ring.wait(), 0);
  ring.put(abi::op_readv, memory, nullptr, 1025, 0);
  EXPECT_EQ(ring.wait(), -EINVAL);
}

TEST_F(ThreadsRw, a_vector_is_not_read_again_when_its_request_has_waited) {
  pipe_ends p;
  std::array<char, 64> room{};
  ring.put(abi::op_provide_buffers, 1, room.data(), 64, 0).buf_group = 7;
  ASSERT_EQ(ring.wait(), 0);
  iovec part{nullptr, 5};
  abi::sqe& e = ring.put(abi::op_readv, p.fd[0], &part, 1, ~0ull);
  e.flags = abi::iosqe_buffer_select;
  e.buf_group = 7;
  const std::uint64_t reading = ring.last;
  EXPECT_FALSE(ring.ended(reading));
  part.iov_len = 2;
  ASSERT_EQ(::write(p.fd[1], "abcdefgh", 8), 8);
  EXPECT_EQ(ring.wait(reading).res, 5);
  EXPECT_EQ(std::string(room.data()), "abcde");
}

}  // namespace
}  // namespace parkring::kernel::threads
