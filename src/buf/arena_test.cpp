#include "arena.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <new>
#include <random>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PARKRING_TEST_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PARKRING_TEST_ASAN 1
#endif

namespace parkring::buf {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

void fill(const memory& m, std::uint64_t pattern) {
  std::memset(m.data, static_cast<int>(pattern & 0xff), m.capacity);
}

bool holds(const memory& m, std::uint64_t pattern) {
  const auto expected = static_cast<std::byte>(pattern & 0xff);
  return std::all_of(m.data, m.data + m.capacity, [&](std::byte b) { return b == expected; });
}

// What is out, and nothing of what has happened so far.
void expect_nothing_out(const arena& a) {
  EXPECT_EQ(a.stats().in_use, 0U);
  EXPECT_EQ(a.stats().bytes_in_use, 0U);
  EXPECT_EQ(a.stats().fallback_in_use, 0U);
  EXPECT_EQ(a.stats().fallback_bytes_in_use, 0U);
}

TEST(Arena, a_new_arena_has_mapped_nothing) {
  const arena a;
  EXPECT_EQ(a.stats(), arena_stats{});
  EXPECT_EQ(a.options().chunk_size, 2 * mib);
  EXPECT_EQ(a.options().max_bytes, 64 * mib);
}

TEST(Arena, a_returned_block_is_the_next_one_taken) {
  arena a;
  const memory first = a.allocate(4096);
  const memory second = a.allocate(4096);
  a.deallocate(first);
  a.deallocate(second);
  const memory again = a.allocate(4000);
  EXPECT_EQ(again.data, second.data);
  const memory before = a.allocate(3500);
  EXPECT_EQ(before.data, first.data);
  a.deallocate(again);
  a.deallocate(before);
  expect_nothing_out(a);
}

TEST(Arena, every_class_is_aligned_and_whole_and_in_its_chunk) {
  arena a;
  std::vector<memory> out;
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < class_count; ++i) {
      const memory m = out.emplace_back(a.allocate(class_sizes[i]));
      ASSERT_NE(m.home, nullptr);
      EXPECT_EQ(m.size_class, i);
      EXPECT_EQ(m.capacity, class_sizes[i]);
      EXPECT_EQ(address(m.data) % alignment_of_class(i), 0U) << m.capacity;
      EXPECT_TRUE(m.home->contains(m.data));
      EXPECT_TRUE(m.home->contains(m.data + m.capacity - 1));
      fill(m, i);
    }
  }
  for (const memory& m : out) EXPECT_TRUE(holds(m, m.size_class));
  for (const memory& m : out) a.deallocate(m);
  expect_nothing_out(a);
}

TEST(Arena, asked_for_alignments_are_kept) {
  arena a;
  for (std::size_t alignment = 1; alignment <= 4 * mib; alignment *= 2) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{1100}, std::size_t{5000}, 3 * mib}) {
      const memory m = a.allocate(size, alignment);
      EXPECT_GE(m.capacity, size);
      EXPECT_EQ(address(m.data) % alignment, 0U) << size << " at " << alignment;
      EXPECT_EQ(m.home == nullptr, alignment > 4096 || size > mib) << size << " at " << alignment;
      fill(m, size);
      a.deallocate(m);
    }
  }
  expect_nothing_out(a);
}

TEST(Arena, size_zero_gives_a_smallest_block) {
  arena a;
  const memory m = a.allocate(0);
  EXPECT_NE(m.data, nullptr);
  EXPECT_EQ(m.capacity, smallest_block);
  a.deallocate(m);
  const memory aligned = a.allocate(0, 8192);
  EXPECT_EQ(address(aligned.data) % 8192, 0U);
  a.deallocate(aligned);
  expect_nothing_out(a);
}

