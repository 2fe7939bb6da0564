// Memory runs out inside an emulated ring, while it begins requests, gives buffers back, learns of
// descriptors and overflows: requests fail, and completions that cannot be kept are counted.

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "count.hpp"
#include "kernel/kernel.hpp"
#include "support/plain_ring.hpp"
#include "support/scratch.hpp"

namespace parkring {
namespace {

namespace abi = kernel::abi;

constexpr std::uint16_t pipes = 16;
constexpr std::uint64_t nops = 100;

struct alignas(4096) buffers {
  buffers() {
    for (std::uint16_t i = 0; i < pipes; ++i) {
      all[i].addr = reinterpret_cast<std::uintptr_t>(&memory[i]);
      all[i].len = 1;
      all[i].bid = i;
    }
    all[0].resv = pipes;  // where the tail is
  }
  std::array<abi::buf, 2 * pipes> all{};
  std::array<char, pipes> memory{};
};

// Completions by user data, and how many were given; with as many enters as it takes.
struct outcome {
  std::map<std::uint64_t, std::int32_t> reads;
  std::uint64_t other = 0;
  std::uint64_t failed = 0;  // allocations
};

outcome run_out_at(std::uint64_t n) {
  ring::ring r(kernel::threads_kernel(), {.entries = 256, .cq_entries = 256});
  EXPECT_EQ(r.bind_to_this_thread(), 0);
  const auto own = std::make_unique<buffers>();
  std::vector<testing::pipe_pair> ends(pipes);
  abi::buf_reg where{};
  where.ring_addr = reinterpret_cast<std::uintptr_t>(own->all.data());
  where.ring_entries = 2 * pipes;
  EXPECT_EQ(r.reg(abi::register_pbuf_ring, &where, 1), 0);
  const auto put = [&r](std::uint8_t opcode, int fd, std::uint64_t user_data) -> abi::sqe& {
    abi::sqe& e = r.take_unchecked();
    ring::clear(e);
    e.opcode = opcode;
    e.fd = fd;
    e.user_data = user_data;
    return e;
  };
  outcome o;
  const auto enter_without_memory = [&] {
    allocation::fail_at(n, true);
    (void)r.enter(0, nullptr, abi::enter_getevents);
    o.failed += allocation::stop_failing();
  };
  for (std::uint16_t i = 0; i < pipes; ++i) {
    abi::sqe& e = put(abi::op_read, ends[i].read_end(), i);
    e.len = 1;
    e.off = ~0ull;
    e.flags = abi::iosqe_buffer_select;
  }
  enter_without_memory();
  while (r.unsubmitted() != 0) EXPECT_GE(r.enter(), 0);
  for (testing::pipe_pair& p : ends) p.put("x");
  std::uint64_t put_nops = 0;
  for (; put_nops < nops; ++put_nops) put(abi::op_nop, -1, pipes);
  enter_without_memory();
  for (int overflowing = 0; overflowing < 3; ++overflowing) {
    while (r.unsubmitted() != 0) EXPECT_GE(r.enter(), 0);
    for (std::uint64_t i = 0; i < nops; ++i, ++put_nops) put(abi::op_nop, -1, pipes);
    enter_without_memory();
  }
  const std::uint32_t& lost = *r.memory().cq_overflow;
  for (int turn = 0; turn < 10'000 && o.reads.size() + o.other + lost < pipes + put_nops; ++turn) {
    (void)r.enter(0, nullptr, abi::enter_getevents);
    r.reap([&](const abi::cqe& c) {
      if (c.user_data < pipes)
        EXPECT_TRUE(o.reads.emplace(c.user_data, c.res).second);
      else
        ++o.other;
    });
  }
  EXPECT_EQ(o.reads.size() + o.other + lost, pipes + put_nops);
  return o;
}

TEST(KernelOutOfMemory, every_request_ends_and_the_process_does_not) {
  if (!allocation::countable) GTEST_SKIP() << "a sanitizer has malloc in this build";
  for (const auto& [name, result] : run_out_at(1'000'000).reads) EXPECT_EQ(result, 1) << name;
  std::uint64_t n = 1;
  for (; n < 500; ++n) {
    SCOPED_TRACE(n);
    const outcome o = run_out_at(n);
    for (const auto& [name, result] : o.reads)
      EXPECT_TRUE(result == 1 || result == -ENOMEM || result == -ENOBUFS) << result;
    if (o.failed == 0 || HasFailure()) break;
  }
  EXPECT_GT(n, 5u);
  EXPECT_LT(n, 500u);
}

}  // namespace
}  // namespace parkring
