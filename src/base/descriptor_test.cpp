#include "base/descriptor.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "base/owned_fd.hpp"

namespace parkring::base {
namespace {

int closed_simulated = -1;

struct CloseDescriptor : testing::Test {
  void SetUp() override {
    closed_simulated = -1;
    close_simulated.store(
        [](int fd) noexcept {
          closed_simulated = fd;
          return fd == first_simulated_descriptor + 9 ? -EIO : 0;
        },
        std::memory_order_release);
  }
  void TearDown() override { close_simulated.store(nullptr, std::memory_order_release); }
};

TEST_F(CloseDescriptor, the_process_closes_its_own) {
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(close_descriptor(fd), 0);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  EXPECT_EQ(close_descriptor(-1), -EBADF);
  EXPECT_EQ(closed_simulated, -1);
}

TEST_F(CloseDescriptor, the_simulated_machine_closes_its_own) {
  EXPECT_EQ(close_descriptor(first_simulated_descriptor), 0);
  EXPECT_EQ(closed_simulated, first_simulated_descriptor);
  EXPECT_EQ(close_descriptor(first_simulated_descriptor + 9), -EIO);
}

TEST_F(CloseDescriptor, without_a_simulated_machine_its_numbers_are_not_open) {
  close_simulated.store(nullptr, std::memory_order_release);
  EXPECT_EQ(close_descriptor(first_simulated_descriptor), -EBADF);
}

TEST_F(CloseDescriptor, an_owner_closes_where_the_descriptor_came_from) {
  { const owned_fd fd(first_simulated_descriptor + 3); }
  EXPECT_EQ(closed_simulated, first_simulated_descriptor + 3);
  owned_fd released(first_simulated_descriptor + 4);
  EXPECT_EQ(released.release(), first_simulated_descriptor + 4);
  EXPECT_EQ(closed_simulated, first_simulated_descriptor + 3);
}

}  // namespace
}  // namespace parkring::base