TEST(Arena, chunks_are_aligned_to_their_size_and_found_by_address) {
  arena a({.chunk_size = 256 * kib, .max_bytes = 2 * mib});
  std::vector<memory> out;
  for (int i = 0; i < 12; ++i) out.push_back(a.allocate(128 * kib));
  ASSERT_EQ(a.chunk_count(), 6U);
  for (std::uint32_t i = 0; i < 6; ++i) {
    const chunk& c = a.chunk_at(i);
    EXPECT_EQ(c.index(), i);
    EXPECT_EQ(c.size(), 256 * kib);
    EXPECT_EQ(address(c.base()) % c.size(), 0U);
    EXPECT_EQ(a.locate(c.base()), &c);
    EXPECT_EQ(a.locate(c.base() + c.size() - 1), &c);
  }
  for (const memory& m : out) EXPECT_EQ(a.locate(m.data + m.capacity / 2), m.home);
  int on_stack = 0;
  EXPECT_EQ(a.locate(&on_stack), nullptr);
  EXPECT_EQ(a.locate(nullptr), nullptr);
  for (const memory& m : out) a.deallocate(m);
}

TEST(Arena, the_hook_sees_each_chunk_once_and_its_notes_stay) {
  struct seen {
    std::vector<chunk*> chunks;
  } context;
  arena a({.chunk_size = 64 * kib,
           .max_bytes = 256 * kib,
           .hook =
               [](void* to, chunk& added) {
                 auto& all = static_cast<seen*>(to)->chunks;
                 EXPECT_EQ(added.registered_index, -1);
                 EXPECT_EQ(added.registration, nullptr);
                 all.push_back(&added);
                 if (all.size() == 2) return false;
                 added.registered_index = static_cast<int>(all.size()) + 100;
                 added.registration = to;
                 return true;
               },
           .hook_context = &context});
  std::vector<memory> out;
  for (int i = 0; i < 8; ++i) out.push_back(a.allocate(32 * kib));
  ASSERT_EQ(context.chunks.size(), 4U);
  EXPECT_EQ(a.stats().unregistered_chunks, 1U);
  EXPECT_EQ(out[0].home->registered_index, 101);
  EXPECT_EQ(out[2].home->registered_index, -1);
  EXPECT_EQ(out[7].home->registered_index, 104);
  EXPECT_EQ(out[7].home->registration, &context);
  for (const memory& m : out) a.deallocate(m);
}

TEST(Arena, beyond_its_limit_it_falls_back_and_counts) {
  arena a({.chunk_size = 64 * kib, .max_bytes = 128 * kib});
  std::vector<memory> out;
  for (int i = 0; i < 32; ++i) out.push_back(a.allocate(4096));
  EXPECT_EQ(a.stats().fallback_allocations, 0U);
  EXPECT_EQ(a.stats().chunks, 2U);
  EXPECT_EQ(a.stats().bytes, 128 * kib);
  const memory extra = a.allocate(4096);
  EXPECT_EQ(extra.home, nullptr);
  EXPECT_EQ(address(extra.data) % 4096, 0U);
  EXPECT_EQ(a.stats().fallback_allocations, 1U);
  EXPECT_EQ(a.stats().fallback_in_use, 1U);
  EXPECT_EQ(a.stats().fallback_bytes_in_use, 4096U);
  EXPECT_EQ(a.stats().in_use, 33U);
  fill(extra, 1);
  a.deallocate(out.back());
  out.back() = a.allocate(4096);
  EXPECT_NE(out.back().home, nullptr) << "a returned block is preferred to a fallback";
  a.deallocate(extra);
  for (const memory& m : out) a.deallocate(m);
  expect_nothing_out(a);
  EXPECT_EQ(a.stats().fallback_allocations, 1U);
}

TEST(Arena, with_a_limit_of_zero_everything_is_a_fallback) {
  arena a({.max_bytes = 0});
  for (const std::size_t size : class_sizes) {
    const memory m = a.allocate(size, 512);
    EXPECT_EQ(m.home, nullptr);
    EXPECT_EQ(address(m.data) % std::min<std::size_t>(size & (~size + 1), 4096), 0U);
    fill(m, size);
    a.deallocate(m);
  }
  EXPECT_EQ(a.stats().fallback_allocations, class_count);
  EXPECT_EQ(a.stats().chunks, 0U);
  expect_nothing_out(a);
}

