// Everything else that can be awaited, dropped at every point.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <list>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

constexpr pr::fs::open_options in_the_ring{.access = pr::fs::access::read_write,
                                           .inline_first = pr::fs::inline_mode::never};

pr::task<> nap() { co_await pr::sleep_for(100us); }
pr::task<int> number_after(int n, std::chrono::microseconds d) {
  co_await pr::sleep_for(d);
  co_return n;
}
pr::task<int> throwing() {
  co_await pr::nop();
  throw std::runtime_error("on purpose");
}

TEST(DroppedWaits, nop_and_yield_leave_nothing) {
  EXPECT_GT(drop_everywhere([]() -> pr::task<> {
              co_await pr::nop();
              co_await pr::yield();
              co_await pr::as_result(pr::nop());
            }),
            20u);
}

TEST(DroppedWaits, sleeps_and_ticks_leave_nothing) {
  EXPECT_GT(drop_everywhere([]() -> pr::task<> {
              co_await pr::sleep_for(50us);
              co_await pr::sleep_until(pr::now() + 50us);
              co_await pr::sleep_for(-1s);
              pr::interval every(50us);
              co_await every.tick();
              co_await every.tick();
            }),
            20u);
}

// case 8
TEST(DroppedWaits, timeouts_leave_nothing) {
  scratch dir;
  const auto pipe = dir.fifo("pipe");
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      auto f = co_await pr::fs::open(p, in_the_ring);
      pr::buffer b(16);
      EXPECT_FALSE(co_await pr::timeout(50us, f.read_at(b, 0)));
      co_await b.returned();
      EXPECT_TRUE(co_await pr::timeout(10s, pr::nop()));
      const auto inner = co_await pr::timeout(10s, pr::timeout(50us, f.read_at(b, 0)));
      EXPECT_TRUE(inner.has_value() && !inner->has_value());
      co_await b.returned();
      (void)co_await pr::timeout(50us, pr::timeout(10s, nap()));
      co_await pr::timeout_at(pr::now(), nap());
      (void)co_await pr::timeout(10s, pr::as_result(f.size()));
    }(pipe);
  });
}

TEST(DroppedWaits, when_all_leaves_nothing) {
  drop_everywhere([]() -> pr::task<> {
    co_await pr::when_all(pr::nop(), nap(), number_after(1, 20us));
    co_await pr::when_all();
    std::vector<pr::task<int>> many;
    for (int i = 0; i < 4; ++i) many.push_back(number_after(i, 10us));
    EXPECT_EQ((co_await pr::when_all(std::move(many))).size(), 4u);
    try {
      co_await pr::when_all(nap(), throwing(), pr::sleep_for(1h));
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error&) {
    }
  });
}

TEST(DroppedWaits, races_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    const auto first = co_await pr::race(number_after(1, 10us), number_after(2, 1h));
    EXPECT_EQ(first.value, 1);
    (void)co_await pr::race(pr::sleep_for(1h), pr::nop(), number_after(1, 1h));
    try {
      (void)co_await pr::race(throwing(), number_after(2, 1h));
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error&) {
    }
  });
}

TEST(DroppedWaits, ranges_of_awaitables_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    const auto make = [](int n) { return number_after(n, std::chrono::microseconds(10 * n)); };
    auto numbers = std::views::iota(1, 4) | std::views::transform(make);
    EXPECT_EQ((co_await pr::when_all(numbers)).size(), 3u);
    const auto only_first = [](int n) {
      return number_after(n, n == 1 ? std::chrono::microseconds(10) : 1h);
    };
    auto runners = std::views::iota(1, 4) | std::views::transform(only_first);
    EXPECT_EQ((co_await pr::race(runners)).value, 1);
    std::list<pr::task<int>> some;
    some.push_back(number_after(1, 1h));
    some.push_back(throwing());
    try {
      (void)co_await pr::when_all(std::move(some));
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error&) {
    }
  });
}

TEST(DroppedWaits, groups_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    pr::task_group group;
    int count = 0;
    for (int i = 0; i < 3; ++i)
      group.spawn(
          [](int& n) -> pr::task<> {
            co_await nap();
            ++n;
          },
          std::ref(count));
    co_await group.join();
    EXPECT_EQ(count, 3);
    group.spawn(throwing());
    group.spawn(number_after(1, 1h));
    try {
      co_await group.join();
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error&) {
    }
    group.spawn(number_after(1, 1h));  // aborted by the group's end
    co_await pr::yield();
  });
}

