#include <parkring/detail/frame_allocator.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace parkring::detail {
namespace {

constexpr std::size_t sizes[] = {1, 16, 63, 64, 65, 200, 512, 2047, 2048, 2049, 2112, 5000, 70'000};

TEST(FrameAllocator, memory_of_every_size_is_aligned_distinct_and_usable) {
  std::vector<std::pair<void*, std::size_t>> out;
  std::set<void*> distinct;
  for (const std::size_t size : sizes) {
    for (int i = 0; i < 3; ++i) {
      void* p = allocate_frame(size);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % alignof(std::max_align_t), 0U);
      std::memset(p, static_cast<int>(size & 0x7f), size);
      EXPECT_TRUE(distinct.insert(p).second);
      out.emplace_back(p, size);
    }
  }
  for (auto [p, size] : out) {
    EXPECT_EQ(*static_cast<unsigned char*>(p), size & 0x7f) << size;
    EXPECT_EQ(static_cast<unsigned char*>(p)[size - 1], size & 0x7f) << size;
    deallocate_frame(p, size);
  }
}

TEST(FrameAllocator, counts_what_is_out) {
  const auto before = frames_out();
  void* a = allocate_frame(100);
  void* b = allocate_frame(10'000);
  EXPECT_EQ(frames_out(), before + 2);
  deallocate_frame(a, 100);
  deallocate_frame(b, 10'000);
  EXPECT_EQ(frames_out(), before);
}

TEST(FrameAllocator, a_size_that_cannot_be_had_throws_and_counts_nothing) {
  const auto before = frames_out();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer ends the program on such a request";
#endif
  EXPECT_THROW((void)allocate_frame(SIZE_MAX / 2), std::bad_alloc);
  EXPECT_EQ(frames_out(), before);
}

TEST(FrameAllocator, frames_may_come_back_on_another_thread) {
  std::vector<void*> frames(1000);
  for (void*& f : frames) f = allocate_frame(256);
  std::thread([&] {
    for (void* f : frames) deallocate_frame(f, 256);
    // That thread reuses them, and gives them to the system when it ends.
    for (void*& f : frames) f = allocate_frame(256);
    for (void* f : frames) {
      std::memset(f, 1, 256);
      deallocate_frame(f, 256);
    }
  }).join();
}

TEST(FrameAllocator, a_flood_of_frames_goes_back_whole) {
  constexpr std::size_t flood = 6000;  // more than are kept
  const auto before = frames_out();
  for (int round = 0; round < 2; ++round) {
    std::vector<void*> frames(flood);
    for (void*& f : frames) f = allocate_frame(128);
    EXPECT_EQ(std::set<void*>(frames.begin(), frames.end()).size(), flood);
    for (void* f : frames) deallocate_frame(f, 128);
  }
  EXPECT_EQ(frames_out(), before);
}

}  // namespace
}  // namespace parkring::detail
