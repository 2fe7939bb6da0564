#include "load.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

namespace lab {
namespace {

constexpr std::uint64_t no_time_limit = 1ULL << 60;

std::vector<std::byte> file_of(std::size_t units) {
  std::vector<std::byte> file(units * unit_bytes);
  for (std::size_t i = 0; i < units; ++i) fill_unit(i, file.data() + i * unit_bytes);
  return file;
}

row reads(unsigned depth, bool checksum, std::size_t block) {
  row what{.name = "test", .kind = work::read, .depth = depth};
  what.part = extent::whole_file;
  what.checksum = checksum;
  what.block = block;
  return what;
}

TEST(Load, it_lets_exactly_the_number_of_operations_pass) {
  const block_table table(file_of(16));
  for (const std::uint64_t number : {1, 60, 61, 62, 122, 1000}) {
    load stream(reads(1, false, 4096), table,
                {.operations = number, .nanoseconds = no_time_limit, .verify_each = false});
    std::uint64_t passed = 0;
    std::uint64_t offset = 0;
    while (stream.next(0, offset)) {
      ++passed;
      stream.done(0, nullptr, 4096);
    }
    EXPECT_EQ(passed, number);
    EXPECT_FALSE(stream.next(0, offset)) << "an ended stream stays ended";
    EXPECT_EQ(stream.operations(), number);
  }
}

TEST(Load, random_offsets_are_whole_blocks_within_the_file_and_reach_all_of_it) {
  const block_table table(file_of(16));
  load stream(reads(1, false, 4096), table,
              {.operations = 2000, .nanoseconds = no_time_limit, .verify_each = false});
  std::set<std::uint64_t> seen;
  std::uint64_t offset = 0;
  while (stream.next(0, offset)) {
    EXPECT_EQ(offset % 4096, 0U);
    EXPECT_LT(offset, 16U * 4096);
    seen.insert(offset);
    stream.done(0, nullptr, 4096);
  }
  EXPECT_EQ(seen.size(), 16U);
}

TEST(Load, one_operation_in_sixty_one_is_timed) {
  const block_table table(file_of(16));
  load stream(reads(1, false, 4096), table,
              {.operations = 6100, .nanoseconds = no_time_limit, .verify_each = false});
  std::uint64_t offset = 0;
  while (stream.next(0, offset)) stream.done(0, nullptr, 4096);
  EXPECT_EQ(stream.latencies_ns().size(), 99U);  // the first one is not timed
}

TEST(Load, a_checksum_row_reads_every_block_once_and_accepts_the_right_sum_in_any_order) {
  const auto file = file_of(64);
  const block_table table(file);
  load stream(reads(4, true, 4 * unit_bytes), table,
              {.operations = 1'000'000, .nanoseconds = no_time_limit, .verify_each = false});
  std::vector<std::uint64_t> offsets(4);
  for (unsigned turn = 0; turn < 4; ++turn) {
    for (unsigned slot = 0; slot < 4; ++slot) ASSERT_TRUE(stream.next(slot, offsets[slot]));
    for (unsigned slot = 4; slot-- > 0;)
      stream.done(slot, file.data() + offsets[slot], 4 * unit_bytes);
  }
  EXPECT_FALSE(stream.next(0, offsets[0]));
  EXPECT_EQ(stream.verified_share(), 1.0);
}

TEST(Load, a_row_in_order_begins_anew_at_the_end_of_the_file) {
  const block_table table(file_of(3));
  row what = reads(1, false, unit_bytes);
  what.in_order = true;
  load stream(what, table, {.operations = 7, .nanoseconds = no_time_limit, .verify_each = false});
  std::vector<std::uint64_t> units;
  for (std::uint64_t offset = 0; stream.next(0, offset); stream.done(0, nullptr, unit_bytes))
    units.push_back(offset / unit_bytes);
  EXPECT_EQ(units, (std::vector<std::uint64_t>{0, 1, 2, 0, 1, 2, 0}));
}

using LoadDeathTest = testing::Test;

TEST(LoadDeathTest, one_changed_byte_ends_a_verified_run) {
  auto file = file_of(16);
  const block_table table(file);
  for (std::size_t unit = 0; unit < 16; ++unit) file[unit * unit_bytes + 100] ^= std::byte{1};
  load stream(reads(1, false, 4096), table,
              {.operations = 1, .nanoseconds = no_time_limit, .verify_each = true});
  std::uint64_t offset = 0;
  ASSERT_TRUE(stream.next(0, offset));
  EXPECT_DEATH(stream.done(0, file.data() + offset, 4096), "wrong bytes were read at offset");
}

TEST(LoadDeathTest, a_block_read_to_the_wrong_place_makes_the_checksum_wrong) {
  const auto file = file_of(8);
  const block_table table(file);
  load stream(reads(1, true, unit_bytes), table,
              {.operations = 8, .nanoseconds = no_time_limit, .verify_each = false});
  std::uint64_t offset = 0;
  while (stream.next(0, offset)) stream.done(0, file.data(), unit_bytes);
  EXPECT_DEATH((void)stream.verified_share(), "checksum of the first 32768 bytes is wrong");
}

TEST(LoadDeathTest, a_short_read_ends_the_run) {
  const block_table table(file_of(16));
  load stream(reads(1, false, 4096), table,
              {.operations = 1, .nanoseconds = no_time_limit, .verify_each = false});
  std::uint64_t offset = 0;
  ASSERT_TRUE(stream.next(0, offset));
  EXPECT_DEATH(stream.done(0, nullptr, 100), "returned 100 instead of 4096 bytes");
}

TEST(BlockTable, the_sum_of_a_unit_depends_on_the_order_of_its_words) {
  std::vector<std::byte> unit(unit_bytes);
  fill_unit(7, unit.data());
  const auto before = sum_of_unit(unit.data());
  std::vector<std::byte> word(unit.begin(), unit.begin() + 8);
  std::memcpy(unit.data(), unit.data() + 64, 8);
  std::memcpy(unit.data() + 64, word.data(), 8);
  EXPECT_NE(sum_of_unit(unit.data()), before);
}

}  // namespace
}  // namespace lab
