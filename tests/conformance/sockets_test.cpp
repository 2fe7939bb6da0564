// Stream and datagram sockets on the loopback address.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "conformance/machine.hpp"
#include "conformance/sockets.hpp"

namespace parkring::conformance {
namespace {

class Sockets : public on_machine {
 protected:
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    if (!supports(abi::op_socket)) GTEST_SKIP() << "no SOCKET";
  }
  int say(int fd, std::string_view text) { return io().run(send(fd, text.data(), text.size())); }
  std::string hear(int fd, std::size_t most = 100) {
    std::string text(most, '\0');
    const int n = io().run(receive(fd, text.data(), most));
    return n < 0 ? "<" + std::to_string(n) + ">" : text.substr(0, static_cast<std::size_t>(n));
  }
  int stream() { return io().run(make_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC)); }
  int datagrams() { return io().run(make_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC)); }
};
PARKRING_ON_EVERY_MACHINE(Sockets);

// ---- connecting ----

TEST_P(Sockets, a_connection_carries_bytes_both_ways) {
  const connection c = make_connection(io());
  EXPECT_EQ(say(c.client, "ping"), 4);
  EXPECT_EQ(hear(c.server), "ping");
  EXPECT_EQ(say(c.server, "pong"), 4);
  EXPECT_EQ(hear(c.client), "pong");
}

TEST_P(Sockets, an_accept_waits_for_a_connection) {
  loopback where;
  const int listener = bound_socket(io(), SOCK_STREAM, 8, where);
  ASSERT_GE(listener, 0);
  const std::uint64_t accepting = io().start(accept_on(listener));
  EXPECT_TRUE(io().silent(accepting));
  const int out = stream();
  EXPECT_EQ(io().run(connect_to(out, where.at(), loopback::size)), 0);
  EXPECT_GE(io().next(accepting).res, 0);
}

TEST_P(Sockets, an_accept_tells_the_peers_address) {
  loopback where;
  const int listener = bound_socket(io(), SOCK_STREAM, 8, where);
  ASSERT_GE(listener, 0);
  const int out = stream();
  EXPECT_EQ(io().run(connect_to(out, where.at(), loopback::size)), 0);
  loopback peer;
  socklen_t size = loopback::size;
  EXPECT_GE(io().run(accept_on(listener, peer.at(), &size)), 0);
  EXPECT_EQ(size, loopback::size);
  EXPECT_EQ(peer.in.sin_family, AF_INET);
  EXPECT_EQ(peer.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_NE(peer.in.sin_port, 0);
  EXPECT_NE(peer.in.sin_port, where.in.sin_port);
}

TEST_P(Sockets, connecting_where_nobody_listens_is_refused) {
  loopback where;
  const int holder = bound_socket(io(), SOCK_STREAM, 0, where);  // bound, not listening
  ASSERT_GE(holder, 0);
  EXPECT_EQ(io().run(connect_to(stream(), where.at(), loopback::size)), -ECONNREFUSED);
}

TEST_P(Sockets, a_connected_socket_is_not_connected_again) {
  loopback where;
  const int listener = bound_socket(io(), SOCK_STREAM, 8, where);
  ASSERT_GE(listener, 0);
  const int out = stream();
  EXPECT_EQ(io().run(connect_to(out, where.at(), loopback::size)), 0);
  EXPECT_EQ(io().run(connect_to(out, where.at(), loopback::size)), -EISCONN);
}

TEST_P(Sockets, an_address_belongs_to_one_listener) {
  PARKRING_NEEDS(abi::op_bind);
  loopback where;
  const int listener = bound_socket(io(), SOCK_STREAM, 8, where);
  ASSERT_GE(listener, 0);
  EXPECT_EQ(io().run(bind_to(stream(), where.at(), loopback::size)), -EADDRINUSE);
  EXPECT_EQ(io().run(bind_to(listener, loopback(next_port()).at(), loopback::size)), -EINVAL);
}

TEST_P(Sockets, a_listener_that_is_closed_frees_its_address) {
  PARKRING_NEEDS(abi::op_bind);
  loopback where;
  const int listener = bound_socket(io(), SOCK_STREAM, 8, where);
  ASSERT_GE(listener, 0);
  EXPECT_EQ(io().close(listener), 0);
  const int again = stream();
  EXPECT_EQ(io().run(bind_to(again, where.at(), loopback::size)), 0);
  EXPECT_EQ(io().run(listen(again, 1)), 0);
  EXPECT_EQ(io().run(connect_to(stream(), where.at(), loopback::size)), 0);
}

TEST_P(Sockets, only_listeners_accept) {
  EXPECT_EQ(io().run(accept_on(stream())), -EINVAL);
  EXPECT_EQ(io().run(accept_on(-1)), -EBADF);
  ASSERT_EQ(io().make_file(path("f"), ""), 0);
  const int file = io().open(path("f"), O_RDWR);
  EXPECT_EQ(io().run(accept_on(file)), -ENOTSOCK);
}

TEST_P(Sockets, files_are_no_sockets) {
  ASSERT_EQ(io().make_file(path("f"), ""), 0);
  const int file = io().open(path("f"), O_RDWR);
  EXPECT_EQ(say(file, "x"), -ENOTSOCK);
  EXPECT_EQ(hear(file), "<" + std::to_string(-ENOTSOCK) + ">");
  EXPECT_EQ(io().run(shut_down(file, SHUT_WR)), -ENOTSOCK);
  const loopback where(1);
  EXPECT_EQ(io().run(connect_to(file, where.at(), loopback::size)), -ENOTSOCK);
}

TEST_P(Sockets, unknown_families_and_types_are_refused) {
  EXPECT_EQ(io().run(make_socket(9999, SOCK_STREAM)), -EAFNOSUPPORT);
  EXPECT_EQ(io().run(make_socket(AF_INET, 15)), -EINVAL);  // beyond the last type
  EXPECT_EQ(io().run(make_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP)), -EPROTONOSUPPORT);
}

