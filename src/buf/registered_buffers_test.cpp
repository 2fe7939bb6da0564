#include "buf/registered_buffers.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include <parkring/buffer.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/runtime.hpp>

#include "fs/test_files.hpp"
#include "ring/fake_kernel.hpp"

namespace parkring::buf {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

struct rig {
  ring::fake_kernel kernel;
  static constexpr ring::options small{.entries = 4};  // GCC 12 takes a temporary to dangle
  ring::ring ring{kernel, small};
  registered_buffers buffers;
  explicit rig(std::size_t bytes = 8 * mib, bool enabled = true) : buffers(ring, bytes, enabled) {}
  // A buffer of this rig's pool.
  buffer make(std::size_t size) {
    auto* before = std::exchange(this_thread_pool, &buffers.pool());
    buffer b(size);
    this_thread_pool = before;
    return b;
  }
  int index_of(const buffer& b) { return buffers.index_of(*buffer_access::block(b)); }
};

TEST(RegisteredBuffers, blocks_of_a_chunk_share_its_one_registration) {
  rig r;
  buffer a = r.make(4096), b = r.make(4096);
  const int index = r.index_of(a);
  EXPECT_GE(index, 0);
  EXPECT_EQ(r.index_of(b), index);
  EXPECT_EQ(r.index_of(a), index);
  EXPECT_EQ(r.buffers.registered(), 1U);
  EXPECT_EQ(r.kernel.registered.size(), 2U) << "the table, and one chunk";
  buffer part = a.split_off(512);
  EXPECT_EQ(r.index_of(part), index);
}

TEST(RegisteredBuffers, each_chunk_has_an_index_of_its_own) {
  rig r;
  std::vector<buffer> all;
  for (int i = 0; i < 8; ++i) all.push_back(r.make(mib));
  std::vector<int> seen;
  for (auto& b : all) seen.push_back(r.index_of(b));
  for (std::size_t i = 0; i < all.size(); i += 2) EXPECT_EQ(seen[i], seen[i + 1]);
  EXPECT_NE(seen[0], seen[2]);
  EXPECT_EQ(r.buffers.registered(), 4U);
}

TEST(RegisteredBuffers, memory_outside_of_the_pool_has_no_index) {
  rig r(2 * mib);
  buffer adopted = buffer::adopt(std::make_unique<std::byte[]>(10), 10);
  buffer foreign(100);  // of the process's pool
  std::vector<buffer> all;
  for (int i = 0; i < 3; ++i) all.push_back(r.make(mib));  // the third is beyond the pool
  EXPECT_EQ(r.index_of(adopted), -1);
  EXPECT_EQ(r.index_of(foreign), -1);
  EXPECT_GE(r.index_of(all[0]), 0);
  EXPECT_EQ(r.index_of(all[2]), -1);
}

TEST(RegisteredBuffers, an_index_means_nothing_to_another_runtime) {
  rig a, b;
  buffer of_a = a.make(4096);
  EXPECT_GE(a.index_of(of_a), 0);
  EXPECT_EQ(b.index_of(of_a), -1);
  EXPECT_GE(a.index_of(of_a), 0) << "and its own finds it again";
}

TEST(RegisteredBuffers, nothing_is_registered_when_it_is_turned_off) {
  rig r(8 * mib, false);
  buffer b = r.make(4096);
  EXPECT_EQ(r.index_of(b), -1);
  EXPECT_TRUE(r.kernel.registered.empty());
}

TEST(RegisteredBuffers, requests_on_pooled_memory_are_registered_and_the_rest_is_counted) {
  fs::test_directory dir;
  const auto pattern = fs::test_pattern(4096);
  const auto path = dir.make("a", pattern);
  for (const bool on : {true, false}) {
    runtime rt({.register_buffers = on});
    rt.run([&]() -> task<> {
      fs::file f = co_await fs::open(path, {.inline_first = fs::inline_mode::never});
      buffer b(4096);
      for (int i = 0; i < 10; ++i) {
        fs::fill(b.bytes(), std::string(4096, '?'));
        co_await f.read_at(b, 0);
        EXPECT_EQ(b.text(), pattern);
      }
      const auto counted = rt.counters().unregistered_buffers;
      if (!on) {
        EXPECT_EQ(counted, 10U);
      }
      buffer plain = buffer::adopt(std::make_unique<std::byte[]>(4096), 4096);
      co_await f.read_at(plain, 0);
      EXPECT_EQ(plain.text(), pattern);
      EXPECT_EQ(rt.counters().unregistered_buffers, counted + 1);
    });
  }
}

}  // namespace
}  // namespace parkring::buf
