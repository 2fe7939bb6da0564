#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "support/plain_ring.hpp"

namespace parkring::kernel::threads {
namespace {

using testing::plain_ring;

struct pair_of_sockets {
  explicit pair_of_sockets(int type = SOCK_STREAM) {
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd), 0);
  }
  ~pair_of_sockets() {
    ::close(fd[0]);
    ::close(fd[1]);
  }
  int fd[2];
};

struct listener {
  explicit listener(int flags) {
    fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd, 16), 0);
    socklen_t length = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  }
  ~listener() { ::close(fd); }
  int fd;
  sockaddr_in address{};
};

class ThreadsNet : public ::testing::Test {
 protected:
  plain_ring ring{threads_kernel()};
};

TEST_F(ThreadsNet, both_directions_of_a_socket_wait_at_once) {
  pair_of_sockets s;
  std::string much(1 << 20, 'm');
  std::array<char, 8> got{};
  ring.put(abi::op_recv, s.fd[0], got.data(), 8);
  const std::uint64_t receiving = ring.last;
  ring.put(abi::op_send, s.fd[0], much.data(), 1 << 20).msg_flags = MSG_WAITALL;
  const std::uint64_t sending = ring.last;
  EXPECT_FALSE(ring.ended(receiving));
  EXPECT_FALSE(ring.ended(sending));
  ASSERT_EQ(::send(s.fd[1], "answer", 6, 0), 6);
  EXPECT_EQ(ring.wait(receiving).res, 6);
  std::string arrived(1 << 20, 0);
  ring.put(abi::op_recv, s.fd[1], arrived.data(), 1 << 20).msg_flags = MSG_WAITALL;
  EXPECT_EQ(ring.wait(), 1 << 20);
  EXPECT_EQ(ring.wait(sending).res, 1 << 20);
  EXPECT_EQ(arrived, much);
}

TEST_F(ThreadsNet, a_cancelled_receive_tells_what_had_come) {
  pair_of_sockets s;
  std::array<char, 100> got{};
  ring.put(abi::op_recv, s.fd[0], got.data(), 100).msg_flags = MSG_WAITALL;
  const std::uint64_t receiving = ring.last;
  ASSERT_EQ(::send(s.fd[1], "some", 4, 0), 4);
  EXPECT_FALSE(ring.ended(receiving));
  EXPECT_EQ(ring.cancel(receiving), 0);
  EXPECT_EQ(ring.wait(receiving).res, 4);
}

TEST_F(ThreadsNet, a_datagram_is_whole_whatever_waitall_says) {
  pair_of_sockets s(SOCK_DGRAM);
  ASSERT_EQ(::send(s.fd[1], "datagram", 8, 0), 8);
  std::array<char, 100> got{};
  ring.put(abi::op_recv, s.fd[0], got.data(), 100).msg_flags = MSG_WAITALL;
  EXPECT_EQ(ring.wait(), 8);
}

TEST_F(ThreadsNet, errors_and_ends_of_streams_are_told) {
  char byte = 'x';
  {
    pair_of_sockets s;
    ring.put(abi::op_recv, s.fd[0], &byte, 1).msg_flags = MSG_DONTWAIT;
    EXPECT_EQ(ring.wait(), -EAGAIN);
    ::shutdown(s.fd[1], SHUT_RDWR);
    ring.put(abi::op_recv, s.fd[0], &byte, 1);
    EXPECT_EQ(ring.wait(), 0);
    ring.put(abi::op_send, s.fd[0], &byte, 1);
    EXPECT_EQ(ring.wait(), -EPIPE);
  }
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ring.put(abi::op_recv, file, &byte, 1);
  EXPECT_EQ(ring.wait(), -ENOTSOCK);
  ::close(file);
}

TEST_F(ThreadsNet, messages_gather_and_scatter) {
  pair_of_sockets s;
  std::array<iovec, 2> out{iovec{const_cast<char*>("abc"), 3}, {const_cast<char*>("de"), 2}};
  msghdr m{};
  m.msg_iov = out.data();
  m.msg_iovlen = 2;
  std::array<char, 8> got{};
  iovec in{got.data(), 8};
  msghdr n{};
  n.msg_iov = &in;
  n.msg_iovlen = 1;
  n.msg_flags = 12345;
  ring.put(abi::op_recvmsg, s.fd[1], &n, 1);
  const std::uint64_t receiving = ring.last;
  ring.ring.enter();
  in = {};  // its description may be reused
  ring.put(abi::op_sendmsg, s.fd[0], &m, 1);
  EXPECT_EQ(ring.wait(), 5);
  EXPECT_EQ(ring.wait(receiving).res, 5);
  EXPECT_EQ(std::string(got.data()), "abcde");
  EXPECT_EQ(n.msg_flags, 0);
}

TEST_F(ThreadsNet, a_zero_copy_send_is_told_twice) {
  pair_of_sockets s;
  ring.put(abi::op_send_zc, s.fd[0], "copied", 6);
  const std::uint64_t sending = ring.last;
  const abi::cqe first = ring.wait(sending);
  EXPECT_EQ(first.res, 6);
  EXPECT_EQ(first.flags, abi::cqe_f_more);
  const abi::cqe second = ring.wait(sending);
  EXPECT_EQ(second.res, 0);
  EXPECT_EQ(second.flags, abi::cqe_f_notif);
}