TEST_P(Sockets, one_accept_serves_many_connections) {
  loopback where;
  const int listener = bound_socket(io(), SOCK_STREAM, 8, where);
  ASSERT_GE(listener, 0);
  abi::sqe e = accept_on(listener);
  e.ioprio = abi::accept_multishot;
  const std::uint64_t accepting = io().start(e);
  for (int i = 0; i < 3; ++i) {
    const int out = stream();
    EXPECT_EQ(io().run(connect_to(out, where.at(), loopback::size)), 0);
    const answer a = io().next(accepting);
    ASSERT_GE(a.res, 0);
    EXPECT_TRUE(a.more());
    EXPECT_EQ(say(out, "x"), 1);
    EXPECT_EQ(hear(a.res), "x");
  }
  EXPECT_EQ(io().run(cancel(accepting)), 0);
  const answer end = io().next(accepting);
  EXPECT_EQ(end.res, -ECANCELED);
  EXPECT_FALSE(end.more());
}

TEST_P(Sockets, an_accept_that_must_not_wait_says_so) {
  loopback where;
  const int listener = bound_socket(io(), SOCK_STREAM, 8, where);
  ASSERT_GE(listener, 0);
  abi::sqe e = accept_on(listener);
  e.ioprio = abi::accept_dontwait;
  const std::int32_t result = io().run(e);
  if (result == -EINVAL) GTEST_SKIP() << "no ACCEPT_DONTWAIT";
  EXPECT_EQ(result, -EAGAIN);
}

// ---- streams ----

TEST_P(Sockets, a_receive_waits_for_bytes) {
  const connection c = make_connection(io());
  char* at = io().memory(8);
  const std::uint64_t waiting = io().start(receive(c.server, at, 8));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(say(c.client, "abc"), 3);
  EXPECT_EQ(io().next(waiting).res, 3);
  EXPECT_EQ(std::string(at, 3), "abc");
}

TEST_P(Sockets, reads_and_writes_work_on_sockets) {
  const connection c = make_connection(io());
  EXPECT_EQ(io().write(c.client, "abc", at_position), 3);
  EXPECT_EQ(io().read(c.server, 10, 0), "abc");  // an offset means nothing
  char a[2] = {'1', '2'}, b[1] = {'3'};
  const iovec parts[] = {{a, 2}, {b, 1}};
  EXPECT_EQ(io().run(writev(c.client, parts, 2, at_position)), 3);
  EXPECT_EQ(hear(c.server), "123");
}

