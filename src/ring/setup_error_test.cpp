#include "ring/setup_error.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "ring/fake_kernel.hpp"
#include "ring/ring.hpp"

namespace parkring::ring {
namespace {

surroundings plain() {
  surroundings around;
  around.release = "6.1.0";
  around.io_uring_disabled = 0;
  around.seccomp_mode = 0;
  around.memlock_bytes = 64 * 1024;
  return around;
}

bool says(const std::string& text, const char* words) {
  return text.find(words) != std::string::npos;
}

TEST(SetupError, a_refusal_names_the_sysctl_when_that_is_set) {
  surroundings around = plain();
  around.seccomp_mode = 2;
  for (const int value : {1, 2}) {
    around.io_uring_disabled = value;
    const explanation why = explain_setup_error(EPERM, around);
    EXPECT_TRUE(says(why.reason, "kernel.io_uring_disabled")) << why.reason;
    EXPECT_TRUE(says(why.remedy, "kernel.io_uring_disabled to 0")) << why.remedy;
  }
  EXPECT_TRUE(says(explain_setup_error(EPERM, around).reason, "all processes"));
}

TEST(SetupError, a_refusal_under_a_filter_names_the_seccomp_profile) {
  surroundings around = plain();
  around.seccomp_mode = 2;
  const explanation why = explain_setup_error(EPERM, around);
  EXPECT_TRUE(says(why.reason, "seccomp")) << why.reason;
  EXPECT_TRUE(says(why.remedy, "io_uring_enter")) << why.remedy;
  EXPECT_FALSE(says(explain_setup_error(EPERM, plain()).reason, "seccomp"));
}

TEST(SetupError, a_missing_call_names_the_kernel_and_the_one_needed) {
  const explanation why = explain_setup_error(ENOSYS, plain());
  EXPECT_TRUE(says(why.reason, "6.1.0")) << why.reason;
  EXPECT_FALSE(says(why.reason, "seccomp")) << why.reason;
  EXPECT_TRUE(says(why.remedy, "CONFIG_IO_URING")) << why.remedy;
  surroundings filtered = plain();
  filtered.seccomp_mode = 2;
  EXPECT_TRUE(says(explain_setup_error(ENOSYS, filtered).reason, "seccomp"));
}

TEST(SetupError, lack_of_memory_names_the_limit_unless_there_is_none) {
  EXPECT_TRUE(says(explain_setup_error(ENOMEM, plain()).reason, "64 KiB"));
  EXPECT_TRUE(says(explain_setup_error(ENOMEM, plain()).remedy, "ulimit -l"));
  surroundings unlimited = plain();
  unlimited.memlock_unlimited = true;
  EXPECT_FALSE(says(explain_setup_error(ENOMEM, unlimited).remedy, "ulimit -l"));
}

TEST(SetupError, lack_of_descriptors_says_whose) {
  EXPECT_TRUE(says(explain_setup_error(EMFILE, plain()).reason, "process"));
  EXPECT_TRUE(says(explain_setup_error(ENFILE, plain()).reason, "machine"));
}

TEST(SetupError, the_exception_names_the_call_the_errno_and_the_remedy) {
  for (const int error : {EPERM, ENOSYS, ENOMEM, EMFILE}) {
    fake_kernel k;
    k.setup_error = error;
    try {
      ring r(k, {.entries = 32});
      FAIL() << "the ring was made";
    } catch (const std::system_error& failure) {
      const std::string text = failure.what();
      EXPECT_EQ(failure.code().value(), error);
      EXPECT_TRUE(says(text, "io_uring_setup of 32 entries")) << text;
      EXPECT_TRUE(says(text, errno_name(error).c_str())) << text;
      const explanation why = explain_setup_error(error, surroundings::read());
      EXPECT_TRUE(says(text, why.reason.c_str())) << text;
      EXPECT_TRUE(says(text, why.remedy.c_str())) << text;
    }
  }
}

TEST(SetupError, numbers_without_a_name_are_still_told) {
  EXPECT_EQ(errno_name(EPERM), "EPERM");
  EXPECT_EQ(errno_name(100000), "errno 100000");
}

}  // namespace
}  // namespace parkring::ring
