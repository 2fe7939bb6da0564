// Pipes: waiting when empty and full, ends that close, and reads in flight on closed descriptors.
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "conformance/machine.hpp"

namespace parkring::conformance {
namespace {

class Pipes : public on_machine {
 protected:
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(io().make_pipe(ends_), 0);
  }
  std::uint64_t reading(std::size_t size = 8) {
    at_ = io().memory(size);
    return io().start(read(ends_[0], at_, size, at_position));
  }
  int say(std::string_view text) { return io().write(ends_[1], text, at_position); }
  std::string hear(std::size_t most = 100) { return io().read(ends_[0], most, at_position); }

  int ends_[2] = {-1, -1};
  char* at_ = nullptr;
};
PARKRING_ON_EVERY_MACHINE(Pipes);

TEST_P(Pipes, bytes_come_out_in_the_order_they_went_in) {
  EXPECT_EQ(say("abc"), 3);
  EXPECT_EQ(say("def"), 3);
  EXPECT_EQ(hear(2), "ab");
  EXPECT_EQ(hear(), "cdef");
}

TEST_P(Pipes, a_read_of_an_empty_pipe_waits_for_bytes_and_takes_what_there_is) {
  const std::uint64_t waiting = reading();
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(say("abc"), 3);
  EXPECT_EQ(io().next(waiting).res, 3);
  EXPECT_EQ(std::string(at_, 3), "abc");
}

TEST_P(Pipes, reads_that_wait_each_take_their_part) {
  char* at = io().memory(2);
  const std::uint64_t one = io().start(read(ends_[0], at, 1, at_position));
  const std::uint64_t two = io().start(read(ends_[0], at + 1, 1, at_position));
  EXPECT_EQ(say("xy"), 2);
  EXPECT_EQ(io().next(one).res, 1);
  EXPECT_EQ(io().next(two).res, 1);
  EXPECT_EQ(at[0] + at[1], 'x' + 'y');  // whichever came first
}

TEST_P(Pipes, an_offset_means_nothing_to_a_pipe) {
  EXPECT_EQ(io().write(ends_[1], "abc", 0), 3);
  EXPECT_EQ(io().read(ends_[0], 2, 5), "ab");
  EXPECT_EQ(io().read(ends_[0], 2, 0), "c");
}

TEST_P(Pipes, a_pipe_whose_writer_is_gone_is_at_its_end_after_its_bytes) {
  EXPECT_EQ(say("abc"), 3);
  EXPECT_EQ(io().close(ends_[1]), 0);
  EXPECT_EQ(hear(), "abc");
  EXPECT_EQ(hear(), "");
  EXPECT_EQ(hear(), "");
}

TEST_P(Pipes, a_read_that_waits_ends_with_the_last_writer) {
  const std::uint64_t waiting = reading();
  EXPECT_EQ(io().close(ends_[1]), 0);
  EXPECT_EQ(io().next(waiting).res, 0);
}

TEST_P(Pipes, a_write_without_a_reader_fails) {
  struct sigaction before {};
  struct sigaction ignored {};
  ignored.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignored, &before);
  EXPECT_EQ(io().close(ends_[0]), 0);
  EXPECT_EQ(say("abc"), -EPIPE);
  ::sigaction(SIGPIPE, &before, nullptr);
}

TEST_P(Pipes, each_end_goes_one_way) {
  EXPECT_EQ(io().write(ends_[0], "x", at_position), -EBADF);
  char byte;
  EXPECT_EQ(io().run(read(ends_[1], &byte, 1, at_position)), -EBADF);
}