TEST_P(Sockets, a_peek_takes_nothing) {
  const connection c = make_connection(io());
  EXPECT_EQ(say(c.client, "abc"), 3);
  char at[8];
  EXPECT_EQ(io().run(poll(c.server, POLLIN)), POLLIN);
  EXPECT_EQ(io().run(receive(c.server, at, 2, MSG_PEEK)), 2);
  EXPECT_EQ(hear(c.server), "abc");
}

TEST_P(Sockets, a_receive_of_all_waits_until_it_is_full) {
  const connection c = make_connection(io());
  char* at = io().memory(6);
  const std::uint64_t waiting = io().start(receive(c.server, at, 6, MSG_WAITALL));
  EXPECT_EQ(say(c.client, "abc"), 3);
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(say(c.client, "def"), 3);
  EXPECT_EQ(io().next(waiting).res, 6);
  EXPECT_EQ(std::string(at, 6), "abcdef");
}

TEST_P(Sockets, a_receive_that_must_not_wait_says_so) {
  const connection c = make_connection(io());
  char byte;
  EXPECT_EQ(io().run(receive(c.server, &byte, 1, MSG_DONTWAIT)), -EAGAIN);
}

TEST_P(Sockets, a_stream_ends_after_its_bytes_when_the_peer_shuts_down) {
  const connection c = make_connection(io());
  EXPECT_EQ(say(c.client, "last"), 4);
  EXPECT_EQ(io().run(shut_down(c.client, SHUT_WR)), 0);
  EXPECT_EQ(hear(c.server), "last");
  EXPECT_EQ(hear(c.server), "");
  EXPECT_EQ(say(c.server, "answer"), 6);  // the other way stays open
  EXPECT_EQ(hear(c.client), "answer");
  EXPECT_EQ(say(c.client, "x"), -EPIPE);
}

TEST_P(Sockets, a_receive_that_waits_ends_when_the_peer_closes) {
  const connection c = make_connection(io());
  const std::uint64_t waiting = io().start(receive(c.server, io().memory(8), 8));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(io().close(c.client), 0);
  EXPECT_EQ(io().next(waiting).res, 0);
}

TEST_P(Sockets, shutting_down_our_own_side_ends_our_receives) {
  const connection c = make_connection(io());
  const std::uint64_t waiting = io().start(receive(c.server, io().memory(8), 8));
  EXPECT_EQ(io().run(shut_down(c.server, SHUT_RD)), 0);
  EXPECT_EQ(io().next(waiting).res, 0);
}

TEST_P(Sockets, bytes_that_nobody_read_reset_the_connection) {
  const connection c = make_connection(io());
  EXPECT_EQ(say(c.client, "unread"), 6);
  EXPECT_EQ(io().run(poll(c.server, POLLIN)), POLLIN);
  EXPECT_EQ(io().close(c.server), 0);
  EXPECT_EQ(hear(c.client), "<" + std::to_string(-ECONNRESET) + ">");
  EXPECT_EQ(say(c.client, "x"), -EPIPE);
}

TEST_P(Sockets, what_is_not_connected_neither_sends_nor_receives) {
  const int fd = stream();
  EXPECT_EQ(hear(fd), "<" + std::to_string(-ENOTCONN) + ">");
  EXPECT_EQ(say(fd, "x"), -EPIPE);
  EXPECT_EQ(io().run(shut_down(fd, SHUT_WR)), -ENOTCONN);
  const connection c = make_connection(io());
  EXPECT_EQ(io().run(shut_down(c.client, 99)), -EINVAL);
}

