// Timeouts: relative and absolute, counting, removed, updated, and link timeouts.
//
// No test measures time: an hour stands for "not yet", a moment for "soon".
#include <gtest/gtest.h>

#include <cerrno>

#include "conformance/machine.hpp"

namespace parkring::conformance {
namespace {

constexpr abi::timespec64 moment{.tv_sec = 0, .tv_nsec = 1'000'000};
constexpr abi::timespec64 hour{.tv_sec = 3600, .tv_nsec = 0};
constexpr abi::timespec64 at_once{.tv_sec = 0, .tv_nsec = 0};

class Timeouts : public on_machine {
 protected:
  abi::timespec64 from_now(std::uint64_t ns) {
    const std::uint64_t at = served_by().now_ns() + ns;
    return {static_cast<std::int64_t>(at / 1'000'000'000u),
            static_cast<std::int64_t>(at % 1'000'000'000u)};
  }
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(io().make_pipe(empty_), 0);
  }
  /// A read that waits until the test ends or something ends it.
  abi::sqe waiting_read() { return read(empty_[0], io().memory(1), 1, at_position); }

  int empty_[2] = {-1, -1};
};
PARKRING_ON_EVERY_MACHINE(Timeouts);

TEST_P(Timeouts, a_timeout_ends_with_etime) {
  EXPECT_EQ(io().run(timeout(&moment)), -ETIME);
  EXPECT_EQ(io().run(timeout(&at_once)), -ETIME);
}

TEST_P(Timeouts, an_absolute_timeout_ends_at_its_time_and_at_once_when_it_is_past) {
  const abi::timespec64 soon = from_now(1'000'000);
  EXPECT_EQ(io().run(timeout(&soon, 0, abi::timeout_abs)), -ETIME);
  const abi::timespec64 past{.tv_sec = 0, .tv_nsec = 1};
  EXPECT_EQ(io().run(timeout(&past, 0, abi::timeout_abs)), -ETIME);
}

TEST_P(Timeouts, a_timeout_is_never_early) {
  const std::uint64_t before = served_by().now_ns();
  EXPECT_EQ(io().run(timeout(&moment)), -ETIME);
  EXPECT_GE(served_by().now_ns() - before, 1'000'000u);
}

TEST_P(Timeouts, timeouts_end_in_the_order_of_their_times) {
  const abi::timespec64 late{.tv_sec = 0, .tv_nsec = 30'000'000};
  const std::uint64_t second = io().push(timeout(&late));
  const std::uint64_t first = io().push(timeout(&moment));
  io().submit();
  EXPECT_EQ(io().next(second).res, -ETIME);
  EXPECT_EQ(io().next(first).res, -ETIME);
  EXPECT_LT(io().place(first), io().place(second));
}

TEST_P(Timeouts, other_clocks_are_taken_but_only_one) {
  EXPECT_EQ(io().run(timeout(&moment, 0, abi::timeout_boottime)), -ETIME);
  EXPECT_EQ(io().run(timeout(&moment, 0, abi::timeout_realtime)), -ETIME);
  EXPECT_EQ(io().run(timeout(&moment, 0, abi::timeout_boottime | abi::timeout_realtime)), -EINVAL);
}

TEST_P(Timeouts, malformed_timeouts_are_refused) {
  const abi::timespec64 negative{.tv_sec = -1, .tv_nsec = 0};
  EXPECT_EQ(io().run(timeout(&negative)), -EINVAL);
  abi::sqe e = timeout(&moment);
  e.len = 2;
  EXPECT_EQ(io().run(e), -EINVAL);
  EXPECT_EQ(io().run(timeout(&moment, 0, 1u << 20)), -EINVAL);
}

TEST_P(Timeouts, a_timeout_that_counts_ends_with_the_completions_it_waits_for) {
  const std::uint64_t counting = io().start(timeout(&hour, 2));
  EXPECT_EQ(io().run(nop()), 0);
  EXPECT_EQ(io().run(nop()), 0);
  EXPECT_EQ(io().next(counting).res, 0);
}

TEST_P(Timeouts, a_timeout_that_counts_still_ends_at_its_time) {
  EXPECT_EQ(io().run(timeout(&moment, 1000)), -ETIME);
}

TEST_P(Timeouts, other_timeouts_do_not_count) {
  const std::uint64_t counting = io().start(timeout(&hour, 1));
  EXPECT_EQ(io().next(io().start(timeout(&moment))).res, -ETIME);
  io().collect();
  const std::uint64_t counted = io().start(nop());
  EXPECT_EQ(io().next(counted).res, 0);
  EXPECT_EQ(io().next(counting).res, 0);
  EXPECT_LT(io().place(counted), io().place(counting));
}

TEST_P(Timeouts, a_removed_timeout_is_cancelled_and_then_unknown) {
  const std::uint64_t target = io().start(timeout(&hour));
  EXPECT_EQ(io().run(timeout_remove(target)), 0);
  EXPECT_EQ(io().next(target).res, -ECANCELED);
  EXPECT_EQ(io().run(timeout_remove(target)), -ENOENT);
}

TEST_P(Timeouts, a_removal_finds_only_timeouts) {
  const std::uint64_t reading = io().start(waiting_read());
  EXPECT_EQ(io().run(timeout_remove(reading)), -ENOENT);
  EXPECT_TRUE(io().silent(reading));
}

TEST_P(Timeouts, an_updated_timeout_ends_at_its_new_time) {
  const std::uint64_t target = io().start(timeout(&hour));
  EXPECT_EQ(io().run(timeout_update(target, &moment)), 0);
  EXPECT_EQ(io().next(target).res, -ETIME);
  EXPECT_EQ(io().run(timeout_update(target, &moment)), -ENOENT);
}

TEST_P(Timeouts, an_update_can_put_off_and_be_absolute) {
  const abi::timespec64 some{.tv_sec = 60, .tv_nsec = 0};
  const std::uint64_t target = io().start(timeout(&some));
  EXPECT_EQ(io().run(timeout_update(target, &hour)), 0);
  EXPECT_TRUE(io().silent(target));
  const abi::timespec64 past{.tv_sec = 0, .tv_nsec = 1};
  EXPECT_EQ(io().run(timeout_update(target, &past, abi::timeout_abs)), 0);
  EXPECT_EQ(io().next(target).res, -ETIME);
}

TEST_P(Timeouts, a_timeout_breaks_its_chain_unless_its_end_counts_as_success) {
  EXPECT_EQ(io().run_chain({timeout(&moment), nop()}),
            (std::vector<std::int32_t>{-ETIME, -ECANCELED}));
  EXPECT_EQ(io().run_chain({timeout(&moment, 0, abi::timeout_etime_success), nop()}),
            (std::vector<std::int32_t>{-ETIME, 0}));
}

TEST_P(Timeouts, a_multishot_timeout_repeats_as_often_as_it_says) {
  abi::sqe e = timeout(&moment, 3, abi::timeout_multishot);
  const std::uint64_t name = io().start(e);
  const answer first = io().next(name);
  if (first.res == -EINVAL) GTEST_SKIP() << "no multishot timeouts";
  EXPECT_EQ(first.res, -ETIME);
  EXPECT_TRUE(first.more());
  const answer second = io().next(name);
  EXPECT_EQ(second.res, -ETIME);
  EXPECT_TRUE(second.more());
  const answer third = io().next(name);
  EXPECT_EQ(third.res, -ETIME);
  EXPECT_FALSE(third.more());
}

// ---- link timeouts ----

TEST_P(Timeouts, a_link_timeout_ends_the_request_before_it) {
  const auto results = io().run_chain({waiting_read(), link_timeout(&moment)});
  // Linux may tell a request that was interrupted at work from one that only waited.
  EXPECT_TRUE(results[0] == -ECANCELED || results[0] == -EINTR) << results[0];
  EXPECT_EQ(results[1], -ETIME);
}

TEST_P(Timeouts, a_link_timeout_goes_with_a_request_that_ends_in_time) {
  const auto results = io().run_chain({nop(), link_timeout(&hour)});
  EXPECT_EQ(results, (std::vector<std::int32_t>{0, -ECANCELED}));
}

TEST_P(Timeouts, a_link_timeout_goes_with_a_request_that_waited_and_ends_in_time) {
  const std::uint64_t reading = io().push(linked(waiting_read()));
  const std::uint64_t limit = io().push(link_timeout(&hour));
  io().submit();
  EXPECT_TRUE(io().silent(reading));
  EXPECT_EQ(io().write(empty_[1], "x", at_position), 1);
  EXPECT_EQ(io().next(reading).res, 1);
  EXPECT_EQ(io().next(limit).res, -ECANCELED);
}

TEST_P(Timeouts, a_link_timeout_that_fires_ends_the_chain_behind_it) {
  const auto results = io().run_chain({waiting_read(), link_timeout(&moment), nop()});
  EXPECT_TRUE(results[0] == -ECANCELED || results[0] == -EINTR) << results[0];
  EXPECT_EQ(results[1], -ETIME);
  EXPECT_EQ(results[2], -ECANCELED);
}

TEST_P(Timeouts, a_link_timeout_in_the_middle_lets_the_chain_go_on) {
  const auto results = io().run_chain({nop(), link_timeout(&hour), nop()});
  EXPECT_EQ(results, (std::vector<std::int32_t>{0, -ECANCELED, 0}));
}

TEST_P(Timeouts, a_link_timeout_begins_with_the_request_it_watches) {
  // The first part outlasts the limit, which is only of the second.
  const abi::timespec64 longer{.tv_sec = 0, .tv_nsec = 20'000'000};
  const auto results = io().run_chain(
      {timeout(&longer, 0, abi::timeout_etime_success), nop(), link_timeout(&moment)});
  EXPECT_EQ(results, (std::vector<std::int32_t>{-ETIME, 0, -ECANCELED}));
}

TEST_P(Timeouts, a_link_timeout_behind_nothing_is_refused) {
  EXPECT_EQ(io().run(link_timeout(&moment)), -EINVAL);
}

TEST_P(Timeouts, nothing_runs_without_the_limit_it_was_given) {
  const abi::timespec64 negative{.tv_sec = -1, .tv_nsec = 0};
  EXPECT_EQ(io().run_chain({waiting_read(), link_timeout(&negative)}),
            (std::vector<std::int32_t>{-ECANCELED, -EINVAL}));
  EXPECT_EQ(io().run_chain({nop(), waiting_read(), link_timeout(&negative), nop()}),
            (std::vector<std::int32_t>{-ECANCELED, -ECANCELED, -EINVAL, -ECANCELED}));
}

TEST_P(Timeouts, an_update_reaches_a_link_timeout_when_it_says_so) {
  const std::uint64_t reading = io().push(linked(waiting_read()));
  const std::uint64_t limit = io().push(link_timeout(&hour));
  io().submit();
  EXPECT_EQ(io().run(timeout_update(limit, &moment)), -ENOENT);
  EXPECT_EQ(io().run(timeout_update(limit, &moment, abi::link_timeout_update)), 0);
  const std::int32_t ended = io().next(reading).res;
  EXPECT_TRUE(ended == -ECANCELED || ended == -EINTR) << ended;
  EXPECT_EQ(io().next(limit).res, -ETIME);
}

TEST_P(Timeouts, cancelling_the_watched_request_ends_its_link_timeout) {
  const std::uint64_t reading = io().push(linked(waiting_read()));
  const std::uint64_t limit = io().push(link_timeout(&hour));
  io().submit();
  EXPECT_TRUE(io().silent(reading));
  EXPECT_EQ(io().run(cancel(reading)), 0);
  EXPECT_EQ(io().next(reading).res, -ECANCELED);
  EXPECT_EQ(io().next(limit).res, -ECANCELED);
}

}  // namespace
}  // namespace parkring::conformance
