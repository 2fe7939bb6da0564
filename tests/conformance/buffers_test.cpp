// Buffers that the machine chooses: rings of provided buffers, provided ones of the older kind, and
// receives that answer many times.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "conformance/machine.hpp"
#include "conformance/sockets.hpp"

namespace parkring::conformance {
namespace {

/// A ring of provided buffers in memory of the program's.
class provided_ring {
 public:
  static constexpr unsigned entries = 8, buffer_size = 16;

  provided_ring(client& io, std::uint16_t group) : io_(io), group_(group) {
    void* at = nullptr;
    if (::posix_memalign(&at, 4096, 4096) != 0) std::abort();
    bufs_ = static_cast<abi::buf*>(at);
    std::memset(at, 0, 4096);
    memory_ = io.memory(entries * buffer_size);
    abi::buf_reg how{};
    how.ring_addr = address(at);
    how.ring_entries = entries;
    how.bgid = group;
    registered = io.queue().reg(abi::register_pbuf_ring, &how, 1);
  }
  ~provided_ring() {
    unregister();
    std::free(bufs_);
  }
  provided_ring(const provided_ring&) = delete;
  provided_ring& operator=(const provided_ring&) = delete;

  int unregister() {
    abi::buf_reg how{};
    how.bgid = group_;
    return io_.queue().reg(abi::unregister_pbuf_ring, &how, 1);
  }
  void give(unsigned id) {
    abi::buf& place = bufs_[tail_ % entries];
    place.addr = address(buffer(id));
    place.len = buffer_size;
    place.bid = static_cast<std::uint16_t>(id);
    ++tail_;
    auto* shared = reinterpret_cast<std::uint16_t*>(reinterpret_cast<char*>(bufs_) +
                                                    abi::buf_ring_tail_offset);
    // Release: the entry before the tail that covers it.
    __atomic_store_n(shared, tail_, __ATOMIC_RELEASE);
  }
  [[nodiscard]] char* buffer(unsigned id) const { return memory_ + std::size_t{id} * buffer_size; }
  [[nodiscard]] std::string text(const answer& a) const {
    return {buffer(a.buffer()), static_cast<std::size_t>(a.res)};
  }

  int registered = -1;

 private:
  client& io_;
  std::uint16_t group_;
  abi::buf* bufs_;
  char* memory_;
  std::uint16_t tail_ = 0;
};

class Buffers : public on_machine {
 protected:
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(io().make_pipe(ends_), 0);
  }
  int say(std::string_view text) { return io().write(ends_[1], text, at_position); }
  abi::sqe chosen_read(unsigned group, unsigned most = 0) {
    return choosing(read(ends_[0], nullptr, most, at_position), group);
  }