TEST(Arena, impossible_sizes_throw_and_change_nothing) {
  arena a;
  for (const std::size_t size : {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 4096, SIZE_MAX / 2 + 1,
                                 SIZE_MAX / 2, SIZE_MAX / 2 - 8191}) {
    for (const std::size_t alignment : {std::size_t{1}, std::size_t{4096}, mib, SIZE_MAX / 2 + 1}) {
      EXPECT_THROW((void)a.allocate(size, alignment), std::bad_alloc) << size << " " << alignment;
    }
  }
  EXPECT_EQ(a.stats(), arena_stats{});
}

TEST(Arena, idle_chunks_are_cut_anew_for_another_size) {
  arena a({.chunk_size = 256 * kib, .max_bytes = 512 * kib});
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t size : {std::size_t{512}, std::size_t{3072}, 4 * kib, 128 * kib}) {
      std::vector<memory> out;
      for (;;) {
        const memory m = a.allocate(size);
        if (m.home == nullptr) {
          a.deallocate(m);
          break;
        }
        fill(m, size);
        out.push_back(m);
      }
      EXPECT_GE(out.size() * size, 504 * kib) << "less than a run may be left in each chunk";
      for (const memory& m : out) a.deallocate(m);
    }
  }
  EXPECT_EQ(a.chunk_count(), 2U);
  EXPECT_GT(a.stats().recut_chunks, 0U);
  expect_nothing_out(a);
}

TEST(Arena, a_chunk_with_one_block_out_is_not_cut_anew) {
  arena a({.chunk_size = 64 * kib, .max_bytes = 64 * kib});
  std::vector<memory> out;
  for (int i = 0; i < 128; ++i) out.push_back(a.allocate(512));
  for (int i = 1; i < 128; ++i) a.deallocate(out[static_cast<std::size_t>(i)]);
  const memory other = a.allocate(4096);
  EXPECT_EQ(other.home, nullptr);
  EXPECT_EQ(a.stats().recut_chunks, 0U);
  a.deallocate(out[0]);
  const memory now = a.allocate(4096);
  EXPECT_NE(now.home, nullptr);
  EXPECT_EQ(a.stats().recut_chunks, 1U);
  a.deallocate(other);
  a.deallocate(now);
}

TEST(Arena, reserved_huge_pages_are_used_or_their_absence_is_counted) {
  arena a({.reserved_huge_pages = true});
  const memory m = a.allocate(mib);
  ASSERT_NE(m.home, nullptr);
  EXPECT_EQ(a.stats().huge_chunks + a.stats().huge_refusals, 1U);
  EXPECT_EQ(m.home->huge(), a.stats().huge_chunks == 1);
  EXPECT_EQ(address(m.home->base()) % (2 * mib), 0U);
  fill(m, 7);
  a.deallocate(m);
}

