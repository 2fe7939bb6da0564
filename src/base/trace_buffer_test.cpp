#include "base/trace_buffer.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace parkring::base {
namespace {

constexpr std::size_t small = 1024 * 16;  // bytes: 1,024 slots

TEST(TraceBuffer, keeps_what_was_published_in_order) {
  trace_buffer b(small);
  std::uint64_t lost = 1;
  EXPECT_TRUE(b.read(lost).empty());
  for (std::uint64_t i = 0; i < 100; ++i) b.add(i, i * 3);
  EXPECT_TRUE(b.read(lost).empty());
  b.publish();
  const auto all = b.read(lost);
  ASSERT_EQ(all.size(), 100u);
  EXPECT_EQ(lost, 0u);
  for (std::uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(all[i].first, i);
    EXPECT_EQ(all[i].second, i * 3);
  }
}

TEST(TraceBuffer, the_oldest_go_when_it_is_full) {
  trace_buffer b(small);
  constexpr std::uint64_t n = 5000;
  for (std::uint64_t i = 0; i < n; ++i) b.add(i, 0);
  b.publish();
  std::uint64_t lost = 0;
  const auto all = b.read(lost);
  ASSERT_FALSE(all.empty());
  EXPECT_LE(all.size(), 1024u);
  EXPECT_GE(all.size(), 900u);
  EXPECT_EQ(lost + all.size(), n);
  EXPECT_EQ(all.front().first, lost);
  EXPECT_EQ(all.back().first, n - 1);
}

TEST(TraceBuffer, a_reader_beside_the_writer_sees_no_torn_or_missing_slot) {
  trace_buffer b(small);
  std::atomic<bool> end{false};
  std::thread writer([&] {
    std::uint64_t i = 0;
    do {  // once at least, also when it begins after the reader has ended
      b.add(i, ~i);
      if (i % 7 == 0) b.publish();
      ++i;
    } while (!end.load(std::memory_order_relaxed));
  });
  for (int round = 0; round < 300; ++round) {
    std::uint64_t lost = 0;
    const auto all = b.read(lost);
    for (std::size_t k = 0; k < all.size(); ++k) {
      ASSERT_EQ(all[k].first, lost + k);
      ASSERT_EQ(all[k].second, ~all[k].first);
    }
    if (all.empty()) std::this_thread::yield();
  }
  end = true;
  writer.join();
  b.publish();
  std::uint64_t lost = 0;
  EXPECT_FALSE(b.read(lost).empty());
}

}  // namespace
}  // namespace parkring::base
