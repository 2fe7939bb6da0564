#include "base/crc32c.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace parkring::base {
namespace {

std::span<const std::byte> bytes_of(std::string_view s) { return std::as_bytes(std::span(s)); }

std::vector<std::byte> counted(std::size_t size) {
  std::vector<std::byte> v(size);
  for (std::size_t i = 0; i < size; ++i) v[i] = static_cast<std::byte>(i * 131 + (i >> 8));
  return v;
}

// RFC 3720, B.4, and the check value of the catalogue of CRCs.
TEST(Crc32c, gives_the_published_values) {
  const std::vector<std::byte> zeros(32), ones(32, std::byte{0xFF});
  std::vector<std::byte> up(32);
  for (std::size_t i = 0; i < 32; ++i) up[i] = static_cast<std::byte>(i);
  for (const auto f : {&crc32c, &crc32c_by_table}) {
    EXPECT_EQ(f(bytes_of("123456789"), 0), 0xE3069283U);
    EXPECT_EQ(f(zeros, 0), 0x8A9136AAU);
    EXPECT_EQ(f(ones, 0), 0x62A8AB43U);
    EXPECT_EQ(f(up, 0), 0x46DD794EU);
    EXPECT_EQ(f({}, 0), 0U);
  }
}

TEST(Crc32c, of_two_parts_is_that_of_both_together) {
  const auto all = counted(300);
  const std::span<const std::byte> whole(all);
  for (std::size_t at = 0; at <= all.size(); ++at)
    EXPECT_EQ(crc32c(whole.subspan(at), crc32c(whole.first(at))), crc32c(whole)) << at;
}

TEST(Crc32c, by_instruction_and_by_table_is_the_same_at_every_length_and_alignment) {
  const auto all = counted(2'100);
  const std::span<const std::byte> whole(all);
  for (std::size_t from = 0; from < 9; ++from)
    for (std::size_t size = 0; size < 2'050; size += size < 150 ? 1 : 37)
      EXPECT_EQ(crc32c(whole.subspan(from, size), 7),
                crc32c_by_table(whole.subspan(from, size), 7));
}

}  // namespace
}  // namespace parkring::base
