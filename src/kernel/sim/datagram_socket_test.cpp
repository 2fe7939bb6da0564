#include "kernel/sim/datagram_socket.hpp"

#include <set>

#include "kernel/sim/network_fixture.hpp"

namespace parkring::kernel::sim {
namespace {

class DatagramSocket : public NetworkTest {
 protected:
  ref<socket> bound(const raw_address& at, host_id host = localhost) {
    ref<socket> s = make(at.get()->sa_family, SOCK_DGRAM, host);
    EXPECT_EQ(s->bind(at.get(), at.size), 0);
    return s;
  }
  static long send_to(socket& s, std::string_view text, const raw_address& to) {
    const iovec part{const_cast<char*>(text.data()), text.size()};
    return s.send(&part, 1, 0, to.get(), to.size);
  }
  ~DatagramSocket() override { EXPECT_EQ(net.all().datagrams, 0U); }
};

TEST_F(DatagramSocket, messages_keep_their_bounds_and_tell_their_sender) {
  const auto a = bound(inet("127.0.0.1", 1000));
  const auto b = bound(inet("0.0.0.0", 2000));
  EXPECT_EQ(send_to(*a, "one", inet("127.0.0.1", 2000)), 3);
  EXPECT_EQ(send_to(*a, "", inet("127.0.0.1", 2000)), 0);
  EXPECT_EQ(send_to(*a, "three", inet("127.0.0.1", 2000)), 5);
  EXPECT_EQ(get(*b), "EAGAIN");
  settle();
  char text[8];
  iovec part{text, sizeof text};
  received info;
  EXPECT_EQ(b->receive(&part, 1, 0, &info), 3);
  EXPECT_EQ(info.from, a->getsockname());
  EXPECT_EQ(info.flags, 0);
  EXPECT_EQ(get(*b), "");
  part.iov_len = 2;
  EXPECT_EQ(b->receive(&part, 1, MSG_PEEK | MSG_TRUNC, &info), 5);
  EXPECT_EQ(info.flags, MSG_TRUNC);
  EXPECT_EQ(b->receive(&part, 1, 0, &info), 2);
  EXPECT_EQ(get(*b), "EAGAIN");
}

TEST_F(DatagramSocket, a_fresh_one_answers_as_linux_does) {
  const auto s = make(AF_INET, SOCK_DGRAM);
  EXPECT_EQ(s->poll_events() & 0xffU, unsigned{POLLOUT});
  EXPECT_EQ(put(*s, "x"), -EDESTADDRREQ);
  EXPECT_EQ(s->shutdown(SHUT_RDWR), -ENOTCONN);
  EXPECT_EQ(s->listen(1), -EOPNOTSUPP);
  EXPECT_EQ(send_to(*s, std::string(65'508, 'x'), inet("127.0.0.1", 9)), -EMSGSIZE);
  EXPECT_EQ(send_to(*s, "x", inet("127.0.0.1", 9)), 1);
  EXPECT_NE(s->getsockname().port, 0);
  settle();
}

TEST_F(DatagramSocket, a_connected_one_hears_only_its_peer) {
  const auto server = bound(inet("127.0.0.1", 53));
  const auto stranger = bound(inet("127.0.0.1", 54));
  const auto client = make(AF_INET, SOCK_DGRAM);
  EXPECT_EQ(connect(*client, inet("127.0.0.1", 53)), 0);
  EXPECT_EQ(put(*client, "question"), 8);
  settle();
  EXPECT_EQ(get(*server), "question");
  EXPECT_EQ(send_to(*stranger, "false", raw(client->getsockname())), 5);
  EXPECT_EQ(send_to(*server, "true", raw(client->getsockname())), 4);
  settle();
  EXPECT_EQ(get(*client), "true");
  EXPECT_EQ(get(*client), "EAGAIN");
}

TEST_F(DatagramSocket, what_finds_the_buffer_full_is_lost) {
  const auto a = bound(inet("127.0.0.1", 1000));
  const auto b = bound(inet("127.0.0.1", 2000));
  const int small = 2304;
  EXPECT_EQ(b->setsockopt(SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(send_to(*a, "message", inet("127.0.0.1", 2000)), 7);
  settle();
  int got = 0;
  while (get(*b) != "EAGAIN") ++got;
  EXPECT_GT(got, 5);
  EXPECT_LT(got, 50);
  EXPECT_EQ(send_to(*a, "again", inet("127.0.0.1", 2000)), 5);
  settle();
  EXPECT_EQ(get(*b), "again");
}

TEST_F(DatagramSocket, loss_and_duplication_come_as_often_as_asked) {
  net.set_link(localhost, localhost, {.loss = 0.2, .duplication = 0.1});
  const auto a = bound(inet("127.0.0.1", 1000));
  const auto b = bound(inet("127.0.0.1", 2000));
  int got = 0;
  for (int i = 0; i < 20'000; ++i) {
    EXPECT_EQ(send_to(*a, "m", inet("127.0.0.1", 2000)), 1);
    settle();
    while (get(*b) == "m") ++got;
  }
  EXPECT_NEAR(got, 20'000 * 1.1 * 0.8, 300);  // over four standard deviations
}

TEST_F(DatagramSocket, order_is_kept_unless_reordering_is_asked_for) {
  const auto a = bound(inet("127.0.0.1", 1000));
  const auto b = bound(inet("127.0.0.1", 2000));
  const auto inversions = [&] {
    int count = 0;
    char last = 0;
    for (char c = 'a'; c <= 'z'; ++c) {
      EXPECT_EQ(send_to(*a, std::string(1, c), inet("127.0.0.1", 2000)), 1);
    }
    settle();
    std::set<char> all;
    for (std::string got; (got = get(*b)) != "EAGAIN"; last = got[0]) {
      count += got[0] < last;
      all.insert(got[0]);
    }
    EXPECT_EQ(all.size(), 26U);
    return count;
  };
  EXPECT_EQ(inversions(), 0);
  auto options = net.options().loopback;
  options.reorder = 0.3;
  net.set_link(localhost, localhost, options);
  EXPECT_GT(inversions(), 0);
}

TEST_F(DatagramSocket, a_cut_loses_what_arrives_one_way_only) {
  const host_id far = net.add_host({ip_address::v4(10, 9, 9, 9)});
  const auto a = bound(inet("10.0.0.1", 1000));
  const auto b = bound(inet("10.9.9.9", 2000), far);
  net.cut(localhost, far);
  EXPECT_EQ(send_to(*a, "lost", inet("10.9.9.9", 2000)), 4);
  EXPECT_EQ(send_to(*b, "found", inet("10.0.0.1", 1000)), 5);
  settle();
  EXPECT_EQ(get(*b), "EAGAIN");
  EXPECT_EQ(get(*a), "found");
  net.heal();
  EXPECT_EQ(send_to(*a, "late", inet("10.9.9.9", 2000)), 4);
  settle();
  EXPECT_EQ(get(*b), "late");
}

TEST_F(DatagramSocket, of_unix_a_full_receiver_makes_its_senders_wait) {
  ref<socket> a;
  ref<socket> b;
  ASSERT_EQ(net.make_pair(localhost, AF_UNIX, SOCK_DGRAM, 0, a, b), 0);
  int sent = 0;
  while (put(*a, "m") == 1) ++sent;
  EXPECT_EQ(sent, 11);
  EXPECT_EQ(put(*a, "m"), -EAGAIN);
  EXPECT_EQ(a->poll_events() & POLLOUT, 0U);
  counting_watcher w;
  a->watch(w);
  EXPECT_EQ(get(*b), "m");
  EXPECT_EQ(w.told, 1);
  EXPECT_NE(a->poll_events() & POLLOUT, 0U);
  b = {};
  EXPECT_EQ(put(*a, "m"), -ECONNREFUSED);
  EXPECT_EQ(put(*a, "m"), -ENOTCONN);
}

TEST_F(DatagramSocket, of_unix_names_are_told_and_need_someone) {
  const auto server = bound(unix_name("/run/log"));
  const auto client = bound(unix_name(std::string("\0me", 3)));
  const auto nameless = make(AF_UNIX, SOCK_DGRAM);
  EXPECT_EQ(send_to(*client, "x", unix_name("/run/none")), -ENOENT);
  EXPECT_EQ(send_to(*client, "x", unix_name("/run/log")), 1);
  EXPECT_EQ(send_to(*nameless, "y", unix_name("/run/log")), 1);
  char c;
  iovec part{&c, 1};
  received info;
  EXPECT_EQ(server->receive(&part, 1, 0, &info), 1);
  EXPECT_EQ(info.from.path, std::string("\0me", 3));
  EXPECT_EQ(server->receive(&part, 1, 0, &info), 1);
  EXPECT_EQ(info.from.family, AF_UNSPEC);
  const auto stream = make(AF_UNIX);
  EXPECT_EQ(connect(*stream, unix_name("/run/log")), -EPROTOTYPE);
}

TEST(DatagramNetwork, messages_under_way_go_with_the_network) {
  event_queue time(0);
  network net(time, random(1), {});
  {
    ref<socket> s;
    ASSERT_EQ(net.make_socket(localhost, AF_INET6, SOCK_DGRAM, 0, s), 0);
    const raw_address to = inet("::1", 9);
    const iovec part{const_cast<char*>("x"), 1};
    EXPECT_EQ(s->send(&part, 1, 0, to.get(), to.size), 1);
  }
  EXPECT_EQ(net.all().datagrams, 1U);
}

}  // namespace
}  // namespace parkring::kernel::sim
