#include "kernel/sim/stream_socket.hpp"

#include "kernel/sim/network_fixture.hpp"

namespace parkring::kernel::sim {
namespace {

class StreamSocket : public NetworkTest {};

TEST_F(StreamSocket, bytes_travel_both_ways_and_an_end_follows_them) {
  auto [client, server] = connected();
  EXPECT_EQ(get(*server), "EAGAIN");
  EXPECT_EQ(put(*client, "hello"), 5);
  EXPECT_EQ(get(*server), "EAGAIN");
  settle();
  EXPECT_EQ(server->poll_events(), unsigned{POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM});
  EXPECT_EQ(get(*server, 2), "he");
  EXPECT_EQ(get(*server), "llo");
  EXPECT_EQ(put(*server, "welcome"), 7);
  server = {};
  settle();
  EXPECT_EQ(get(*client), "welcome");
  EXPECT_EQ(get(*client), "");
}

TEST_F(StreamSocket, a_fresh_one_answers_as_linux_does) {
  const auto s = make();
  EXPECT_EQ(put(*s, "x"), -EPIPE);
  EXPECT_EQ(get(*s), "ENOTCONN");
  EXPECT_EQ(s->poll_events() & 0xfffU, unsigned{POLLOUT | POLLHUP | POLLWRNORM});
  EXPECT_EQ(s->shutdown(SHUT_RDWR), -ENOTCONN);
  ref<socket> other;
  EXPECT_EQ(s->accept(other, nullptr), -EINVAL);
  address peer;
  EXPECT_EQ(s->getpeername(peer), -ENOTCONN);
  const auto u = make(AF_UNIX);
  EXPECT_EQ(put(*u, "x"), -ENOTCONN);
  EXPECT_EQ(get(*u), "EINVAL");
  EXPECT_EQ(u->listen(1), -EINVAL);
  EXPECT_EQ(connect(*u, unix_name(std::string("\0none", 5))), -ECONNREFUSED);
  EXPECT_EQ(connect(*u, unix_name("/none")), -ENOENT);
  EXPECT_EQ(u->shutdown(SHUT_RDWR), 0);
}

TEST_F(StreamSocket, connect_is_told_once_and_then_is_connected) {
  const auto l = listener(inet("127.0.0.1", 80));
  const auto s = make();
  counting_watcher w;
  s->watch(w);
  EXPECT_EQ(connect(*s, inet("127.0.0.1", 80)), -EINPROGRESS);
  EXPECT_EQ(connect(*s, inet("127.0.0.1", 80)), -EALREADY);
  EXPECT_EQ(s->poll_events(), 0U);
  settle();
  EXPECT_EQ(w.told, 1);
  EXPECT_EQ(s->poll_events(), unsigned{POLLOUT | POLLWRNORM});
  EXPECT_EQ(connect(*s, inet("127.0.0.1", 80)), 0);
  EXPECT_EQ(connect(*s, inet("127.0.0.1", 80)), -EISCONN);
  ref<socket> server;
  address peer;
  EXPECT_EQ(l->accept(server, &peer), 0);
  EXPECT_EQ(peer, s->getsockname());
  EXPECT_EQ(server->getsockname().port, 80);
  EXPECT_EQ(l->accept(server, &peer), -EAGAIN);
}

TEST_F(StreamSocket, nobody_listening_refuses_and_the_socket_can_try_again) {
  const auto s = make();
  EXPECT_EQ(connect(*s, inet("127.0.0.1", 80)), -EINPROGRESS);
  settle();
  EXPECT_EQ(s->poll_events() & 0xfffU,
            unsigned{POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM});
  EXPECT_EQ(connect(*s, inet("127.0.0.1", 80)), -ECONNREFUSED);
  const auto l = listener(inet("127.0.0.1", 80));
  EXPECT_EQ(connect(*s, inet("127.0.0.1", 80)), -EINPROGRESS);
  settle();
  EXPECT_EQ(connect(*s, inet("127.0.0.1", 80)), 0);
}

TEST_F(StreamSocket, half_closed_it_still_receives) {
  auto [client, server] = connected();
  EXPECT_EQ(put(*client, "question"), 8);
  EXPECT_EQ(client->shutdown(SHUT_WR), 0);
  EXPECT_EQ(put(*client, "more"), -EPIPE);
  settle();
  EXPECT_EQ(server->poll_events() & (POLLIN | POLLRDHUP | POLLHUP), unsigned{POLLIN | POLLRDHUP});
  EXPECT_EQ(get(*server), "question");
  EXPECT_EQ(get(*server), "");
  EXPECT_EQ(put(*server, "answer"), 6);
  settle();
  EXPECT_EQ(get(*client), "answer");
  EXPECT_EQ(get(*client), "EAGAIN");
  server = {};
  settle();
  EXPECT_EQ(get(*client), "");
  EXPECT_NE(client->poll_events() & POLLHUP, 0U);
}

TEST_F(StreamSocket, closing_with_unread_bytes_resets_and_what_arrived_before_is_still_read) {
  auto [client, server] = connected();
  EXPECT_EQ(put(*client, "unread"), 6);
  EXPECT_EQ(put(*server, "last words"), 10);
  settle();
  server = {};
  settle();
  EXPECT_EQ(client->poll_events(),
            unsigned{POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP | POLLRDNORM | POLLWRNORM});
  EXPECT_EQ(get(*client), "last words");
  EXPECT_EQ(get(*client), "ECONNRESET");
  EXPECT_EQ(get(*client), "");
  EXPECT_EQ(put(*client, "x"), -EPIPE);
  EXPECT_EQ(client->shutdown(SHUT_RDWR), -ENOTCONN);
}

TEST_F(StreamSocket, sending_to_one_that_closed_works_once_then_breaks_the_pipe) {
  auto [client, server] = connected();
  server = {};
  settle();
  EXPECT_EQ(get(*client), "");
  EXPECT_EQ(put(*client, "x"), 1);
  settle();
  EXPECT_EQ(put(*client, "x"), -EPIPE);
  EXPECT_EQ(get(*client), "");
}

TEST_F(StreamSocket, a_writer_stops_at_the_buffers_and_goes_on_after_reads) {
  auto [client, server] = connected();
  const std::string block(10'000, 'b');
  std::size_t sent = 0;
  for (long n = 0; (n = put(*client, block)) != -EAGAIN; sent += static_cast<std::size_t>(n)) {
    ASSERT_GT(n, 0);
    settle();
  }
  EXPECT_EQ(sent, net.options().send_buffer + net.options().receive_buffer);
  EXPECT_EQ(client->poll_events() & POLLOUT, 0U);
  counting_watcher w;
  client->watch(w);
  std::size_t got = 0;
  while (got < sent) {
    const std::string part = get(*server, 30'000);
    ASSERT_NE(part, "EAGAIN");
    got += part.size();
    settle();
  }
  EXPECT_EQ(got, sent);
  EXPECT_EQ(w.told, 1);
  EXPECT_NE(client->poll_events() & POLLOUT, 0U);
  EXPECT_EQ(put(*client, block), 10'000);
}

TEST_F(StreamSocket, connections_are_accepted_in_the_order_they_opened) {
  const auto l = listener(inet("0.0.0.0", 80));
  std::vector<ref<socket>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(make());
    EXPECT_EQ(connect(*clients.back(), inet("127.0.0.1", 80)), -EINPROGRESS);
    settle();
  }
  for (const auto& c : clients) {
    ref<socket> s;
    address peer;
    ASSERT_EQ(l->accept(s, &peer), 0);
    EXPECT_EQ(peer, c->getsockname());
  }
}

TEST_F(StreamSocket, beyond_the_backlog_a_connect_waits_and_asks_again) {
  const auto l = listener(inet("127.0.0.1", 80), 1);
  std::vector<ref<socket>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(make());
    EXPECT_EQ(connect(*clients.back(), inet("127.0.0.1", 80)), -EINPROGRESS);
  }
  settle_until(time.now_ns() + 500'000'000);
  int open = 0;
  for (const auto& c : clients) open += (c->poll_events() & POLLOUT) != 0;
  EXPECT_EQ(open, 2);  // one more than the backlog, as on Linux
  const auto first = accept(*l);
  settle_until(time.now_ns() + 1'000'000'000);
  for (const auto& c : clients) EXPECT_NE(c->poll_events() & POLLOUT, 0U);
  const auto second = accept(*l);
  const auto third = accept(*l);
}

TEST_F(StreamSocket, a_client_that_sends_and_closes_at_once_is_still_served) {
  const auto l = listener(inet("127.0.0.1", 80));
  auto client = make();
  EXPECT_EQ(connect(*client, inet("127.0.0.1", 80)), -EINPROGRESS);
  while (client->poll_events() == 0) time.run_next();
  EXPECT_EQ(put(*client, "short"), 5);
  client = {};
  settle();
  const auto server = accept(*l);
  EXPECT_EQ(get(*server), "short");
  EXPECT_EQ(get(*server), "");
}

TEST_F(StreamSocket, a_listener_that_closes_resets_those_it_did_not_accept) {
  auto l = listener(inet("127.0.0.1", 80));
  const auto waiting = make();
  EXPECT_EQ(connect(*waiting, inet("127.0.0.1", 80)), -EINPROGRESS);
  settle();
  const auto opening = make();
  EXPECT_EQ(connect(*opening, inet("127.0.0.1", 80)), -EINPROGRESS);
  while (opening->poll_events() == 0) time.run_next();
  l = {};
  settle();
  EXPECT_EQ(get(*waiting), "ECONNRESET");
  EXPECT_EQ(get(*opening), "ECONNRESET");
}

TEST_F(StreamSocket, peeking_takes_nothing_and_truncating_copies_nothing) {
  auto [client, server] = connected();
  EXPECT_EQ(put(*client, "abcdef"), 6);
  settle();
  char text[4] = {};
  iovec part{text, 3};
  EXPECT_EQ(server->receive(&part, 1, MSG_PEEK, nullptr), 3);
  EXPECT_STREQ(text, "abc");
  std::memset(text, 0, 4);
  EXPECT_EQ(server->receive(&part, 1, MSG_TRUNC, nullptr), 3);
  EXPECT_STREQ(text, "");
  received info;
  EXPECT_EQ(server->receive(&part, 1, 0, &info), 3);
  EXPECT_STREQ(text, "def");
  EXPECT_FALSE(info.more);
}

TEST_F(StreamSocket, a_pair_talks_at_once_and_tells_a_reset_by_unread_bytes) {
  ref<socket> a;
  ref<socket> b;
  ASSERT_EQ(net.make_pair(localhost, AF_UNIX, SOCK_STREAM, 0, a, b), 0);
  EXPECT_EQ(a->poll_events() & 0xffU, unsigned{POLLOUT});
  EXPECT_EQ(put(*b, "x"), 1);
  EXPECT_EQ(put(*a, "y"), 1);
  b = {};
  EXPECT_EQ(a->poll_events(),
            unsigned{POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP | POLLRDNORM | POLLWRNORM});
  EXPECT_EQ(get(*a, 1), "x");
  EXPECT_EQ(get(*a, 1), "ECONNRESET");
  EXPECT_EQ(get(*a, 1), "");
  EXPECT_EQ(put(*a, "x"), -EPIPE);
}

TEST_F(StreamSocket, unix_names_connect_and_fill_up) {
  const auto l = listener(unix_name("/run/service"), 0);
  const auto a = make(AF_UNIX);
  EXPECT_EQ(connect(*a, unix_name("/run/service")), 0);
  const auto b = make(AF_UNIX);
  EXPECT_EQ(connect(*b, unix_name("/run/service")), -EAGAIN);
  auto server = accept(*l);
  EXPECT_EQ(connect(*b, unix_name("/run/service")), 0);
  EXPECT_EQ(server->getsockname().path, "/run/service");
  const std::string block(50'000, 'x');
  long total = 0;
  for (long n = 0; (n = put(*a, block)) > 0;) total += n;
  EXPECT_EQ(total, static_cast<long>(net.options().send_buffer));
  EXPECT_EQ(a->poll_events() & POLLOUT, 0U);
  counting_watcher w;
  a->watch(w);
  while (get(*server) != "EAGAIN") {
  }
  EXPECT_EQ(w.told, 1);
  EXPECT_NE(a->poll_events() & POLLOUT, 0U);
}

}  // namespace
}  // namespace parkring::kernel::sim
