// Polling: once and again and again, removed and updated.
#include <gtest/gtest.h>

#include <cerrno>

#include "conformance/machine.hpp"

namespace parkring::conformance {
namespace {

class Poll : public on_machine {
 protected:
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(io().make_pipe(ends_), 0);
  }
  int say(std::string_view text) { return io().write(ends_[1], text, at_position); }
  std::string hear() { return io().read(ends_[0], 100, at_position); }

  int ends_[2] = {-1, -1};
};
PARKRING_ON_EVERY_MACHINE(Poll);

TEST_P(Poll, what_is_ready_is_told_at_once) {
  EXPECT_EQ(io().run(poll(ends_[1], POLLOUT)), POLLOUT);
  EXPECT_EQ(say("x"), 1);
  EXPECT_EQ(io().run(poll(ends_[0], POLLIN)), POLLIN);
  EXPECT_EQ(io().run(poll(ends_[0], POLLIN | POLLOUT)) & POLLIN, POLLIN);
}

TEST_P(Poll, a_poll_waits_for_what_it_was_asked_for) {
  const std::uint64_t waiting = io().start(poll(ends_[0], POLLIN));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(say("x"), 1);
  const answer a = io().next(waiting);
  EXPECT_EQ(a.res, POLLIN);
  EXPECT_FALSE(a.more());
  EXPECT_EQ(hear(), "x");  // polling took nothing
}

TEST_P(Poll, a_hang_up_is_told_unasked) {
  const std::uint64_t waiting = io().start(poll(ends_[0], POLLIN));
  EXPECT_EQ(io().close(ends_[1]), 0);
  EXPECT_NE(io().next(waiting).res & POLLHUP, 0);
}

TEST_P(Poll, a_poll_for_nothing_is_told_of_a_hang_up) {
  const std::uint64_t once = io().start(poll(ends_[0], 0));
  const std::uint64_t many = io().start(poll(ends_[0], 0, abi::poll_add_multi));
  EXPECT_EQ(say("x"), 1);
  EXPECT_TRUE(io().silent(once));
  EXPECT_TRUE(io().silent(many));
  EXPECT_EQ(io().close(ends_[1]), 0);
  EXPECT_EQ(io().next(once).res, POLLHUP);
  EXPECT_EQ(io().next(many).res, POLLHUP);
}

TEST_P(Poll, a_writer_learns_that_its_reader_is_gone) {
  EXPECT_EQ(io().close(ends_[0]), 0);
  EXPECT_NE(io().run(poll(ends_[1], POLLOUT)) & POLLERR, 0);
}

TEST_P(Poll, files_are_always_ready) {
  ASSERT_EQ(io().make_file(path("f"), ""), 0);
  const int fd = io().open(path("f"), O_RDWR);
  EXPECT_EQ(io().run(poll(fd, POLLIN | POLLOUT)), POLLIN | POLLOUT);
}

TEST_P(Poll, what_is_not_open_is_not_polled) {
  EXPECT_EQ(io().run(poll(-1, POLLIN)), -EBADF);
  EXPECT_EQ(io().run(poll(1'000'000, POLLIN)), -EBADF);
}

TEST_P(Poll, a_multishot_poll_tells_again_and_again) {
  const std::uint64_t many = io().start(poll(ends_[0], POLLIN, abi::poll_add_multi));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(io().silent(many));
    EXPECT_EQ(say("x"), 1);
    const answer a = io().next(many);
    EXPECT_EQ(a.res, POLLIN);
    EXPECT_TRUE(a.more());
    EXPECT_EQ(hear(), "x");
  }
  EXPECT_EQ(io().run(poll_remove(many)), 0);
  const answer end = io().next(many);
  EXPECT_EQ(end.res, -ECANCELED);
  EXPECT_FALSE(end.more());
}

TEST_P(Poll, a_multishot_poll_of_what_is_ready_begins_with_a_completion) {
  EXPECT_EQ(say("x"), 1);
  const std::uint64_t many = io().start(poll(ends_[0], POLLIN, abi::poll_add_multi));
  const answer a = io().next(many);
  EXPECT_EQ(a.res, POLLIN);
  EXPECT_TRUE(a.more());
}

TEST_P(Poll, a_removed_poll_is_cancelled_and_then_unknown) {
  const std::uint64_t waiting = io().start(poll(ends_[0], POLLIN));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(io().run(poll_remove(waiting)), 0);
  EXPECT_EQ(io().next(waiting).res, -ECANCELED);
  EXPECT_EQ(io().run(poll_remove(waiting)), -ENOENT);
}

TEST_P(Poll, an_updated_poll_waits_for_its_new_events) {
  // A pipe's write end never becomes readable, and is writable at once.
  const std::uint64_t waiting = io().start(poll(ends_[1], POLLIN, abi::poll_add_multi));
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(io().run(poll_update(waiting, POLLOUT, abi::poll_update_events)), 0);
  EXPECT_EQ(io().next(waiting).res, POLLOUT);
}

TEST_P(Poll, an_updated_poll_can_take_another_name) {
  const std::uint64_t waiting = io().start(poll(ends_[0], POLLIN));
  abi::sqe e = poll_update(waiting, 0, abi::poll_update_user_data);
  e.off = 9999;
  EXPECT_EQ(io().run(e), 0);
  EXPECT_EQ(say("x"), 1);
  EXPECT_EQ(io().next(9999).res, POLLIN);
  EXPECT_TRUE(io().silent(waiting));
}

TEST_P(Poll, malformed_polls_are_refused) {
  EXPECT_EQ(io().run(poll(ends_[0], POLLIN, 1u << 20)), -EINVAL);
  abi::sqe e = poll(ends_[0], POLLIN);
  e.off = 1;
  EXPECT_EQ(io().run(e), -EINVAL);
  EXPECT_EQ(io().run(poll_update(1, POLLIN, 1u << 20)), -EINVAL);
}

TEST_P(Poll, two_polls_of_one_descriptor_both_end) {
  const std::uint64_t one = io().start(poll(ends_[0], POLLIN));
  const std::uint64_t two = io().start(poll(ends_[0], POLLIN));
  EXPECT_EQ(say("x"), 1);
  EXPECT_EQ(io().next(one).res, POLLIN);
  EXPECT_EQ(io().next(two).res, POLLIN);
}

TEST_P(Poll, a_poll_and_a_read_make_a_chain) {
  char* at = io().memory(8);
  const std::uint64_t polling = io().push(linked(poll(ends_[0], POLLIN)));
  const std::uint64_t reading = io().push(read(ends_[0], at, 8, at_position));
  io().submit();
  EXPECT_TRUE(io().silent(reading));
  EXPECT_EQ(say("abc"), 3);
  EXPECT_EQ(io().next(polling).res, POLLIN);
  EXPECT_EQ(io().next(reading).res, 3);
}

TEST_P(Poll, a_poll_in_flight_outlives_its_descriptor) {
  const std::uint64_t waiting = io().start(poll(ends_[0], POLLIN));
  EXPECT_EQ(io().close(ends_[0]), 0);
  EXPECT_TRUE(io().silent(waiting));
  EXPECT_EQ(say("x"), 1);
  EXPECT_EQ(io().next(waiting).res, POLLIN);
}

}  // namespace
}  // namespace parkring::conformance
