#include <parkring/guest.hpp>

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>

#include <parkring/event.hpp>
#include <parkring/guests/epoll.hpp>
#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

// An epoll set with one event counter in it.
struct foreign_loop {
  int set = ::epoll_create1(EPOLL_CLOEXEC);
  int counter = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  foreign_loop() {
    epoll_event e{};
    e.events = EPOLLIN;
    EXPECT_EQ(::epoll_ctl(set, EPOLL_CTL_ADD, counter, &e), 0);
  }
  foreign_loop(const foreign_loop&) = delete;
  ~foreign_loop() {
    ::close(counter);
    ::close(set);
  }
  void signal() const { EXPECT_EQ(::eventfd_write(counter, 1), 0); }
  void clear() const {
    eventfd_t value;
    EXPECT_EQ(::eventfd_read(counter, &value), 0);
  }
};

// Requests by which `rt` watches `n` guests: where it sleeps in a reactor, that watches them.
std::size_t polls_of(const runtime& rt, std::size_t n) {
  return rt.reader() == completion_reader::driving_task ? 0 : n;
}

// Runs `rt` until no request is left, but not for ever.
void settle(runtime& rt) {
  for (int i = 0; i < 1'000 && rt.counters().operations != 0; ++i) rt.run(sleep_for(1ms));
}

TEST(Guests, a_guest_has_its_turn_when_its_descriptor_says_so) {
  foreign_loop loop;
  runtime rt;
  int events = 0;
  event happened;
  guest g = guests::epoll(loop.set, [&](const epoll_event&) {
    loop.clear();
    ++events;
    happened.set();
  });
  rt.park_on(g);
  auto body = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) {
      happened.reset();
      loop.signal();
      co_await happened.wait();  // nothing else wakes the runtime
    }
  };
  rt.run(body());
  EXPECT_EQ(events, 3);
  EXPECT_GE(rt.counters().guest_turns, 3u);
  EXPECT_EQ(g.turns(), rt.counters().guest_turns);
}

// A callback that takes only a part must be called again, though nothing new happens.
TEST(Guests, what_a_turn_leaves_over_brings_another_turn) {
  foreign_loop loop;
  runtime rt;
  int calls = 0;
  event enough;
  guest g = guests::epoll(loop.set, [&](const epoll_event&) {
    if (++calls < 20) return;
    loop.clear();
    enough.set();
  });
  rt.park_on(g);
  loop.signal();
  rt.run(enough.wait());
  EXPECT_EQ(calls, 20);
}

struct scripted {
  std::optional<std::chrono::nanoseconds> timeout;
  guest_state state = guest_state::idle;
  int turns = 0;
  event* reached = nullptr;
  int goal = 1'000'000;
};
struct scripted_loop {
  scripted& s;
  int descriptor() const { return -1; }
  std::optional<std::chrono::nanoseconds> next_timeout() const { return s.timeout; }
  guest_state turn() {
    if (++s.turns >= s.goal && s.reached != nullptr) s.reached->set();
    return s.state;
  }
};

// Else what nobody takes any more would wake the runtime for ever.
TEST(Guests, one_that_takes_its_descriptor_back_is_watched_no_more) {
  foreign_loop loop;
  struct fickle {
    int counter;
    bool& watched;
    int descriptor() const { return watched ? counter : -1; }
    std::optional<std::chrono::nanoseconds> next_timeout() const { return std::nullopt; }
    guest_state turn() { return guest_state::idle; }
  };
  bool watched = true;
  guest g(fickle{loop.counter, watched});
  runtime rt;
  rt.park_on(g);
  rt.run(sleep_for(1ms));
  EXPECT_EQ(rt.counters().operations, polls_of(rt, 1));
  watched = false;
  rt.run(sleep_for(1ms));
  settle(rt);
  EXPECT_EQ(rt.counters().operations, 0u);
  loop.signal();
  const auto before = g.turns();
  rt.run(sleep_for(10ms));
  EXPECT_LT(g.turns() - before, 20u) << "it should sleep";
  loop.clear();
  watched = true;
  rt.run(sleep_for(1ms));
  EXPECT_EQ(rt.counters().operations, polls_of(rt, 1)) << "it may come back";
}

TEST(Guests, its_time_out_joins_the_deadline_of_the_park) {
  event reached;
  scripted s{.timeout = 1ms, .reached = &reached, .goal = 5};
  guest g(scripted_loop{s});
  runtime rt;
  rt.park_on(g);
  rt.run(reached.wait());  // else it sleeps for ever
  EXPECT_GE(s.turns, 5);
}

