// Which kernel a runtime gets, where io_uring is there and where a filter refuses it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

#include <parkring/parkring.hpp>

#include "support/child_process.hpp"
#include "support/privileges.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using testing::AllOf;
using testing::HasSubstr;

namespace {

constexpr long sys_setup = 425, sys_enter = 426, sys_register = 427;  // the same on all machines

/// Prints what serves `rt` and why, and does some work on it: 0 when that went well.
int work_on(pr::runtime& rt) {
  std::fprintf(stderr, "[%s: %s]\n", std::string(rt.kernel()).c_str(),
               std::string(rt.kernel_reason()).c_str());
  scratch dir;
  const auto path = dir.file("f", "");
  return rt.run(
      [](std::filesystem::path p) -> pr::task<int> {
        co_await pr::fs::write_file(p, std::string(100'000, 'x'));
        auto f = co_await pr::fs::open(
            p, {.access = pr::fs::access::read_write, .inline_first = pr::fs::inline_mode::never});
        co_await f.truncate(70'000);
        pr::buffer b(80'000);
        const auto n = co_await f.read_at(b, 0);
        auto fn = [] { return 5; };
        const int five = co_await pr::blocking(fn);
        co_await pr::sleep_for(std::chrono::microseconds(10));
        co_return n == 70'000 && five == 5 ? 0 : 1;
      },
      path);
}

int run_and_tell(const pr::runtime_options& options = {}) {
  try {
    pr::runtime rt(options);
    return work_on(rt);
  } catch (const std::system_error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 50;
  }
}

struct ChoiceOfKernel : testing::Test {
  static child_result with_variable(const char* value, const pr::runtime_options& options = {}) {
    return in_child([&] {
      ::setenv("PARKRING_KERNEL", value, 1);
      return run_and_tell(options);
    });
  }
  // In a child: the choice is the library's.
  static bool refuse_io_uring(int error) {
    ::unsetenv("PARKRING_KERNEL");
    return deny_syscalls({sys_setup, sys_enter, sys_register}, error);
  }
};

TEST_F(ChoiceOfKernel, where_io_uring_is_refused_the_library_works_and_says_why) {
  for (const int error : {EPERM, EACCES, ENOSYS, ENOMEM}) {
    const auto r = in_child([&] { return refuse_io_uring(error) ? run_and_tell() : 77; });
    if (r.status == 77) GTEST_SKIP() << "cannot install a seccomp filter";
    EXPECT_EQ(r.status, 0) << r;
    EXPECT_THAT(r.output, HasSubstr("[threads: "));
    EXPECT_THAT(r.output, HasSubstr(error == ENOMEM ? "memory" : "seccomp filter"));
  }
}

TEST_F(ChoiceOfKernel, a_filter_that_comes_later_is_met_by_the_next_runtime) {
  const auto r = in_child([&] {
    ::unsetenv("PARKRING_KERNEL");
    if (const int first = run_and_tell(); first != 0) return first;
    return refuse_io_uring(EPERM) ? run_and_tell() : 77;
  });
  if (r.status == 77) GTEST_SKIP() << "cannot install a seccomp filter";
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_THAT(r.output, HasSubstr("[threads: a seccomp filter"));
}

TEST_F(ChoiceOfKernel, a_filter_that_lets_rings_be_made_but_not_entered_is_met_too) {
  for (const long number : {sys_enter, sys_register}) {
    const auto r = in_child([&] {
      ::unsetenv("PARKRING_KERNEL");
      return deny_syscalls({number}, EPERM) ? run_and_tell() : 77;
    });
    if (r.status == 77) GTEST_SKIP() << "cannot install a seccomp filter";
    EXPECT_EQ(r.status, 0) << r;
    EXPECT_THAT(r.output, HasSubstr("[threads: ")) << number;
  }
}

TEST_F(ChoiceOfKernel, a_ring_that_is_too_large_for_the_limit_of_memory_is_replaced) {
  if (io_uring_is_refused()) GTEST_SKIP() << "a limit of io_uring, which is refused here";
  const auto r = in_child([] {
    ::unsetenv("PARKRING_KERNEL");
    if (!limit(RLIMIT_MEMLOCK, 0) || !drop_privileges()) return 77;
    return run_and_tell();  // kernels that do not count the ring itself make it all the same
  });
  if (r.status == 77) GTEST_SKIP() << "cannot become an ordinary user";
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_THAT(r.output, testing::AnyOf(HasSubstr("[linux: "), HasSubstr("[threads: no memory")));
}

TEST_F(ChoiceOfKernel, the_environment_asks_for_threads) {
  const auto r = with_variable("threads");
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_THAT(r.output, HasSubstr("[threads: PARKRING_KERNEL=threads asks for it]"));
}

TEST_F(ChoiceOfKernel, what_the_environment_forces_is_not_replaced) {
  const auto r = in_child([&] {
    if (!refuse_io_uring(EPERM)) return 77;
    ::setenv("PARKRING_KERNEL", "linux", 1);
    return run_and_tell();
  });
  if (r.status == 77) GTEST_SKIP() << "cannot install a seccomp filter";
  EXPECT_EQ(r.status, 50) << r;
  EXPECT_THAT(r.output, AllOf(HasSubstr("EPERM"), HasSubstr("seccomp profile")));
}

TEST_F(ChoiceOfKernel, another_value_is_refused_and_the_legal_ones_named) {
  const auto r = with_variable("epoll");
  EXPECT_EQ(r.status, 50) << r;
  EXPECT_THAT(r.output, AllOf(HasSubstr("PARKRING_KERNEL"), HasSubstr("epoll"), HasSubstr("linux"),
                              HasSubstr("threads")));
}

TEST_F(ChoiceOfKernel, the_options_come_before_the_environment) {
  const auto r = with_variable("linux", {.kernel = pr::kernel_choice::threads});
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_THAT(r.output, HasSubstr("[threads: runtime_options::kernel asks for threads]"));
}

TEST_F(ChoiceOfKernel, two_kernels_serve_one_program_side_by_side) {
  pr::runtime threads({.kernel = pr::kernel_choice::threads});
  pr::runtime other;
  EXPECT_EQ(work_on(threads), 0);
  EXPECT_EQ(work_on(other), 0);
  EXPECT_EQ(work_on(threads), 0);
  EXPECT_EQ(threads.kernel(), "threads");
}

}  // namespace
