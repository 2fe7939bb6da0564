#include "ring/choice.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "ring/fake_kernel.hpp"

namespace parkring::ring {
namespace {

constexpr const char* young = "6.18.2-generic";
using enum wanted_kernel;

TEST(ChooseKernel, linux_is_first_and_may_be_replaced) {
  for (const char* variable : {static_cast<const char*>(nullptr), ""}) {
    const choice c = choose_kernel(any, variable, young);
    EXPECT_EQ(c.served_by, &kernel::linux_kernel());
    EXPECT_EQ(c.why, "Linux 6.18 offers io_uring");
    EXPECT_TRUE(c.if_it_can);
  }
  EXPECT_TRUE(choose_kernel(any, nullptr, "6.1.0-13-amd64").if_it_can);
  EXPECT_TRUE(choose_kernel(any, nullptr, "10.0").if_it_can);
}

TEST(ChooseKernel, a_release_that_reads_like_nothing_counts_as_new) {
  for (const char* release : {"", "unknown", "6"}) {
    EXPECT_EQ(choose_kernel(any, nullptr, release).served_by, &kernel::linux_kernel()) << release;
  }
}

TEST(ChooseKernel, an_old_linux_is_served_by_threads) {
  for (const char* release : {"5.15.0-91-generic", "6.0.19", "4.19"}) {
    const choice c = choose_kernel(any, nullptr, release);
    EXPECT_EQ(c.served_by, &kernel::threads_kernel()) << release;
    EXPECT_NE(c.why.find(release), std::string::npos) << c.why;
    EXPECT_NE(c.why.find("6.1"), std::string::npos) << c.why;
  }
}

TEST(ChooseKernel, the_environment_forces) {
  const choice rings = choose_kernel(any, "linux", "5.4.0");
  EXPECT_EQ(rings.served_by, &kernel::linux_kernel());
  EXPECT_EQ(rings.why, "PARKRING_KERNEL=linux asks for it");
  EXPECT_FALSE(rings.instead(EPERM, {})) << "what is forced is not replaced";
  const choice threads = choose_kernel(any, "threads", young);
  EXPECT_EQ(threads.served_by, &kernel::threads_kernel());
  EXPECT_EQ(threads.why, "PARKRING_KERNEL=threads asks for it");
}

TEST(ChooseKernel, another_value_is_an_error_that_names_the_legal_ones) {
  try {
    (void)choose_kernel(any, "posix", young);
    FAIL() << "it was taken";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::invalid_argument);
    const std::string text = e.what();
    for (const char* word : {"PARKRING_KERNEL", "posix", "linux", "threads"})
      EXPECT_NE(text.find(word), std::string::npos) << text;
  }
}

TEST(ChooseKernel, the_program_comes_before_the_environment_and_a_world_before_both) {
  EXPECT_EQ(choose_kernel(linux_rings, "threads", young).served_by, &kernel::linux_kernel());
  EXPECT_EQ(choose_kernel(threads, "linux", young).served_by, &kernel::threads_kernel());
  EXPECT_FALSE(choose_kernel(linux_rings, nullptr, young).if_it_can);
  fake_kernel world;
  {
    const kernel::this_thread_kernel_scope scope(world);
    for (const wanted_kernel w : {any, linux_rings, threads}) {
      const choice c = choose_kernel(w, "threads", young);
      EXPECT_EQ(c.served_by, &world);
      EXPECT_FALSE(c.if_it_can);
    }
  }
  EXPECT_EQ(kernel::this_thread_kernel, nullptr);
}

TEST(ChooseKernel, a_refused_ring_is_replaced_with_the_reason_in_words) {
  const choice first = choose_kernel(any, nullptr, young);
  surroundings filtered;
  filtered.seccomp_mode = 2;
  for (const int error : {EPERM, EACCES, ENOSYS, ENOMEM}) {
    const auto next = first.instead(error, filtered);
    ASSERT_TRUE(next) << error;
    EXPECT_EQ(next->served_by, &kernel::threads_kernel());
    EXPECT_EQ(next->why, explain_setup_error(error, filtered).reason);
    EXPECT_FALSE(next->if_it_can);
  }
  EXPECT_NE(first.instead(EPERM, filtered)->why.find("seccomp filter"), std::string::npos);
}

TEST(ChooseKernel, what_threads_would_not_help_against_is_told) {
  const choice first = choose_kernel(any, nullptr, young);
  for (const int error : {EMFILE, ENFILE, EINVAL, EFAULT})
    EXPECT_FALSE(first.instead(error, {})) << error;
}

TEST(TryKernel, a_kernel_that_refuses_is_told_when_it_may_not_be_replaced) {
  fake_kernel refusing;
  refusing.setup_error = EPERM;
  const kernel::this_thread_kernel_scope scope(refusing);
  EXPECT_THROW((void)try_kernel(any), setup_failed);
}

TEST(TryKernel, a_kernel_that_makes_rings_is_chosen_and_gets_its_ring_back) {
  fake_kernel able;
  const kernel::this_thread_kernel_scope scope(able);
  EXPECT_EQ(try_kernel(any).served_by, &able);
  EXPECT_EQ(able.released, 1);
}

}  // namespace
}  // namespace parkring::ring
