// Things that end while others still name them.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>

#include <parkring/parkring.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

TEST(Lifetimes, a_failed_task_can_be_joined_twice_and_tells_the_same) {
  auto fails = []() -> task<> {
    co_await yield();
    throw std::runtime_error("no");
  };
  auto body = [&]() -> task<int> {
    auto h = spawn(fails);
    int thrown = 0;
    for (int i = 0; i < 2; ++i) {
      try {
        co_await h;
      } catch (const std::runtime_error&) {
        ++thrown;
      }
    }
    co_return thrown;
  };
  EXPECT_EQ(run(body()), 2);
}

struct spawns_at_its_end {
  int* ran;
  explicit spawns_at_its_end(int& r) : ran(&r) {}
  spawns_at_its_end(spawns_at_its_end&& other) noexcept : ran(std::exchange(other.ran, nullptr)) {}
  ~spawns_at_its_end() {
    if (ran == nullptr) return;
    spawn(
        [](int* r) -> task<> {
          co_await yield();
          ++*r;
        },
        ran)
        .detach();
  }
};

TEST(Lifetimes, a_result_that_spawns_when_it_ends_does_not_take_its_dead_task_for_a_parent) {
  int ran = 0;
  auto body = [&]() -> task<> {
    spawn([](int& r) -> task<spawns_at_its_end> { co_return spawns_at_its_end(r); }, std::ref(ran))
        .detach();
    for (int i = 0; i < 8; ++i) co_await yield();
  };
  run(body());
  EXPECT_EQ(ran, 1);
}

TEST(Lifetimes, a_group_that_dies_with_a_member_that_owns_its_joiner) {
  auto body = []() -> task<> {
    auto group = std::make_unique<task_group>();
    auto joins = [](task_group* g) -> task<> { co_await g->join(); };
    auto owns = [](join_handle<void>) -> task<> { co_await sleep_for(1h); };
    auto joiner = spawn(joins, group.get());
    co_await yield();
    group->spawn(owns, std::move(joiner));
    co_await yield();
    co_await yield();
    group.reset();
    for (int i = 0; i < 4; ++i) co_await yield();
  };
  run(body());
}

TEST(Lifetimes, what_a_timeout_looked_at_resumes_nobody_later) {
  // More than a batch of ready tasks, so that the timer's waiter and the request's stand on the
  // ready list together, the timer's first.
  auto yields = []() -> task<> {
    for (int i = 0; i < 40; ++i) co_await yield();
  };
  auto body = [&]() -> task<> {
    task_group others;
    for (int i = 0; i < 600; ++i) others.spawn(yields);
    for (int i = 0; i < 10; ++i) {
      const bool in_time = co_await timeout(50us, nop());
      co_await nop();
      (void)in_time;
    }
    co_await others.join();
  };
  run(body());
}

TEST(Lifetimes, the_tail_of_an_adopted_buffer_is_released_as_its_own_bytes) {
  auto bytes = std::make_unique<std::byte[]>(100);
  for (int i = 0; i < 100; ++i) bytes[static_cast<std::size_t>(i)] = std::byte(i);
  buffer whole = buffer::adopt(std::move(bytes), 100);
  buffer tail = whole.split_off(40);
  whole = buffer();
  const owned_bytes out = std::move(tail).release();
  ASSERT_EQ(out.size, 60U);
  EXPECT_EQ(out.data[0], std::byte(40));
  EXPECT_EQ(out.data[59], std::byte(99));
}

TEST(Lifetimes, a_starved_request_goes_on_when_the_one_before_it_is_dropped) {
  runtime rt({.max_operations = 2});
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  auto body = [&]() -> task<bool> {
    auto idle = fs::adopt_descriptor(ends[0], "idle");
    auto reads = [](fs::file& f) -> task<> {
      buffer b(16);
      (void)co_await f.read_at(b, 0);
    };
    auto links = []() -> task<> { (void)co_await link(nop(), nop()); };
    auto reader = spawn(reads, std::ref(idle));
    co_await yield();
    std::optional<join_handle<void>> chain(spawn(links));
    co_await yield();
    auto nops = []() -> task<> { co_await nop(); };
    auto last = spawn(nops);
    co_await yield();
    chain.reset();
    co_return co_await timeout(5s, std::move(last));
  };
  EXPECT_TRUE(rt.run(body()));
  ::close(ends[1]);
}

// What a task borrows: tells whether it is there.
struct lent {
  bool& there;
  explicit lent(bool& t) : there(t) { there = true; }
  lent(const lent&) = delete;
  lent& operator=(const lent&) = delete;
  ~lent() { there = false; }
};

struct borrower {
  const bool& there;
  int& ended_in_time;
  ~borrower() { ended_in_time += there ? 1 : 0; }
};

TEST(Lifetimes, a_task_that_a_deadline_ends_is_gone_before_what_it_borrows) {
  bool there = false;
  int ended_in_time = 0;
  auto borrows = [](bool& t, int& n) -> task<> {
    const borrower b{t, n};
    co_await sleep_for(1h);
  };
  struct owned {
    std::unique_ptr<lent> what;
    join_handle<void> by;  // is dropped first
  };
  auto owns = [](owned) -> task<> { co_await sleep_for(1h); };
  auto inner = [&]() -> task<> {
    auto what = std::make_unique<lent>(there);
    auto by = spawn(borrows, std::ref(there), std::ref(ended_in_time));
    co_await yield();
    spawn(owns, owned{std::move(what), std::move(by)}).detach();
    co_await sleep_for(1h);
  };
  auto body = [&]() -> task<> {
    EXPECT_FALSE(co_await with_timeout(1ms, inner()));
    co_await yield();
  };
  run(body());
  EXPECT_EQ(ended_in_time, 1);
}

TEST(Lifetimes, a_task_that_aborted_itself_and_its_parent_is_gone_before_what_it_borrows) {
  bool there = false;
  int ended_in_time = 0;
  std::optional<join_handle<void>> parent;
  auto body = [&]() -> task<> {
    auto child = [&](std::optional<join_handle<void>>& self) -> task<> {
      const borrower b{there, ended_in_time};
      co_await yield();
      self->abort();
      parent->abort();
      co_await sleep_for(1h);
    };
    parent = spawn([&]() -> task<> {
      const lent what(there);
      std::optional<join_handle<void>> h;
      h = spawn(child, std::ref(h));
      co_await sleep_for(1h);
    });
    EXPECT_THROW(co_await *parent, task_aborted);
  };
  run(body());
  EXPECT_EQ(ended_in_time, 1);
}

}  // namespace
}  // namespace parkring
