#include <parkring/buffer.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <parkring/fs/file.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/timeout.hpp>

#include "fs/test_files.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

void put(buffer& b, std::string_view text) {
  std::memcpy(b.bytes().data(), text.data(), text.size());
}

TEST(Buffer, an_empty_one_has_no_bytes_and_no_lock) {
  buffer b;
  EXPECT_TRUE(b.empty());
  EXPECT_EQ(b.size(), 0U);
  EXPECT_FALSE(b.locked());
  EXPECT_TRUE(b.bytes().empty());
  EXPECT_EQ(b.text(), "");
  EXPECT_EQ(b.split_off(0).size(), 0U);
  EXPECT_EQ(std::move(b).release().size, 0U);
}

TEST(Buffer, has_the_size_and_alignment_asked_for) {
  for (const std::size_t size : {1U, 511U, 512U, 4096U, 70'000U, 5'000'000U}) {
    for (const std::size_t to : {1U, 512U, 4096U, 65'536U}) {
      buffer b(size, aligned(to));
      EXPECT_EQ(b.size(), size);
      EXPECT_EQ(b.bytes().size(), size);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.bytes().data()) % std::max<std::size_t>(to, 512),
                0U);
      std::memset(b.bytes().data(), 'x', size);
    }
  }
}

TEST(Buffer, text_is_cut_to_what_is_there) {
  buffer b(8);
  put(b, "abcdefgh");
  EXPECT_EQ(b.text(), "abcdefgh");
  EXPECT_EQ(b.text(2), "cdefgh");
  EXPECT_EQ(b.text(2, 3), "cde");
  EXPECT_EQ(b.text(6, 100), "gh");
  EXPECT_EQ(b.text(100, 1), "");
}

TEST(Buffer, moving_leaves_an_empty_one) {
  buffer a(10);
  const auto* data = a.bytes().data();
  buffer b = std::move(a);
  EXPECT_TRUE(a.empty());
  EXPECT_EQ(b.bytes().data(), data);
  buffer c(20);
  c = std::move(b);
  EXPECT_EQ(c.size(), 10U);
  auto& self = c;
  c = std::move(self);
  EXPECT_EQ(c.bytes().data(), data);
}

TEST(Buffer, parts_share_nothing_but_the_storage) {
  buffer head(10);
  put(head, "0123456789");
  buffer tail = head.split_off(4);
  EXPECT_EQ(head.text(), "0123");
  EXPECT_EQ(tail.text(), "456789");
  buffer middle = std::move(tail);
  buffer end = middle.split_off(3);
  head = buffer();
  put(middle, "abc");
  EXPECT_EQ(middle.text(), "abc");
  EXPECT_EQ(end.text(), "789");
  middle = buffer();
  EXPECT_EQ(end.text(), "789");
  EXPECT_THROW((void)end.split_off(4), std::out_of_range);
  EXPECT_EQ(end.split_off(3).size(), 0U);
  EXPECT_EQ(end.split_off(0).text(), "789");
  EXPECT_EQ(end.size(), 0U);
}

TEST(Buffer, an_adopted_allocation_comes_back_as_it_was) {
  auto memory = std::make_unique<std::byte[]>(100);
  auto* address = memory.get();
  buffer b = buffer::adopt(std::move(memory), 100);
  put(b, "adopted");
  owned_bytes out = std::move(b).release();
  EXPECT_EQ(out.data.get(), address);
  EXPECT_EQ(out.size, 100U);
  EXPECT_EQ(std::memcmp(out.data.get(), "adopted", 7), 0);
  EXPECT_TRUE(b.empty());
}

TEST(Buffer, pooled_memory_and_parts_are_released_as_a_copy) {
  buffer pooled(10);
  put(pooled, "0123456789");
  auto* address = pooled.bytes().data();
  owned_bytes copy = std::move(pooled).release();
  EXPECT_NE(copy.data.get(), address);
  EXPECT_EQ(std::memcmp(copy.data.get(), "0123456789", 10), 0);

  buffer adopted = buffer::adopt(std::make_unique<std::byte[]>(10), 10);
  put(adopted, "9876543210");
  buffer part = adopted.split_off(5);
  owned_bytes first = std::move(adopted).release();
  EXPECT_EQ(first.size, 5U);
  EXPECT_EQ(part.text(), "43210") << "the other part keeps the allocation";
}

TEST(Buffer, dies_on_any_thread_with_and_without_a_runtime) {
  buffer b(1000);
  std::thread([moved = std::move(b)]() mutable { put(moved, "x"); }).join();
  runtime rt;
  rt.run([&]() -> task<> {
    buffer c(1000);
    std::thread([moved = std::move(c)] {}).join();
    co_return;
  });
  EXPECT_EQ(rt.counters().buffers, 0U);
}

// ---- While a request has it ----

class LockedBuffer : public ::testing::Test {
 protected:
  fs::test_directory dir_;
  std::filesystem::path path_ = dir_.make("a", std::string(4096, 'f'));
  static constexpr fs::open_options on_the_ring{.access = fs::access::read_write,
                                                .inline_first = fs::inline_mode::never};
};

