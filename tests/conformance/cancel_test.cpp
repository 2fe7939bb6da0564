// Cancelling: who is found, what the canceller is told, and how the cancelled end.
//
// Where cancelling and completing race, the legal outcomes are stated as a set.
#include <gtest/gtest.h>

#include <cerrno>

#include "conformance/machine.hpp"

namespace parkring::conformance {
namespace {

constexpr abi::timespec64 hour{.tv_sec = 3600, .tv_nsec = 0};

class Cancel : public on_machine {
 protected:
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(io().make_pipe(empty_), 0);
    ASSERT_EQ(io().make_pipe(other_), 0);
  }
  abi::sqe read_of(const int (&pipe)[2]) { return read(pipe[0], io().memory(1), 1, at_position); }
  /// A request that has begun to wait: cancelling it as it begins is another matter.
  std::uint64_t waiting(const abi::sqe& e) {
    const std::uint64_t name = io().start(e);
    EXPECT_TRUE(io().silent(name));
    return name;
  }
  std::uint64_t reading(const int (&pipe)[2]) { return waiting(read_of(pipe)); }

  /// Whether what the canceller was told and how its target ended go together, where the target
  /// would have ended with `own` by itself.
  static bool agree(std::int32_t told, std::int32_t ended, std::int32_t own) {
    switch (told) {
      case 0:
        return ended == -ECANCELED;
      case -ENOENT:
        return ended == own;
      case -EALREADY:  // too late to know
        return ended == own || ended == -ECANCELED || ended == -EINTR;
      default:
        return false;
    }
  }

