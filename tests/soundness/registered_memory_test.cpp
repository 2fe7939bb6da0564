// Locking buffers: who may touch them when, and where they go.
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;

namespace {

constexpr pr::fs::open_options rw{.access = pr::fs::access::read_write,
                                  .inline_first = pr::fs::inline_mode::never};

// case 23
TEST(RegisteredMemory, a_buffer_of_one_runtime_works_on_another_in_another_thread) {
  PARKRING_NEEDS_REAL("threads");
  scratch dir;
  const auto path = dir.file("data", std::string(4096, 'a'));
  pr::runtime first;
  auto b = first.run(
      [](std::filesystem::path p) -> pr::task<pr::buffer> {
        auto f = co_await pr::fs::open(p, rw);
        pr::buffer made(4096);
        EXPECT_EQ(co_await f.read_at(made, 0), 4096u);
        co_return made;
      },
      path);
  dir.file("data", std::string(4096, 'b'));
  std::thread([&] {
    pr::runtime second;
    second.run(
        [](std::filesystem::path p, pr::buffer& used) -> pr::task<> {
          auto f = co_await pr::fs::open(p, rw);
          pr::buffer own(4096);  // registered here; the other one must not be taken for it
          std::memset(own.bytes().data(), 'o', 4096);
          EXPECT_EQ(co_await f.write_at(own, 4096), 4096u);
          EXPECT_EQ(co_await f.read_at(used, 0), 4096u);
          EXPECT_EQ(own.text(), std::string(4096, 'o'));
        },
        path, std::ref(b));
  }).join();
  EXPECT_EQ(b.text(), std::string(4096, 'b'));
  first.run(
      [](std::filesystem::path p, pr::buffer& used) -> pr::task<> {
        auto f = co_await pr::fs::open(p, rw);
        EXPECT_EQ(co_await f.read_at(used, 4096), 4096u);
      },
      path, std::ref(b));
  EXPECT_EQ(b.text(), std::string(4096, 'o'));
}

// case 24
TEST(RegisteredMemory, a_buffer_comes_back_from_another_thread) {
  PARKRING_NEEDS_REAL("threads");
  pr::runtime rt;
  auto b = rt.run([]() -> pr::task<pr::buffer> { co_return pr::buffer(4096); });
  EXPECT_EQ(rt.counters().buffers, 1u);
  std::thread([gone = std::move(b)]() mutable { gone = {}; }).join();
  EXPECT_EQ(rt.counters().buffers, 0u);
}

// case 24, 9: handle, buffer and file let go elsewhere while a request has them
TEST(RegisteredMemory, a_locked_buffer_and_its_file_may_be_let_go_on_another_thread) {
  PARKRING_NEEDS_REAL("threads");
  pipe_pair pipe;
  const int before = open_descriptors();
  {
    pr::runtime rt;
    rt.run(
        [](pipe_pair& p) -> pr::task<> {
          for (int i = 0; i < 20; ++i) {
            auto f = co_await pr::fs::open(p.read_path());
            pr::buffer b(16);
            auto reader = pr::spawn(f.read_at(b, 0));
            co_await pr::nop();
            EXPECT_TRUE(b.locked());
            std::thread other(
                [h = std::move(reader), b2 = std::move(b), f2 = std::move(f)]() mutable {
                  b2 = {};
                  f2 = {};
                  auto end = std::move(h);
                });
            for (int turn = 0; turn < i; ++turn) co_await pr::nop();
            other.join();
          }
        },
        std::ref(pipe));
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (rt.counters().buffers + rt.counters().operations != 0 &&
           std::chrono::steady_clock::now() < give_up)
      rt.run(pr::nop());
    EXPECT_EQ(rt.counters().buffers, 0u);
    EXPECT_EQ(rt.counters().operations, 0u);
  }
  EXPECT_LE(open_descriptors_once_below(before), before);
}

// case 24: after its ring died, after the runtime died
pr::buffer left_by_a_runtime() {
  pipe_pair pipe;
  pr::buffer b;
  {
    pr::runtime rt;
    rt.run(
        [](pipe_pair& p, pr::buffer& out) -> pr::task<> {
          auto f = co_await pr::fs::open(p.read_path());
          out = pr::buffer(16);
          pr::spawn([](pr::fs::file file,
                       pr::buffer& into) -> pr::task<> { (void)co_await file.read_at(into, 0); },
                    std::move(f), std::ref(out))
              .detach();
          co_await pr::nop();
          EXPECT_TRUE(out.locked());
        },
        std::ref(pipe), std::ref(b));
  }
  EXPECT_FALSE(b.locked());
  std::memset(b.bytes().data(), 'x', 16);
  EXPECT_EQ(b.text(), std::string(16, 'x'));
  return b;
}

TEST(RegisteredMemory, a_buffer_outlives_its_runtime) {
  pr::buffer b = left_by_a_runtime();
  b = {};
}

TEST(RegisteredMemory, a_buffer_outlives_its_runtime_and_ends_on_another_thread) {
  PARKRING_NEEDS_REAL("threads");
  std::thread([b = left_by_a_runtime()]() mutable { b = {}; }).join();
}

std::string message_of(pr::buffer& b) {
  try {
    (void)b.bytes();
  } catch (const pr::buffer_locked& e) {
    return e.what();
  }
  return "it was not locked";
}

// case 25
TEST(RegisteredMemory, touching_a_locked_buffer_says_who_has_it) {
  scratch dir;
  const auto path = dir.file("data", std::string(1 << 20, 'd'));
  pr::run([](std::filesystem::path p) -> pr::task<> {
    auto f = co_await pr::fs::open(p, rw);
    pr::buffer b(512);
    auto reader = pr::spawn(f.read_at(b, 1024));
    co_await pr::yield();
    const std::string text = message_of(b);
    for (const std::string part : {"read_at", p.c_str(), "offset 1024", "512 bytes"})
      EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
    EXPECT_EQ(co_await std::move(reader), 512u);
    EXPECT_EQ(b.text(), std::string(512, 'd'));  // what the kernel wrote is visible
  }(path));
}

// case 45
TEST(RegisteredMemory, two_reads_into_one_buffer_are_refused_and_writes_share) {
  scratch dir;
  const auto path = dir.file("data", std::string(4096, 'd'));
  pr::run([](std::filesystem::path p) -> pr::task<> {
    auto f = co_await pr::fs::open(p, rw);
    pr::buffer b(512);
    {
      auto first = f.read_at(b, 0);
      EXPECT_THROW((void)f.read_at(b, 0), pr::buffer_locked);
      EXPECT_THROW((void)f.write_at(b, 0), pr::buffer_locked);
    }
    EXPECT_FALSE(b.locked());
    std::memset(b.bytes().data(), 'w', 512);
    auto one = f.write_at(b, 0);
    auto two = f.write_at(b, 512);
    EXPECT_THROW((void)f.read_at(b, 0), pr::buffer_locked);
    EXPECT_EQ(std::as_const(b).bytes().size(), 512u);
    co_await pr::when_all(std::move(one), std::move(two));
    EXPECT_EQ(b.bytes().size(), 512u);
  }(path));
}

// case 25: of two requests that share a buffer the one that was asked last ends first
TEST(RegisteredMemory, the_message_survives_the_request_that_locked_last) {
  scratch dir;
  const auto path = dir.file("data", std::string(4096, 'd'));
  pipe_pair pipe;
  pipe.fill();
  pr::run([](std::filesystem::path p, pipe_pair& full) -> pr::task<> {
    auto f = co_await pr::fs::open(p, rw);
    auto g = co_await pr::fs::open(full.write_path(), {.access = pr::fs::access::write});
    pr::buffer b(512);
    auto waits = pr::spawn(g.write_at(b, 0));
    co_await pr::nop();
    EXPECT_EQ(co_await f.write_at(b, 0), 512u);
    EXPECT_NE(message_of(b).find("still being read"), std::string::npos);
    EXPECT_THROW((void)f.read_at(b, 0), pr::buffer_locked);
    waits.abort();
    co_await b.returned();
    EXPECT_EQ(b.bytes().size(), 512u);
  }(path, pipe));
}

TEST(RegisteredMemory, parts_of_a_buffer_are_independent) {
  scratch dir;
  const auto path = dir.file("data", std::string(600, 'd'));
  pr::run([](std::filesystem::path p) -> pr::task<> {
    auto f = co_await pr::fs::open(p, rw);
    pr::buffer left(1024);
    std::optional<pr::buffer> right = left.split_off(512);
    auto reader = pr::spawn(f.read_at(*right, 0));
    co_await pr::yield();
    EXPECT_TRUE(right->locked());
    EXPECT_THROW((void)right->bytes(), pr::buffer_locked);
    std::memset(left.bytes().data(), 'l', 512);
    reader.abort();
    right.reset();  // locked still; the storage lives on with the request and the other part
    co_await pr::nop();
    EXPECT_EQ(left.text(), std::string(512, 'l'));
  }(path));
}

}  // namespace
