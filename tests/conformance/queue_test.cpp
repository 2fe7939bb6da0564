// The queues themselves: overflow, malformed entries, where a submission stops, messages.
#include <gtest/gtest.h>

#include <cerrno>
#include <numeric>

#include "conformance/machine.hpp"
#include "conformance/wrapped_kernel.hpp"

namespace parkring::conformance {
namespace {

class Queue : public on_machine {
 protected:
  /// Pushes without asking the client, which would keep what overflows from overflowing.
  static std::uint64_t put(ring::ring& r, abi::sqe e, std::uint64_t user_data) {
    e.user_data = user_data;
    *r.take() = e;
    return user_data;
  }
  bool overflowed(ring::ring& r) {
    return (__atomic_load_n(r.memory().sq_flags, __ATOMIC_ACQUIRE) & abi::sq_cq_overflow) != 0;
  }
};
PARKRING_ON_EVERY_MACHINE(Queue);

// A kernel that knows no SUBMIT_ALL, as Linux before 5.18: the ring then does without.
class stopping_kernel final : public wrapped_kernel {
 public:
  using wrapped_kernel::wrapped_kernel;
  [[nodiscard]] int setup(unsigned entries, params& p, ring_memory& out) noexcept override {
    if ((p.flags & abi::setup_submit_all) != 0) return -EINVAL;
    return wrapped_kernel::setup(entries, p, out);
  }
};

abi::sqe unknown() {
  abi::sqe e = nop();
  e.opcode = 255;
  return e;
}

TEST_P(Queue, a_batch_of_nops_completes_in_order) {
  std::vector<std::uint64_t> names;
  io().forget_order();
  for (int i = 0; i < 60; ++i) names.push_back(io().push(nop()));
  io().submit();
  for (const std::uint64_t name : names) EXPECT_EQ(io().next(name).res, 0);
  EXPECT_EQ(io().order(), names);
}

TEST_P(Queue, user_data_comes_back_whole) {
  for (const std::uint64_t name : {std::uint64_t{1}, ~std::uint64_t{0}, std::uint64_t{1} << 63,
                                   std::uint64_t{0x123456789abcdef0}}) {
    abi::sqe e = nop();
    e.user_data = name;
    EXPECT_EQ(io().run(e), 0);
  }
}

TEST_P(Queue, unknown_opcodes_are_answered_and_harm_nobody) {
  EXPECT_EQ(io().run(unknown()), -EINVAL);
  EXPECT_EQ(io().run_all({nop(), unknown(), nop()}), (std::vector<std::int32_t>{0, -EINVAL, 0}));
  for (unsigned opcode = abi::op_last + 5; opcode < 256; opcode += 31) {
    abi::sqe e = nop();
    e.opcode = static_cast<std::uint8_t>(opcode);
    EXPECT_EQ(io().run(e), -EINVAL) << opcode;
  }
}

TEST_P(Queue, what_the_probe_denies_is_refused) {
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    if (io().supports(opcode)) continue;
    abi::sqe e = entry(abi::op_nop, -1);
    e.opcode = static_cast<std::uint8_t>(opcode);
    const std::int32_t result = io().run(e);
    EXPECT_TRUE(result == -EINVAL || result == -EOPNOTSUPP) << opcode << ": " << result;
  }
}

TEST_P(Queue, unknown_flags_are_refused) {
  EXPECT_EQ(io().run(with_flags(nop(), 1u << 7)), -EINVAL);
}

TEST_P(Queue, an_unknown_personality_is_refused) {
  abi::sqe e = nop();
  e.personality = 999;
  EXPECT_EQ(io().run(e), -EINVAL);
}

TEST_P(Queue, only_transfers_choose_buffers) {
  EXPECT_EQ(io().run(with_flags(nop(), abi::iosqe_buffer_select)), -EOPNOTSUPP);
}

TEST_P(Queue, a_malformed_entry_does_not_stop_a_submission) {
  ring::ring& r = io().queue();
  ASSERT_NE(r.setup_flags() & abi::setup_submit_all, 0u);
  const std::uint64_t first = io().push(nop());
  const std::uint64_t bad = io().push(unknown());
  const std::uint64_t last = io().push(nop());
  EXPECT_EQ(r.enter(), 3);
  EXPECT_EQ(io().next(first).res, 0);
  EXPECT_EQ(io().next(bad).res, -EINVAL);
  EXPECT_EQ(io().next(last).res, 0);
}

TEST_P(Queue, without_submit_all_a_submission_stops_behind_a_malformed_entry) {
  stopping_kernel below(served_by());
  client own(below, {.entries = 8});
  ring::ring& r = own.queue();
  ASSERT_EQ(r.setup_flags() & abi::setup_submit_all, 0u);
  const std::uint64_t first = own.push(nop());
  const std::uint64_t bad = own.push(unknown());
  const std::uint64_t last = own.push(nop());
  EXPECT_EQ(r.enter(), 2);
  EXPECT_EQ(r.unsubmitted(), 1u);
  EXPECT_EQ(own.next(bad).res, -EINVAL);
  own.submit();
  EXPECT_EQ(own.next(first).res, 0);
  EXPECT_EQ(own.next(last).res, 0);
}

TEST_P(Queue, completions_beyond_the_queue_are_kept_in_order_and_told_by_a_flag) {
  ring::ring r(served_by(), {.entries = 4, .cq_entries = 4});
  ASSERT_EQ(r.bind_to_this_thread(), 0);
  EXPECT_FALSE(overflowed(r));
  constexpr std::uint64_t count = 100;
  std::uint64_t pushed = 0;
  for (int turns = 0; pushed < count && turns < 1000; ++turns) {
    while (pushed < count && r.room() != 0) put(r, nop(), pushed), ++pushed;
    ASSERT_GE(r.enter(), 0);  // nobody reaps
  }
  ASSERT_EQ(r.unsubmitted(), 0u);
  EXPECT_TRUE(overflowed(r));
  std::vector<std::uint64_t> seen;
  for (int turns = 0; turns < 1000 && seen.size() < count; ++turns) {
    r.reap([&](const abi::cqe& c) { seen.push_back(c.user_data); });
    if (r.kernel_wants_enter()) {
      ASSERT_GE(r.enter(0, nullptr, abi::enter_getevents), 0);
    }
  }
  std::vector<std::uint64_t> all(count);
  std::iota(all.begin(), all.end(), 0u);
  EXPECT_EQ(seen, all);
  EXPECT_FALSE(overflowed(r));
}

TEST_P(Queue, a_multishot_request_survives_or_ends_with_a_full_queue_and_loses_nothing) {
  client own(served_by(), {.entries = 4, .cq_entries = 4});
  int ends[2];
  ASSERT_EQ(own.make_pipe(ends), 0);
  const std::uint64_t many = own.start(poll(ends[0], POLLIN, abi::poll_add_multi));
  ring::ring& r = own.queue();
  // Fills the queue, then makes the poll fire.
  for (std::uint64_t i = 0; i < 4; ++i) put(r, nop(), 1000 + i);
  ASSERT_EQ(r.enter(), 4);
  put(r, write(ends[1], "x", 1, at_position), 2000);
  ASSERT_EQ(r.enter(0, nullptr, abi::enter_getevents), 1);
  // With or without MORE: if the request has ended, it says so in the same completion.
  const answer a = own.next(many);
  EXPECT_EQ(a.res, POLLIN);
  EXPECT_EQ(own.next(2000).res, 1);
  if (!a.more()) {
    EXPECT_EQ(own.run(poll_remove(many)), -ENOENT);
  }
}

TEST_P(Queue, a_wait_ends_at_its_timeout_and_loses_nothing) {
  ring::ring& r = io().queue();
  const abi::timespec64 limit{.tv_sec = 0, .tv_nsec = 1'000'000};
  EXPECT_EQ(r.enter(1, &limit), -ETIME);
  EXPECT_EQ(io().run(nop()), 0);
}

TEST_P(Queue, a_wait_for_several_completions_returns_when_they_are_there) {
  ring::ring& r = io().queue();
  const abi::timespec64 moment{.tv_sec = 0, .tv_nsec = 1'000'000};
  std::vector<std::uint64_t> names;
  for (int i = 0; i < 3; ++i) names.push_back(io().push(timeout(&moment)));
  const abi::timespec64 limit{.tv_sec = 10, .tv_nsec = 0};
  EXPECT_EQ(r.enter(3, &limit), 3);
  unsigned n = 0;
  r.reap([&](const abi::cqe& c) {
    EXPECT_EQ(c.res, -ETIME);
    ++n;
  });
  EXPECT_EQ(n, 3u);
}

TEST_P(Queue, who_submits_less_than_was_meant_does_not_wait) {
  ring::ring& r = io().queue();
  const abi::timespec64 hour{.tv_sec = 3600, .tv_nsec = 0};
  io().push(timeout(&hour));
  io().submit();
  // There are no entries, so that nothing is waited for.
  EXPECT_EQ(served_by().enter(r.memory(), 1, 1, abi::enter_getevents, nullptr, 0), 0);
}

TEST_P(Queue, a_drain_inside_a_chain_drains_the_chain) {
  int ends[2];
  ASSERT_EQ(io().make_pipe(ends), 0);
  io().forget_order();
  const std::uint64_t reading = io().push(read(ends[0], io().memory(1), 1, at_position));
  const std::uint64_t head = io().push(linked(nop()));
  const std::uint64_t drain = io().push(drained(nop()));
  const std::uint64_t behind = io().push(nop());
  io().submit();
  client other(served_by());
  for (int i = 0; i < 20; ++i) {
    io().collect();
    EXPECT_EQ(other.run(nop()), 0);
  }
  EXPECT_TRUE(io().order().empty());
  EXPECT_EQ(other.write(ends[1], "x", at_position), 1);
  EXPECT_EQ(io().next(reading).res, 1);
  for (const std::uint64_t name : {head, drain, behind}) EXPECT_EQ(io().next(name).res, 0);
  EXPECT_LT(io().place(reading), io().place(head));
  EXPECT_LT(io().place(drain), io().place(behind));
}

TEST_P(Queue, rings_of_one_machine_do_not_mix_up) {
  client other(served_by());
  const std::uint64_t mine = io().push(nop());
  abi::sqe e = nop();
  e.user_data = mine;
  EXPECT_EQ(other.run(e), 0);
  io().submit();
  EXPECT_EQ(io().next(mine).res, 0);
}

TEST_P(Queue, rings_of_one_machine_share_their_files) {
  client other(served_by());
  ASSERT_EQ(io().make_file(path("f"), "content"), 0);
  EXPECT_EQ(other.content(path("f")), "content");
  const int fd = io().open(path("f"), O_RDWR);
  EXPECT_EQ(other.read(fd, 7, 0), "content");
}

TEST_P(Queue, a_message_arrives_at_another_ring) {
  PARKRING_NEEDS(abi::op_msg_ring);
  client other(served_by());
  const int target = other.queue().memory().fd;
  EXPECT_EQ(io().run(msg_ring(target, 42, 4711)), 0);
  const answer a = other.next(4711);
  EXPECT_EQ(a.res, 42);
  EXPECT_EQ(io().run(msg_ring(-1, 0, 1)), -EBADF);
  ASSERT_EQ(io().make_file(path("f"), ""), 0);
  const int file = io().open(path("f"), O_RDONLY);
  EXPECT_EQ(io().run(msg_ring(file, 0, 1)), -EBADFD);
}

TEST_P(Queue, the_probe_tells_its_last_opcode_and_denies_those_beyond) {
  abi::probe known{};
  ASSERT_EQ(io().queue().reg(abi::register_probe, &known, 256), 0);
  EXPECT_GE(known.last_op, abi::op_linkat);
  for (unsigned i = known.last_op + 1; i < known.ops_len; ++i)
    EXPECT_EQ(known.ops[i].flags & abi::op_supported, 0) << i;
  EXPECT_TRUE(io().supports(abi::op_nop));
}

TEST_P(Queue, an_unknown_registration_is_refused) {
  EXPECT_EQ(io().queue().reg(9999, nullptr, 0), -EINVAL);
}

}  // namespace
}  // namespace parkring::conformance
