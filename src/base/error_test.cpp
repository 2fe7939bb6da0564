#include <parkring/error.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace parkring {
namespace {

TEST(Error, a_message_names_operation_subject_errno_and_remedy) {
  const error e(ENOENT, "open", "/data/x", "check the path");
  EXPECT_EQ(e.message(), "open(/data/x): ENOENT, No such file or directory; check the path");
}

TEST(Error, a_message_without_advice_ends_with_the_meaning) {
  const error e(EIO, "sync", "/data/x");
  EXPECT_EQ(e.message(), "sync(/data/x): EIO, Input/output error");
}

TEST(Error, an_unknown_number_is_named_by_its_digits) {
  EXPECT_EQ(detail::errno_name(2), "ENOENT");
  EXPECT_EQ(detail::errno_name(4095), "errno 4095");
  EXPECT_EQ(error(4095, "nop", "").message(), "nop(): errno 4095");
}

TEST(Error, its_code_compares_with_the_standard_conditions) {
  const error e(ENOENT, "open", "x");
  EXPECT_EQ(e.code(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(e.number(), ENOENT);
  EXPECT_EQ(e.operation(), "open");
  EXPECT_EQ(e.subject(), "x");
}

TEST(Error, an_io_error_is_a_system_error_with_the_whole_text) {
  error e(EIO, "write_all_at", "/data/x", "after 5 of 9 bytes");
  e.set_transferred(5);
  try {
    throw io_error(e);
  } catch (const std::system_error& caught) {
    EXPECT_EQ(caught.code(), std::errc::io_error);
    EXPECT_EQ(caught.what(), e.message());
    EXPECT_EQ(dynamic_cast<const io_error&>(caught).error().transferred(), 5U);
  }
}

}  // namespace
}  // namespace parkring