  int empty_[2] = {-1, -1};
  int other_[2] = {-1, -1};
};
PARKRING_ON_EVERY_MACHINE(Cancel);

TEST_P(Cancel, a_waiting_read_is_cancelled_by_its_name) {
  const std::uint64_t target = reading(empty_);
  EXPECT_EQ(io().run(cancel(target)), 0);
  EXPECT_EQ(io().next(target).res, -ECANCELED);
}

TEST_P(Cancel, a_cancelled_read_takes_nothing_from_its_pipe) {
  const std::uint64_t target = reading(empty_);
  EXPECT_EQ(io().run(cancel(target)), 0);
  EXPECT_EQ(io().next(target).res, -ECANCELED);
  EXPECT_EQ(io().write(empty_[1], "abc", at_position), 3);
  EXPECT_EQ(io().read(empty_[0], 10, at_position), "abc");
}

TEST_P(Cancel, what_is_not_there_is_not_found) {
  EXPECT_EQ(io().run(cancel(123456789)), -ENOENT);
  const std::uint64_t gone = io().start(nop());
  EXPECT_EQ(io().next(gone).res, 0);
  EXPECT_EQ(io().run(cancel(gone)), -ENOENT);
}

TEST_P(Cancel, a_second_cancel_finds_nothing) {
  const std::uint64_t target = reading(empty_);
  const std::uint64_t first = io().push(cancel(target));
  const std::uint64_t second = io().push(cancel(target));
  io().submit();
  EXPECT_EQ(io().next(first).res, 0);
  const std::int32_t again = io().next(second).res;
  // The first may have ended it and its completion still be on the way.
  EXPECT_TRUE(again == 0 || again == -ENOENT || again == -EALREADY) << again;
  EXPECT_EQ(io().next(target).res, -ECANCELED);
  EXPECT_EQ(io().run(cancel(target)), -ENOENT);
}

TEST_P(Cancel, one_of_many_with_the_same_name_is_cancelled) {
  abi::sqe e = read(empty_[0], io().memory(1), 1, at_position);
  e.user_data = 777;
  waiting(e);
  waiting(e);
  EXPECT_EQ(io().run(cancel(777)), 0);
  EXPECT_EQ(io().next(777).res, -ECANCELED);
  EXPECT_TRUE(io().silent(777));
}

TEST_P(Cancel, all_with_the_same_name_are_cancelled_and_counted) {
  abi::sqe e = read(empty_[0], io().memory(1), 1, at_position);
  e.user_data = 777;
  for (int i = 0; i < 3; ++i) waiting(e);
  EXPECT_EQ(io().run(cancel(777, abi::async_cancel_all)), 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(io().next(777).res, -ECANCELED);
}

TEST_P(Cancel, cancelling_all_of_none_counts_zero) {
  EXPECT_EQ(io().run(cancel(777, abi::async_cancel_all)), 0);
  EXPECT_EQ(io().run(cancel(0, abi::async_cancel_all | abi::async_cancel_any)), 0);
}

TEST_P(Cancel, requests_are_found_by_their_descriptor) {
  const std::uint64_t one = reading(empty_), two = reading(empty_), other = reading(other_);
  EXPECT_EQ(io().run(cancel_fd(empty_[0], abi::async_cancel_all)), 2);
  EXPECT_EQ(io().next(one).res, -ECANCELED);
  EXPECT_EQ(io().next(two).res, -ECANCELED);
  EXPECT_TRUE(io().silent(other));
  EXPECT_EQ(io().run(cancel_fd(other_[0])), 0);
  EXPECT_EQ(io().next(other).res, -ECANCELED);
  EXPECT_EQ(io().run(cancel_fd(other_[0])), -ENOENT);
  EXPECT_EQ(io().run(cancel_fd(1'000'000)), -EBADF);
}

TEST_P(Cancel, any_is_everything_and_counts) {
  const std::uint64_t one = reading(empty_), two = reading(other_);
  const std::uint64_t timer = waiting(timeout(&hour));
  EXPECT_EQ(io().run(cancel(0, abi::async_cancel_any | abi::async_cancel_all)), 3);
  EXPECT_EQ(io().next(one).res, -ECANCELED);
  EXPECT_EQ(io().next(two).res, -ECANCELED);
  EXPECT_EQ(io().next(timer).res, -ECANCELED);
  const std::uint64_t fourth = reading(empty_), fifth = reading(other_);
  EXPECT_EQ(io().run(cancel(0, abi::async_cancel_any)), 2);
  EXPECT_EQ(io().next(fourth).res, -ECANCELED);
  EXPECT_EQ(io().next(fifth).res, -ECANCELED);
}

TEST_P(Cancel, requests_are_found_by_their_opcode_where_the_kernel_knows_how) {
  const std::uint64_t target = reading(empty_);
  const std::uint64_t timer = waiting(timeout(&hour));
  abi::sqe e = cancel(0, abi::async_cancel_op | abi::async_cancel_all);
  e.len = abi::op_timeout;
  const std::int32_t result = io().run(e);
  if (result == -EINVAL) GTEST_SKIP() << "no cancelling by opcode";
  EXPECT_EQ(result, 1);
  EXPECT_EQ(io().next(timer).res, -ECANCELED);
  EXPECT_TRUE(io().silent(target));
}

TEST_P(Cancel, timeouts_and_polls_are_cancelled_like_all_else) {
  const std::uint64_t timer = waiting(timeout(&hour));
  EXPECT_EQ(io().run(cancel(timer)), 0);
  EXPECT_EQ(io().next(timer).res, -ECANCELED);
  const std::uint64_t polling = waiting(poll(empty_[0], POLLIN));
  EXPECT_EQ(io().run(cancel(polling)), 0);
  EXPECT_EQ(io().next(polling).res, -ECANCELED);
  const std::uint64_t many = waiting(poll(empty_[0], POLLIN, abi::poll_add_multi));
  EXPECT_EQ(io().run(cancel(many)), 0);
  const answer end = io().next(many);
  EXPECT_EQ(end.res, -ECANCELED);
  EXPECT_FALSE(end.more());
}

TEST_P(Cancel, cancel_against_completion_has_one_winner) {
  for (int i = 0; i < 50; ++i) {
    // The write makes the read ready in the same submission that cancels it.
    const std::uint64_t target = io().start(read_of(empty_));
    const std::uint64_t writing = io().push(write(empty_[1], "x", 1, at_position));
    const std::uint64_t cancelling = io().push(cancel(target));
    io().submit();
    EXPECT_EQ(io().next(writing).res, 1);
    const std::int32_t told = io().next(cancelling).res;
    const std::int32_t ended = io().next(target).res;
    EXPECT_TRUE(agree(told, ended, 1)) << told << ", " << ended;
    // What a cancelled read left is still there; what a completed one took is not.
    if (ended != 1) {
      EXPECT_EQ(io().read(empty_[0], 8, at_position), "x");
    }
  }
}

TEST_P(Cancel, a_wait_that_is_cancelled_as_it_begins_ends) {
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t target = io().push(read_of(empty_));
    const std::uint64_t cancelling = io().push(cancel(target));
    io().submit();
    // Too late to be cancelled means that it ends by itself, never that it waits on.
    const std::int32_t told = io().next(cancelling).res;
    const std::int32_t ended = io().next(target).res;
    EXPECT_NE(ended, 1) << "there was nothing to read";
    EXPECT_NE(told, -ENOENT);
    EXPECT_TRUE(agree(told, ended, 1)) << told << ", " << ended;
    if (HasFailure()) break;
  }
}

TEST_P(Cancel, a_file_read_ends_whole_or_cancelled) {
  ASSERT_EQ(io().make_file(path("f"), "content"), 0);
  const int fd = io().open(path("f"), O_RDONLY);
  for (int i = 0; i < 50; ++i) {
    char* at = io().memory(7);
    const std::uint64_t target = io().push(with_flags(read(fd, at, 7, 0), abi::iosqe_async));
    const std::uint64_t cancelling = io().push(cancel(target));
    io().submit();
    const std::int32_t told = io().next(cancelling).res;
    const std::int32_t ended = io().next(target).res;
    EXPECT_TRUE(agree(told, ended, 7)) << told << ", " << ended;
    if (ended == 7) {
      EXPECT_EQ(std::string(at, 7), "content");
    }
  }
}

TEST_P(Cancel, cancelling_the_first_part_cancels_the_chain) {
  const std::uint64_t first = io().push(linked(read(empty_[0], io().memory(1), 1, at_position)));
  const std::uint64_t second = io().push(linked(nop()));
  const std::uint64_t third = io().push(nop());
  io().submit();
  EXPECT_TRUE(io().silent(first));
  EXPECT_EQ(io().run(cancel(first)), 0);
  EXPECT_EQ(io().next(first).res, -ECANCELED);
  EXPECT_EQ(io().next(second).res, -ECANCELED);
  EXPECT_EQ(io().next(third).res, -ECANCELED);
}

TEST_P(Cancel, what_waits_behind_a_link_is_not_found) {
  const std::uint64_t first = io().push(linked(read(empty_[0], io().memory(1), 1, at_position)));
  const std::uint64_t second = io().push(nop());
  io().submit();
  EXPECT_EQ(io().run(cancel(second)), -ENOENT);
  EXPECT_EQ(io().write(empty_[1], "x", at_position), 1);
  EXPECT_EQ(io().next(first).res, 1);
  EXPECT_EQ(io().next(second).res, 0);
}

TEST_P(Cancel, malformed_cancels_are_refused) {
  EXPECT_EQ(io().run(cancel(1, 1u << 20)), -EINVAL);
  EXPECT_EQ(io().run(cancel_fd(empty_[0], abi::async_cancel_any)), -EINVAL);
  abi::sqe e = cancel(1);
  e.off = 1;
  EXPECT_EQ(io().run(e), -EINVAL);
}

TEST_P(Cancel, a_waiting_write_is_cancelled_too) {
  const std::string piece(65536, 'x');
  std::uint64_t stuck = 0;
  for (int i = 0; i < 100 && stuck == 0; ++i) {
    const std::uint64_t writing =
        io().start(write(empty_[1], piece.data(), piece.size(), at_position));
    if (io().silent(writing)) stuck = writing;
  }
  ASSERT_NE(stuck, 0u) << "the pipe takes everything";
  EXPECT_EQ(io().run(cancel(stuck)), 0);
  EXPECT_EQ(io().next(stuck).res, -ECANCELED);
}

TEST_P(Cancel, another_rings_requests_are_not_found) {
  const std::uint64_t target = reading(empty_);
  client other(served_by());
  EXPECT_EQ(other.run(cancel(target)), -ENOENT);
  EXPECT_EQ(other.run(cancel(0, abi::async_cancel_any | abi::async_cancel_all)), 0);
  EXPECT_TRUE(io().silent(target));
}

TEST_P(Cancel, a_synchronous_cancel_ends_requests_before_it_returns) {
  const std::uint64_t target = reading(empty_);
  abi::sync_cancel_reg how{};
  how.addr = target;
  how.fd = -1;
  how.timeout = {-1, -1};
  const int result = io().queue().reg(abi::register_sync_cancel, &how, 1);
  if (result == -EINVAL) GTEST_SKIP() << "no synchronous cancelling";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(io().next(target).res, -ECANCELED);
  EXPECT_EQ(io().queue().reg(abi::register_sync_cancel, &how, 1), -ENOENT);
}

}  // namespace
}  // namespace parkring::conformance