TEST_F(LockedBuffer, refuses_to_be_touched_and_says_who_has_it) {
  runtime rt;
  rt.run([&]() -> task<> {
    fs::file f = co_await fs::open(path_, on_the_ring);
    buffer b(4096);
    auto h = spawn([&]() -> task<> { co_await f.read_at(b, 0); });
    co_await yield();
    EXPECT_TRUE(b.locked());
    EXPECT_THROW((void)std::as_const(b).bytes(), buffer_locked);
    EXPECT_THROW((void)b.text(), buffer_locked);
    EXPECT_THROW((void)b.split_off(1), buffer_locked);
    EXPECT_THROW((void)std::move(b).release(), buffer_locked);
    try {
      (void)b.bytes();
    } catch (const buffer_locked& e) {
      const std::string words = e.what();
      EXPECT_NE(words.find("read_at(" + path_.native() + ", offset 0, 4096 bytes)"),
                std::string::npos)
          << words;
    }
    co_await h;
    EXPECT_EQ(b.text(0, 4), "ffff");
  });
}

TEST_F(LockedBuffer, returned_waits_for_the_kernel) {
  runtime rt;
  rt.run([&]() -> task<> {
    fs::file f = co_await fs::open(path_, on_the_ring);
    for (int i = 0; i < 20; ++i) {
      buffer b(4096);
      co_await b.returned();  // nobody has it
      {
        auto h = spawn([&]() -> task<> { co_await f.read_at(b, 0); });
        co_await yield();
      }
      EXPECT_TRUE(b.locked()) << "the drop leaves it with the kernel";
      co_await b.returned();
      EXPECT_FALSE(b.locked());
      EXPECT_EQ(b.text(), std::string(4096, 'f'));
    }
  });
}

TEST(Buffer, waiting_for_a_buffer_that_nobody_has_lets_others_run) {
  bool other_ran = false;
  runtime rt;
  rt.run([&]() -> task<> {
    auto other = spawn([&]() -> task<> {
      other_ran = true;
      co_return;
    });
    buffer b(16), none;
    int rounds = 0;
    while (!other_ran && rounds < 100'000) {
      co_await b.returned();
      co_await none.returned();
      ++rounds;
    }
    EXPECT_TRUE(other_ran) << "after " << rounds << " rounds";
    co_await other;
  });
}

TEST_F(LockedBuffer, dropped_with_its_read_it_goes_back_to_the_pool_by_itself) {
  runtime rt;
  rt.run([&]() -> task<> {
    fs::file f = co_await fs::open(path_, on_the_ring);
    for (int i = 0; i < 50; ++i) {
      auto h = spawn(
          [](fs::file& from) -> task<> {
            buffer b(4096);
            co_await from.read_at(b, 0);
          },
          std::ref(f));
      co_await yield();
    }
    while (rt.counters().buffers != 0) co_await yield();
    EXPECT_EQ(rt.counters().operations, 0U);
  });
}

TEST_F(LockedBuffer, a_waiter_for_its_return_is_woken_although_the_buffer_goes) {
  runtime rt;
  rt.run([&]() -> task<> {
    fs::file f = co_await fs::open(path_, on_the_ring);
    auto b = std::make_unique<buffer>(4096);
    std::optional<join_handle<void>> reader;
    reader.emplace(spawn([&]() -> task<> { co_await f.read_at(*b, 0); }));
    co_await yield();
    auto waiting = spawn([&]() -> task<> { co_await b->returned(); });
    co_await yield();
    reader.reset();
    b.reset();
    co_await waiting;
  });
  EXPECT_EQ(rt.counters().buffers, 0U);
}

TEST_F(LockedBuffer, a_dropped_wait_for_its_return_is_forgotten) {
  runtime rt;
  rt.run([&]() -> task<> {
    fs::file f = co_await fs::open(path_, on_the_ring);
    buffer b(4096);
    {
      auto reader = spawn([&]() -> task<> { co_await f.read_at(b, 0); });
      co_await yield();
      auto waiting = spawn([&]() -> task<> { co_await b.returned(); });
      co_await yield();
    }
    co_await b.returned();
    EXPECT_FALSE(b.locked());
  });
}

TEST_F(LockedBuffer, its_parts_are_free_to_be_used_by_other_requests) {
  runtime rt;
  rt.run([&]() -> task<> {
    fs::file f = co_await fs::open(path_, on_the_ring);
    buffer head(4096);
    buffer tail = head.split_off(2048);
    auto first = f.read_at(head, 0);
    EXPECT_TRUE(head.locked());
    EXPECT_FALSE(tail.locked());
    const auto n = co_await f.read_at(tail, 0);
    EXPECT_EQ(n, 2048U);
    const auto m = co_await std::move(first);
    EXPECT_EQ(m, 2048U);
  });
}

}  // namespace
}  // namespace parkring
