// The ring on the kernel this test runs on. Skipped where that has no io_uring.
#include "ring/ring.hpp"

#include <gtest/gtest.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "ring/capabilities.hpp"

namespace parkring::ring {
namespace {

class Ring : public testing::Test {
 protected:
  void SetUp() override {
    if (!this_machine().available()) GTEST_SKIP() << this_machine().why.reason;
  }
};

bool push_nop(ring& r, std::uint64_t user_data) {
  abi::sqe* entry = r.take();
  if (entry == nullptr) return false;
  clear(*entry);
  entry->opcode = abi::op_nop;
  entry->user_data = user_data;
  return true;
}

std::vector<std::uint64_t> reap_all(ring& r) {
  std::vector<std::uint64_t> seen;
  r.reap([&](const abi::cqe& c) { seen.push_back(c.user_data); });
  return seen;
}

TEST_F(Ring, a_nop_goes_round) {
  ring r(kernel::linux_kernel(), {});
  ASSERT_EQ(r.bind_to_this_thread(), 0);
  EXPECT_EQ(r.unsubmitted(), 0u);
  ASSERT_TRUE(push_nop(r, 42));
  EXPECT_EQ(r.unsubmitted(), 1u);
  EXPECT_FALSE(r.completions_waiting());
  EXPECT_EQ(r.enter(1), 1);
  EXPECT_EQ(r.unsubmitted(), 0u);
  EXPECT_TRUE(r.completions_waiting());
  EXPECT_EQ(reap_all(r), std::vector<std::uint64_t>{42});
  EXPECT_FALSE(r.completions_waiting());
  EXPECT_EQ(r.enters, 1u);
}

TEST_F(Ring, a_full_queue_gives_no_entry_until_it_is_entered) {
  for (const unsigned entries : {1u, 2u, 256u}) {
    ring r(kernel::linux_kernel(), {.entries = entries});
    ASSERT_EQ(r.bind_to_this_thread(), 0);
    ASSERT_EQ(r.capacity(), entries);
    for (unsigned i = 0; i < entries; ++i) {
      EXPECT_EQ(r.room(), entries - i);
      ASSERT_TRUE(push_nop(r, i));
    }
    EXPECT_EQ(r.room(), 0u);
    EXPECT_EQ(r.take(), nullptr);
    EXPECT_EQ(r.take(), nullptr);
    EXPECT_EQ(r.enter(entries), static_cast<int>(entries));
    EXPECT_EQ(r.room(), entries);
    EXPECT_NE(r.take(), nullptr);
    const auto seen = reap_all(r);
    ASSERT_EQ(seen.size(), entries);
    for (unsigned i = 0; i < entries; ++i) EXPECT_EQ(seen[i], i);
  }
}

TEST_F(Ring, the_queues_wrap_for_many_laps_in_order) {
  for (const unsigned entries : {1u, 2u, 256u}) {
    ring r(kernel::linux_kernel(), {.entries = entries});
    ASSERT_EQ(r.bind_to_this_thread(), 0);
    std::uint64_t pushed = 0, expected = 0;
    for (unsigned lap = 0; lap < 3000; ++lap) {
      const unsigned batch = 1 + lap % entries;  // so that laps start at every place
      for (unsigned i = 0; i < batch; ++i) ASSERT_TRUE(push_nop(r, pushed++));
      ASSERT_EQ(r.enter(batch), static_cast<int>(batch));
      r.reap([&](const abi::cqe& c) { ASSERT_EQ(c.user_data, expected++); });
      ASSERT_EQ(expected, pushed);
    }
  }
}

TEST_F(Ring, completions_beyond_the_queue_are_kept_and_come_with_the_next_enters) {
  ring r(kernel::linux_kernel(), {.entries = 4, .cq_entries = 4});
  ASSERT_EQ(r.bind_to_this_thread(), 0);
  ASSERT_EQ(r.completion_capacity(), 4u);
  std::uint64_t pushed = 0;
  while (pushed < 400) {
    while (pushed < 400 && push_nop(r, pushed)) ++pushed;
    ASSERT_GE(r.enter(), 0);  // nobody reaps
  }
  EXPECT_TRUE(r.kernel_wants_enter());
  std::vector<std::uint64_t> seen;
  for (int rounds = 0; rounds < 1000 && seen.size() < pushed; ++rounds) {
    r.reap([&](const abi::cqe& c) { seen.push_back(c.user_data); });
    if (r.kernel_wants_enter()) {
      ASSERT_GE(r.enter(0, nullptr, abi::enter_getevents), 0);
    }
  }
  ASSERT_EQ(seen.size(), pushed);
  for (std::uint64_t i = 0; i < pushed; ++i) EXPECT_EQ(seen[i], i);
  EXPECT_FALSE(r.kernel_wants_enter());
}

TEST_F(Ring, a_wait_for_nothing_ends_at_its_timeout) {
  ring r(kernel::linux_kernel(), {.entries = 1});
  ASSERT_EQ(r.bind_to_this_thread(), 0);
  const abi::timespec64 limit{.tv_sec = 0, .tv_nsec = 1'000'000};
  EXPECT_EQ(r.enter(1, &limit), -ETIME);
  // With something submitted the number is told and not the timeout.
  ASSERT_TRUE(push_nop(r, 1));
  EXPECT_EQ(r.enter(2, &limit), 1);
  EXPECT_EQ(reap_all(r).size(), 1u);
}

TEST_F(Ring, a_request_that_waits_completes_later) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ring r(kernel::linux_kernel(), {.entries = 2});
  ASSERT_EQ(r.bind_to_this_thread(), 0);
  char byte = 0;
  abi::sqe* entry = r.take();
  clear(*entry);
  entry->opcode = abi::op_read;
  entry->fd = ends[0];
  entry->addr = reinterpret_cast<std::uintptr_t>(&byte);
  entry->len = 1;
  entry->off = ~std::uint64_t{0};
  entry->user_data = 5;
  ASSERT_EQ(r.enter(), 1);
  EXPECT_TRUE(reap_all(r).empty());
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  // At most one of these waits: the completion may be there or be deferred until the enter.
  if (!r.completions_waiting()) {
    ASSERT_EQ(r.enter(1), 0);
  }
  EXPECT_EQ(reap_all(r), std::vector<std::uint64_t>{5});
  EXPECT_EQ(byte, 'x');
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Ring, another_thread_is_refused_and_drives_no_ring_of_its_own) {
  ring r(kernel::linux_kernel(), {.entries = 2});
  ASSERT_EQ(r.bind_to_this_thread(), 0);
  ASSERT_TRUE(push_nop(r, 1));
  std::thread([&] {
    ring own(kernel::linux_kernel(), {.entries = 2});
    ASSERT_EQ(own.bind_to_this_thread(), 0);
    ASSERT_TRUE(push_nop(own, 2));
    EXPECT_EQ(r.enter(), -EEXIST);
    EXPECT_EQ(r.bind_to_this_thread(), -EEXIST);
    EXPECT_EQ(own.unsubmitted(), 1u);
    EXPECT_EQ(own.enter(1), 1);
    EXPECT_EQ(reap_all(own), std::vector<std::uint64_t>{2});
  }).join();
  EXPECT_EQ(r.unsubmitted(), 1u);
  EXPECT_EQ(r.enter(1), 1);
  EXPECT_EQ(reap_all(r), std::vector<std::uint64_t>{1});
}

TEST_F(Ring, a_thread_that_inherits_an_ended_ones_memory_is_still_another) {
  ring r(kernel::linux_kernel(), {.entries = 2});
  std::thread([&] { ASSERT_EQ(r.bind_to_this_thread(), 0); }).join();
  for (int i = 0; i < 4; ++i) {
    std::thread([&] {
      ring own(kernel::linux_kernel(), {.entries = 2});
      ASSERT_EQ(own.bind_to_this_thread(), 0);
      EXPECT_FALSE(r.bound_to_this_thread());
      EXPECT_EQ(r.enter(), -EEXIST);
    }).join();
  }
}

TEST_F(Ring, sizes_beyond_the_kernels_largest_are_clamped) {
  ring r(kernel::linux_kernel(), {.entries = ~0u, .cq_entries = ~0u});
  EXPECT_GE(r.capacity(), 32768u);
  EXPECT_GE(r.completion_capacity(), r.capacity());
}

TEST_F(Ring, a_ring_built_on_one_thread_runs_on_another) {
  ring r(kernel::linux_kernel(), {.entries = 2});
  std::thread([&] {
    ASSERT_EQ(r.bind_to_this_thread(), 0);
    ASSERT_TRUE(push_nop(r, 9));
    EXPECT_EQ(r.enter(1), 1);
    EXPECT_EQ(reap_all(r), std::vector<std::uint64_t>{9});
  }).join();
  EXPECT_FALSE(r.bound_to_this_thread());
}

TEST_F(Ring, buffers_and_files_can_be_registered_before_binding_and_then_used) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ring r(kernel::linux_kernel(), {.entries = 2});
  std::vector<char> memory(4096);
  const iovec region{memory.data(), memory.size()};
  EXPECT_EQ(r.reg(abi::register_buffers, &region, 1), 0);
  EXPECT_EQ(r.reg(abi::register_files, &ends[0], 1), 0);
  std::thread([&] {
    ASSERT_EQ(r.bind_to_this_thread(), 0);
    ASSERT_EQ(::write(ends[1], "abc", 3), 3);
    abi::sqe* entry = r.take();
    clear(*entry);
    entry->opcode = abi::op_read_fixed;
    entry->flags = abi::iosqe_fixed_file;
    entry->fd = 0;
    entry->addr = reinterpret_cast<std::uintptr_t>(memory.data());
    entry->len = 3;
    entry->off = ~std::uint64_t{0};
    entry->buf_index = 0;
    ASSERT_EQ(r.enter(1), 1);
    int result = 0;
    r.reap([&](const abi::cqe& c) { result = c.res; });
    EXPECT_EQ(result, 3);
    EXPECT_EQ(memory[2], 'c');
  }).join();
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Ring, more_rings_than_a_thread_can_register_still_work) {
  std::vector<std::unique_ptr<ring>> rings;
  for (std::uint64_t i = 0; i < 20; ++i) {
    ring& r =
        *rings.emplace_back(std::make_unique<ring>(kernel::linux_kernel(), options{.entries = 1}));
    ASSERT_EQ(r.bind_to_this_thread(), 0);
  }
  EXPECT_FALSE(rings.back()->descriptor_registered());
  for (auto& r : rings) {
    ASSERT_TRUE(push_nop(*r, 3));
    EXPECT_EQ(r->enter(1), 1);
    EXPECT_EQ(reap_all(*r), std::vector<std::uint64_t>{3});
  }
}

TEST_F(Ring, destroying_a_ring_gives_its_registered_place_back) {
  for (int i = 0; i < 100; ++i) {
    ring r(kernel::linux_kernel(), {.entries = 1});
    ASSERT_EQ(r.bind_to_this_thread(), 0);
    ASSERT_EQ(r.descriptor_registered(), this_machine().registered_descriptor) << i;
  }
}

TEST_F(Ring, a_forked_child_may_destroy_its_copy_and_the_parents_ring_still_runs) {
  auto r = std::make_unique<ring>(kernel::linux_kernel(), options{.entries = 2});
  ASSERT_EQ(r->bind_to_this_thread(), 0);
  ASSERT_TRUE(push_nop(*r, 1));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    r.reset();
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(r->enter(1), 1);
  EXPECT_EQ(reap_all(*r), std::vector<std::uint64_t>{1});
}

TEST(RingDeathTest, a_ring_without_entries_is_a_programming_error) {
  EXPECT_DEATH(ring(kernel::linux_kernel(), {.entries = 0}), "at least one submission entry");
}

}  // namespace
}  // namespace parkring::ring
