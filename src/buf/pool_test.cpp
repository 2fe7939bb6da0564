#include "buf/pool.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <parkring/buffer.hpp>
#include <parkring/runtime.hpp>

namespace parkring::buf {
namespace {

TEST(Pool, counts_what_is_out) {
  auto p = std::make_shared<pool>(std::size_t{8} << 20);
  const memory a = p->allocate(1000, 1), b = p->allocate(5000, 4096);
  EXPECT_EQ(p->in_use(), 2U);
  EXPECT_GE(a.capacity, 1000U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.data) % 4096, 0U);
  p->deallocate(a);
  p->deallocate(b);
  EXPECT_EQ(p->in_use(), 0U);
}

TEST(Pool, any_thread_may_allocate_and_return) {
  auto p = std::make_shared<pool>(std::size_t{8} << 20);
  constexpr int threads = 4, rounds = 500;
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      std::vector<memory> mine;
      for (int i = 0; i < rounds; ++i) {
        mine.push_back(p->allocate(512u << (i % 4), 1));
        std::memset(mine.back().data, t, 512);
        if (mine.size() == 8) {
          for (auto& m : mine) {
            EXPECT_EQ(static_cast<int>(m.data[0]), t) << "two threads were given one block";
            p->deallocate(m);
          }
          mine.clear();
        }
      }
      for (auto& m : mine) p->deallocate(m);
    });
  for (auto& t : all) t.join();
  EXPECT_EQ(p->in_use(), 0U);
}

TEST(Pool, beyond_its_size_memory_is_allocated_singly_and_counted) {
  auto p = std::make_shared<pool>(std::size_t{2} << 20);
  std::vector<memory> out;
  for (int i = 0; i < 6; ++i) out.push_back(p->allocate(std::size_t{1} << 20, 1));
  EXPECT_EQ(p->stats().fallback_in_use, 4U);
  for (auto& m : out) p->deallocate(m);
  EXPECT_EQ(p->stats().fallback_in_use, 0U);
}

TEST(Pool, a_runtimes_pool_outlives_it_while_buffers_are_out) {
  buffer kept;
  {
    runtime rt;
    rt.run([&]() -> task<> {
      kept = buffer(100'000);
      std::memset(kept.bytes().data(), 'k', 100'000);
      co_return;
    });
  }
  EXPECT_EQ(kept.text(99'990, 10), "kkkkkkkkkk");
  std::thread([moved = std::move(kept)] {}).join();
}

}  // namespace
}  // namespace parkring::buf