TEST_F(ThreadsNet, a_multishot_receive_fills_provided_buffers_until_the_end) {
  pair_of_sockets s;
  std::array<char, 4 * 16> pool{};
  ring.put(abi::op_provide_buffers, 4, pool.data(), 16, 0).buf_group = 1;
  EXPECT_EQ(ring.wait(), 0);
  abi::sqe& e = ring.put(abi::op_recv, s.fd[0]);
  e.flags = abi::iosqe_buffer_select;
  e.buf_group = 1;
  e.ioprio = abi::recv_multishot;
  const std::uint64_t receiving = ring.last;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(::send(s.fd[1], "12345", 5, 0), 5);
    const abi::cqe c = ring.wait(receiving);
    EXPECT_EQ(c.res, 5);
    EXPECT_NE(c.flags & abi::cqe_f_more, 0u);
  }
  ::shutdown(s.fd[1], SHUT_WR);
  const abi::cqe c = ring.wait(receiving);
  EXPECT_EQ(c.res, 0);
  EXPECT_EQ(c.flags & abi::cqe_f_more, 0u);
}

TEST_F(ThreadsNet, a_multishot_message_carries_its_header_in_the_buffer) {
  pair_of_sockets s(SOCK_DGRAM);
  std::array<char, 256> pool{};
  ring.put(abi::op_provide_buffers, 1, pool.data(), 256, 0).buf_group = 1;
  EXPECT_EQ(ring.wait(), 0);
  msghdr m{};
  m.msg_namelen = 16;
  m.msg_controllen = 8;
  abi::sqe& e = ring.put(abi::op_recvmsg, s.fd[0], &m, 1);
  e.flags = abi::iosqe_buffer_select;
  e.buf_group = 1;
  e.ioprio = abi::recv_multishot;
  const std::uint64_t receiving = ring.last;
  ASSERT_EQ(::send(s.fd[1], "payload", 7, 0), 7);
  const abi::cqe c = ring.wait(receiving);
  EXPECT_EQ(c.res, static_cast<int>(sizeof(abi::recvmsg_out)) + 16 + 8 + 7);
  abi::recvmsg_out told;
  std::memcpy(&told, pool.data(), sizeof told);
  EXPECT_EQ(told.payloadlen, 7u);
  EXPECT_EQ(std::memcmp(&pool[sizeof told + 24], "payload", 7), 0);
}

TEST_F(ThreadsNet, connections_are_made_and_accepted) {
  for (const int flags : {0, static_cast<int>(SOCK_NONBLOCK)}) {
    listener l(flags);
    ring.put(abi::op_accept, l.fd).accept_flags = SOCK_CLOEXEC;
    const std::uint64_t accepting = ring.last;
    EXPECT_FALSE(ring.ended(accepting));
    ring.put(abi::op_socket, AF_INET, nullptr, 0, SOCK_STREAM);
    const int client = ring.wait();
    ASSERT_GE(client, 0);
    ring.put(abi::op_connect, client, &l.address, 0, sizeof l.address);
    EXPECT_EQ(ring.wait(), 0);
    EXPECT_EQ(::fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    const int server = ring.wait(accepting).res;
    ASSERT_GE(server, 0);
    ring.put(abi::op_send, server, "hello", 5);
    EXPECT_EQ(ring.wait(), 5);
    std::array<char, 8> got{};
    ring.put(abi::op_recv, client, got.data(), 8).ioprio = abi::recvsend_poll_first;
    EXPECT_EQ(ring.wait(), 5);
    ring.put(abi::op_shutdown, client, nullptr, SHUT_RDWR);
    EXPECT_EQ(ring.wait(), 0);
    for (const int fd : {client, server}) {
      ring.put(abi::op_close, fd);
      EXPECT_EQ(ring.wait(), 0);
    }
  }
}

TEST_F(ThreadsNet, a_multishot_accept_takes_one_after_the_other) {
  for (const int flags : {0, static_cast<int>(SOCK_NONBLOCK)}) {
    listener l(flags);
    ring.put(abi::op_accept, l.fd).ioprio = abi::accept_multishot;
    const std::uint64_t accepting = ring.last;
    for (int i = 0; i < 3; ++i) {
      const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&l.address), sizeof l.address), 0);
      const abi::cqe c = ring.wait(accepting);
      EXPECT_GE(c.res, 0);
      EXPECT_NE(c.flags & abi::cqe_f_more, 0u);
      ::close(c.res);
      ::close(client);
    }
    EXPECT_EQ(ring.cancel(accepting), 0);
    EXPECT_EQ(ring.wait(accepting).res, -ECANCELED);
  }
}

TEST_F(ThreadsNet, a_refused_connection_says_so) {
  sockaddr_in nobody{};
  {
    listener l(0);
    nobody = l.address;
  }
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ring.put(abi::op_connect, client, &nobody, 0, sizeof nobody);
  EXPECT_EQ(ring.wait(), -ECONNREFUSED);
  ::close(client);
}

TEST_F(ThreadsNet, a_descriptor_can_be_made_for_a_slot) {
  const std::array<int, 2> slots{-1, -1};
  ASSERT_EQ(ring.ring.reg(abi::register_files, slots.data(), 2), 0);
  ring.put(abi::op_openat, AT_FDCWD, "/proc/self/exe", 0).file_index = 2;
  EXPECT_EQ(ring.wait(), 0);
  std::array<char, 4> magic{};
  ring.put(abi::op_read, 1, magic.data(), 4, 0).flags = abi::iosqe_fixed_file;
  EXPECT_EQ(ring.wait(), 4);
  EXPECT_EQ(std::memcmp(magic.data(), "\177ELF", 4), 0);
}

}  // namespace
}  // namespace parkring::kernel::threads