TEST_P(Sockets, a_slow_reader_loses_nothing) {
  const connection c = make_connection(io());
  const std::string piece(100'000, 's');
  std::size_t sent = 0, received = 0;
  std::uint64_t waiting = 0;
  for (int i = 0; i < 1000 && waiting == 0; ++i) {
    const std::uint64_t sending = io().start(send(c.client, piece.data(), piece.size()));
    if (io().silent(sending)) {
      waiting = sending;
    } else {
      const std::int32_t n = io().next(sending).res;
      ASSERT_GT(n, 0);
      sent += static_cast<std::size_t>(n);
    }
  }
  ASSERT_NE(waiting, 0u) << "the connection takes everything";
  // Reads until the send that waited has found room.
  bool ended = false;
  while (!ended || received < sent) {
    const std::size_t n = hear(c.server, 1u << 20).size();
    ASSERT_GT(n, 0u);
    received += n;
    if (!ended && !io().silent(waiting)) {
      ended = true;
      const std::int32_t last = io().next(waiting).res;
      ASSERT_GT(last, 0);
      sent += static_cast<std::size_t>(last);
    }
  }
  EXPECT_EQ(received, sent);
}

TEST_P(Sockets, messages_gather_and_scatter) {
  const connection c = make_connection(io());
  char a[2] = {'a', 'b'}, b[3] = {'c', 'd', 'e'};
  iovec out[] = {{a, 2}, {b, 3}};
  msghdr message{};
  message.msg_iov = out;
  message.msg_iovlen = 2;
  EXPECT_EQ(io().run(send_message(c.client, &message)), 5);
  char d[1], e[10];
  iovec in[] = {{d, 1}, {e, 10}};
  msghdr received{};
  received.msg_iov = in;
  received.msg_iovlen = 2;
  EXPECT_EQ(io().run(receive_message(c.server, &received)), 5);
  EXPECT_EQ(d[0], 'a');
  EXPECT_EQ(std::string(e, 4), "bcde");
}

TEST_P(Sockets, a_message_that_was_to_be_filled_breaks_its_chain_when_it_is_not) {
  for (const bool whole : {false, true}) {
    const connection c = make_connection(io());
    iovec part{io().memory(8), 8};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const std::uint64_t receiving =
        io().push(linked(receive_message(c.server, &message, MSG_WAITALL)));
    const std::uint64_t behind = io().push(nop());
    io().submit();
    EXPECT_EQ(say(c.client, whole ? "all of it" : "part"), whole ? 9 : 4);
    EXPECT_EQ(io().run(shut_down(c.client, SHUT_WR)), 0);
    EXPECT_EQ(io().next(receiving).res, whole ? 8 : 4);
    EXPECT_EQ(io().next(behind).res, whole ? 0 : -ECANCELED);
  }
}

TEST_P(Sockets, a_receive_in_flight_is_cancelled_and_takes_nothing) {
  const connection c = make_connection(io());
  const std::uint64_t waiting = io().start(receive(c.server, io().memory(8), 8));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(io().run(cancel(waiting)), 0);
  EXPECT_EQ(io().next(waiting).res, -ECANCELED);
  EXPECT_EQ(say(c.client, "abc"), 3);
  EXPECT_EQ(hear(c.server), "abc");
}

TEST_P(Sockets, a_receive_has_its_link_timeout) {
  const connection c = make_connection(io());
  const abi::timespec64 moment{.tv_sec = 0, .tv_nsec = 1'000'000};
  EXPECT_EQ(io().run_chain({receive(c.server, io().memory(8), 8), link_timeout(&moment)}),
            (std::vector<std::int32_t>{-ECANCELED, -ETIME}));
}

TEST_P(Sockets, a_poll_tells_of_bytes_room_and_the_end) {
  const connection c = make_connection(io());
  EXPECT_EQ(io().run(poll(c.server, POLLOUT)), POLLOUT);
  const std::uint64_t waiting = io().start(poll(c.server, POLLIN | POLLRDHUP));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(say(c.client, "x"), 1);
  EXPECT_EQ(io().next(waiting).res, POLLIN);
  EXPECT_EQ(hear(c.server), "x");
  EXPECT_EQ(io().run(shut_down(c.client, SHUT_WR)), 0);
  EXPECT_EQ(io().run(poll(c.server, POLLIN | POLLRDHUP)), POLLIN | POLLRDHUP);
}

TEST_P(Sockets, a_send_behind_a_short_receive_is_cancelled) {
  const connection c = make_connection(io());
  EXPECT_EQ(say(c.client, "ab"), 2);
  // A receive that asks for all of its bytes and is cut short breaks the chain; another does not.
  EXPECT_EQ(io().run_chain({receive(c.server, io().memory(8), 8), nop()}),
            (std::vector<std::int32_t>{2, 0}));
  EXPECT_EQ(say(c.client, "ab"), 2);
  EXPECT_EQ(io().run(shut_down(c.client, SHUT_WR)), 0);
  EXPECT_EQ(io().run_chain({receive(c.server, io().memory(8), 8, MSG_WAITALL), nop()}),
            (std::vector<std::int32_t>{2, -ECANCELED}));
}

// ---- datagrams ----

TEST_P(Sockets, datagrams_keep_their_borders_and_tell_their_sender) {
  loopback here, there;
  const int receiver = bound_socket(io(), SOCK_DGRAM, 0, here);
  const int sender = bound_socket(io(), SOCK_DGRAM, 0, there);
  ASSERT_GE(receiver, 0);
  ASSERT_GE(sender, 0);
  EXPECT_EQ(io().run(connect_to(sender, here.at(), loopback::size)), 0);
  EXPECT_EQ(say(sender, "one"), 3);
  EXPECT_EQ(say(sender, "second"), 6);
  EXPECT_EQ(hear(receiver), "one");
  char at[100];
  iovec part{at, sizeof at};
  loopback from;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_name = from.at();
  message.msg_namelen = loopback::size;
  EXPECT_EQ(io().run(receive_message(receiver, &message)), 6);
  EXPECT_EQ(from.in.sin_port, there.in.sin_port);
  EXPECT_EQ(message.msg_namelen, loopback::size);
}

TEST_P(Sockets, a_datagram_is_sent_to_the_address_in_its_message) {
  loopback here;
  const int receiver = bound_socket(io(), SOCK_DGRAM, 0, here);
  ASSERT_GE(receiver, 0);
  char at[3] = {'a', 'b', 'c'};
  iovec part{at, 3};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_name = here.at();
  message.msg_namelen = loopback::size;
  const int sender = datagrams();
  EXPECT_EQ(io().run(send_message(sender, &message)), 3);
  EXPECT_EQ(hear(receiver), "abc");
  EXPECT_EQ(say(sender, "x"), -EDESTADDRREQ);
}

TEST_P(Sockets, what_does_not_fit_of_a_datagram_is_gone) {
  loopback here;
  const int receiver = bound_socket(io(), SOCK_DGRAM, 0, here);
  const int sender = datagrams();
  EXPECT_EQ(io().run(connect_to(sender, here.at(), loopback::size)), 0);
  EXPECT_EQ(say(sender, "abcdef"), 6);
  EXPECT_EQ(say(sender, "next"), 4);
  EXPECT_EQ(hear(receiver, 2), "ab");
  EXPECT_EQ(hear(receiver), "next");
}

TEST_P(Sockets, an_empty_datagram_arrives) {
  loopback here;
  const int receiver = bound_socket(io(), SOCK_DGRAM, 0, here);
  const int sender = datagrams();
  EXPECT_EQ(io().run(connect_to(sender, here.at(), loopback::size)), 0);
  const std::uint64_t waiting = io().start(receive(receiver, io().memory(8), 8));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(say(sender, ""), 0);
  EXPECT_EQ(io().next(waiting).res, 0);
}

TEST_P(Sockets, a_datagram_to_nobody_is_refused_afterwards) {
  loopback here;
  const int receiver = bound_socket(io(), SOCK_DGRAM, 0, here);
  const int sender = datagrams();
  EXPECT_EQ(io().run(connect_to(sender, here.at(), loopback::size)), 0);
  EXPECT_EQ(io().close(receiver), 0);
  EXPECT_EQ(say(sender, "x"), 1);
  EXPECT_EQ(hear(sender), "<" + std::to_string(-ECONNREFUSED) + ">");
}

TEST_P(Sockets, a_datagram_beyond_the_largest_is_refused) {
  loopback here;
  const int receiver = bound_socket(io(), SOCK_DGRAM, 0, here);
  ASSERT_GE(receiver, 0);
  const int sender = datagrams();
  EXPECT_EQ(io().run(connect_to(sender, here.at(), loopback::size)), 0);
  EXPECT_EQ(say(sender, std::string(65'508, 'x')), -EMSGSIZE);
  EXPECT_EQ(say(sender, std::string(65'507, 'x')), 65'507);
}

}  // namespace
}  // namespace parkring::conformance
