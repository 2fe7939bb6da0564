// How a ring asks for itself, against a kernel that refuses what it is told to refuse.
#include <gtest/gtest.h>

#include <string>

#include "ring/fake_kernel.hpp"
#include "ring/ring.hpp"

namespace parkring::ring {
namespace {

TEST(RingSetup, a_kernel_that_takes_everything_is_asked_once_for_the_best) {
  fake_kernel k;
  ring r(k, {});
  ASSERT_EQ(k.tried_flags.size(), 1u);
  const auto best = abi::setup_single_issuer | abi::setup_defer_taskrun | abi::setup_submit_all |
                    abi::setup_taskrun_flag | abi::setup_no_sqarray | abi::setup_r_disabled |
                    abi::setup_clamp | abi::setup_cqsize;
  EXPECT_EQ(r.setup_flags(), best);
  EXPECT_EQ(k.entries, 256u);
  EXPECT_EQ(k.cq_entries, 1024u);
}

TEST(RingSetup, one_that_others_enter_too_asks_for_no_flag_that_forbids_it) {
  for (const std::uint32_t unknown : {0u, abi::setup_no_sqarray, abi::setup_coop_taskrun}) {
    fake_kernel k;
    k.known_flags = ~unknown;
    ring r(k, {.entered_by_others = true});
    EXPECT_EQ(r.setup_flags() & (abi::setup_single_issuer | abi::setup_defer_taskrun), 0u);
    EXPECT_EQ(r.setup_flags() & unknown, 0u);
  }
}

TEST(RingSetup, one_that_is_not_to_defer_has_one_issuer_all_the_same) {
  fake_kernel k;
  ring r(k, {.deferred = false});
  EXPECT_EQ(r.setup_flags() & abi::setup_defer_taskrun, 0u);
  EXPECT_NE(r.setup_flags() & abi::setup_single_issuer, 0u);
}

TEST(RingSetup, each_unknown_flag_costs_only_itself_and_what_needs_it) {
  struct {
    std::uint32_t unknown, must_have, must_not_have;
  } const cases[] = {
      {abi::setup_no_sqarray, abi::setup_defer_taskrun | abi::setup_single_issuer, 0},
      {abi::setup_no_sqarray | abi::setup_defer_taskrun,
       abi::setup_single_issuer | abi::setup_coop_taskrun | abi::setup_taskrun_flag, 0},
      {abi::setup_no_sqarray | abi::setup_defer_taskrun | abi::setup_single_issuer,
       abi::setup_coop_taskrun | abi::setup_submit_all, 0},
      {abi::setup_no_sqarray | abi::setup_defer_taskrun | abi::setup_single_issuer |
           abi::setup_coop_taskrun,
       abi::setup_submit_all, abi::setup_taskrun_flag},
      {abi::setup_no_sqarray | abi::setup_defer_taskrun | abi::setup_single_issuer |
           abi::setup_coop_taskrun | abi::setup_taskrun_flag | abi::setup_submit_all,
       abi::setup_r_disabled, 0},
  };
  for (const auto& c : cases) {
    fake_kernel k;
    k.known_flags = ~c.unknown;
    ring r(k, {.entries = 8});
    EXPECT_EQ(r.setup_flags() & c.unknown, 0u);
    EXPECT_EQ(r.setup_flags() & c.must_have, c.must_have);
    EXPECT_EQ(r.setup_flags() & c.must_not_have, 0u);
  }
}

TEST(RingSetup, the_indirection_array_is_filled_when_the_kernel_needs_it) {
  fake_kernel k;
  k.known_flags = ~abi::setup_no_sqarray;
  ring r(k, {.entries = 4});
  ASSERT_NE(r.memory().sq_array, nullptr);
  ASSERT_EQ(r.bind_to_this_thread(), 0);
  for (unsigned lap = 0; lap < 10; ++lap) {
    for (unsigned i = 0; i < 3; ++i) {
      abi::sqe* entry = r.take();
      ASSERT_NE(entry, nullptr);
      clear(*entry);
      entry->user_data = lap * 3 + i;
      entry->len = i;
    }
    ASSERT_EQ(r.enter(), 3);
    unsigned next = lap * 3;
    EXPECT_EQ(r.reap([&](const abi::cqe& c) { EXPECT_EQ(c.user_data, next++); }), 3u);
  }
}

TEST(RingSetup, an_error_other_than_an_unknown_flag_is_not_retried) {
  fake_kernel k;
  k.setup_error = ENOMEM;
  EXPECT_THROW(ring(k, {}), setup_failed);
  EXPECT_EQ(k.tried_flags.size(), 1u);
}

TEST(RingSetup, a_kernel_without_deadlines_is_refused_and_released) {
  fake_kernel k;
  k.features &= ~abi::feat_ext_arg;
  try {
    ring r(k, {});
    FAIL() << "the ring was made";
  } catch (const setup_failed& failure) {
    EXPECT_EQ(failure.code(), std::errc::function_not_supported);
  }
  EXPECT_EQ(k.released, 1);
}

TEST(RingSetup, the_completion_queue_is_never_shorter_than_the_submission_queue) {
  fake_kernel k;
  ring r(k, {.entries = 100, .cq_entries = 3});
  EXPECT_EQ(r.capacity(), 128u);
  EXPECT_GE(r.completion_capacity(), 128u);
}

TEST(RingSetup, binding_enables_the_ring_and_registers_its_descriptor) {
  fake_kernel k;
  {
    ring r(k, {.entries = 4});
    EXPECT_TRUE(k.registered.empty());
    EXPECT_FALSE(r.bound());
    ASSERT_EQ(r.bind_to_this_thread(), 0);
    ASSERT_EQ(r.bind_to_this_thread(), 0);
    EXPECT_EQ(k.registered,
              (std::vector<unsigned>{abi::register_enable_rings, abi::register_ring_fds}));
    EXPECT_TRUE(r.descriptor_registered());
    r.enter();
    EXPECT_EQ(k.last_fd, 7);
    EXPECT_EQ(k.last_flags, abi::enter_registered_ring);
  }
  EXPECT_EQ(k.registered.back(), unsigned{abi::unregister_ring_fds});
  EXPECT_EQ(k.released, 1);
}

TEST(RingSetup, without_a_registered_descriptor_enter_names_the_plain_one) {
  fake_kernel k;
  k.registers_descriptors = false;
  ring r(k, {.entries = 4});
  ASSERT_EQ(r.bind_to_this_thread(), 0);
  EXPECT_FALSE(r.descriptor_registered());
  r.enter();
  EXPECT_EQ(k.last_fd, 1000);
  EXPECT_EQ(k.last_flags, 0u);
}

TEST(RingEnter, waiting_asks_for_events_and_not_for_iowait_where_that_can_be_said) {
  for (const bool can : {false, true}) {
    fake_kernel k;
    if (can) k.features |= abi::feat_no_iowait;
    ring r(k, {.entries = 4});
    ASSERT_EQ(r.bind_to_this_thread(), 0);
    r.enter(1);
    EXPECT_EQ(k.last_flags & ~abi::enter_registered_ring,
              abi::enter_getevents | (can ? abi::enter_no_iowait : 0u));
    EXPECT_FALSE(k.saw_timeout);
    const abi::timespec64 limit{0, 1};
    r.enter(1, &limit);
    EXPECT_NE(k.last_flags & abi::enter_ext_arg, 0u);
    EXPECT_TRUE(k.saw_timeout);
    r.enter(0, nullptr, abi::enter_getevents);
    EXPECT_EQ(k.last_flags & ~abi::enter_registered_ring, abi::enter_getevents);
    EXPECT_EQ(r.enters, 3u);
  }
}

TEST(RingEnter, entries_stay_queued_when_enter_fails) {
  for (const int error : {EINTR, EAGAIN, EBUSY}) {
    fake_kernel k;
    ring r(k, {.entries = 2});
    ASSERT_EQ(r.bind_to_this_thread(), 0);
    for (std::uint64_t i = 0; i < 2; ++i) {
      abi::sqe* entry = r.take();
      clear(*entry);
      entry->user_data = i;
    }
    k.enter_error = error;
    EXPECT_EQ(r.enter(), -error);
    EXPECT_EQ(r.unsubmitted(), 2u);
    EXPECT_EQ(r.take(), nullptr);
    EXPECT_EQ(r.enter(), 2);
    EXPECT_EQ(r.unsubmitted(), 0u);
    EXPECT_EQ(r.reap([](const abi::cqe&) {}), 2u);
  }
}

TEST(RingEnter, the_kernels_wish_to_be_entered_is_seen) {
  for (const auto flag : {abi::sq_cq_overflow, abi::sq_taskrun, abi::sq_need_wakeup}) {
    fake_kernel k;
    ring r(k, {.entries = 4});
    EXPECT_FALSE(r.kernel_wants_enter());
    k.raise_flag(flag);
    EXPECT_TRUE(r.kernel_wants_enter());
  }
}

TEST(RingSetupDeathTest, entering_an_unbound_ring_says_what_to_do) {
  fake_kernel k;
  ring r(k, {.entries = 4});
  EXPECT_DEATH(r.enter(), "bind_to_this_thread");
}

}  // namespace
}  // namespace parkring::ring
