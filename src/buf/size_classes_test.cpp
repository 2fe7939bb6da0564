#include "size_classes.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstddef>
#include <cstdint>

namespace parkring::buf {
namespace {

TEST(SizeClasses, ascend_from_the_smallest_block_to_the_largest) {
  EXPECT_EQ(class_sizes.front(), smallest_block);
  EXPECT_EQ(class_sizes.back(), largest_block);
  for (std::size_t i = 1; i < class_count; ++i) EXPECT_LT(class_sizes[i - 1], class_sizes[i]);
}

TEST(SizeClasses, the_smallest_sufficient_class_is_chosen) {
  std::size_t expected = 0;
  for (std::size_t size = 0; size <= largest_block; ++size) {
    if (size > class_sizes[expected]) ++expected;
    ASSERT_EQ(class_of(size), expected) << size;
  }
  EXPECT_EQ(class_of(largest_block + 1), class_count);
  EXPECT_EQ(class_of(SIZE_MAX), class_count);
}

TEST(SizeClasses, every_class_is_aligned_for_direct_io) {
  for (std::size_t i = 0; i < class_count; ++i) {
    EXPECT_GE(alignment_of_class(i), 512U) << class_sizes[i];
    EXPECT_EQ(class_sizes[i] % alignment_of_class(i), 0U);
    if (class_sizes[i] >= 4096) {
      EXPECT_EQ(alignment_of_class(i), 4096U);
    }
    if (std::has_single_bit(class_sizes[i]) && class_sizes[i] <= 4096) {
      EXPECT_EQ(alignment_of_class(i), class_sizes[i]);
    }
  }
}

TEST(SizeClasses, alignment_moves_a_request_to_a_class_that_has_it) {
  EXPECT_EQ(class_sizes[class_of(1, 1)], 512U);
  EXPECT_EQ(class_sizes[class_of(0, 4096)], 4096U);
  EXPECT_EQ(class_sizes[class_of(1100, 1024)], 2048U);
  EXPECT_EQ(class_sizes[class_of(3000, 1024)], 3072U);
  EXPECT_EQ(class_sizes[class_of(3000, 2048)], 4096U);
  EXPECT_EQ(class_sizes[class_of(12'000, 4096)], 12'288U);
  EXPECT_EQ(class_of(1, 8192), class_count);
}

TEST(SizeClasses, a_run_holds_whole_blocks_and_ends_on_a_page) {
  for (std::size_t i = 0; i < class_count; ++i) {
    EXPECT_EQ(run_of_class(i) % class_sizes[i], 0U);
    EXPECT_EQ(run_of_class(i) % 4096, 0U);
    EXPECT_LE(run_of_class(i), largest_block);
  }
}

}  // namespace
}  // namespace parkring::buf
