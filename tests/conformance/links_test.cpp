// Chains and drains: what begins when, and what ends with what.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "conformance/machine.hpp"

namespace parkring::conformance {
namespace {

constexpr abi::timespec64 moment{.tv_sec = 0, .tv_nsec = 1'000'000};

class Links : public on_machine {
 protected:
  void SetUp() override {
    on_machine::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(io().make_file(path("f"), "abc"), 0);
    file_ = io().open(path("f"), O_RDWR);
    ASSERT_GE(file_, 0);
    ASSERT_EQ(io().make_pipe(empty_), 0);
  }
  abi::sqe waiting_read() { return read(empty_[0], io().memory(8), 1, at_position); }
  abi::sqe failing() { return read(-1, io().memory(1), 1, 0); }
  abi::sqe short_read() { return read(file_, io().memory(100), 100, 0); }

  int file_ = -1;
  int empty_[2] = {-1, -1};
};
PARKRING_ON_EVERY_MACHINE(Links);

using results = std::vector<std::int32_t>;

TEST_P(Links, the_parts_of_a_chain_run_one_after_the_other) {
  char* in = io().memory(4);
  EXPECT_EQ(io().run_chain({write(file_, "1234", 4, 0), fsync(file_), read(file_, in, 4, 0),
                            write(file_, "5678", 4, 0)}),
            (results{4, 0, 4, 4}));
  EXPECT_EQ(std::string(in, 4), "1234");
  EXPECT_EQ(io().content(path("f")), "5678");
}

TEST_P(Links, completions_of_a_chain_come_in_its_order) {
  std::vector<std::uint64_t> names;
  io().forget_order();
  for (int i = 0; i < 6; ++i) names.push_back(io().push(linked(nop())));
  names.push_back(io().push(nop()));
  io().submit();
  for (const std::uint64_t name : names) EXPECT_EQ(io().next(name).res, 0);
  EXPECT_EQ(io().order(), names);
}

TEST_P(Links, a_part_begins_only_when_the_one_before_it_has_ended) {
  const std::uint64_t first = io().push(linked(waiting_read()));
  const std::uint64_t second = io().push(nop());
  io().submit();
  EXPECT_TRUE(io().silent(second));
  EXPECT_EQ(io().write(empty_[1], "x", at_position), 1);
  EXPECT_EQ(io().next(first).res, 1);
  EXPECT_EQ(io().next(second).res, 0);
  EXPECT_LT(io().place(first), io().place(second));
}

TEST_P(Links, a_failure_cancels_the_rest) {
  EXPECT_EQ(io().run_chain({nop(), failing(), nop(), write(file_, "QQQ", 3, 0)}),
            (results{0, -EBADF, -ECANCELED, -ECANCELED}));
  EXPECT_EQ(io().content(path("f")), "abc");
}

TEST_P(Links, what_fails_without_a_file_cancels_the_rest) {
  const std::string none = path("none/x");
  EXPECT_EQ(io().run_chain({openat(none.c_str(), O_RDONLY), nop()}),
            (results{-ENOENT, -ECANCELED}));
  EXPECT_EQ(io().run_chain({close(1'000'000), nop()}), (results{-EBADF, -ECANCELED}));
  EXPECT_EQ(io().run_chain({cancel(4711), nop()}), (results{-ENOENT, -ECANCELED}));
  EXPECT_EQ(io().run_chain({timeout_remove(4711), nop()}), (results{-ENOENT, -ECANCELED}));
  EXPECT_EQ(io().run_chain({poll_remove(4711), nop()}), (results{-ENOENT, -ECANCELED}));
  EXPECT_EQ(io().run_chain({poll(1'000'000, POLLIN), nop()}), (results{-EBADF, -ECANCELED}));
}

// io_uring_enter(2) says that a failure cancels the rest. Linux (6.1 to 6.18) does not mark these
// opcodes as failed, and the chain goes on: there it may do either.
TEST_P(Links, behind_what_linux_does_not_mark_as_failed_the_rest_is_cancelled_elsewhere) {
  const bool linux = std::string_view(served_by().name()) == "linux";
  const auto expect_broken = [&](const abi::sqe& e, std::int32_t error) {
    SCOPED_TRACE(abi::op_name(e.opcode));
    const results ended = io().run_chain({e, nop()});
    EXPECT_EQ(ended[0], error);
    EXPECT_TRUE(ended[1] == -ECANCELED || (linux && ended[1] == 0)) << ended[1];
    EXPECT_EQ(io().run_chain({hardlinked(e), nop()}), (results{error, 0}));
  };
  const std::string none = path("none/x"), other = path("none/y");
  struct statx s {};
  for (const abi::sqe& e :
       {renameat(none.c_str(), other.c_str()), unlinkat(none.c_str()), mkdirat(none.c_str()),
        symlinkat("x", none.c_str()), linkat(none.c_str(), other.c_str()), statx(none.c_str(), &s)})
    expect_broken(e, -ENOENT);
  expect_broken(fsync(empty_[0]), -EINVAL);
  const int read_only = io().open(path("f"), O_RDONLY);
  expect_broken(fallocate(read_only, 0, 0, 1), -EBADF);
  if (supports(abi::op_ftruncate)) expect_broken(ftruncate(read_only, 0), -EINVAL);
  abi::sqe range = fsync(file_);
  range.opcode = abi::op_sync_file_range;
  range.off = ~std::uint64_t{0};  // negative
  expect_broken(range, -EINVAL);
  abi::sqe advice = nop();
  advice.opcode = abi::op_madvise;
  advice.addr = reinterpret_cast<std::uintptr_t>(io().memory(1)) | 1;  // on no border of a page
  advice.len = 1;
  if (served_by().real()) expect_broken(advice, -EINVAL);  // a simulated machine takes any
  // Without a file there is nothing to fail: that is marked everywhere.
  EXPECT_EQ(io().run_chain({fsync(-1), nop()}), (results{-EBADF, -ECANCELED}));
}

TEST_P(Links, a_short_read_breaks_the_chain) {
  EXPECT_EQ(io().run_chain({short_read(), nop()}), (results{3, -ECANCELED}));
  EXPECT_EQ(io().run_chain({read(file_, io().memory(3), 3, 0), nop()}), (results{3, 0}));
  // Nothing at all is short too; nothing wanted is not.
  EXPECT_EQ(io().run_chain({read(file_, io().memory(3), 3, 100), nop()}), (results{0, -ECANCELED}));
  EXPECT_EQ(io().run_chain({read(file_, io().memory(1), 0, 0), nop()}), (results{0, 0}));
}

TEST_P(Links, a_short_vectored_read_breaks_the_chain) {
  char a[2], b[5];
  const iovec parts[] = {{a, 2}, {b, 5}};
  EXPECT_EQ(io().run_chain({readv(file_, parts, 2, 0), nop()}), (results{3, -ECANCELED}));
  EXPECT_EQ(io().run_chain({readv(file_, parts, 1, 0), nop()}), (results{2, 0}));
}

TEST_P(Links, hard_links_go_on_after_failures) {
  EXPECT_EQ(io().run_chain({hardlinked(failing()), hardlinked(short_read()), nop()}),
            (results{-EBADF, 3, 0}));
}

TEST_P(Links, a_soft_link_behind_a_hard_one_still_breaks) {
  EXPECT_EQ(io().run_chain({hardlinked(failing()), failing(), nop()}),
            (results{-EBADF, -EBADF, -ECANCELED}));
}

TEST_P(Links, a_cancelled_part_takes_even_hard_links_with_it) {
  EXPECT_EQ(io().run_chain({failing(), hardlinked(nop()), nop()}),
            (results{-EBADF, -ECANCELED, -ECANCELED}));
}

TEST_P(Links, a_malformed_part_cancels_the_whole_chain) {
  abi::sqe bad = nop();
  bad.opcode = 255;
  const results ended = io().run_chain({write(file_, "X", 1, 0), bad, nop()});
  EXPECT_EQ(ended, (results{-ECANCELED, -EINVAL, -ECANCELED}));
  EXPECT_EQ(io().content(path("f")), "abc");
}

TEST_P(Links, chains_do_not_touch_each_other) {
  const results ended = io().run_all({linked(failing()), nop(), linked(nop()), nop()});
  EXPECT_EQ(ended, (results{-EBADF, -ECANCELED, 0, 0}));
}

TEST_P(Links, a_chain_ends_with_its_submission) {
  const std::uint64_t reading = io().start(linked(waiting_read()));
  EXPECT_EQ(io().run(nop()), 0);  // not behind the read, which still waits
  EXPECT_TRUE(io().silent(reading));
}

TEST_P(Links, a_linked_write_and_sync_are_one_submission) {
  for (int i = 0; i < 20; ++i) {
    const std::string text = std::to_string(i) + "---";
    EXPECT_EQ(io().run_chain(
                  {write(file_, text.data(), text.size(), 0), fsync(file_, abi::fsync_datasync)}),
              (results{static_cast<std::int32_t>(text.size()), 0}));
  }
}

TEST_P(Links, a_long_chain_completes) {
  std::vector<abi::sqe> chain;
  char* out = io().memory(60);
  for (unsigned i = 0; i < 60; ++i) {
    out[i] = static_cast<char>('0' + i);
    chain.push_back(write(file_, out + i, 1, i));
  }
  EXPECT_EQ(io().run_chain(chain), results(60, 1));
  EXPECT_EQ(io().content(path("f")), std::string(out, 60));
}

TEST_P(Links, requests_to_be_done_asynchronously_answer_the_same) {
  const auto later = [](const abi::sqe& e) { return with_flags(e, abi::iosqe_async); };
  EXPECT_EQ(io().run(later(nop())), 0);
  EXPECT_EQ(io().run_chain({later(write(file_, "12345", 5, 0)), later(short_read()), nop()}),
            (results{5, 5, -ECANCELED}));
  EXPECT_EQ(io().run(later(failing())), -EBADF);
  const std::uint64_t reading = io().start(later(waiting_read()));
  EXPECT_TRUE(io().silent(reading));
  EXPECT_EQ(io().write(empty_[1], "x", at_position), 1);
  EXPECT_EQ(io().next(reading).res, 1);
}

// ---- completions that are left out ----

TEST_P(Links, a_success_that_is_to_be_skipped_says_nothing) {
  const std::uint64_t quiet = io().start(with_flags(nop(), abi::iosqe_cqe_skip_success));
  EXPECT_TRUE(io().silent(quiet));
}

TEST_P(Links, a_failure_is_told_even_when_success_is_to_be_skipped) {
  EXPECT_EQ(io().run(with_flags(failing(), abi::iosqe_cqe_skip_success)), -EBADF);
}

TEST_P(Links, a_quiet_part_lets_the_chain_go_on) {
  const std::uint64_t quiet =
      io().push(with_flags(linked(write(file_, "XYZ", 3, 0)), abi::iosqe_cqe_skip_success));
  char* in = io().memory(3);
  const std::uint64_t loud = io().push(read(file_, in, 3, 0));
  io().submit();
  EXPECT_EQ(io().next(loud).res, 3);
  EXPECT_EQ(std::string(in, 3), "XYZ");
  EXPECT_TRUE(io().silent(quiet));
}

TEST_P(Links, a_quiet_part_that_fails_is_told_and_what_it_cancels_is_not) {
  const std::uint64_t bad = io().push(with_flags(linked(failing()), abi::iosqe_cqe_skip_success));
  const std::uint64_t rest = io().push(nop());
  io().submit();
  EXPECT_EQ(io().next(bad).res, -EBADF);
  EXPECT_TRUE(io().silent(rest));
}

TEST_P(Links, a_part_that_fails_tells_of_quiet_ones_behind_it) {
  const std::uint64_t bad = io().push(linked(failing()));
  const std::uint64_t rest = io().push(with_flags(nop(), abi::iosqe_cqe_skip_success));
  io().submit();
  EXPECT_EQ(io().next(bad).res, -EBADF);
  EXPECT_EQ(io().next(rest).res, -ECANCELED);
}

// ---- drains ----

TEST_P(Links, a_drained_request_waits_for_all_before_it) {
  const std::uint64_t timer = io().push(timeout(&moment));
  const std::uint64_t reading = io().push(short_read());
  const std::uint64_t drain = io().push(drained(nop()));
  io().submit();
  EXPECT_EQ(io().next(drain).res, 0);
  EXPECT_EQ(io().next(timer).res, -ETIME);
  EXPECT_EQ(io().next(reading).res, 3);
  EXPECT_LT(io().place(timer), io().place(drain));
  EXPECT_LT(io().place(reading), io().place(drain));
}

TEST_P(Links, what_comes_after_a_drained_request_waits_for_it) {
  client other(served_by());
  const std::uint64_t reading = io().push(waiting_read());
  const std::uint64_t drain = io().push(drained(nop()));
  const std::uint64_t after = io().push(nop());
  io().submit();
  // Nothing more can be asked of this ring until the read ends: another one ends it.
  EXPECT_EQ(other.write(empty_[1], "x", at_position), 1);
  EXPECT_EQ(io().next(reading).res, 1);
  EXPECT_EQ(io().next(drain).res, 0);
  EXPECT_EQ(io().next(after).res, 0);
  EXPECT_LT(io().place(reading), io().place(drain));
  EXPECT_LT(io().place(drain), io().place(after));
}

TEST_P(Links, drained_requests_with_nothing_before_them_begin_at_once) {
  EXPECT_EQ(io().run(drained(nop())), 0);
  EXPECT_EQ(io().run_all({drained(nop()), drained(nop()), nop()}), (results{0, 0, 0}));
}

TEST_P(Links, a_drained_request_that_fails_lets_the_next_begin) {
  const std::uint64_t timer = io().push(timeout(&moment));
  const std::uint64_t bad = io().push(drained(failing()));
  const std::uint64_t after = io().push(nop());
  io().submit();
  EXPECT_EQ(io().next(bad).res, -EBADF);
  EXPECT_EQ(io().next(after).res, 0);
  EXPECT_EQ(io().next(timer).res, -ETIME);
  EXPECT_LT(io().place(timer), io().place(bad));
}

TEST_P(Links, a_chain_that_is_drained_waits_as_a_whole) {
  const std::uint64_t timer = io().push(timeout(&moment));
  char* in = io().memory(3);
  const std::uint64_t first = io().push(drained(linked(write(file_, "XYZ", 3, 0))));
  const std::uint64_t second = io().push(read(file_, in, 3, 0));
  io().submit();
  EXPECT_EQ(io().next(first).res, 3);
  EXPECT_EQ(io().next(second).res, 3);
  EXPECT_EQ(io().next(timer).res, -ETIME);
  EXPECT_LT(io().place(timer), io().place(first));
  EXPECT_EQ(std::string(in, 3), "XYZ");
}

}  // namespace
}  // namespace parkring::conformance
