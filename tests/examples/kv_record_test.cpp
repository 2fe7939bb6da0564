// The records of examples/kv_store.
#include <gtest/gtest.h>

#include <string>

#include "kv_store/record.hpp"

namespace {

std::string one_record() {
  std::string bytes;
  kv::append_record(bytes, 0x123456789abcull, "key", "some value");
  return bytes;
}

TEST(KvRecord, the_checksum_is_crc32c) {
  EXPECT_EQ(kv::crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(kv::crc32c(std::string(32, '\0')), 0x8A9136AAu);
}

TEST(KvRecord, is_read_as_it_was_written) {
  std::string bytes = one_record();
  kv::append_record(bytes, 2, "", "");
  kv::append_record(bytes, 3, std::string("a\0b", 3), std::nullopt);
  std::string_view rest(bytes);
  auto r = kv::parse_record(rest);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->sequence, 0x123456789abcull);
  EXPECT_EQ(r->key, "key");
  EXPECT_EQ(r->value, "some value");
  rest.remove_prefix(r->size);
  r = kv::parse_record(rest);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->key, "");
  EXPECT_EQ(r->value, "");
  rest.remove_prefix(r->size);
  r = kv::parse_record(rest);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->key, std::string_view("a\0b", 3));
  EXPECT_FALSE(r->value) << "deleted is not empty";
  rest.remove_prefix(r->size);
  EXPECT_TRUE(rest.empty());
}

TEST(KvRecord, a_torn_one_is_none_at_whatever_length) {
  const std::string bytes = one_record();
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(kv::parse_record(bytes.substr(0, n)));
}

TEST(KvRecord, a_flipped_bit_makes_it_invalid_wherever_it_is) {
  const std::string bytes = one_record();
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(kv::parse_record(damaged)) << "bit " << bit;
  }
}

TEST(KvRecord, zeros_are_none) { EXPECT_FALSE(kv::parse_record(std::string(4096, '\0'))); }

}  // namespace
