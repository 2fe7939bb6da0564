#include "ring/capabilities.hpp"

#include <gtest/gtest.h>
#include <sys/utsname.h>

#include "ring/fake_kernel.hpp"

namespace parkring::ring {
namespace {

namespace abi = kernel::abi;

TEST(Capabilities, this_machine_is_asked_once) { EXPECT_EQ(&this_machine(), &this_machine()); }

TEST(Capabilities, this_machine_has_a_ring_or_says_why_not) {
  const capabilities& here = this_machine();
  if (here.available()) {
    EXPECT_TRUE(here.has(abi::op_nop));
    EXPECT_TRUE(here.has(abi::op_read));
    EXPECT_FALSE(here.opcodes[255]);
    EXPECT_TRUE(here.has_feature(abi::feat_ext_arg | abi::feat_nodrop));
    EXPECT_FALSE(here.has_feature(1u << 31));
    EXPECT_TRUE(here.has_setup_flag(abi::setup_clamp));
  } else {
    EXPECT_FALSE(here.why.reason.empty());
    EXPECT_FALSE(here.why.remedy.empty());
    EXPECT_TRUE(here.opcodes.none());
  }
}

TEST(Capabilities, the_release_is_that_of_the_running_kernel) {
  utsname names{};
  ASSERT_EQ(::uname(&names), 0);
  EXPECT_EQ(surroundings::read().release, names.release);
}

TEST(Capabilities, a_refusing_kernel_is_reported_and_not_thrown) {
  fake_kernel k;
  k.setup_error = EPERM;
  const capabilities found = probe(k);
  EXPECT_FALSE(found.available());
  EXPECT_EQ(found.error, EPERM);
  EXPECT_EQ(found.why.reason, explain_setup_error(EPERM, found.around).reason);
}

TEST(Capabilities, what_the_kernel_answers_is_what_is_told) {
  fake_kernel k;
  k.known_flags = ~(abi::setup_no_sqarray | abi::setup_defer_taskrun);
  k.registers_descriptors = false;
  const capabilities found = probe(k);
  EXPECT_TRUE(found.available());
  EXPECT_FALSE(found.has_setup_flag(abi::setup_defer_taskrun));
  EXPECT_TRUE(found.has_setup_flag(abi::setup_coop_taskrun));
  EXPECT_FALSE(found.registered_descriptor);
  EXPECT_TRUE(found.opcodes.none());  // the fake's probe names none
  EXPECT_EQ(k.released, 1);
}

TEST(Capabilities, each_set_up_flag_is_tried_with_what_it_needs) {
  fake_kernel k;
  k.known_flags = ~(abi::setup_cqe_mixed | abi::setup_sqe_mixed);
  const auto trials = try_setup_flags(k);
  ASSERT_FALSE(trials.empty());
  for (const flag_trial& t : trials) {
    EXPECT_EQ(t.error, (t.flag & k.known_flags) != 0 ? 0 : EINVAL) << t.name;
    EXPECT_EQ(t.tried_set & t.flag, t.flag) << t.name;
    if (t.flag == abi::setup_defer_taskrun) {
      EXPECT_NE(t.tried_set & abi::setup_single_issuer, 0u);
    }
  }
  EXPECT_EQ(k.released, static_cast<int>(trials.size()) - 2);
}

TEST(Capabilities, the_ring_of_this_machine_uses_only_flags_that_a_trial_takes) {
  if (!this_machine().available()) GTEST_SKIP() << this_machine().why.reason;
  const auto trials = try_setup_flags(kernel::linux_kernel());
  for (const flag_trial& t : trials) {
    if (this_machine().has_setup_flag(t.flag)) {
      EXPECT_EQ(t.error, 0) << t.name;
    }
  }
}

}  // namespace
}  // namespace parkring::ring
