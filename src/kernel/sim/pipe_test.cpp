#include "kernel/sim/pipe.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <string>

#include "kernel/sim/event_counter.hpp"
#include "kernel/sim/network_fixture.hpp"

namespace parkring::kernel::sim {
namespace {

class Pipe : public testing::Test {
 protected:
  ~Pipe() override {
    ends = {};
    EXPECT_EQ(all.endpoints, 0U);
  }
  census all;
  pipe_ends ends = make_pipe(all);
};

TEST_F(Pipe, bytes_come_out_in_order_and_an_empty_one_waits_until_its_writer_goes) {
  EXPECT_EQ(get(*ends.reader), "EAGAIN");
  EXPECT_EQ(put(*ends.writer, "abc"), 3);
  EXPECT_EQ(put(*ends.writer, "def"), 3);
  EXPECT_EQ(get(*ends.reader, 4), "abcd");
  EXPECT_EQ(ends.reader->poll_events(), unsigned{POLLIN | POLLRDNORM});
  ends.writer = {};
  EXPECT_EQ(ends.reader->poll_events(), unsigned{POLLIN | POLLRDNORM | POLLHUP});
  EXPECT_EQ(get(*ends.reader), "ef");
  EXPECT_EQ(get(*ends.reader), "");
  EXPECT_EQ(ends.reader->poll_events(), unsigned{POLLHUP});
}

TEST_F(Pipe, without_a_reader_writing_breaks) {
  ends.reader = {};
  EXPECT_EQ(put(*ends.writer, "x"), -EPIPE);
  EXPECT_EQ(put(*ends.writer, ""), 0);
  EXPECT_EQ(ends.writer->poll_events(), unsigned{POLLOUT | POLLWRNORM | POLLERR});
}

TEST_F(Pipe, small_writes_are_whole_and_large_ones_fill_what_is_free) {
  const std::string most(60'000, 'x');
  EXPECT_EQ(put(*ends.writer, most), 60'000);
  EXPECT_EQ(put(*ends.writer, most), 5'536);
  EXPECT_EQ(put(*ends.writer, most), -EAGAIN);
  EXPECT_EQ(get(*ends.reader, 4000).size(), 4000U);
  EXPECT_EQ(put(*ends.writer, most.substr(0, 4096)), -EAGAIN);
  EXPECT_EQ(ends.writer->poll_events(), 0U);
  EXPECT_EQ(get(*ends.reader, 96).size(), 96U);
  EXPECT_EQ(ends.writer->poll_events(), unsigned{POLLOUT | POLLWRNORM});
  EXPECT_EQ(put(*ends.writer, most.substr(0, 4096)), 4096);
}

TEST_F(Pipe, each_end_does_one_thing) {
  EXPECT_EQ(put(*ends.reader, "x"), -EBADF);
  EXPECT_EQ(get(*ends.writer), "EBADF");
}

TEST_F(Pipe, parts_are_gathered_and_scattered) {
  char one[] = "abc";
  char two[] = "defg";
  const std::array<iovec, 3> from{{{one, 3}, {nullptr, 0}, {two, 4}}};
  EXPECT_EQ(ends.writer->endpoint::write(one, 0), 0);
  EXPECT_EQ(ends.writer->write(from.data(), from.size()), 7);
  char a[2];
  char b[16];
  const std::array<iovec, 2> to{{{a, 2}, {b, 16}}};
  EXPECT_EQ(ends.reader->read(to.data(), to.size()), 7);
  EXPECT_EQ(std::string(a, 2) + "|" + std::string(b, 5), "ab|cdefg");
}

TEST_F(Pipe, what_went_round_the_ring_is_what_was_written) {
  std::string written;
  std::string read;
  random r(3);
  for (int i = 0; i < 2000; ++i) {
    std::string block(r.below(9000), static_cast<char>('a' + i % 26));
    const long n = put(*ends.writer, block);
    if (n > 0) written += block.substr(0, static_cast<std::size_t>(n));
    const std::string got = get(*ends.reader, r.below(9000) + 1);
    if (got != "EAGAIN") read += got;
  }
  ends.writer = {};
  for (std::string got; !(got = get(*ends.reader)).empty();) read += got;
  EXPECT_EQ(read, written);
}

TEST_F(Pipe, watchers_are_told_in_order_and_may_remove_each_other) {
  struct remover : watcher {
    std::string& log;
    char name;
    watcher* victim = nullptr;
    remover(std::string& l, char n)
        : watcher([](watcher& w) noexcept {
            auto& self = static_cast<remover&>(w);
            self.log += self.name;
            if (self.victim != nullptr) self.victim->unlink();
          }),
          log(l),
          name(n) {}
  };
  std::string log;
  remover a(log, 'a'), b(log, 'b'), c(log, 'c'), d(log, 'd');
  for (remover* w : {&a, &b, &c, &d}) ends.reader->watch(*w);
  a.victim = &a;
  b.victim = &c;
  EXPECT_EQ(put(*ends.writer, "x"), 1);
  EXPECT_EQ(log, "abd");
  EXPECT_EQ(put(*ends.writer, "x"), 1);
  EXPECT_EQ(log, "abdbd");
}

TEST_F(Pipe, a_watcher_may_drop_the_endpoint_add_watchers_and_operate_on_it) {
  struct busy : watcher {
    pipe_ends& pipe;
    counting_watcher late;
    std::string got;
    explicit busy(pipe_ends& p)
        : watcher([](watcher& w) noexcept { static_cast<busy&>(w).act(); }), pipe(p) {}
    void act() {
      pipe.reader->watch(late);
      got = get(*pipe.reader);
      pipe.reader = {};
    }
  };
  busy w(ends);
  counting_watcher after;
  counting_watcher of_writer;
  ends.reader->watch(w);
  ends.reader->watch(after);
  ends.writer->watch(of_writer);
  EXPECT_EQ(put(*ends.writer, "x"), 1);
  EXPECT_EQ(w.got, "x");
  EXPECT_EQ(w.late.told, 0);
  EXPECT_EQ(after.told, 1);
  EXPECT_EQ(of_writer.told, 2);  // of the room, and of the end
  EXPECT_EQ(put(*ends.writer, "x"), -EPIPE);
}

TEST(EventCounter, adds_up_and_a_read_takes_all_or_one) {
  census all;
  const auto e = make_event_counter(all);
  std::uint64_t n = 0;
  EXPECT_EQ(e->endpoint::read(&n, 8), -EAGAIN);
  EXPECT_EQ(e->poll_events(), unsigned{POLLOUT});
  e->signal();
  e->signal(2);
  EXPECT_EQ(e->poll_events(), unsigned{POLLIN | POLLOUT});
  EXPECT_EQ(e->endpoint::read(&n, 7), -EINVAL);
  EXPECT_EQ(e->endpoint::read(&n, 8), 8);
  EXPECT_EQ(n, 3U);
  const auto one = make_event_counter(all, 2, true);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(one->endpoint::read(&n, 8), 8);
    EXPECT_EQ(n, 1U);
  }
  EXPECT_EQ(one->endpoint::read(&n, 8), -EAGAIN);
}

TEST(EventCounter, a_write_that_would_overflow_waits_and_a_signal_stops_at_the_greatest) {
  census all;
  const auto e = make_event_counter(all);
  std::uint64_t n = ~std::uint64_t{0};
  EXPECT_EQ(e->endpoint::write(&n, 8), -EINVAL);
  --n;
  EXPECT_EQ(e->endpoint::write(&n, 8), 8);
  n = 1;
  EXPECT_EQ(e->endpoint::write(&n, 8), -EAGAIN);
  EXPECT_EQ(e->poll_events(), unsigned{POLLIN});
  counting_watcher w;
  e->watch(w);
  e->signal(5);
  EXPECT_EQ(w.told, 1);
  EXPECT_EQ(e->poll_events(), unsigned{POLLIN | POLLERR});
}

}  // namespace
}  // namespace parkring::kernel::sim