TEST(Arena, blocks_never_overlap_over_random_histories) {
  std::mt19937_64 random(20'240'601);
  arena a({.chunk_size = 512 * kib, .max_bytes = 3 * mib});
  struct piece {
    memory m;
    std::uint64_t pattern;
  };
  std::vector<piece> out;
  std::map<std::uintptr_t, std::uintptr_t> ranges;  // start → end
  std::uint64_t fallbacks = 0;
  std::size_t bytes = 0;
  const auto give_back = [&](std::size_t i) {
    ASSERT_TRUE(holds(out[i].m, out[i].pattern));
    bytes -= out[i].m.capacity;
    ranges.erase(address(out[i].m.data));
    a.deallocate(out[i].m);
    out[i] = out.back();
    out.pop_back();
  };
  for (std::uint64_t step = 0; step < 20'000; ++step) {
    // Tides, so that chunks become idle now and then.
    const bool flood = step / 500 % 2 == 0;
    if (out.empty() || random() % 100 < (flood ? 65U : 25U)) {
      const std::size_t usual = 9 + step / 1000 * 5 % 9;  // each tide has its sizes
      const std::size_t power = random() % 4 != 0 ? usual : random() % 18;
      const std::size_t size = random() % (std::size_t{1} << power) + random() % 3;
      const std::size_t alignment = std::size_t{1} << (random() % 14);
      const memory m = a.allocate(size, alignment);
      ASSERT_GE(m.capacity, size);
      ASSERT_EQ(address(m.data) % alignment, 0U);
      ASSERT_EQ(address(m.data) % 512, 0U);
      if (m.home == nullptr) ++fallbacks;
      if (m.home != nullptr) {
        ASSERT_EQ(a.locate(m.data), m.home);
      }
      const auto start = address(m.data);
      const auto after = ranges.lower_bound(start);
      if (after != ranges.end()) {
        ASSERT_LE(start + m.capacity, after->first);
      }
      if (after != ranges.begin()) {
        ASSERT_LE(std::prev(after)->second, start);
      }
      ranges.emplace(start, start + m.capacity);
      bytes += m.capacity;
      fill(m, step);
      out.push_back({m, step});
    } else {
      give_back(random() % out.size());
    }
    ASSERT_EQ(a.stats().in_use, out.size());
    ASSERT_EQ(a.stats().bytes_in_use, bytes);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(a.stats().fallback_allocations, fallbacks);
  EXPECT_GT(a.stats().recut_chunks, 0U);
  while (!out.empty()) give_back(out.size() - 1);
  expect_nothing_out(a);
}

TEST(Arena, a_block_out_outlives_its_arena) {
  const std::size_t before = arena::leaked_bytes();
  memory m;
  chunk* home = nullptr;
  {
    arena a({.chunk_size = 64 * kib});
    m = a.allocate(4096);
    home = m.home;
    ASSERT_NE(home, nullptr);
    const memory returned = a.allocate(32 * kib);
    a.deallocate(returned);
  }
  EXPECT_EQ(arena::leaked_bytes(), before + 64 * kib);
  fill(m, 3);
  EXPECT_TRUE(holds(m, 3));
}

TEST(ArenaDeathTest, misuse_aborts_with_advice) {
  arena a({.chunk_size = 64 * kib});
  arena other({.chunk_size = 64 * kib});
  const memory m = a.allocate(4096);
  EXPECT_DEATH((void)a.allocate(1, 3), "power of two");
  EXPECT_DEATH((void)a.allocate(1, 0), "power of two");
  EXPECT_DEATH(other.deallocate(m), "arena that it came from");
  EXPECT_DEATH(
      {
        a.deallocate(m);
        a.deallocate(m);
      },
      "returned twice");
  EXPECT_DEATH(
      {
        memory shifted = m;
        shifted.data += 512;
        a.deallocate(shifted);
      },
      "returned twice");
  EXPECT_DEATH(arena({.chunk_size = 3 * mib}), "power of two");
  EXPECT_DEATH(arena({.chunk_size = 4096}), "64 KiB");
  a.deallocate(m);
}

// The sanitizers need more address space than the limit leaves.
#if !defined(PARKRING_TEST_ASAN) && !defined(__SANITIZE_THREAD__)
TEST(ArenaDeathTest, a_chunk_that_cannot_be_mapped_is_counted_and_replaced_by_a_fallback) {
  const auto run = [] {
    const rlimit limit{512 * mib, 512 * mib};
    arena a({.chunk_size = 1024 * mib, .max_bytes = 1024 * mib});
    if (::setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(1);
    const memory m = a.allocate(4096);
    if (m.home != nullptr || a.stats().chunks != 0) std::_Exit(2);
    if (a.stats().map_refusals != 1 || a.stats().fallback_in_use != 1) std::_Exit(3);
    fill(m, 5);
    a.deallocate(m);
    std::_Exit(a.stats().in_use == 0 ? 0 : 4);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}
#endif

#if defined(PARKRING_TEST_ASAN)
TEST(ArenaDeathTest, touching_a_returned_block_is_seen_by_the_address_sanitizer) {
  arena a;
  const memory m = a.allocate(4096);
  a.deallocate(m);
  EXPECT_DEATH(*const_cast<volatile std::byte*>(m.data + 100) = std::byte{1}, "use-after-poison");
}
#endif

}  // namespace
}  // namespace parkring::buf