TEST_P(Pipes, a_full_pipe_takes_a_part_or_waits_and_loses_nothing) {
  const std::string piece(50'000, 'p');
  std::size_t went_in = 0, came_out = 0;
  std::uint64_t waiting = 0;
  for (int i = 0; i < 100 && waiting == 0; ++i) {
    const std::uint64_t writing =
        io().start(write(ends_[1], piece.data(), piece.size(), at_position));
    if (io().silent(writing)) {
      waiting = writing;
    } else {
      const std::int32_t n = io().next(writing).res;
      ASSERT_GT(n, 0);
      went_in += static_cast<std::size_t>(n);
    }
  }
  ASSERT_NE(waiting, 0u) << "the pipe takes everything";
  came_out += hear(1u << 20).size();
  const std::int32_t n = io().next(waiting).res;
  ASSERT_GT(n, 0);
  went_in += static_cast<std::size_t>(n);
  while (came_out < went_in) {
    const std::size_t more = hear(1u << 20).size();
    ASSERT_GT(more, 0u);
    came_out += more;
  }
  EXPECT_EQ(came_out, went_in);
  EXPECT_TRUE(io().silent(reading()));  // and nothing is left
}

TEST_P(Pipes, a_read_in_flight_outlives_its_descriptor) {
  const std::uint64_t waiting = reading();
  EXPECT_EQ(io().close(ends_[0]), 0);
  EXPECT_EQ(io().close(ends_[0]), -EBADF);
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(say("abc"), 3);  // the request is the reader that is left
  EXPECT_EQ(io().next(waiting).res, 3);
}

TEST_P(Pipes, vectors_work_on_pipes) {
  char a[2] = {'a', 'b'}, b[2] = {'c', 'd'};
  const iovec out[] = {{a, 2}, {b, 2}};
  EXPECT_EQ(io().run(writev(ends_[1], out, 2, at_position)), 4);
  char c[1], d[10];
  const iovec in[] = {{c, 1}, {d, 10}};
  EXPECT_EQ(io().run(readv(ends_[0], in, 2, at_position)), 4);
  EXPECT_EQ(std::string(d, 3), "bcd");
}

TEST_P(Pipes, a_read_that_must_not_wait_says_so) {
  char byte;
  abi::sqe e = read(ends_[0], &byte, 1, at_position);
  e.rw_flags = 0x8;  // RWF_NOWAIT
  EXPECT_EQ(io().run(e), -EAGAIN);
  EXPECT_EQ(say("x"), 1);
  EXPECT_EQ(io().run(e), 1);
}

TEST_P(Pipes, a_request_waits_even_on_a_pipe_that_does_not_block) {
  PARKRING_NEEDS(abi::op_pipe);
  int ends[2];
  ASSERT_EQ(io().run(pipe(ends, O_NONBLOCK)), 0);
  const std::uint64_t waiting = io().start(read(ends[0], io().memory(1), 1, at_position));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(io().write(ends[1], "x", at_position), 1);
  EXPECT_EQ(io().next(waiting).res, 1);
}

TEST_P(Pipes, pipes_are_made_by_requests) {
  PARKRING_NEEDS(abi::op_pipe);
  int ends[2] = {-1, -1};
  EXPECT_EQ(io().run(pipe(ends)), 0);
  EXPECT_NE(ends[0], ends[1]);
  EXPECT_EQ(io().write(ends[1], "x", at_position), 1);
  EXPECT_EQ(io().read(ends[0], 1, at_position), "x");
  EXPECT_EQ(io().run(pipe(ends, 1u << 30)), -EINVAL);
  EXPECT_EQ(io().close(ends[0]), 0);
  EXPECT_EQ(io().close(ends[1]), 0);
}

TEST_P(Pipes, a_pipe_is_told_from_a_file) {
  struct statx s {};
  EXPECT_EQ(io().stat(ends_[0], s), 0);
  EXPECT_TRUE(S_ISFIFO(s.stx_mode));
  EXPECT_EQ(io().run(fsync(ends_[0])), -EINVAL);
  EXPECT_EQ(io().run(fallocate(ends_[1], 0, 0, 10)), -ESPIPE);
}

}  // namespace
}  // namespace parkring::conformance