TEST(DroppedWaits, spawned_tasks_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    auto h = pr::spawn(number_after, 7, 20us);
    EXPECT_EQ(co_await h, 7);
    EXPECT_EQ(co_await pr::spawn(number_after(8, 20us)), 8);
    auto aborted = pr::spawn(number_after, 9, 1h);
    co_await pr::yield();
    aborted.abort();
    try {
      co_await std::move(aborted);
      ADD_FAILURE() << "an aborted task gave a value";
    } catch (const pr::task_aborted&) {
    }
    pr::spawn(nap).detach();
    auto dropped = pr::spawn(number_after, 9, 1h);
    auto never_joined = pr::spawn(throwing);
    co_await pr::nop();
  });
}

TEST(DroppedWaits, a_chain_of_tasks_leaves_nothing) {
  static constexpr auto deep = [](auto self, int n) -> pr::task<int> {
    if (n == 0) {
      co_await pr::nop();
      co_return 0;
    }
    co_return 1 + co_await self(self, n - 1);
  };
  drop_everywhere([]() -> pr::task<> { EXPECT_EQ(co_await deep(deep, 20), 20); });
}

// A call that has begun runs to its end; what it gives must go, whoever is left.
TEST(DroppedWaits, blocking_calls_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    // Not inside the co_await: GCC 12 would end the captures twice.
    auto call = [kept = std::string(100, 'k')] { return kept; };
    const auto text = co_await pr::blocking(std::move(call));
    EXPECT_EQ(text.size(), 100u);
    co_await pr::blocking([] { std::this_thread::yield(); });
    try {
      co_await pr::blocking([] { throw std::runtime_error("on purpose"); });
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error&) {
    }
  });
}

TEST(DroppedWaits, waiting_for_a_buffer_leaves_nothing) {
  scratch dir;
  const auto pipe = dir.fifo("pipe");
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      auto f = co_await pr::fs::open(p, in_the_ring);
      pr::buffer b(16);
      auto reader = pr::spawn(f.read_at(b, 0));
      co_await pr::yield();
      auto writer = pr::spawn(
          [](pr::fs::file& file) -> pr::task<> {
            co_await pr::nop();
            (void)co_await file.write_at(std::string("x"), 0);
          },
          std::ref(f));
      co_await pr::when_all(b.returned(), b.returned());
      EXPECT_FALSE(b.locked());
      co_await b.returned();
    }(pipe);
  });
}

TEST(DroppedWaits, waiting_for_an_event_leaves_nothing) {
  drop_everywhere([]() -> pr::task<> {
    pr::event happened;
    auto waiter = [&happened]() -> pr::task<> { co_await happened.wait(); };
    auto first = pr::spawn(waiter);
    auto second = pr::spawn(waiter);
    EXPECT_FALSE(co_await pr::timeout(1ms, happened.wait()));
    first.abort();
    happened.set();
    co_await std::move(second);
    co_await happened.wait();
  });
}

TEST(DroppedWaits, waiting_for_a_foreign_descriptor_leaves_nothing) {
  PARKRING_NEEDS_REAL("descriptors of other libraries");
  drop_everywhere([]() -> pr::task<> {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    auto read_end = pr::async_fd::own(ends[0]);
    auto write_end = pr::async_fd::own(ends[1]);
    co_await write_end.writable();
    EXPECT_FALSE(co_await pr::timeout(50us, read_end.readable()));
    auto waiter = [&read_end]() -> pr::task<> {
      (void)co_await pr::as_result(read_end.readable());
    };
    auto first = pr::spawn(waiter);
    auto second = pr::spawn(waiter);
    co_await pr::yield();
    first.abort();
    EXPECT_EQ(::write(write_end.get(), "x", 1), 1);
    co_await std::move(second);
    auto described = write_end.ready(pr::fd_events::error);
    co_await pr::yield();
  });
}

TEST(DroppedWaits, releasing_a_foreign_descriptor_leaves_nothing) {
  PARKRING_NEEDS_REAL("descriptors of other libraries");
  drop_everywhere([]() -> pr::task<> {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    // The library's side: it closes, whatever becomes of the waits.
    struct library {
      int* fds;
      ~library() {
        ::close(fds[0]);
        ::close(fds[1]);
      }
    } const owner{ends};
    auto fd = pr::async_fd::borrow(ends[0]);
    auto waiter = [&fd]() -> pr::task<> { (void)co_await pr::as_result(fd.readable()); };
    auto first = pr::spawn(waiter);
    auto second = pr::spawn(waiter);
    co_await pr::yield();
    (void)co_await pr::timeout(1h, fd.release());
    co_await std::move(first);
    co_await std::move(second);
    auto other = pr::async_fd::borrow(ends[1]);
    co_await pr::race(other.release(), other.release());
  });
}

}  // namespace
