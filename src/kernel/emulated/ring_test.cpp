// The emulated ring over a backend that does nothing by itself: the test says when a request ends.
#include "kernel/emulated/ring.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace parkring::kernel::emulated {
namespace {

class by_hand final : public backend {
 public:
  std::vector<request*> begun;  // in order, those that have not ended
  std::map<std::uint64_t, cancel_answer> answers;
  std::uint64_t now = 1'000;
  int cancels = 0;

  request* find(std::uint64_t user_data) {
    const auto at = std::ranges::find_if(
        begun, [&](const request* r) { return r->entry.user_data == user_data; });
    return at == begun.end() ? nullptr : *at;
  }
  void end(std::uint64_t user_data, std::int32_t result) {
    request* const r = find(user_data);
    ASSERT_NE(r, nullptr) << user_data << " has not begun";
    std::erase(begun, r);
    r->home->complete(*r, result);
  }

  bool supports(unsigned opcode) const noexcept override { return opcode != abi::op_epoll_ctl; }
  void start(request& r) noexcept override { begun.push_back(&r); }
  cancel_answer cancel(request& r) noexcept override {
    ++cancels;
    const auto at = answers.find(r.entry.user_data);
    const auto answer = at == answers.end() ? cancel_answer::cancelled : at->second;
    if (answer == cancel_answer::cancelled) {
      begun.erase(std::next(std::find(begun.rbegin(), begun.rend(), &r)).base());
      r.home->complete(r, -ECANCELED);
    }
    return answer;
  }
  int update_poll(request&, std::uint32_t, std::uint32_t) noexcept override { return 0; }
  int hold(int fd) noexcept override { return fd; }
  void let_go(int) noexcept override {}
  bool is_open(int fd) noexcept override { return fd >= 0; }
  bool acts_on(const request& r, int fd) noexcept override { return r.file == fd; }
  int install(int held, bool) noexcept override { return held; }
  std::uint64_t now_ns(clock) noexcept override { return now; }
  void harvest() noexcept override {}
  int wait(std::uint64_t deadline) noexcept override {
    if (deadline == never) return -EINTR;  // nothing will happen
    now = std::max(now, deadline);
    return 0;
  }
  int reg(unsigned, const void*, unsigned) noexcept override { return -EINVAL; }
};

struct answer {
  std::uint64_t user_data;
  std::int32_t result;
  bool operator==(const answer&) const = default;
};
std::ostream& operator<<(std::ostream& out, const answer& a) {
  return out << '#' << a.user_data << " = " << a.result;
}
using answers = std::vector<answer>;

class EmulatedRing : public testing::Test {
 protected:
  explicit EmulatedRing(unsigned entries = 64, unsigned completions = 256) {
    abi::params p{};
    p.flags = abi::setup_cqsize | abi::setup_submit_all;
    p.cq_entries = completions;
    int error = 0;
    ring_ = ring::make(below, entries, p, memory, error);
    EXPECT_EQ(error, 0);
    for (unsigned i = 0; i < memory.sq_entries; ++i) memory.sq_array[i] = i;
  }

  abi::sqe& add(std::uint8_t opcode, std::uint64_t user_data, std::uint8_t flags = 0) {
    abi::sqe& e = memory.sqes[*memory.sq_tail & memory.sq_mask];
    e = {};
    e.opcode = opcode;
    e.user_data = user_data;
    e.flags = flags;
    e.fd = 3;
    ++*memory.sq_tail;
    return e;
  }
  abi::sqe& add_read(std::uint64_t user_data, std::uint8_t flags = 0) {
    abi::sqe& e = add(abi::op_read, user_data, flags);
    e.len = 10;
    return e;
  }
  abi::sqe& add_cancel(std::uint64_t user_data, std::uint64_t of) {
    abi::sqe& e = add(abi::op_async_cancel, user_data);
    e.addr = of;
    return e;
  }
  abi::sqe& add_timeout(std::uint64_t user_data, const abi::timespec64& t,
                        std::uint8_t opcode = abi::op_timeout) {
    abi::sqe& e = add(opcode, user_data);
    e.fd = -1;
    e.addr = reinterpret_cast<std::uint64_t>(&t);
    e.len = 1;
    return e;
  }
  int enter(unsigned wait = 0) {
    return ring_->enter(*memory.sq_tail - *memory.sq_head, wait, abi::enter_getevents, nullptr, 0);
  }
  answers take() {
    answers all;
    while (*memory.cq_head != *memory.cq_tail) {
      const abi::cqe& c = memory.cqes[(*memory.cq_head)++ & memory.cq_mask];
      all.push_back({c.user_data, c.res});
    }
    return all;
  }
  answers after_enter() {
    enter();
    return take();
  }