TEST(Guests, one_that_always_wants_more_does_not_starve_tasks_nor_they_it) {
  scripted s{.timeout = 0ns};
  guest g(scripted_loop{s});
  runtime rt;
  rt.park_on(g);
  auto body = [&]() -> task<> {
    for (int i = 0; i < 50; ++i) co_await nop();
    co_await sleep_for(1ms);
  };
  rt.run(body());
  EXPECT_GT(s.turns, 10);

  s.timeout.reset();
  const int before = s.turns;
  auto busy = [&]() -> task<> {  // never idle
    while (s.turns < before + 10) co_await yield();
  };
  rt.run(busy());
}

TEST(Guests, one_that_has_ended_is_left_alone) {
  scripted s{.timeout = 0ns, .state = guest_state::ended};
  guest g(scripted_loop{s});
  runtime rt;
  rt.park_on(g);
  rt.run(sleep_for(1ms));
  EXPECT_EQ(s.turns, 1);
  s.state = guest_state::idle;
  s.timeout.reset();
  rt.park_on(g);  // it may come back
  rt.run(sleep_for(1ms));
  EXPECT_GT(s.turns, 1);
}

TEST(Guests, guest_and_runtime_may_go_in_either_order) {
  foreign_loop loop;
  const auto ignore = [](const epoll_event&) {};
  {
    runtime rt;
    {
      guest g = guests::epoll(loop.set, ignore);
      rt.park_on(g);
      rt.run(nop());
      EXPECT_EQ(rt.counters().operations, polls_of(rt, 1));
    }
    rt.run(sleep_for(1ms));
    settle(rt);
    EXPECT_EQ(rt.counters().operations, 0u) << "its poll was cancelled";
  }
  guest survives = guests::epoll(loop.set, ignore);
  for (int i = 0; i < 2; ++i) {
    runtime rt;
    rt.park_on(survives);
    rt.run(nop());
  }
  {
    runtime rt;  // never ran
    rt.park_on(survives);
  }
  guest never_parked = guests::epoll(loop.set, ignore);
}

TEST(Guests, a_turn_may_bring_and_end_other_guests) {
  runtime rt;
  scripted a, b{.timeout = 0ns};
  std::optional<guest> second;
  struct busybody {
    runtime& rt;
    std::optional<guest>& other;
    scripted& script;
    int step = 0;
    int descriptor() const { return -1; }
    std::optional<std::chrono::nanoseconds> next_timeout() const { return 0ns; }
    guest_state turn() {
      ++step;
      if (step % 2 == 1) {
        other.emplace(scripted_loop{script});
        rt.park_on(*other);
      } else {
        other.reset();
      }
      return guest_state::idle;
    }
  };
  guest first(busybody{rt, second, b});
  guest last(scripted_loop{a});
  rt.park_on(first);
  rt.park_on(last);
  auto body = []() -> task<> {
    for (int i = 0; i < 20; ++i) co_await nop();
  };
  rt.run(body());
  EXPECT_GT(a.turns, 0);
  EXPECT_GT(b.turns, 0);
}

TEST(Guests, a_turn_may_spawn_and_abort_tasks) {
  foreign_loop loop;
  runtime rt;
  event done;
  std::optional<join_handle<void>> aborted;
  bool reached_its_end = false;
  guest g = guests::epoll(loop.set, [&](const epoll_event&) {
    loop.clear();
    aborted.reset();
    spawn([&]() -> task<> {
      co_await nop();
      done.set();
    }).detach();
  });
  rt.park_on(g);
  aborted.emplace(rt.spawn([&]() -> task<> {
    co_await sleep_for(1h);
    reached_its_end = true;
  }));
  loop.signal();
  rt.run(done.wait());
  EXPECT_FALSE(reached_its_end);
  EXPECT_EQ(rt.counters().tasks, 0u);
}

TEST(Guests, a_guest_waits_for_a_request_like_any_other) {
  foreign_loop loop;
  runtime rt({.entries = 1, .max_operations = 2});
  int events = 0;
  guest g = guests::epoll(loop.set, [&](const epoll_event&) {
    loop.clear();
    ++events;
  });
  rt.park_on(g);
  auto body = [&]() -> task<> {
    for (int i = 0; i < 10; ++i) {
      loop.signal();
      for (int k = 0; k < 5; ++k) co_await nop();
    }
    while (events == 0) co_await nop();
  };
  rt.run(body());
  EXPECT_GT(events, 0);
}

}  // namespace
}  // namespace parkring