  int ends_[2] = {-1, -1};
};
PARKRING_ON_EVERY_MACHINE(Buffers);

// ---- rings of provided buffers ----

TEST_P(Buffers, a_read_chooses_the_buffers_in_the_order_they_were_given) {
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  ring.give(5);
  ring.give(2);
  for (const unsigned id : {5u, 2u}) {
    EXPECT_EQ(say("abc"), 3);
    const answer a = io().next(io().start(chosen_read(3)));
    ASSERT_EQ(a.res, 3);
    ASSERT_TRUE(a.chose_buffer());
    EXPECT_EQ(a.buffer(), id);
    EXPECT_EQ(ring.text(a), "abc");
  }
}

TEST_P(Buffers, a_transfer_is_no_longer_than_its_buffer_or_its_length) {
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  ring.give(0);
  ring.give(1);
  EXPECT_EQ(say(std::string(100, 'x')), 100);
  EXPECT_EQ(io().run(chosen_read(3)), 16);
  EXPECT_EQ(io().run(chosen_read(3, 4)), 4);
}

TEST_P(Buffers, without_a_buffer_there_is_no_read) {
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  EXPECT_EQ(say("abc"), 3);
  EXPECT_EQ(io().run(chosen_read(3)), -ENOBUFS);
  EXPECT_EQ(io().run(chosen_read(99)), -ENOBUFS);
  ring.give(0);
  EXPECT_EQ(io().run(chosen_read(3)), 3);  // nothing was lost
  EXPECT_EQ(io().run(chosen_read(3)), -ENOBUFS);
}

TEST_P(Buffers, a_read_that_waits_holds_no_buffer) {
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  ring.give(7);
  const std::uint64_t waiting = io().start(chosen_read(3));
  EXPECT_TRUE(io().silent(waiting));
  int other[2];
  ASSERT_EQ(io().make_pipe(other), 0);
  EXPECT_EQ(io().write(other[1], "x", at_position), 1);
  const answer a = io().next(io().start(choosing(read(other[0], nullptr, 0, at_position), 3)));
  EXPECT_EQ(a.res, 1);
  EXPECT_EQ(a.buffer(), 7u);
  EXPECT_EQ(say("abc"), 3);
  EXPECT_EQ(io().next(waiting).res, -ENOBUFS);
}

TEST_P(Buffers, files_are_read_into_chosen_buffers_too) {
  ASSERT_EQ(io().make_file(path("f"), "0123456789"), 0);
  const int fd = io().open(path("f"), O_RDONLY);
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  ring.give(1);
  const answer a = io().next(io().start(choosing(read(fd, nullptr, 4, 3), 3)));
  EXPECT_EQ(a.res, 4);
  EXPECT_EQ(ring.text(a), "3456");
}

TEST_P(Buffers, a_group_is_one_ring_until_it_is_unregistered) {
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  {
    provided_ring second(io(), 3);
    EXPECT_EQ(second.registered, -EEXIST);
    EXPECT_EQ(ring.unregister(), 0);
  }
  EXPECT_EQ(ring.unregister(), -ENOENT);
}

TEST_P(Buffers, a_ring_of_buffers_needs_a_size_that_is_a_power_of_two) {
  void* at = nullptr;
  ASSERT_EQ(::posix_memalign(&at, 4096, 4096), 0);
  std::memset(at, 0, 4096);
  abi::buf_reg how{};
  how.ring_addr = address(at);
  how.ring_entries = 7;
  EXPECT_EQ(io().queue().reg(abi::register_pbuf_ring, &how, 1), -EINVAL);
  how.ring_entries = 65536;
  EXPECT_EQ(io().queue().reg(abi::register_pbuf_ring, &how, 1), -EINVAL);
  std::free(at);
}

TEST_P(Buffers, more_rounds_than_the_ring_is_long) {
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  for (unsigned i = 0; i < 8; ++i) ring.give(i);
  for (unsigned i = 0; i < 50; ++i) {
    const std::string text = "round " + std::to_string(i);
    ASSERT_EQ(say(text), static_cast<int>(text.size()));
    const answer a = io().next(io().start(chosen_read(3)));
    ASSERT_EQ(a.res, static_cast<int>(text.size()));
    EXPECT_EQ(a.buffer(), i % 8);
    EXPECT_EQ(ring.text(a), text);
    ring.give(a.buffer());
  }
}

// ---- provided buffers of the older kind ----

TEST_P(Buffers, buffers_can_be_provided_by_requests) {
  PARKRING_NEEDS(abi::op_provide_buffers);
  char* at = io().memory(4 * 10);
  EXPECT_EQ(io().run(provide_buffers(at, 10, 4, 8, 100)), 0);
  EXPECT_EQ(say("abc"), 3);
  const answer a = io().next(io().start(chosen_read(8, 10)));
  ASSERT_EQ(a.res, 3);
  ASSERT_TRUE(a.chose_buffer());
  ASSERT_GE(a.buffer(), 100u);
  ASSERT_LT(a.buffer(), 104u);
  EXPECT_EQ(std::string(at + (a.buffer() - 100) * 10, 3), "abc");
}

TEST_P(Buffers, provided_buffers_are_used_up_and_removed) {
  PARKRING_NEEDS(abi::op_provide_buffers);
  char* at = io().memory(4 * 10);
  EXPECT_EQ(io().run(provide_buffers(at, 10, 4, 8, 0)), 0);
  EXPECT_EQ(say("abcdef"), 6);
  EXPECT_EQ(io().run(chosen_read(8, 1)), 1);
  EXPECT_EQ(io().run(remove_buffers(100, 8)), 3);
  EXPECT_EQ(io().run(chosen_read(8, 1)), -ENOBUFS);
  const std::int32_t again = io().run(remove_buffers(1, 8));
  // A group that has become empty may be forgotten or known.
  EXPECT_TRUE(again == 0 || again == -ENOENT) << again;
  EXPECT_EQ(io().run(remove_buffers(1, 77)), -ENOENT);
}

// ---- many answers ----

TEST_P(Buffers, one_receive_answers_for_each_arrival) {
  PARKRING_NEEDS(abi::op_socket);
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  for (unsigned i = 0; i < 4; ++i) ring.give(i);
  const connection c = make_connection(io());
  abi::sqe e = choosing(receive(c.server, nullptr, 0), 3);
  e.ioprio = abi::recv_multishot;
  const std::uint64_t many = io().start(e);
  EXPECT_TRUE(io().silent(many));
  for (const std::string text : {"one", "two", "three"}) {
    EXPECT_EQ(io().run(send(c.client, text.data(), text.size())), static_cast<int>(text.size()));
    const answer a = io().next(many);
    ASSERT_EQ(a.res, static_cast<int>(text.size()));
    EXPECT_TRUE(a.more());
    ASSERT_TRUE(a.chose_buffer());
    EXPECT_EQ(ring.text(a), text);
  }
  EXPECT_EQ(io().run(shut_down(c.client, SHUT_WR)), 0);
  const answer end = io().next(many);
  EXPECT_EQ(end.res, 0);
  EXPECT_FALSE(end.more());
}

TEST_P(Buffers, a_receive_of_many_ends_when_the_buffers_do) {
  PARKRING_NEEDS(abi::op_socket);
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  ring.give(0);
  ring.give(1);
  const connection c = make_connection(io());
  EXPECT_EQ(io().run(send(c.client, std::string(40, 'x').data(), 40)), 40);
  EXPECT_EQ(io().run(poll(c.server, POLLIN)), POLLIN);
  abi::sqe e = choosing(receive(c.server, nullptr, 0), 3);
  e.ioprio = abi::recv_multishot;
  const std::uint64_t many = io().start(e);
  for (int i = 0; i < 2; ++i) {
    const answer a = io().next(many);
    EXPECT_EQ(a.res, 16);
    EXPECT_TRUE(a.more());
  }
  const answer end = io().next(many);
  EXPECT_EQ(end.res, -ENOBUFS);
  EXPECT_FALSE(end.more());
  ring.give(0);  // what had no buffer is still there
  EXPECT_EQ(io().run(choosing(receive(c.server, nullptr, 0), 3)), 8);
}

TEST_P(Buffers, a_receive_of_many_is_cancelled_once) {
  PARKRING_NEEDS(abi::op_socket);
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  ring.give(0);
  const connection c = make_connection(io());
  abi::sqe e = choosing(receive(c.server, nullptr, 0), 3);
  e.ioprio = abi::recv_multishot;
  const std::uint64_t many = io().start(e);
  EXPECT_TRUE(io().silent(many));
  EXPECT_EQ(io().run(cancel(many)), 0);
  const answer end = io().next(many);
  EXPECT_EQ(end.res, -ECANCELED);
  EXPECT_FALSE(end.more());
  EXPECT_FALSE(end.chose_buffer());
  EXPECT_EQ(io().run(send(c.client, "x", 1)), 1);
  EXPECT_EQ(io().run(choosing(receive(c.server, nullptr, 0), 3)), 1);  // the buffer is not lost
}

TEST_P(Buffers, a_receive_of_many_needs_chosen_buffers) {
  PARKRING_NEEDS(abi::op_socket);
  const connection c = make_connection(io());
  abi::sqe e = receive(c.server, io().memory(8), 8);
  e.ioprio = abi::recv_multishot;
  EXPECT_EQ(io().run(e), -EINVAL);
}

TEST_P(Buffers, one_read_of_a_pipe_answers_for_each_arrival) {
  PARKRING_NEEDS(abi::op_read_multishot);
  provided_ring ring(io(), 3);
  ASSERT_EQ(ring.registered, 0);
  for (unsigned i = 0; i < 4; ++i) ring.give(i);
  abi::sqe e = chosen_read(3);
  e.opcode = abi::op_read_multishot;
  const std::uint64_t many = io().start(e);
  for (const std::string text : {"one", "two"}) {
    EXPECT_EQ(say(text), 3);
    const answer a = io().next(many);
    ASSERT_EQ(a.res, 3);
    EXPECT_TRUE(a.more());
    EXPECT_EQ(ring.text(a), text);
  }
  EXPECT_EQ(io().close(ends_[1]), 0);
  const answer end = io().next(many);
  EXPECT_EQ(end.res, 0);
  EXPECT_FALSE(end.more());
}

}  // namespace
}  // namespace parkring::conformance