  by_hand below;
  ring_memory memory;
  std::unique_ptr<ring> ring_;
};

TEST_F(EmulatedRing, a_chain_goes_on_part_by_part) {
  add_read(1, abi::iosqe_io_link);
  add_read(2, abi::iosqe_io_link);
  add_read(3);
  add_read(4);
  enter();
  EXPECT_NE(below.find(1), nullptr);
  EXPECT_EQ(below.find(2), nullptr);
  EXPECT_NE(below.find(4), nullptr) << "what is not in the chain does not wait for it";
  below.end(1, 10);
  enter();
  EXPECT_NE(below.find(2), nullptr);
  below.end(2, 10);
  enter();
  below.end(3, 10);
  below.end(4, 10);
  EXPECT_EQ(take(), (answers{{1, 10}, {2, 10}, {3, 10}, {4, 10}}));
  EXPECT_EQ(ring_->live(), 0U);
}

TEST_F(EmulatedRing, a_short_transfer_ends_its_chain_unless_the_link_is_hard) {
  add_read(1, abi::iosqe_io_link);
  add_read(2);
  add_read(3, abi::iosqe_io_hardlink);
  add_read(4);
  enter();
  below.end(1, 5);
  below.end(3, -EIO);
  enter();
  EXPECT_EQ(take(), (answers{{1, 5}, {2, -ECANCELED}, {3, -EIO}}));
  below.end(4, 10);
  EXPECT_EQ(take(), (answers{{4, 10}}));
  EXPECT_EQ(ring_->live(), 0U);
}

TEST_F(EmulatedRing, a_chain_with_a_part_that_is_refused_does_not_begin) {
  add_read(1, abi::iosqe_io_link);
  add(abi::op_epoll_ctl, 2, abi::iosqe_io_link);
  add_read(3);
  EXPECT_EQ(after_enter(), (answers{{1, -ECANCELED}, {2, -EINVAL}, {3, -ECANCELED}}));
  EXPECT_TRUE(below.begun.empty());
}

TEST_F(EmulatedRing, a_drained_request_waits_for_all_before_it_and_holds_up_all_behind_it) {
  add_read(1);
  add_read(2);
  add_read(3, abi::iosqe_io_drain);
  add_read(4);
  enter();
  below.end(2, 10);
  enter();
  EXPECT_EQ(below.find(3), nullptr);
  below.end(1, 10);
  enter();
  EXPECT_NE(below.find(3), nullptr);
  EXPECT_EQ(below.find(4), nullptr);
  below.end(3, 10);
  enter();
  ASSERT_NE(below.find(4), nullptr);
  below.end(4, 10);
  EXPECT_EQ(take(), (answers{{2, 10}, {1, 10}, {3, 10}, {4, 10}}));
}

TEST_F(EmulatedRing, a_drain_inside_a_chain_drains_the_chain) {
  add_read(1);
  add_read(2, abi::iosqe_io_link);
  add_read(3, abi::iosqe_io_drain);
  add_read(4);
  enter();
  EXPECT_EQ(below.find(2), nullptr);
  EXPECT_EQ(below.find(4), nullptr);
  below.end(1, 10);
  enter();
  ASSERT_NE(below.find(2), nullptr);
  EXPECT_EQ(below.find(4), nullptr);
  below.end(2, 10);
  enter();
  below.end(3, 10);
  enter();
  below.end(4, 10);
  EXPECT_EQ(take(), (answers{{1, 10}, {2, 10}, {3, 10}, {4, 10}}));
}

// What counts as short is the sum of the parts; of messages only when all was asked for.
TEST_F(EmulatedRing, a_short_vector_or_message_ends_its_chain) {
  constexpr std::uint32_t wait_all = 0x100;
  const std::array<iovec, 2> parts{iovec{nullptr, 6}, {nullptr, 4}};
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = 2;
  const auto result_behind = [&](std::uint8_t opcode, std::int32_t result) {
    abi::sqe& e = add(opcode, 1, abi::iosqe_io_link);
    const bool is_message = opcode == abi::op_sendmsg || opcode == abi::op_recvmsg;
    e.addr = is_message ? reinterpret_cast<std::uint64_t>(&message)
                        : reinterpret_cast<std::uint64_t>(parts.data());
    e.len = opcode == abi::op_send_zc ? 10 : 2;
    if (is_message || opcode == abi::op_send_zc) e.msg_flags = wait_all;
    add(abi::op_nop, 2);
    enter();
    if (opcode == abi::op_send_zc) {
      EXPECT_TRUE(ring_->post(*below.find(1), result));
      request* const r = below.find(1);
      std::erase(below.begun, r);
      ring_->complete(*r, 0, abi::cqe_f_notif);
    } else {
      below.end(1, result);
    }
    enter();
    return take().back().result;
  };
  for (const auto opcode :
       {abi::op_readv, abi::op_writev, abi::op_sendmsg, abi::op_recvmsg, abi::op_send_zc}) {
    EXPECT_EQ(result_behind(opcode, 9), -ECANCELED) << int{opcode};
    EXPECT_EQ(result_behind(opcode, 10), 0) << int{opcode};
  }
  const std::array<iovec, 1> registered{iovec{this, sizeof *this}};
  ASSERT_EQ(ring_->reg(abi::register_buffers, registered.data(), 1), 0);
  for (const auto opcode : {abi::op_readv_fixed, abi::op_writev_fixed}) {
    EXPECT_EQ(result_behind(opcode, 9), -ECANCELED) << int{opcode};
    EXPECT_EQ(result_behind(opcode, 10), 0) << int{opcode};
  }
}

TEST_F(EmulatedRing, nothing_runs_without_the_limit_it_was_given) {
  const abi::timespec64 invalid{-1, 0};
  add_read(1, abi::iosqe_io_link);
  add_timeout(2, invalid, abi::op_link_timeout).flags = abi::iosqe_io_link;
  add_read(3);
  EXPECT_EQ(after_enter(), (answers{{1, -ECANCELED}, {2, -EINVAL}, {3, -ECANCELED}}));
  // Made invalid while its chain was already under way.
  abi::timespec64 changing{1, 0};
  add_read(1, abi::iosqe_io_link);
  add_read(2, abi::iosqe_io_link);
  add_timeout(3, changing, abi::op_link_timeout);
  enter();
  changing.tv_sec = -1;
  below.end(1, 10);
  EXPECT_EQ(after_enter(), (answers{{1, 10}, {2, -ECANCELED}, {3, -EINVAL}}));
  EXPECT_TRUE(below.begun.empty());
  EXPECT_EQ(ring_->live(), 0U);
}

TEST_F(EmulatedRing, timeouts_do_not_count_for_those_that_count) {
  const abi::timespec64 late{1, 0}, soon{0, 2'000};
  add_timeout(1, late).off = 1;
  add_timeout(2, soon);
  enter(1);
  EXPECT_EQ(take(), (answers{{2, -ETIME}}));
  add_timeout(3, soon).timeout_flags = abi::timeout_multishot;
  enter(1);
  EXPECT_EQ(take(), (answers{{3, -ETIME}}));
  add(abi::op_nop, 4);
  EXPECT_EQ(after_enter(), (answers{{4, 0}, {1, 0}}));
}

TEST_F(EmulatedRing, an_enter_that_took_less_than_was_offered_does_not_wait) {
  const abi::timespec64 late{1, 0};
  add_timeout(1, late);
  EXPECT_EQ(ring_->enter(2, 1, abi::enter_getevents, nullptr, 0), 1);
  EXPECT_EQ(below.now, 1'000U);
  EXPECT_EQ(enter(1), 0);
  EXPECT_EQ(take(), (answers{{1, -ETIME}}));
}

TEST_F(EmulatedRing, an_accept_of_many_ends_with_the_slots) {
  abi::rsrc_register sparse{};
  sparse.nr = 1;
  sparse.flags = abi::rsrc_register_sparse;
  ASSERT_EQ(ring_->reg(abi::register_files2, &sparse, sizeof sparse), 0);
  add(abi::op_accept, 1).file_index = abi::file_index_alloc;
  enter();
  request& r = *below.find(1);
  EXPECT_TRUE(ring_->post(r, 7));
  EXPECT_FALSE(ring_->post(r, 8));
  below.end(1, 8);
  EXPECT_EQ(take(), (answers{{1, 0}, {1, -ENFILE}}));
}

TEST_F(EmulatedRing, a_buffer_of_a_group_that_has_gone_does_not_enter_its_successor) {
  struct alignas(4096) buffers {
    std::array<abi::buf, 4> all{};
    int enter(ring& r, std::uint16_t first_id) {
      for (std::uint16_t i = 0; i < 2; ++i) {
        all[i].addr = first_id;
        all[i].len = 64;
        all[i].bid = static_cast<std::uint16_t>(first_id + i);
      }
      all[0].resv = 2;  // where the tail is
      abi::buf_reg where{};
      where.ring_addr = reinterpret_cast<std::uint64_t>(all.data());
      where.ring_entries = 4;
      return r.reg(abi::register_pbuf_ring, &where, 1);
    }
  } old, current;
  ASSERT_EQ(old.enter(*ring_, 10), 0);
  for (std::uint64_t i = 1; i <= 2; ++i) {
    add_read(i, abi::iosqe_buffer_select);
    enter();
    ASSERT_EQ(ring_->choose_buffer(*below.find(i)), 0);
  }
  const abi::buf_reg gone{};
  ASSERT_EQ(ring_->reg(abi::unregister_pbuf_ring, &gone, 1), 0);
  ASSERT_EQ(current.enter(*ring_, 20), 0);
  below.end(1, -EIO);
  ring_->give_back_buffer(*below.find(2));
  for (const std::uint16_t id : {20, 21}) {
    ASSERT_EQ(ring_->choose_buffer(*below.find(2)), 0);
    EXPECT_EQ(below.find(2)->chosen.bid, id);
    if (id == 21) break;
    below.end(2, 1);
    add_read(2, abi::iosqe_buffer_select);
    enter();
  }
  // What was not used of this group goes out again.
  ring_->give_back_buffer(*below.find(2));
  ASSERT_EQ(ring_->choose_buffer(*below.find(2)), 0);
  EXPECT_EQ(below.find(2)->chosen.bid, 21);
}

TEST_F(EmulatedRing, a_cancel_gives_what_the_backend_says) {
  for (std::uint64_t i = 1; i <= 3; ++i) add_read(i);
  enter();
  below.answers = {{2, cancel_answer::too_late}, {3, cancel_answer::not_found}};
  add_cancel(11, 1);
  add_cancel(12, 2);
  add_cancel(13, 3);
  add_cancel(14, 4);
  EXPECT_EQ(after_enter(),
            (answers{{1, -ECANCELED}, {11, 0}, {12, -EALREADY}, {13, -ENOENT}, {14, -ENOENT}}));
  add_cancel(15, 2);
  EXPECT_EQ(after_enter(), (answers{{15, -EALREADY}}));
  EXPECT_EQ(below.cancels, 3) << "whoever was told that it is too late is not asked again";
}

TEST_F(EmulatedRing, a_cancel_of_all_ends_all_that_match) {
  for (int i = 0; i < 5; ++i) add_read(7);
  add_read(8);
  enter();
  add_cancel(1, 7).cancel_flags = abi::async_cancel_all;
  const answers got = after_enter();
  ASSERT_EQ(got.size(), 6U);
  EXPECT_EQ(got.back(), (answer{1, 5}));
  EXPECT_EQ(below.begun.size(), 1U);
}

TEST_F(EmulatedRing, timeouts_end_in_the_order_of_their_deadlines) {
  const abi::timespec64 late{0, 3'000}, soon{0, 2'000};
  add_timeout(1, late);
  add_timeout(2, soon);
  EXPECT_EQ(enter(2), 2);
  EXPECT_EQ(take(), (answers{{2, -ETIME}, {1, -ETIME}}));
  EXPECT_EQ(below.now, 4'000U);
}

TEST_F(EmulatedRing, a_timeout_may_count_completions_instead) {
  const abi::timespec64 late{1, 0};
  add_timeout(1, late).off = 2;
  add(abi::op_nop, 2);
  add(abi::op_nop, 3);
  EXPECT_EQ(after_enter(), (answers{{2, 0}, {3, 0}, {1, 0}}));
  EXPECT_EQ(below.now, 1'000U);
}

TEST_F(EmulatedRing, a_repeated_timeout_fires_once_a_round_however_short_it_is) {
  const abi::timespec64 shortest{0, 1};
  add_timeout(1, shortest).timeout_flags = abi::timeout_multishot;
  for (unsigned i = 1; i <= 3; ++i) {
    enter(1);
    EXPECT_EQ(take(), (answers{{1, -ETIME}}));
  }
  EXPECT_EQ(ring_->live(), 1U);
  add(abi::op_timeout_remove, 2).addr = 1;
  EXPECT_EQ(after_enter().back(), (answer{2, 0}));
}

TEST_F(EmulatedRing, a_link_timeout_cancels_what_it_watches) {
  const abi::timespec64 soon{0, 2'000};
  add_read(1, abi::iosqe_io_link);
  add_timeout(2, soon, abi::op_link_timeout).flags = abi::iosqe_io_link;
  add_read(3);
  enter(2);
  EXPECT_EQ(take(), (answers{{1, -ECANCELED}, {3, -ECANCELED}, {2, -ETIME}}));
  EXPECT_EQ(ring_->live(), 0U);
}

TEST_F(EmulatedRing, a_link_timeout_ends_with_what_it_watches) {
  const abi::timespec64 late{1, 0};
  add_read(1, abi::iosqe_io_link);
  add_timeout(2, late, abi::op_link_timeout).flags = abi::iosqe_io_link;
  add_read(3);
  enter();
  below.end(1, 10);
  enter();
  EXPECT_EQ(take(), (answers{{1, 10}, {2, -ECANCELED}}));
  EXPECT_NE(below.find(3), nullptr) << "the chain goes on behind the timeout";
}

TEST_F(EmulatedRing, a_wait_ends_at_its_deadline) {
  const abi::timespec64 t{0, 500};
  const abi::getevents_arg arg{0, 0, 0, reinterpret_cast<std::uint64_t>(&t)};
  EXPECT_EQ(ring_->enter(0, 1, abi::enter_getevents | abi::enter_ext_arg, &arg, sizeof arg),
            -ETIME);
  EXPECT_EQ(below.now, 1'500U);
  EXPECT_EQ(enter(1), -EINTR);
}

class SmallEmulatedRing : public EmulatedRing {
 protected:
  SmallEmulatedRing() : EmulatedRing(4, 4) {}
};

TEST_F(SmallEmulatedRing, completions_that_find_the_queue_full_are_kept_in_order) {
  for (std::uint64_t i = 0; i < 40; ++i) {
    add(abi::op_nop, i);
    if (i % 4 == 3) enter();
  }
  EXPECT_NE(*memory.sq_flags & abi::sq_cq_overflow, 0U);
  answers all;
  for (int i = 0; i < 11; ++i) {
    for (const answer& a : take()) all.push_back(a);
    enter();
  }
  ASSERT_EQ(all.size(), 40U);
  for (std::uint64_t i = 0; i < 40; ++i) EXPECT_EQ(all[i], (answer{i, 0}));
  EXPECT_EQ(*memory.sq_flags & abi::sq_cq_overflow, 0U);
}

TEST_F(SmallEmulatedRing, a_multishot_request_cannot_post_into_a_full_queue) {
  add(abi::op_poll_add, 1).len = abi::poll_add_multi;
  enter();
  request& r = *below.find(1);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring_->post(r, i));
  EXPECT_FALSE(ring_->post(r, 4));
  below.end(1, 4);
  EXPECT_EQ(take().size(), 4U);
  EXPECT_EQ(after_enter(), (answers{{1, 4}}));
}

class LargeEmulatedRing : public EmulatedRing {
 protected:
  LargeEmulatedRing() : EmulatedRing(32'768, 65'536) {}
};

TEST_F(LargeEmulatedRing, a_chain_as_long_as_the_queue_needs_no_stack) {
  for (unsigned i = 0; i + 1 < memory.sq_entries; ++i) add(abi::op_nop, i, abi::iosqe_io_link);
  add(abi::op_nop, memory.sq_entries - 1);
  EXPECT_EQ(after_enter().size(), memory.sq_entries);
}

TEST_F(LargeEmulatedRing, each_of_many_is_found_by_its_cancel) {
  constexpr std::uint64_t n = 30'000;
  for (std::uint64_t i = 0; i < n; ++i) add_read(64 * i);
  enter();
  ASSERT_EQ(below.begun.size(), n);
  for (std::uint64_t i = n; i-- > 0;) add_cancel(1, 64 * i);
  const answers got = after_enter();
  EXPECT_EQ(got.size(), 2 * n);
  EXPECT_EQ(std::ranges::count(got, answer{1, 0}), static_cast<std::ptrdiff_t>(n));
  EXPECT_EQ(ring_->live(), 0U);
}

TEST_F(EmulatedRing, a_machine_that_stops_ends_everything) {
  const abi::timespec64 late{1, 0};
  add_read(1, abi::iosqe_io_link);
  add_read(2);
  add_timeout(3, late);
  add_read(4, abi::iosqe_io_drain);
  enter();
  below.begun.clear();
  ring_->stop();
  add_read(5);
  answers got = after_enter();
  std::ranges::sort(got, {}, &answer::user_data);
  EXPECT_EQ(
      got,
      (answers{
          {1, -ECANCELED}, {2, -ECANCELED}, {3, -ECANCELED}, {4, -ECANCELED}, {5, -ECANCELED}}));
  EXPECT_EQ(ring_->live(), 0U);
}

TEST_F(EmulatedRing, what_it_cannot_be_is_refused_at_set_up) {
  ring_memory other;
  int error = 0;
  abi::params p{};
  p.flags = abi::setup_sqpoll;
  EXPECT_EQ(ring::make(below, 8, p, other, error), nullptr);
  EXPECT_EQ(error, EINVAL);
  p = {};
  EXPECT_EQ(ring::make(below, 0, p, other, error), nullptr);
  EXPECT_EQ(error, EINVAL);
  p.flags = abi::setup_clamp;
  EXPECT_NE(ring::make(below, 1u << 20, p, other, error), nullptr);
  EXPECT_EQ(p.sq_entries, 32'768U);
}

}  // namespace
}  // namespace parkring::kernel::emulated
